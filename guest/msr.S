#: summary  reads and writes MSRs that every CPU has; writes that must be refused take #GP
#: ends     hlt at done
#: console  "msr: tsc, apic base, efer, pat, fs base, sysenter\n"
#: console  "msr: bad values take #GP\n"

.include "lib.inc"

.equ MSR_TSC, 0x10
.equ MSR_APIC_BASE, 0x1b
.equ MSR_MTRR_CAP, 0xfe
.equ MSR_SYSENTER_CS, 0x174
.equ MSR_SYSENTER_ESP, 0x175
.equ MSR_SYSENTER_EIP, 0x176
.equ MSR_PAT, 0x277
.equ MSR_EFER, 0xc0000080
.equ MSR_FS_BASE, 0xc0000100

.equ EFER_SCE, 1 << 0
.equ EFER_NXE, 1 << 11
.equ EFER_SVME, 1 << 12

.macro write_msr number, high, low
    mov ecx, \number
    mov edx, \high
    mov eax, \low
    wrmsr
.endm

.macro read_back number, high, low, what
    mov ecx, \number
    xor eax, eax
    xor edx, edx
    rdmsr
    check eax, \low, "\what, lower half"
    check edx, \high, "\what, upper half"
.endm

    call lib_setup

    mov ecx, MSR_TSC
    rdmsr
    mov ebx, eax
    mov esi, edx
    rdmsr
    sub eax, ebx
    sbb edx, esi
    jnc tsc_runs
    fail "the TSC runs backward"
tsc_runs:

    mov ecx, MSR_APIC_BASE
    rdmsr
    and eax, 0xfffff000
    check eax, 0xfee00000, "APIC_BASE"

    mov ecx, MSR_EFER
    rdmsr
    check eax, 0, "EFER at the start"
    check edx, 0, "EFER at the start, upper half"
    write_msr MSR_EFER, 0, EFER_SCE | EFER_NXE
    read_back MSR_EFER, 0, EFER_SCE | EFER_NXE, "EFER"
    write_msr MSR_EFER, 0, 0
    read_back MSR_EFER, 0, 0, "EFER, cleared"

    read_back MSR_PAT, 0x00070406, 0x00070406, "PAT at the start"
    write_msr MSR_PAT, 0x00010506, 0x00070406
    read_back MSR_PAT, 0x00010506, 0x00070406, "PAT"
    write_msr MSR_PAT, 0x00070406, 0x00070406

    # The hidden base of FS moves with the MSR: in real mode too.
    mov dword ptr [0x2004], 0x600df00d
    write_msr MSR_FS_BASE, 0, 0x2000
    read_back MSR_FS_BASE, 0, 0x2000, "FS_BASE"
    check "dword ptr fs:[4]", 0x600df00d, "memory at FS_BASE"
    write_msr MSR_FS_BASE, 0x00001234, 0x56789abc
    read_back MSR_FS_BASE, 0x00001234, 0x56789abc, "FS_BASE, 64 bits"
    write_msr MSR_FS_BASE, 0, 0

    write_msr MSR_SYSENTER_CS, 0, 0x0008
    write_msr MSR_SYSENTER_ESP, 0, 0x12345678
    write_msr MSR_SYSENTER_EIP, 0, 0x9abcdef0
    read_back MSR_SYSENTER_CS, 0, 0x0008, "SYSENTER_CS"
    read_back MSR_SYSENTER_ESP, 0, 0x12345678, "SYSENTER_ESP"
    read_back MSR_SYSENTER_EIP, 0, 0x9abcdef0, "SYSENTER_EIP"

    mov ecx, MSR_MTRR_CAP
    rdmsr
    print "msr: tsc, apic base, efer, pat, fs base, sysenter\n"

    mov ecx, MSR_EFER
    xor edx, edx
    mov eax, 1 << 1
    faults 13, "EFER, reserved bit 1", wrmsr
    xor eax, eax
    mov edx, 1 << 31
    faults 13, "EFER, reserved bit 63", wrmsr
    xor edx, edx
    mov eax, EFER_SVME
    faults 13, "EFER.SVME, which is not offered", wrmsr
    read_back MSR_EFER, 0, 0, "EFER after writes that were refused"
    mov ecx, MSR_PAT
    mov edx, 0x00070406
    mov eax, 0x00070402             # 2 is no memory type
    faults 13, "PAT, reserved memory type", wrmsr
    mov eax, 0x00070408
    faults 13, "PAT, reserved bit", wrmsr
    read_back MSR_PAT, 0x00070406, 0x00070406, "PAT after writes that were refused"
    mov ecx, MSR_MTRR_CAP
    xor eax, eax
    xor edx, edx
    faults 13, "MTRRcap, read-only", wrmsr
    print "msr: bad values take #GP\n"
done:
    hlt
