#: summary  resets the machine by port 0x92
#: ends     reset
#: console  "reset-port92: now\n"

.include "lib.inc"

    call lib_setup
    in al, 0x92
    and al, 0xfe
    out 0x92, al
    print "reset-port92: now\n"
    or al, 1
    out 0x92, al
    fail "it went on"
