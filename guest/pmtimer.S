#: summary  the power management timer against the TSC
#: ends     hlt at done
#: console  "pmtimer: 3.579545 MHz, 32 bits, never back\n"

.include "lib.inc"
.include "pc.inc"

    call lib_setup
    find_tsc_khz
    mov dx, PM_CONTROL
    in ax, dx
    and ax, 1
    check16 ax, 1, "ACPI mode"

    mov dx, PM_TIMER
    stamp BEFORE_1
    mov dx, PM_TIMER
    in eax, dx
    mov [COUNT_1], eax
    stamp AFTER_1
    wait_us 20000
    stamp BEFORE_2
    mov dx, PM_TIMER
    in eax, dx
    mov [COUNT_2], eax
    stamp AFTER_2
    mov eax, [COUNT_2]
    sub eax, [COUNT_1]
    check_ticks PM_TIMER_HZ, "the timer"

    mov dx, PM_TIMER
    in eax, dx
    mov ecx, 2000
1:  mov ebx, eax
    in eax, dx
    cmp eax, ebx
    jb backwards
    dec ecx
    jnz 1b
    mov ebx, eax
    xor eax, eax
    out dx, eax                     # does nothing
    in eax, dx
    cmp eax, ebx
    jb backwards
    print "pmtimer: 3.579545 MHz, 32 bits, never back\n"
done:
    hlt

backwards:
    check eax, ebx, "the timer went back"
