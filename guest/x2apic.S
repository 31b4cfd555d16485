#: summary  the local APIC by MSRs: mode switches, reserved bits, and all that there is in memory
#: ends     hlt at done
#: console  "x2apic: switched on\n"
#: console  "x2apic: identity\nx2apic: priorities\nx2apic: nesting\nx2apic: timer\nx2apic: deadline\nx2apic: errors\n"
#: console  "x2apic: software disable\nx2apic: NMI\nx2apic: reserved bits\nx2apic: destinations\nx2apic: switched off\n"

.include "lib.inc"
.include "modes.inc"
.include "pc.inc"
.include "apic.inc"

.equ XAPIC_MODE, APIC + APIC_BASE_BSP + APIC_BASE_ON
.equ X2APIC_MODE, XAPIC_MODE + APIC_BASE_X2

    call lib_setup
    to_apic
    find_tsc_khz

    # In xAPIC mode there are no such MSRs.
    read_faults MSR_X2APIC + 3, "version by MSR in xAPIC mode"
    write_faults MSR_X2APIC + 0xb, 0, 0, "EOI by MSR in xAPIC mode"
    write_faults MSR_APIC_BASE, XAPIC_MODE, 0xffff0000, "address beyond memory"
    write_faults MSR_APIC_BASE, XAPIC_MODE + 1, 0, "reserved bit 0"
    write_faults MSR_APIC_BASE, XAPIC_MODE + (1 << 9), 0, "reserved bit 9"
    write_faults MSR_APIC_BASE, APIC + APIC_BASE_BSP + APIC_BASE_X2, 0, "x2APIC mode without the enable bit"
    mov dword ptr [r12 + APIC_TPR], 0x20
    write_msr MSR_APIC_BASE, X2APIC_MODE
    read_msr MSR_APIC_BASE
    check eax, X2APIC_MODE, "IA32_APIC_BASE"
    .set x2apic, 1
    apic_read APIC_TPR
    check eax, 0x20, "TPR is kept"
    apic_read APIC_SVR
    check eax, 0x1ff, "SVR is kept"
    apic_write APIC_TPR, 0
    check "dword ptr [r12 + APIC_VERSION]", -1, "nothing is in memory"
    write_faults MSR_APIC_BASE, XAPIC_MODE, 0, "back to xAPIC mode"
    print "x2apic: switched on\n"
    mov eax, 0xb
    xor ecx, ecx
    cpuid
    mov edi, edx
    apic_read APIC_ID
    check eax, edi, "x2APIC ID"
    apic_read APIC_LDR
    check eax, 1, "LDR of APIC 0"

    apic_tests x2apic

    # Reserved registers and bits.
    read_faults MSR_X2APIC + 0x0b, "read of EOI"
    read_faults MSR_X2APIC + 0x3f, "read of SELF IPI"
    read_faults MSR_X2APIC + 0x0e, "read of DFR"
    read_faults MSR_X2APIC + 0x31, "read of the ICR's upper half"
    read_faults MSR_X2APIC + 0x00, "read of 0x800"
    read_faults MSR_X2APIC + 0xff, "read of 0x8ff"
    write_faults MSR_X2APIC + 0x02, 0, 0, "write of ID"
    write_faults MSR_X2APIC + 0x03, 0, 0, "write of version"
    write_faults MSR_X2APIC + 0x0a, 0, 0, "write of PPR"
    write_faults MSR_X2APIC + 0x0d, 1, 0, "write of LDR"
    write_faults MSR_X2APIC + 0x10, 0, 0, "write of ISR"
    write_faults MSR_X2APIC + 0x39, 0, 0, "write of the current count"
    write_faults MSR_X2APIC + 0x0b, 1, 0, "EOI other than 0"
    write_faults MSR_X2APIC + 0x28, 1, 0, "ESR other than 0"
    write_faults MSR_X2APIC + 0x08, 0x100, 0, "TPR, bit 8"
    write_faults MSR_X2APIC + 0x08, 0, 1, "TPR, bit 32"
    write_faults MSR_X2APIC + 0x0f, 0x2000, 0, "SVR, bit 13"
    write_faults MSR_X2APIC + 0x30, 0x10000041 | ICR_SELF, 0, "ICR, bit 28"
    write_faults MSR_X2APIC + 0x32, 0x100071, 0, "timer, bit 20"
    write_faults MSR_X2APIC + 0x3e, 4, 0, "divide configuration, bit 2"
    write_faults MSR_X2APIC + 0x3f, 0x100, 0, "SELF IPI, bit 8"
    write_faults MSR_X2APIC + 0x38, 0, 1, "initial count, bit 32"
    expect_silence "writes that fault"
    print "x2apic: reserved bits\n"

    # Destinations.
    apic_write APIC_SELF, 0x41
    apic_read APIC_IRR + 0x20
    check eax, 1 << 1, "IRR after SELF IPI"
    open_window
    expect_log "SELF IPI", 0x41
    write_msr MSR_X2APIC + 0x30, 0x4041, 0
    open_window
    expect_log "physical", 0x41
    write_msr MSR_X2APIC + 0x30, 0x4041, 5
    open_window
    expect_silence "to another CPU"
    read_msr MSR_X2APIC + 0x30
    check eax, 0x4041, "ICR"
    check edx, 5, "ICR, upper half"
    write_msr MSR_X2APIC + 0x30, 0x4841, 0x00000003
    open_window
    expect_log "logical", 0x41
    write_msr MSR_X2APIC + 0x30, 0x4841, 0x00010001
    open_window
    expect_silence "another cluster"
    write_msr MSR_X2APIC + 0x30, 0x4041, 0xffffffff
    open_window
    expect_log "broadcast", 0x41
    print "x2apic: destinations\n"

    # Off, which loses everything, and to xAPIC mode; not straight to x2APIC mode.
    apic_write APIC_TPR, 0x30
    write_msr MSR_APIC_BASE, APIC + APIC_BASE_BSP
    write_faults MSR_APIC_BASE, X2APIC_MODE, 0, "from off to x2APIC mode"
    write_msr MSR_APIC_BASE, XAPIC_MODE
    .set x2apic, 0
    apic_read APIC_SVR
    check eax, 0xff, "SVR after off and on"
    apic_read APIC_TPR
    check eax, 0, "TPR after off and on"
    apic_read APIC_LVT_LINT0
    check eax, LVT_MASKED, "LINT0 after off and on"
    print "x2apic: switched off\n"
    .set x2apic, 1
done:
    hlt

    apic_handlers
