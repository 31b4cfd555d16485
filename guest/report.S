#: summary  asks by hypercall for the statistics of its exits
#: group    demo
#: ends     hlt at done
#: gpr      eax 0
#: console  "(exits until now)\n"

.include "lib.inc"

.equ INSTRUCTION_LEAF, 0x40000001   # EAX: 1 = VMCALL, 2 = VMMCALL
.equ CALL_REPORT, 3

    mov eax, INSTRUCTION_LEAF
    cpuid
    cmp eax, 1
    je vmcall
    mov eax, CALL_REPORT
    .byte 0x0f, 0x01, 0xd9          # VMMCALL
    jmp done
vmcall:
    mov eax, CALL_REPORT
    .byte 0x0f, 0x01, 0xc1          # VMCALL
done:
    hlt
