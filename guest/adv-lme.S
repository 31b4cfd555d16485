#: summary  sets EFER.LME without CR4.PAE, and goes on with exits: the host must come back from each
#: ends     hlt at done
#: console  "adv-lme: still here\n"
#: exits    msr-write 2
#: group    adversary

.include "lib.inc"

.equ EFER, 0xc0000080
.equ EFER_LME, 1 << 8

    call lib_setup
    mov ecx, EFER
    mov eax, EFER_LME
    xor edx, edx
    wrmsr
    cpuid                           # exits with LME set and paging off
    mov ecx, EFER
    rdmsr
    check eax, EFER_LME, "EFER with LME"
    xor eax, eax
    mov ecx, EFER
    wrmsr
    print "adv-lme: still here\n"
done:
    hlt
