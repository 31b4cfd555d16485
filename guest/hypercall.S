#: summary  calls the hypervisor: nothing, TSC frequency, print, unknown
#: ends     hlt at done
#: console  "hypercall: nothing gives 0\n"
#: console  "hypercall: the tsc frequency is known\n"
#: console  "*\n"
#: console  "hypercall: unknown ones give -38, other registers stay\n"
#: exits    hypercall 6

.include "lib.inc"

.equ INSTRUCTION_LEAF, 0x40000001   # EAX: 1 = VMCALL, 2 = VMMCALL
.equ CALL_NOTHING, 0
.equ CALL_TSC_KHZ, 1
.equ CALL_PRINT, 2
.equ NO_SUCH_CALL, 0xffffffda       # -38

    call lib_setup
    mov eax, INSTRUCTION_LEAF
    cpuid
    cmp eax, 1
    je chosen
    check eax, 2, "leaf 0x40000001 EAX"
    mov byte ptr [hypercall + 2], 0xd9      # 0f 01 c1 is VMCALL, 0f 01 d9 is VMMCALL
    jmp chosen                              # the jump makes the change known to the CPU
chosen:

    mov eax, CALL_NOTHING
    call hypercall
    check eax, 0, "function 0"
    print "hypercall: nothing gives 0\n"

    mov eax, CALL_TSC_KHZ
    call hypercall
    cmp eax, 1000                   # 1 MHz at least
    jae plausible
    fail "function 1: less than 1 MHz"
plausible:
    cmp eax, 0x80000000
    jb known
    fail "function 1: error"
known:
    print "hypercall: the tsc frequency is known\n"

    mov eax, CALL_PRINT
    mov bl, '*'
    call hypercall
    mov eax, CALL_PRINT
    mov bl, '\n'
    call hypercall

    mov eax, 0x12345
    mov ebx, 0x11111111
    mov ecx, 0x22222222
    mov edx, 0x33333333
    mov esi, 0x44444444
    mov edi, 0x55555555
    mov ebp, 0x66666666
    call hypercall
    check eax, NO_SUCH_CALL, "unknown function"
    check ebx, 0x11111111, "EBX"
    check ecx, 0x22222222, "ECX"
    check edx, 0x33333333, "EDX"
    check esi, 0x44444444, "ESI"
    check edi, 0x55555555, "EDI"
    check ebp, 0x66666666, "EBP"
    mov eax, 0xffffffff
    call hypercall
    check eax, NO_SUCH_CALL, "function -1"
    print "hypercall: unknown ones give -38, other registers stay\n"
done:
    hlt

hypercall:
    vmcall
    ret
