#: summary  an MSR that does not exist: #GP reaches the guest's handler, and points at the instruction
#: ends     hlt at done
#: console  "msr-unknown: rdmsr and wrmsr of 0xdead take #GP\n"
#: exits    msr-read 1
#: exits    msr-write 1

.include "lib.inc"

.equ UNKNOWN_MSR, 0xdead
.equ FLAGS, FLAG_CF | FLAG_SF | 2

    call lib_setup

    mov eax, 0x11111111
    mov ebx, 0x22222222
    mov ecx, UNKNOWN_MSR
    mov edx, 0x33333333

    # By hand: what does the handler find on its stack?
    vector 13, handler
    push FLAGS
    popf
reading:
    rdmsr
    fail "rdmsr 0xdead: no exception"
handler:
    check16 sp, 0x7c00-6, "SP in the handler"
    pop si
    check16 si, "offset reading", "the IP that was pushed"
    pop si
    check16 si, 0, "the CS that was pushed"
    pop si
    check16 si, FLAGS, "the flags that were pushed"
    check eax, 0x11111111, "EAX"
    check ebx, 0x22222222, "EBX"
    check ecx, UNKNOWN_MSR, "ECX"
    check edx, 0x33333333, "EDX"

    faults 13, "wrmsr 0xdead", wrmsr
    check eax, 0x11111111, "EAX after WRMSR"
    check edx, 0x33333333, "EDX after WRMSR"
    print "msr-unknown: rdmsr and wrmsr of 0xdead take #GP\n"
done:
    hlt
