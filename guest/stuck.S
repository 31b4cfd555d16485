#: summary  with stuck=<exits>: a breakpoint, and a handler that comes back to it for ever, are stopped
#: group    demo
#: ends     stuck at here
#: console  "stuck: here we stay\n"

.include "lib.inc"

.equ DR7_LOCAL_0, 1 << 0            # DR0 is a breakpoint on an instruction

    vector 1, handler
    print "stuck: here we stay\n"
    xor eax, eax
    mov ax, offset here
    mov dr0, eax
    mov eax, 0x400 | DR7_LOCAL_0
    mov dr7, eax
here:
    nop                             # #DB before it; a 16-bit IRET can't set RF, so it comes again
    hlt

handler:
    iret
