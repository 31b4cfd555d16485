//! Rules about EPT and what builds on it.

use super::second::{EPT, MODE_BASED_EXECUTE, PML, SUB_PAGE_WRITE, UNRESTRICTED_GUEST, VM_FUNCTIONS};
use super::{EXECUTION, clear, from_bit, knows_caps, page_if, rule, second, set, set_secondary};
use crate::vt::doctor::Must;
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::rules::{Found, VmxRule};
use crate::vt::vmx::state::F;

/// What every rule reads that asks for EPT.
const CONTROLS: &[F] = &[F::Primary, F::Secondary];
const EPTP: &[F] = &[F::Primary, F::Eptp];

/// The EPT pointer's memory type.
const MEMORY_TYPE: u64 = 7;
const WRITE_BACK: u64 = 6;
/// The EPT pointer's walk length, less 1.
const WALK: u64 = 7 << 3;
const ACCESSED_DIRTY: u64 = 1 << 6;
const SHADOW_STACK: u64 = 1 << 7;

/// VM-function control "EPTP switching".
const EPTP_SWITCHING: u64 = 1;

/// Whether IA32_VMX_EPT_VPID_CAP has this bit, or may have it.
fn cap(c: &VmxCase, bit: u32) -> bool {
    !knows_caps(c) || c.cpu.caps.ept_vpid >> bit & 1 != 0
}

/// Asks for EPT where one of these secondary controls is in force.
fn needs_ept(c: &VmxCase, bits: u64, found: Found<'_>) {
    if second(c, bits) {
        set_secondary(c, EPT, found);
    }
}

/// The VM-function controls that are in force.
fn vm_functions(c: &VmxCase) -> u64 {
    if second(c, VM_FUNCTIONS) { c.get(F::VmfuncControls) } else { 0 }
}

/// Asks for a number within the EPT pointer to be one of two that may be supported.
fn one_of(c: &VmxCase, mask: u64, choices: [(u64, bool); 2], found: Found<'_>) {
    let value = c.get(F::Eptp) & mask;
    if !second(c, EPT) || choices.iter().any(|(choice, supported)| *supported && *choice == value) {
        return;
    }
    match choices.iter().find(|(_, supported)| *supported) {
        Some((choice, _)) => {
            set(c, F::Eptp, *choice, found);
            clear(c, F::Eptp, mask & !choice, found);
        }
        None => found(Must::Change(F::Eptp)),
    }
}

pub const RULES: &[VmxRule] = &[
    rule(
        EXECUTION,
        "control.eptp.memory-type",
        EPTP,
        "the EPT pointer's memory type must be 6 (write-back) or 0 (uncacheable), as IA32_VMX_EPT_VPID_CAP has them",
        |c, found| one_of(c, MEMORY_TYPE, [(WRITE_BACK, cap(c, 14)), (0, cap(c, 8))], found),
    ),
    rule(
        EXECUTION,
        "control.eptp.walk-length",
        EPTP,
        "bits 5:3 of the EPT pointer must be 3 for 4 levels or 4 for 5, as IA32_VMX_EPT_VPID_CAP has them",
        |c, found| one_of(c, WALK, [(3 << 3, cap(c, 6)), (4 << 3, cap(c, 7))], found),
    ),
    rule(
        EXECUTION,
        "control.eptp.accessed-dirty",
        EPTP,
        "bit 6 of the EPT pointer must be 0 on a CPU without accessed and dirty flags for EPT",
        |c, found| {
            if second(c, EPT) && !cap(c, 21) {
                clear(c, F::Eptp, ACCESSED_DIRTY, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.eptp.shadow-stack",
        EPTP,
        "bit 7 of the EPT pointer must be 0 on a CPU without supervisor shadow-stack control",
        |c, found| {
            if second(c, EPT) && !cap(c, 23) {
                clear(c, F::Eptp, SHADOW_STACK, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.eptp.reserved",
        EPTP,
        "bits 11:8 of the EPT pointer and those from the physical-address width up must be 0",
        |c, found| {
            if second(c, EPT) {
                clear(c, F::Eptp, 0xf << 8 | from_bit(c.cpu.phys_bits), found);
            }
        },
    ),
    rule(EXECUTION, "control.pml.needs-ept", CONTROLS, "\"enable PML\" needs \"enable EPT\"", |c, found| {
        needs_ept(c, PML, found);
    }),
    rule(
        EXECUTION,
        "control.pml.address",
        &[F::Primary, F::PmlAddress],
        "with \"enable PML\", the PML address must be that of a page",
        |c, found| page_if(c, second(c, PML), F::PmlAddress, found),
    ),
    rule(
        EXECUTION,
        "control.unrestricted-guest.needs-ept",
        CONTROLS,
        "\"unrestricted guest\" needs \"enable EPT\"",
        |c, found| needs_ept(c, UNRESTRICTED_GUEST, found),
    ),
    rule(
        EXECUTION,
        "control.mode-based-execute.needs-ept",
        CONTROLS,
        "\"mode-based execute control for EPT\" needs \"enable EPT\"",
        |c, found| needs_ept(c, MODE_BASED_EXECUTE, found),
    ),
    rule(
        EXECUTION,
        "control.spp.needs-ept",
        CONTROLS,
        "\"sub-page write permissions for EPT\" needs \"enable EPT\"",
        |c, found| needs_ept(c, SUB_PAGE_WRITE, found),
    ),
    rule(
        EXECUTION,
        "control.spp.table",
        &[F::Primary, F::SppTable],
        "with \"sub-page write permissions for EPT\", the pointer to their table must be the address of a page",
        |c, found| page_if(c, second(c, SUB_PAGE_WRITE), F::SppTable, found),
    ),
    rule(
        EXECUTION,
        "control.vmfunc.reserved",
        &[F::Primary, F::VmfuncControls],
        "with \"enable VM functions\", VM-function controls that IA32_VMX_VMFUNC does not have must be 0",
        |c, found| {
            if second(c, VM_FUNCTIONS) && knows_caps(c) {
                clear(c, F::VmfuncControls, !c.cpu.caps.vmfunc, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.vmfunc.switching-needs-ept",
        &[F::Primary, F::VmfuncControls],
        "the VM function \"EPTP switching\" needs \"enable EPT\"",
        |c, found| {
            if vm_functions(c) & EPTP_SWITCHING != 0 {
                needs_ept(c, VM_FUNCTIONS, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.vmfunc.eptp-list",
        &[F::Primary, F::VmfuncControls, F::EptpListAddress],
        "with the VM function \"EPTP switching\", the EPTP-list address must be that of a page",
        |c, found| page_if(c, vm_functions(c) & EPTP_SWITCHING != 0, F::EptpListAddress, found),
    ),
];
