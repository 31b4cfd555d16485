#: summary  the local APIC by memory: priorities, nesting, timer, deadline, errors, NMIs
#: ends     hlt at done
#: console  "apic: identity\napic: priorities\napic: nesting\napic: timer\napic: deadline\napic: errors\n"
#: console  "apic: software disable\napic: NMI\napic: memory and destinations\n"

.include "lib.inc"
.include "modes.inc"
.include "pc.inc"
.include "apic.inc"

    call lib_setup
    to_apic
    find_tsc_khz

    read_msr MSR_APIC_BASE
    check eax, APIC + APIC_BASE_ON + APIC_BASE_BSP, "IA32_APIC_BASE"
    check edx, 0, "IA32_APIC_BASE, upper half"
    apic_read APIC_ID
    mov edi, eax
    mov eax, 1
    cpuid
    and ebx, 0xff000000
    check edi, ebx, "APIC ID"
    apic_read APIC_SVR
    check eax, 0x1ff, "SVR at the start"
    apic_read APIC_LVT_LINT0
    check eax, 0x700, "LINT0 at the start"
    apic_read APIC_LVT_LINT1
    check eax, 0x400, "LINT1 at the start"
    apic_read APIC_LVT_TIMER
    check eax, LVT_MASKED, "timer at the start"

    apic_tests apic

    # What is there in memory alone: other widths, an unknown register, and logical destinations.
    apic_write APIC_ESR, 0
    apic_read APIC_SELF
    apic_write APIC_ESR, 0
    apic_read APIC_ESR
    check eax, 1 << 7, "an illegal register"
    apic_write APIC_ICR_HIGH, 0x05000000
    apic_write APIC_ICR, 0x41       # to APIC 5, which is not there
    open_window
    expect_silence "to another CPU"
    apic_read APIC_ICR
    check eax, 0x41, "ICR"
    apic_read APIC_ICR_HIGH
    check eax, 0x05000000, "ICR, upper half"
    apic_write APIC_ICR_HIGH, 0x00000000
    apic_write APIC_ICR, 0x4041     # physical, to APIC 0
    open_window
    expect_log "physical", 0x41
    apic_write APIC_DFR, 0xffffffff
    apic_write APIC_LDR, 0x04000000
    apic_write APIC_ICR_HIGH, 0x06000000
    apic_write APIC_ICR, 0x4841     # logical, flat
    open_window
    expect_log "logical, flat", 0x41
    apic_write APIC_DFR, 0x0fffffff
    apic_write APIC_LDR, 0x24000000
    apic_write APIC_ICR_HIGH, 0x2c000000
    apic_write APIC_ICR, 0x4841     # logical, cluster
    open_window
    expect_log "logical, cluster", 0x41
    apic_write APIC_ICR_HIGH, 0x1c000000
    apic_write APIC_ICR, 0x4841
    open_window
    expect_silence "another cluster"
    apic_write APIC_ICR, 0x84041    # all
    open_window
    expect_log "all", 0x41
    apic_write APIC_ICR, 0xc4041    # all but this one
    open_window
    expect_silence "all but this one"
    print "apic: memory and destinations\n"
done:
    hlt

    apic_handlers
