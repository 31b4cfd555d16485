#: summary  an undefined instruction: #UD through the IVT
#: ends     hlt at done
#: console  "ud: ud2 takes #UD at its own address\n"

.include "lib.inc"

    call lib_setup
    faults 6, "ud2", ud2
    faults 6, "ud2 again", ud2
    print "ud: ud2 takes #UD at its own address\n"
done:
    hlt
