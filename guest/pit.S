#: summary  the 8254: counts in modes 0, 2 and 3, latches, status, gate and output of counter 2, against the TSC
#: ends     hlt at done
#: console  "pit: counter 0 runs at 1.193182 MHz\n"
#: console  "pit: latches and status\n"
#: console  "pit: mode 0, gate and output of counter 2\n"
#: console  "pit: refresh toggles\n"

.include "lib.inc"
.include "pc.inc"

# The count comes round in a period. Again, if that could have been between the samples: something else had the CPU.
.macro took_less_than ticks, again
    mov eax, [AFTER_2]
    sub eax, [BEFORE_1]
    to_ticks PIT_HZ
    cmp eax, \ticks
    jae \again
.endm

    call lib_setup
    find_tsc_khz

# 1. Counter 0 in modes 2 and 3, from 65536, for 20 ms.
    outb PIT_CONTROL, 0x34
    outb PIT_0, 0
    outb PIT_0, 0
    wait_us 100
1:  call sample_1
    wait_us 20000
    call sample_2
    took_less_than 65000, 1b
    mov eax, [COUNT_1]
    sub eax, [COUNT_2]
    movzx eax, ax
    check_ticks PIT_HZ, "mode 2"

    outb PIT_CONTROL, 0x36
    outb PIT_0, 0
    outb PIT_0, 0
    wait_us 100
1:  call sample_1
    wait_us 10000
    call sample_2
    took_less_than 32000, 1b        # half a period
    mov eax, [COUNT_1]
    mov ebx, [COUNT_2]
    sub eax, ebx
    and ebx, 1
    check ebx, 0, "mode 3 counts by twos"
    movzx eax, ax
    shr eax, 1
    check_ticks PIT_HZ, "mode 3"
    print "pit: counter 0 runs at 1.193182 MHz\n"

# 2. Latches and status.
    outb PIT_CONTROL, 0x34
    outb PIT_CONTROL, 0xe2          # read back: status of counter 0
    inb PIT_0
    and al, 0x7f
    check8 al, 0x74, "status before the count"
    outb PIT_0, 0xe8                # 1000
    outb PIT_0, 0x03
    wait_us 10
    outb PIT_CONTROL, 0xe2
    inb PIT_0
    and al, 0x7f
    check8 al, 0x34, "status after the count"
    outb PIT_CONTROL, 0x00          # latch counter 0
    call read_count
    mov si, ax
    cmp ax, 1000
    jbe 1f
    check16 ax, 1000, "a count above the first one"
1:  outb PIT_CONTROL, 0xd2          # read back: count of counter 0
    inb PIT_0
    mov bl, al
    wait_us 50
    outb PIT_CONTROL, 0x00          # too late for another one: the high byte is not read yet
    inb PIT_0
    mov bh, al
    # Both: the status first, then the count.
    outb PIT_CONTROL, 0xc2
    inb PIT_0
    and al, 0x7f
    check8 al, 0x34, "status before the count in a read back of both"
    call read_count
    test ax, ax
    jnz 1f
    fail "mode 2 counts to 0"
1:  outb PIT_CONTROL, 0x15          # low byte only, mode 2, BCD
    outb PIT_0, 0x99
    wait_us 10
    mov cx, 200
2:  inb PIT_0
    mov ah, al
    and ah, 0xf
    cmp ah, 9
    ja bad_digit
    cmp al, 0x99
    ja bad_digit
    test al, al
    jz bad_digit
    dec cx
    jnz 2b
    print "pit: latches and status\n"

# 3. Counter 2: the gate holds it, its output rises after the count.
    outb PORT_B, 0                  # gate low
    outb PIT_CONTROL, 0xb0          # counter 2, both bytes, mode 0
    outb PIT_2, (5000 & 0xff)
    outb PIT_2, (5000 >> 8)
    wait_us 20
    call latch_2
    mov si, ax
    wait_us 100
    call latch_2
    check16 ax, si, "the count while the gate is low"
    inb PORT_B
    and al, 0x21
    check8 al, 0, "gate and output"
    stamp BEFORE_1
    outb PORT_B, 1
    stamp AFTER_1
    mov ebp, eax
1:  rdtsc
    mov [BEFORE_2], ebp             # before the last read that saw it low, if any did
    mov ebp, eax
    inb PORT_B
    test al, 0x20
    jz 1b
    stamp AFTER_2
    sub eax, [BEFORE_1]
    to_ticks PIT_HZ
    cmp eax, 5000 - 2
    jae 1f
    mov ecx, 5000
    check eax, ecx, "counter 2 was too fast"
1:  mov eax, [BEFORE_2]
    sub eax, [AFTER_1]
    to_ticks PIT_HZ
    cmp eax, 5000 + 3
    jbe 1f
    mov ecx, 5000
    check eax, ecx, "counter 2 was too slow"
1:  outb PIT_CONTROL, 0xe8          # status of counter 2
    inb PIT_2
    check8 al, 0xb0, "status of counter 2 at the end"
    print "pit: mode 0, gate and output of counter 2\n"

# 4. Bit 4 of port 0x61 changes as memory would be refreshed.
    outb PORT_B, 0x03
    inb PORT_B
    and al, 0x0f
    check8 al, 0x03, "port 0x61 reads back"
    mov bp, 0                       # changes
    mov si, 0
    mov edi, 1000000
1:  inb PORT_B
    and ax, 0x10
    cmp ax, si
    je 2f
    mov si, ax
    inc bp
    cmp bp, 20
    je refreshed
2:  dec edi
    jnz 1b
    fail "no refresh"
refreshed:
    outb PORT_B, 0
    print "pit: refresh toggles\n"
done:
    hlt

bad_digit:
    movzx eax, al
    check eax, 0x99, "a BCD count"

sample_1:
    stamp BEFORE_1
    outb PIT_CONTROL, 0
    stamp AFTER_1
    call read_count
    mov [COUNT_1], eax
    ret

sample_2:
    stamp BEFORE_2
    outb PIT_CONTROL, 0
    stamp AFTER_2
    call read_count
    mov [COUNT_2], eax
    ret

latch_2:
    outb PIT_CONTROL, 0x80
    inb PIT_2
    mov ah, al
    inb PIT_2
    xchg al, ah
    ret

read_count:                         # of counter 0, into EAX
    xor eax, eax
    inb PIT_0
    mov ah, al
    inb PIT_0
    xchg al, ah
    ret
