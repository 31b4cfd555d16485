#: summary  walks real mode, protected mode, long mode and back, with exits in each
#: ends     hlt at done
#: console  "protected mode: cpuid, port, msr, memory and exceptions as they should be\n"
#: console  "long mode: cpuid, port, msr, memory and exceptions as they should be\n"
#: console  "back in real mode\n"

.include "lib.inc"
.include "modes.inc"

.equ PAT, 0x277
.equ UNKNOWN_MSR, 0xdead
.equ SCRATCH, 0xd0000               # device memory
.equ NOWHERE, 0xc0000               # nothing is there
.equ UPPER, 0xffff800000000000      # where long mode maps the first 2 MiB a second time

# mov eax, [rip + ...] such that it reaches `address`, which is not in the program (the assembler has no way to say it).
.macro load_rip_relative address:vararg
    .byte 0x8b, 0x05
    .long \address - . - 4
.endm

    call lib_setup

# 1. 32-bit protected mode, without paging.
    to_protected

    mov eax, 0x40000000
    cpuid
    check ebx, 0x76687668, "protected mode: signature"      # "hvhv"

    mov dx, STORAGE_PORT
    mov eax, 0x12345678
    out dx, eax
    xor eax, eax
    in eax, dx
    check eax, 0x12345678, "protected mode: port"

    mov ecx, PAT
    rdmsr
    mov ebx, eax
    wrmsr
    rdmsr
    check eax, ebx, "protected mode: PAT"

    mov dword ptr [SCRATCH + 8], 0x11223344
    check "dword ptr [SCRATCH + 8]", 0x11223344, "protected mode: device memory"
    mov ebx, SCRATCH
    mov ecx, 2
    check16 "word ptr [ebx + ecx * 4 + 2]", 0x1122, "protected mode: device memory, base and index"
    check "dword ptr [NOWHERE]", -1, "protected mode: unmapped memory"
    check "dword ptr [0xfee00000 - 16]", -1, "protected mode: memory above RAM"

    faults 6, "protected mode: ud2", ud2
    mov ecx, UNKNOWN_MSR
    faults 13, "protected mode: unknown MSR", rdmsr
    print "protected mode: cpuid, port, msr, memory and exceptions as they should be\n"

# 2. Long mode, four levels of page tables.
    to_long

    mov ecx, MSR_EFER
    rdmsr
    and eax, EFER_LMA | EFER_LME
    check eax, EFER_LMA | EFER_LME, "long mode: EFER"

    # CPUID clears the upper halves of its four registers and leaves the others alone.
    mov r8, 0x8888888899999999
    mov r15, 0xfedcba9876543210
    mov rax, 0xffffffff40000000
    mov rbx, -1
    mov rcx, -1
    mov rdx, -1
    cpuid
    mov rsi, 0x76687668
    check64 rbx, rsi, "long mode: RBX after CPUID"
    check64 rcx, rsi, "long mode: RCX after CPUID"
    check64 rdx, rsi, "long mode: RDX after CPUID"
    shr rax, 32
    check eax, 0, "long mode: upper half of RAX after CPUID"
    mov rsi, 0x8888888899999999
    check64 r8, rsi, "long mode: R8 after CPUID"
    mov rsi, 0xfedcba9876543210
    check64 r15, rsi, "long mode: R15 after CPUID"

    # IN: AL and AX leave the rest of RAX alone, EAX clears the upper half.
    mov dx, STORAGE_PORT
    mov rax, 0x1122334455667788
    in al, dx
    mov rsi, 0x1122334455667778
    check64 rax, rsi, "long mode: IN AL"
    in ax, dx
    mov rsi, 0x1122334455665678
    check64 rax, rsi, "long mode: IN AX"
    in eax, dx
    mov esi, 0x12345678
    check64 rax, rsi, "long mode: IN EAX"

    mov ecx, PAT
    mov rax, -1
    mov rdx, -1
    rdmsr
    shr rax, 32
    check eax, 0, "long mode: upper half of RAX after RDMSR"
    shr rdx, 32
    check edx, 0, "long mode: upper half of RDX after RDMSR"

    # Device memory, with 64-bit operands, RIP-relative, with R8 to R15, and at an upper address.
    mov rax, 0x0123456789abcdef
    mov ebx, SCRATCH
    mov [rbx + 0x10], rax
    check64 "[rbx + 0x10]", rax, "long mode: device memory"
    mov r12, rbx
    mov r13d, [r12 + 0x14]
    mov esi, 0x01234567
    check64 r13, rsi, "long mode: device memory to R13D"
    mov r9, -1
    movzx r9, word ptr [r12 + 0x10]
    mov esi, 0xcdef
    check64 r9, rsi, "long mode: device memory, MOVZX"
    mov rcx, UPPER + SCRATCH
    check64 "[rcx + 0x10]", rax, "long mode: device memory at an upper address"
    mov dword ptr [rcx + 0x10], 0x5a5a5a5a
    check "dword ptr [rbx + 0x10]", 0x5a5a5a5a, "long mode: device memory written at an upper address"
    load_rip_relative SCRATCH + 0x10
    check eax, 0x5a5a5a5a, "long mode: device memory, RIP-relative"

    mov rax, [NOWHERE]
    check64 rax, -1, "long mode: unmapped memory"

    # The same with the program itself at an upper address.
    movabs rcx, UPPER + offset upper
    call rcx

    faults 6, "long mode: ud2", ud2
    mov ecx, UNKNOWN_MSR
    faults 13, "long mode: unknown MSR", rdmsr
    mov rax, UPPER + 0x200000
    faults_code 14, 0, "long mode: page fault", mov al, [rax]
    mov rcx, cr2
    check64 rcx, rax, "long mode: CR2"
    print "long mode: cpuid, port, msr, memory and exceptions as they should be\n"

# 3. Back.
    from_long
    mov ecx, MSR_EFER
    rdmsr
    and eax, EFER_LMA | EFER_LME
    check eax, 0, "EFER after long mode"
    faults 6, "back in protected mode: ud2", ud2

    to_real
    faults 6, "back in real mode: ud2", ud2
    xor eax, eax
    cpuid
    print "back in real mode\n"
done:
    hlt

bits64
upper:                              # runs above 0xffff8000_00000000
    mov eax, 0x40000000
    cpuid
    check ecx, 0x76687668, "long mode, program at an upper address: signature"
    load_rip_relative SCRATCH + 0x10
    check eax, 0x5a5a5a5a, "long mode, program at an upper address: device memory"
    ret
