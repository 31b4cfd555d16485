#: summary  division by zero and overflow: #DE through the IVT
#: ends     hlt at done
#: console  "de: division by zero and quotients that are too big take #DE\n"

.include "lib.inc"

    call lib_setup
    mov eax, 0x12345678
    mov edx, 0x11111111
    xor ebx, ebx
    faults 0, "div ebx, by zero", div ebx
    check eax, 0x12345678, "EAX after a division by zero"
    check edx, 0x11111111, "EDX after a division by zero"
    mov bl, 1
    mov ax, 0x1000
    faults 0, "div bl, quotient too big", div bl
    mov ax, 0x8000
    mov dx, 0xffff
    mov bx, -1
    faults 0, "idiv bx, quotient too big", idiv bx
    print "de: division by zero and quotients that are too big take #DE\n"
done:
    hlt
