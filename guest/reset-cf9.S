#: summary  resets the machine by the reset control register, port 0xCF9
#: ends     reset
#: console  "reset-cf9: now\n"

.include "lib.inc"

    call lib_setup
    mov dx, 0xcf9
    mov al, 2                       # the kind of reset; nothing happens yet
    out dx, al
    in al, dx
    check8 al, 2, "port 0xCF9 reads back"
    print "reset-cf9: now\n"
    mov dx, 0xcf9
    mov al, 6
    out dx, al
    fail "it went on"
