#: summary  software interrupts: INT n, INT3, INTO
#: ends     hlt at done
#: console  "int: int n, int3, into\n"
#: console  "int: handlers run with IF and TF clear, IRET restores the flags\n"

.include "lib.inc"

.equ ALL_FLAGS, FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_IF | FLAG_DF | FLAG_OF | 2
.equ LOOKED_AT, ALL_FLAGS | FLAG_TF

    call lib_setup
    xor cx, cx

    # INT n pushes the address of the next instruction.
    vector 0x21, handler
    mov di, offset after_int
    int 0x21
after_int:
    vector 0xff, handler
    mov di, offset after_int_ff
    int 0xff
after_int_ff:
    vector 3, handler
    mov di, offset after_int3
    int3
after_int3:
    mov di, offset after_int_3
    .byte 0xcd, 3                   # the long form
after_int_3:
    vector 4, handler
    mov al, 0x7f
    inc al                          # sets OF
    mov di, offset after_into
    into
after_into:
    xor al, al                      # clears OF
    mov di, 0
    into
    check16 cx, 5, "number of interrupts"
    print "int: int n, int3, into\n"

    # With all flags set: the handler sees IF clear, gets the old flags on its stack, and IRET brings them back.
    vector 0x80, flags_handler
    push ALL_FLAGS
    popf
    int 0x80
    pushf
    cli
    cld
    pop ax
    and ax, LOOKED_AT
    check16 ax, ALL_FLAGS, "flags after IRET"
    print "int: handlers run with IF and TF clear, IRET restores the flags\n"
done:
    hlt

handler:                            # counts in CX; the address that was pushed must be DI
    inc cx
    mov bp, sp
    check16 [bp], di, "the IP that was pushed"
    check16 "word ptr [bp+2]", 0, "the CS that was pushed"
    iret

flags_handler:
    pushf
    pop ax
    and ax, FLAG_IF | FLAG_TF
    check16 ax, 0, "IF and TF in the handler"
    mov bp, sp
    mov ax, [bp+4]
    and ax, LOOKED_AT
    check16 ax, ALL_FLAGS, "the flags that were pushed"
    iret
