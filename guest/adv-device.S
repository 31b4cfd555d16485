#: summary  executes device memory, and has its stack where there is no memory
#: ends     hlt at done
#: console  "adv-device: device memory is not executed\n"
#: console  "adv-device: a stack in nothing\n"
#: group    adversary

.include "lib.inc"

    call lib_setup
    mov ax, 0xd000
    mov fs, ax
    mov word ptr fs:[0], 0x90f4     # hlt, nop
    vector 6, no_instruction
    ljmp 0xd000, 0
no_instruction:
    pop ax
    check16 ax, 0, "IP of the #UD"
    pop ax
    check16 ax, 0xd000, "CS of the #UD"
    popf
    print "adv-device: device memory is not executed\n"

    mov ax, 0xc000
    mov ss, ax
    mov ax, 0x1234
    push ax
    pop bx
    xor ax, ax
    mov ss, ax
    check16 bx, 0xffff, "what was popped"
    check16 sp, 0x7c00, "SP"
    print "adv-device: a stack in nothing\n"
done:
    hlt
