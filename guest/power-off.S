#: summary  switches the machine off: ACPI's S5
#: ends     power-off
#: console  "power-off: now\n"

.include "lib.inc"

    call lib_setup
    mov dx, 0x604
    mov ax, 0x2000 | 1 << 10        # a sleep type that there is not: nothing happens
    out dx, ax
    in ax, dx
    and ax, 0x3c00
    check16 ax, 0x0400, "SLP_TYP reads back, SLP_EN does not"
    print "power-off: now\n"
    mov dx, 0x604
    mov ax, 0x2000 | 5 << 10
    out dx, ax
    fail "it went on"
