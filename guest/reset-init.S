#: summary  sends itself an INIT
#: ends     reset
#: console  "reset-init: now\n"

.include "lib.inc"
.include "modes.inc"

    call lib_setup
    to_protected
    print "reset-init: now\n"
    mov dword ptr [0xfee00310], 0
    mov dword ptr [0xfee00300], 0x4500      # INIT, asserted, to the APIC whose ID is 0
    nop
    fail "it went on"
