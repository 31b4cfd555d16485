#: summary  the I/O APIC: entries, the timer's edges, levels with remote IRR, the UART by it and by the 8259s
#: ends     hlt at done
#: console  "ioapic: registers\nioapic: edges of the timer\nioapic: a level comes again until it is gone\n"
#: console  "ioapic: masks\nioapic: the UART by the I/O APIC\nioapic: the UART by the 8259s\n"

.include "lib.inc"
.include "modes.inc"
.include "pc.inc"
.include "apic.inc"

.equ IOAPIC_ID, 0
.equ IOAPIC_VERSION, 1
.equ PIN, 0x10                      # index of the first entry, two words each
.equ PIN_TIMER, PIN + 2 * 2
.equ PIN_UART, PIN + 4 * 2
.equ PIN_CLOCK, PIN + 8 * 2
.equ ENTRY_REMOTE_IRR, 1 << 14
.equ ENTRY_LEVEL, 1 << 15
.equ ENTRY_MASKED, 1 << 16

.macro uart_irq_on                  # the transmitter is empty: it says so once more
    outb UART_IER, 0
    outb UART_IER, IER_EMPTY
.endm

    call lib_setup
    to_apic
    find_tsc_khz
    pics_setup
    vector 0x61, log_timer
    vector 0x62, log_62
    vector 0x63, level_uart
    vector 0x64, uart_reason
    vector IRQ4, pic_uart

# 1. Registers.
    ioapic_read IOAPIC_VERSION
    and eax, 0xff00ff
    check eax, 0x170011, "version and entries"
    ioapic_write IOAPIC_ID, 0x0a000000
    ioapic_read IOAPIC_ID
    check eax, 0x0a000000, "ID"
    ioapic_read PIN_TIMER
    and eax, ENTRY_MASKED
    check eax, ENTRY_MASKED, "masked at the start"
    ioapic_write PIN_TIMER + 1, 0x12000000
    ioapic_read PIN_TIMER + 1
    check eax, 0x12000000, "destination"
    ioapic_write PIN_TIMER, 0x1f8fe
    ioapic_read PIN_TIMER
    check eax, 0x1a8fe, "read-only bits of an entry"
    ioapic_write PIN_TIMER, ENTRY_MASKED
    ioapic_write PIN_TIMER + 1, 0
    print "ioapic: registers\n"

# 2. The timer, a tick a millisecond; the third is the last.
    ioapic_write PIN_TIMER, 0x61
    stamp BEFORE_1
    outb PIT_CONTROL, 0x34
    outb PIT_0, (1193 & 0xff)
    outb PIT_0, (1193 >> 8)
    wait_log 3
    stamp AFTER_2
    sub eax, [BEFORE_1]
    to_ticks PIT_HZ
    cmp eax, 3 * 1193 - 2
    jae 1f
    mov edx, 3 * 1193
    check eax, edx, "three ticks came early"
1:  open_window
    cmp dword ptr [LOG_COUNT], 4    # one may have been on its way
    jbe 1f
    check "dword ptr [LOG_COUNT]", 3, "ticks after the third"
1:  mov dword ptr [LOG_COUNT], 0
    sti
    wait_us 2000
    cli
    expect_silence "a masked timer"
    outb PIT_CONTROL, 0x30          # its output goes low and stays so
    print "ioapic: edges of the timer\n"

# 3. The UART by level: its handler looks only the second time.
    outb UART_MCR, MCR_OUT2
    ioapic_write PIN_UART, ENTRY_LEVEL | 0x63
    uart_irq_on
    ioapic_read PIN_UART
    and eax, ENTRY_REMOTE_IRR
    check eax, ENTRY_REMOTE_IRR, "remote IRR"
    apic_read 0x180 + 0x30          # TMR
    and eax, 1 << 3
    check eax, 1 << 3, "TMR"
    open_window
    expect_log "a level", 0x31, 0x32
    ioapic_read PIN_UART
    check eax, ENTRY_LEVEL | 0x63, "remote IRR at the end"
    print "ioapic: a level comes again until it is gone\n"

# 4. A level waits for its mask, an edge that came to a masked pin is gone.
    ioapic_write PIN_UART, ENTRY_MASKED | ENTRY_LEVEL | 0x64
    uart_irq_on
    open_window
    expect_silence "a masked level"
    ioapic_write PIN_UART, ENTRY_LEVEL | 0x64
    open_window
    expect_log "an unmasked level", 0x02
    ioapic_write PIN_UART, ENTRY_MASKED | 0x64
    uart_irq_on
    ioapic_write PIN_UART, 0x64
    open_window
    expect_silence "an edge at a masked pin"
    inb UART_IIR
    check8 al, 2, "the UART's reason"
    uart_irq_on
    open_window
    expect_log "an edge", 0x02
    print "ioapic: masks\n"

# 5. What the UART gives: nothing in loopback mode, where OUT2 is off; then what it has received.
    outb UART_IER, 0
    outb UART_MCR, (MCR_LOOPBACK | MCR_OUT2)
    outb UART, 'x'
    outb UART_IER, IER_RECEIVED
    inb UART_IIR
    check8 al, 4, "received in loopback mode"
    open_window
    expect_silence "loopback mode"
    outb UART_MCR, MCR_OUT2
    open_window
    expect_log "received", 0x04
    inb UART
    check8 al, 'x', "the character"
    inb UART_IIR
    check8 al, 1, "no reason any more"
    ioapic_write PIN_UART, ENTRY_MASKED
    print "ioapic: the UART by the I/O APIC\n"

# 6. The same line at the 8259s, through LINT0.
    irqs_on 0xef, 0xff
    uart_irq_on
    apic_write APIC_TPR, 0xf0       # does not hold them
    open_window
    expect_log "by the 8259s", 0x24
    apic_write APIC_TPR, 0
    apic_read APIC_ISR + 0x10
    check eax, 0, "ISR of the local APIC"
    apic_write APIC_LVT_LINT0, 0x10700
    uart_irq_on
    open_window
    expect_silence "LINT0 is masked"
    apic_write APIC_LVT_LINT0, 0x700
    open_window
    expect_log "LINT0 is not masked", 0x24
    outb UART_IER, 0
    print "ioapic: the UART by the 8259s\n"
done:
    hlt

.macro end_timer
    cmp dword ptr [LOG_COUNT], 3
    jb .Lgoes_on\@
    ioapic_write PIN_TIMER, ENTRY_MASKED
.Lgoes_on\@:
    apic_end
.endm

.macro end_pic_uart
    inb UART_IIR
    end_master
.endm

    logs log_timer, 0x61, end_timer
    logs log_62, 0x62, apic_end
    logs pic_uart, 0x24, end_pic_uart

level_uart:
    save_registers
    cmp dword ptr [LOG_COUNT], 0
    jne 1f
    log_byte 0x31
    apic_end
    jmp 2f
1:  log_byte 0x32
    inb UART_IIR
    apic_end
2:  restore_registers
    iretq

uart_reason:                        # logs why
    save_registers
    inb UART_IIR
    mov cl, al
    log_byte cl
    cmp cl, 4
    jne 1f
    ioapic_write PIN_UART, ENTRY_MASKED
1:  apic_end
    restore_registers
    iretq
