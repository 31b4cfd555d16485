#: summary  times each kind of exit: lines of name, least and most TSC ticks of one exit
#: ends     hlt at done
#: console  any
#: group    bench

.include "lib.inc"

# Each measurement runs twice with the same code around it: once with nothing, whose least time is the overhead, and once
# with the instruction. What is printed has the overhead subtracted.

.equ ROUNDS, 256
.equ WARM_UP, 4                     # rounds that are not counted: code, devices and tables are used for the first time
.equ MSR_PAT, 0x277
.equ INSTRUCTION_LEAF, 0x40000001   # EAX: 1 = VMCALL, 2 = VMMCALL

# Variables, in untouched RAM below the program.
.equ overhead, 0x1000
.equ least, 0x1004
.equ most, 0x1008
.equ rounds_left, 0x100c
.equ warm_up_left, 0x1010

# Times `insn` `rounds` times, into `least` and `most`. `setup` runs right before it and is timed with it; `between` runs
# untimed after it. EBX, ESI, EDI, EBP belong to `setup`, `insn` and `between`.
.macro time_rounds rounds, warm_up, setup, between, insn:vararg
    mov dword ptr [least], 0xffffffff
    mov dword ptr [most], 0
    mov dword ptr [rounds_left], \rounds
    mov dword ptr [warm_up_left], \warm_up
.Lround\@:
    rdtsc
    mov [start], eax
    \setup
    \insn
    rdtsc
    sub eax, [start]
    cmp dword ptr [warm_up_left], 0
    je .Lcounts\@
    dec dword ptr [warm_up_left]
    jmp .Lround\@
.Lcounts\@:
    cmp eax, [least]
    jae .Lnot_least\@
    mov [least], eax
.Lnot_least\@:
    cmp eax, [most]
    jbe .Lnot_most\@
    mov [most], eax
.Lnot_most\@:
    \between
    dec dword ptr [rounds_left]
    jnz .Lround\@
.endm
.equ start, 0x1014

# Prints the line of one exit.
.macro measure name, setup, insn:vararg
    time_rounds ROUNDS, WARM_UP, "\setup", nothing
    mov eax, [least]
    mov [overhead], eax
    time_rounds ROUNDS, WARM_UP, "\setup", nothing, \insn
    print "\name "
    call print_result
.endm

.macro nothing
.endm
.macro load_pat
    mov ecx, MSR_PAT
    mov eax, 0x00070406
    mov edx, 0x00070406
.endm
.macro pat_number
    mov ecx, MSR_PAT
.endm
.macro leaf_0
    xor eax, eax
.endm
.macro next_page
    add bx, 0x100
    mov fs, bx
.endm

    call lib_setup
    mov ax, 0xd000
    mov gs, ax                      # the scratch page of device memory
    mov eax, INSTRUCTION_LEAF
    cpuid
    cmp eax, 1
    je chosen
    mov byte ptr [hypercall_1 + 2], 0xd9        # 0f 01 c1 is VMCALL, 0f 01 d9 is VMMCALL
    jmp chosen
chosen:

    measure cpuid, leaf_0, cpuid
    measure out, nothing, out POST_PORT, al
    measure in, nothing, in al, POST_PORT
    measure rdmsr, pat_number, rdmsr
    measure wrmsr, load_pat, wrmsr

    time_rounds ROUNDS, WARM_UP, leaf_0, nothing
    mov eax, [least]
    mov [overhead], eax
    time_rounds ROUNDS, WARM_UP, leaf_0, nothing, hypercall_1: vmcall
    print "hypercall "
    call print_result

    # 64 pages from 0x40000 that nobody has touched; each can be touched for the first time only once.
    time_rounds ROUNDS, WARM_UP, nothing, nothing
    mov eax, [least]
    mov [overhead], eax
    mov bx, 0x4000
    mov fs, bx
    time_rounds 64, 0, nothing, next_page, mov byte ptr fs:[0], 1
    print "touch "
    call print_result

    measure mmio-read, nothing, mov eax, gs:[0x10]
done:
    hlt

.include "bench.inc"
