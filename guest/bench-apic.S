#: summary  times the interrupt controllers, in long mode: lines of name, least and most TSC ticks
#: ends     hlt at done
#: console  any
#: group    bench
#: order    60

.include "lib.inc"
.include "modes.inc"
.include "pc.inc"
.include "apic.inc"

# As in `bench`, each access is timed with the same code around it as nothing, and printed less that. Deliveries are
# timed from right before the instruction that asks for one to the handler's first instruction, less the same overhead;
# `hlt` from its deadline.

.equ ROUNDS, 256
.equ WARM_UP, 8                     # rounds that are not counted
.equ AHEAD, 2000                    # cycles

.equ overhead, 0x2200
.equ least, 0x2204
.equ most, 0x2208
.equ start, 0x2210
.equ happened, 0x2218

.macro nothing
.endm

# EAX is how long a round took. ESI counts the rounds left.
.macro note_round
    cmp esi, ROUNDS
    jae .Lnot_most\@
    cmp eax, [least]
    jae .Lnot_least\@
    mov [least], eax
.Lnot_least\@:
    cmp eax, [most]
    jbe .Lnot_most\@
    mov [most], eax
.Lnot_most\@:
.endm

.macro begin
    mov dword ptr [least], 0xffffffff
    mov dword ptr [most], 0
    mov esi, ROUNDS + WARM_UP
.endm

.macro time_rounds setup, insn:vararg
    begin
.Lround\@:
    rdtsc
    mov [start], eax
    \setup
    \insn
    rdtsc
    sub eax, [start]
    note_round
    dec esi
    jnz .Lround\@
.endm

.macro measure name, setup, insn:vararg
    time_rounds \setup, nothing
    mov eax, [least]
    mov [overhead], eax
    time_rounds \setup, \insn
    print "\name "
    call print_result
.endm

# The handler of vector 0x41 ends the time.
.macro measure_delivery name, setup, insn:vararg
    time_rounds \setup, nothing
    mov eax, [least]
    mov [overhead], eax
    begin
    sti
.Lround\@:
    mov dword ptr [happened], 0
    rdtsc
    mov [start], eax
    \setup
    \insn
.Lwait\@:
    cmp dword ptr [happened], 0
    je .Lwait\@
    mov eax, [happened + 4]
    sub eax, [start]
    note_round
    dec esi
    jnz .Lround\@
    cli
    print "\name "
    call print_result
.endm

.macro tpr_number
    mov ecx, MSR_X2APIC + (APIC_TPR >> 4)
    xor eax, eax
    xor edx, edx
.endm
.macro self_number
    mov ecx, MSR_X2APIC + (APIC_SELF >> 4)
    mov eax, 0x41
    xor edx, edx
.endm
.macro icr_value
    mov eax, ICR_SELF | 0x41
.endm
.macro version_number
    mov dword ptr [r13], 1
.endm
.macro deadline_now                 # EDX:EAX is the time already
    mov ecx, MSR_TSC_DEADLINE
.endm

    call lib_setup
    to_apic

    # By memory.
    .set x2apic, 0
    vector 0x41, stop_by_memory
    measure apic-read, nothing, mov eax, [r12 + APIC_TPR]
    xor edi, edi
    measure apic-write, nothing, mov [r12 + APIC_TPR], edi
    mov dword ptr [r13], 1
    measure ioapic-read, nothing, mov eax, [r13 + 0x10]
    measure_delivery self-ipi-mmio, icr_value, mov [r12 + APIC_ICR], eax

    # By MSR.
    write_msr MSR_APIC_BASE, APIC + APIC_BASE_BSP + APIC_BASE_ON + APIC_BASE_X2
    .set x2apic, 1
    vector 0x41, stop_by_msr
    measure x2apic-read, tpr_number, rdmsr
    measure x2apic-write, tpr_number, wrmsr
    measure_delivery self-ipi, self_number, wrmsr
    apic_write APIC_LVT_TIMER, LVT_DEADLINE | 0x41
    measure_delivery deadline, deadline_now, wrmsr

    # HLT until a deadline.
    begin
    mov dword ptr [overhead], 0
round:
    rdtsc
    add eax, AHEAD
    adc edx, 0
    mov [start], eax
    mov ecx, MSR_TSC_DEADLINE
    wrmsr
    sti
    hlt
    cli
    mov eax, [happened + 4]
    sub eax, [start]
    note_round
    dec esi
    jnz round
    print "hlt "
    call print_result
done:
    hlt

.include "bench.inc"

.macro stop_handler name
\name:
    rdtsc
    mov [happened + 4], eax
    mov dword ptr [happened], 1
    apic_end
    iretq
.endm

# The rounds keep nothing in EAX, ECX and EDX while they wait.
    .set x2apic, 0
    stop_handler stop_by_memory
    .set x2apic, 1
    stop_handler stop_by_msr
