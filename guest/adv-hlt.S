#: summary  halts with interrupts enabled, but none will come
#: ends     hlt at done
#: console  "adv-hlt: with IF set\n"
#: group    adversary

.include "lib.inc"

    call lib_setup
    print "adv-hlt: with IF set\n"
    sti
done:
    hlt
