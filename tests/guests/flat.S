# A flat image for `flat at=0x7c00`: looks at how a boot sector is started, and ends the VM with 0x10 + how many things were wrong.
#
#   as --32 -o flat.o flat.S && ld -m elf_i386 -N -Ttext 0x7c00 -e 0x7c00 --oformat binary -o flat flat.o

.intel_syntax noprefix
.code16

.macro check got, want
    cmp \got, \want
    je 1f
    inc bp
1:
.endm

    xor bp, bp
    check sp, 0x7c00
    check dl, 0x80
    mov cx, cs
    check cx, 0
    mov cx, ds
    check cx, 0
    mov cx, es
    check cx, 0
    mov cx, ss
    check cx, 0
    call here
here:
    pop cx
    sub cx, offset here
    check cx, 0
    pushf
    pop cx
    and cx, 0x300
    check cx, 0
    smsw cx
    and cx, 1
    check cx, 0
    lea ax, [bp + 0x10]
    out 0xf4, ax
    hlt
