#: summary  the real-time clock: time of day, memory, periodic, update and alarm interrupts by IRQ 8
#: ends     hlt at done
#: console  "rtc: registers, memory and a plausible time\n"
#: console  "rtc: periodic interrupts take their time\n"
#: console  "rtc: a second ends the century, with update and alarm\n"

.include "lib.inc"
.include "pc.inc"

.macro rtc_write index, value
    outb RTC_INDEX, \index
    outb RTC_DATA, \value
.endm

.macro rtc_read index
    outb RTC_INDEX, \index
    inb RTC_DATA
.endm

# A BCD register from `low` to `high`.
.macro check_bcd index, low, high, what
    rtc_read \index
    mov ah, al
    and ah, 0xf
    cmp ah, 9
    ja .Lbad\@
    cmp al, \low
    jb .Lbad\@
    cmp al, \high
    jbe .Lfine\@
.Lbad\@:
    check8 al, \low, "\what"
.Lfine\@:
.endm

.equ FIRST, 0x2200
.equ SECOND, 0x2210

    call lib_setup
    find_tsc_khz
    pics_setup
    vector IRQ8, irq8

# 1. The registers.
    rtc_read 0x0d
    check8 al, 0x80, "register D"
    rtc_read 0x0a
    and al, 0x7f
    check8 al, 0x26, "register A"
    rtc_read 0x0b
    check8 al, 0x02, "register B"
    rtc_write 0x40, 0x5a
    rtc_write 0x7f, 0xa5
    rtc_read 0x40
    check8 al, 0x5a, "memory"
    rtc_read 0xff                   # bit 7 masks NMIs
    check8 al, 0xa5, "memory at 0x7f"
    check_bcd 0, 0x00, 0x59, "seconds"
    check_bcd 2, 0x00, 0x59, "minutes"
    check_bcd 4, 0x00, 0x23, "hours"
    check_bcd 7, 0x01, 0x31, "day"
    check_bcd 8, 0x01, 0x12, "month"
    check_bcd 9, 0x00, 0x99, "year"
    # Twice the same, unless a second has passed between them: at most two tries.
    mov bp, 3
again:
    mov di, FIRST
    call read_time
    mov di, SECOND
    call read_time
    mov eax, [FIRST]
    mov ebx, [FIRST + 4]
    cmp eax, [SECOND]
    jne differs
    cmp ebx, [SECOND + 4]
    je same
differs:
    dec bp
    jnz again
    fail "the time is never the same twice"
same:
    print "rtc: registers, memory and a plausible time\n"

# 2. Periodic interrupts, 1024 a second.
    stamp BEFORE_1                  # before the first one can be
    rtc_read 0x0c
    rtc_write 0x0b, 0x42
    irqs_on 0xfb, 0xfe
1:  sti
    hlt
    cmp word ptr [LOG_COUNT], 10
    jb 1b
    cli
    stamp AFTER_2
    irqs_on 0xff, 0xff
    mov eax, [AFTER_2]
    sub eax, [BEFORE_1]
    to_ticks 32768
    cmp eax, 9 * 32 - 1
    jae 1f
    mov ecx, 9 * 32
    check eax, ecx, "ten periodic interrupts came early"
1:  mov bx, [LOG_COUNT]
    dec bx
    check8 "byte ptr [bx + LOG]", 0xc0, "register C at a periodic interrupt"
    mov dword ptr [LOG_COUNT], 0
    print "rtc: periodic interrupts take their time\n"

# 3. 1999-12-31 23:59:59. The divider's reset makes the update come half a second later.
    rtc_write 0x0b, 0x82            # SET
    rtc_write 0x00, 0x59
    rtc_write 0x02, 0x59
    rtc_write 0x04, 0x23
    rtc_write 0x06, 0x06
    rtc_write 0x07, 0x31
    rtc_write 0x08, 0x12
    rtc_write 0x09, 0x99
    rtc_write 0x01, 0x00            # the alarm: midnight
    rtc_write 0x03, 0x00
    rtc_write 0x05, 0x00
    rtc_write 0x0a, 0x70            # the divider's reset; no periodic interrupt
    rtc_read 0x0c
    rtc_write 0x0b, 0x32            # update and alarm
    stamp BEFORE_1
    rtc_write 0x0a, 0x20
    irqs_on 0xfb, 0xfe
    sti
    hlt
    cli
    stamp AFTER_2
    irqs_on 0xff, 0xff
    rtc_write 0x0b, 0x02
    expect_log "midnight", 0xb0
    mov eax, [AFTER_2]
    sub eax, [BEFORE_1]
    to_ticks 32768
    cmp eax, 16384 - 300
    jae 1f
    check eax, 16384, "the update came early"
1:  mov di, FIRST
    call read_time
    check "dword ptr [FIRST]", 0x01000000, "second, minute, hour, day"
    check "dword ptr [FIRST + 4]", 0x00000001, "month, year"
    print "rtc: a second ends the century, with update and alarm\n"
done:
    hlt

read_time:                          # eight bytes at DI
    mov cx, 10000
1:  rtc_read 0x0a
    test al, 0x80
    jz 2f
    wait_us 10
    dec cx
    jnz 1b
2:  rtc_read 0
    mov [di], al
    rtc_read 2
    mov [di + 1], al
    rtc_read 4
    mov [di + 2], al
    rtc_read 7
    mov [di + 3], al
    rtc_read 8
    mov [di + 4], al
    rtc_read 9
    mov [di + 5], al
    mov word ptr [di + 6], 0
    ret

irq8:                               # logs register C
    save_registers
    rtc_read 0x0c
    mov cl, al
    log_byte cl
    cmp word ptr [LOG_COUNT], 10    # the last: a slow machine would never get out of here
    jb 1f
    rtc_write 0x0b, 0x02
1:  end_slave
    restore_registers
    iret
