#: summary  an endless loop with interrupts off: its budget of time ends it
#: ends     budget at spin
#: gpr      ax 0x600d
#: group    adversary

.include "lib.inc"

    mov ax, 0x600d
    cli
spin:
    jmp spin
