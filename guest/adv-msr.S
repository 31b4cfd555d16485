#: summary  reads MSRs 0 to 0x7ff and 0xc0000000 to 0xc00007ff and writes nonsense to them
#: ends     hlt at done
#: console  "adv-msr: still here\n"
#: group    adversary

.include "lib.inc"

.equ WRITTEN_HIGH, 0x5a5aa5a5

    call lib_setup
    vector 13, skip
    xor ecx, ecx
    call sweep
    mov ecx, 0xc0000000
    call sweep
    mov eax, 0x40000000             # CPUID still works, whatever the MSRs hold now
    cpuid
    check ebx, 0x76687668, "signature"
    print "adv-msr: still here\n"
done:
    hlt

sweep:                              # 0x800 MSRs from ECX on
    mov esi, 0x800
next:
    rdmsr
    xor eax, ecx
    mov edx, WRITTEN_HIGH           # no canonical address, reserved bits of most registers
    wrmsr
    xor edx, edx
    mov eax, 0xffffffff
    wrmsr
    xor eax, eax
    wrmsr
    inc ecx
    dec esi
    jnz next
    ret

skip:                               # RDMSR and WRMSR have two bytes each
    push bp
    mov bp, sp
    add word ptr [bp + 2], 2
    pop bp
    iret
