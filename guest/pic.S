#: summary  two 8259s: vectors, masks, order, end of interrupt, STI before HLT, with the timer, the clock and the UART
#: ends     hlt at done
#: console  "pic: timer ticks wake HLT, and take their time\n"
#: console  "pic: STI and HLT miss nothing\n"
#: console  "pic: masked requests wait\n"
#: console  "pic: order and nesting by priority\n"
#: console  "pic: what is withdrawn does not come\n"

.include "lib.inc"
.include "pc.inc"

    call lib_setup
    find_tsc_khz
    pics_setup
    outb UART_MCR, MCR_OUT2
    inb PIC_MASTER_MASK
    check8 al, 0xff, "master's mask"
    outb PIC_SLAVE_MASK, 0x5a
    inb PIC_SLAVE_MASK
    check8 al, 0x5a, "slave's mask"
    irqs_on 0xff, 0xff
    vector IRQ0, irq0_ticks
    vector IRQ4, irq4
    vector IRQ7, irq7
    vector IRQ8, irq8
    vector 0x2f, irq15

# 1. A tick a millisecond.
    stamp BEFORE_1
    outb PIT_CONTROL, 0x34          # counter 0, both bytes, mode 2
    outb PIT_0, (1193 & 0xff)
    outb PIT_0, (1193 >> 8)
    irqs_on 0xfe, 0xff
ticks:
    sti
    hlt
    cmp word ptr [LOG_COUNT], 5
    jb ticks
    cli
    stamp AFTER_2
    sub eax, [BEFORE_1]
    to_ticks PIT_HZ
    cmp eax, 5 * 1193 - 2
    jae late_enough
    mov ecx, 5 * 1193
    check eax, ecx, "five ticks came early"
late_enough:
    mov eax, [LOG_COUNT]
    mov bx, ax
    dec bx
    check8 "byte ptr [bx + LOG]", IRQ0, "the last tick"
    mov dword ptr [LOG_COUNT], 0
    vector IRQ0, irq0
    print "pic: timer ticks wake HLT, and take their time\n"

# 2. An interrupt that is there before STI comes in HLT, not before it. Periods from 2 to 200 ticks.
    outb PIT_CONTROL, 0x10          # counter 0, low byte, mode 0: one interrupt, and no tick of before
    irqs_on 0xfe, 0xff
    mov ecx, 2
shots:
    outb PIT_CONTROL, 0x10
    outb PIT_0, cl
    sti
    hlt
after_hlt:
    cli
    expect_log "a shot", IRQ0
    expect_place "a shot", after_hlt
    inc ecx
    cmp ecx, 200
    jb shots
    print "pic: STI and HLT miss nothing\n"

# 3. Masks.
    irqs_on 0xff, 0xff
    outb PIT_CONTROL, 0x10
    inb PIC_MASTER
    call read_irr
    check8 al, 0, "requests while the output is low"
    outb PIT_0, 20
    mov bl, 1
    call wait_requests
    sti
    nop
    nop
    expect_silence "a masked request"
    irqs_on 0xfe, 0xff
after_unmask:
    nop
    cli
    expect_log "an unmasked request", IRQ0
    call read_irr
    check8 al, 0, "requests after the acknowledge"
    call read_isr
    check8 al, 0, "in service after the end"
    print "pic: masked requests wait\n"

# 4. The timer before the slave's clock before the UART.
    call all_three
    outb PIC_MASTER_MASK, 0xea
    sti
    nop
    nop
    cli
    expect_log "three at once", IRQ0, IRQ8, IRQ4

    # The UART's handler is interrupted by the timer, which is not by the UART.
    irqs_on 0xff, 0xff
    vector IRQ4, irq4_open
    vector IRQ0, irq0_open
    outb PIT_CONTROL, 0x10
    outb UART_IER, 0
    outb UART_IER, IER_EMPTY
    irqs_on 0xee, 0xff
    sti
    nop
    nop
    cli
    expect_log "nested", 0x40, 0x00, 0x01, 0x41, 0x40, 0x41
    irqs_on 0xff, 0xff
    vector IRQ4, irq4
    vector IRQ0, irq0
    print "pic: order and nesting by priority\n"

# 5. The UART takes its request back.
    irqs_on 0xef, 0xff
    outb UART_IER, 0
    outb UART_IER, IER_EMPTY
    call read_irr
    check8 al, 0x10, "the UART's request"
    inb UART_IIR
    check8 al, 2, "the UART says why"
    call read_irr
    check8 al, 0, "the UART's request, withdrawn"
    sti
    nop
    nop
    cli
    expect_silence "withdrawn"
    print "pic: what is withdrawn does not come\n"
done:
    hlt

# Requests of the timer, the UART and the clock, with interrupts off.
all_three:
    irqs_on 0xff, 0xfe              # the slave passes on what it does not mask
    outb UART_IER, 0
    outb UART_IER, IER_EMPTY
    outb RTC_INDEX, 0x0a
    outb RTC_DATA, 0x23             # a period of 122 microseconds
    outb RTC_INDEX, 0x0c
    inb RTC_DATA
    outb RTC_INDEX, 0x0b
    outb RTC_DATA, 0x42             # periodic interrupts, 24 hours
    outb PIT_CONTROL, 0x10
    outb PIT_0, 10
    mov bl, 0x15

# Waits until the master has the requests BL. Interrupts are on, as a PC's clocks would go on without them but some emulators'
# do not; so all must be masked.
wait_requests:
    sti
    mov ecx, 50000
1:  call read_irr
    cmp al, bl
    je 2f
    dec ecx
    jnz 1b
    check8 al, bl, "requests"
2:  cli
    ret

read_irr:
    outb PIC_MASTER, PIC_READ_IRR
    inb PIC_MASTER
    ret
read_isr:
    outb PIC_MASTER, PIC_READ_ISR
    inb PIC_MASTER
    ret

# The clock: once, and no more.
.macro end_clock
    outb RTC_INDEX, 0x0b
    outb RTC_DATA, 0x02
    outb RTC_INDEX, 0x0c
    inb RTC_DATA
    end_slave
.endm

.macro end_uart
    inb UART_IIR
    outb PIC_MASTER, 0x64           # OCW2: specific end of interrupt 4
.endm

# The fifth tick is the last: a slow machine would never get out of here.
.macro end_ticks
    cmp word ptr [LOG_COUNT], 5
    jb .Lgoes_on\@
    irqs_on 0xff, 0xff
.Lgoes_on\@:
    end_master
.endm

    logs irq0, IRQ0, end_master
    logs irq0_ticks, IRQ0, end_ticks
    logs irq4, IRQ4, end_uart
    logs irq7, IRQ7, no_end
    logs irq8, IRQ8, end_clock
    logs irq15, 0x2f, no_end

irq0_open:
    save_registers
    log_byte 0x00
    call read_isr
    check8 al, 0x11, "the timer in service in the UART's handler"
    outb UART_IER, 0                # the line falls and rises again
    outb UART_IER, IER_EMPTY
    sti
    nop
    nop
    cli
    log_byte 0x01
    end_master
    restore_registers
    iret

irq4_open:
    save_registers
    log_byte 0x40
    inb UART_IIR
    cmp word ptr [LOG_COUNT], 1
    jne 1f
    irqs_on 0xff, 0xff
    outb PIT_0, 2
    mov bl, 1
    call wait_requests
    irqs_on 0xee, 0xff
    sti
    nop
    nop
    cli
1:  log_byte 0x41
    end_master
    restore_registers
    iret
