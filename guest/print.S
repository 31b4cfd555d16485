#: summary  prints through the debug port 0xE9 and through the 16550 at 0x3F8
#: ends     hlt at done
#: console  "hello from port 0xe9\n"
#: console  "hello from the uart\n"
#: order    1

.include "lib.inc"

.equ UART, 0x3f8
.equ UART_DATA, UART + 0            # with DLAB set: divisor, low
.equ UART_IER, UART + 1             # with DLAB set: divisor, high
.equ UART_LCR, UART + 3
.equ UART_LSR, UART + 5
.equ UART_SCRATCH, UART + 7
.equ LCR_8N1, 0x03
.equ LCR_DLAB, 0x80
.equ LSR_THR_EMPTY, 0x20

.macro uart_write register, value
    mov dx, \register
    mov al, \value
    out dx, al
.endm

.macro uart_check register, value, what
    mov dx, \register
    in al, dx
    check8 al, \value, "\what"
.endm

    call lib_setup

    print "hello from port 0xe9\n"
    in al, CONSOLE_PORT
    check8 al, 0xe9, "reading port 0xe9"

    # 115,200 baud, 8N1, as a driver sets it up.
    uart_write UART_IER, 0
    uart_write UART_LCR, LCR_DLAB
    uart_write UART_DATA, 1
    uart_write UART_IER, 0
    uart_check UART_DATA, 1, "uart divisor, low"
    uart_check UART_IER, 0, "uart divisor, high"
    uart_write UART_LCR, LCR_8N1
    uart_check UART_LCR, LCR_8N1, "uart line control"
    uart_check UART_IER, 0, "uart interrupt enable"
    uart_write UART_SCRATCH, 0xa5
    uart_check UART_SCRATCH, 0xa5, "uart scratch register"

    mov si, offset text
next:
    mov dx, UART_LSR
    in al, dx
    test al, LSR_THR_EMPTY
    jz next
    lodsb
    test al, al
    jz done
    mov dx, UART_DATA
    out dx, al
    jmp next
done:
    hlt

text:
    .asciz "hello from the uart\n"
