#: summary  an endless loop with interrupts on: its budget of time ends it
#: ends     budget at spin
#: gpr      ax 0x600d
#: console  "loop: here we stay\n"

.include "lib.inc"

    print "loop: here we stay\n"
    mov ax, 0x600d
    sti
spin:
    jmp spin
