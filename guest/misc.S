#: summary  instructions that a hypervisor may see: INVD, WBINVD, RDTSC, INVLPG, PAUSE, MOV DR
#: ends     hlt at done
#: console  "misc: invd, wbinvd, rdtsc, invlpg, pause, mov dr\n"

.include "lib.inc"

.equ DR7_FIXED, 0x400

    call lib_setup
    mov dword ptr [0x2000], 0x11223344
    wbinvd
    invd                            # on real hardware this must not lose what others wrote: it is done as WBINVD
    check "dword ptr [0x2000]", 0x11223344, "memory after INVD"

    rdtsc
    mov ebx, eax
    mov ecx, edx
    rdtsc
    sub eax, ebx
    sbb edx, ecx
    jnc forward
    fail "the TSC runs backward"
forward:
    mov cx, 100
again:
    pause
    loop again
    mov bx, 0x2000
    invlpg [bx]

    mov eax, 0x12345678
    mov dr0, eax
    mov eax, 0x9abcdef0
    mov dr3, eax
    mov ebx, dr0
    check ebx, 0x12345678, "DR0"
    mov ebx, dr3
    check ebx, 0x9abcdef0, "DR3"
    xor eax, eax
    cpuid                           # an exit leaves them alone
    mov ebx, dr0
    check ebx, 0x12345678, "DR0 after an exit"
    mov ebx, dr7
    check ebx, DR7_FIXED, "DR7"
    print "misc: invd, wbinvd, rdtsc, invlpg, pause, mov dr\n"
done:
    hlt
