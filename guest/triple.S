#: summary  an exception without an interrupt table: triple fault
#: ends     triple-fault
#: console  "triple: now\n"

.include "lib.inc"

    print "triple: now\n"
    lidt [no_table]
    int3
    fail "int3 without an interrupt table went on"

no_table:
    .word 0
    .long 0
