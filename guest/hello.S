#: summary  loads 0x1234 into AX and halts
#: ends     hlt at done
#: gpr      ax 0x1234
#: exits    hlt 1
#: order    0

# The smallest guest there is: four bytes. It runs at 0:0x7c00 in real-address mode.

.intel_syntax noprefix
.code16

    mov ax, 0x1234
done:
    hlt
