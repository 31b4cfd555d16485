#: summary  turns paging on with tables full of zeros: triple fault
#: ends     triple-fault
#: console  "adv-paging: now\n"
#: group    adversary

.include "lib.inc"

    print "adv-paging: now\n"
    mov eax, 0x50000                # a page of zeros
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000001
    mov cr0, eax
    fail "paging without page tables went on"
