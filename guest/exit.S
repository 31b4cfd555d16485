#: summary  ends its own VM through port 0xF4
#: ends     exit 0x10 at leaving
#: console  "exit: leaving with 0x10\n"

.include "lib.inc"

    print "exit: leaving with 0x10\n"
    mov al, 0x10
leaving:
    out EXIT_PORT, al
    fail "the program went on after port 0xf4"
