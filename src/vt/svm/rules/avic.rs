//! What VMRUN checks of the advanced virtual interrupt controller.

use super::{AVIC, SvmRule, X2AVIC, beyond, caps_known, consistency, feature, may_have};
use crate::vt::doctor::Must;
use crate::vt::svm::case::SvmCase;
use crate::vt::svm::state::F;

const POINTERS: &str = "APM 2 \"Physical Address Pointer Restrictions\"";
/// AVIC_PHYSICAL_MAX_INDEX, beside the pointer to the table.
const MAX_INDEX: u64 = 0xfff;
/// The pointer in the same field.
const POINTER: u64 = !MAX_INDEX;

/// Whether AVIC is on, with x2AVIC or without.
fn on(case: &SvmCase, x2: bool) -> bool {
    case.all(F::VIntr, AVIC) && may_have(case, feature::AVIC) && case.all(F::VIntr, X2AVIC) == x2
}

/// Asks for an address that the CPU can have.
fn physical(case: &SvmCase, field: F, found: super::Found<'_>) {
    if case.get(field) & beyond(case) != 0 {
        found(Must::Physical(field, case.cpu.phys_bits));
    }
}

/// Asks for a last index of at most so much.
fn index(case: &SvmCase, most: u64, found: super::Found<'_>) {
    let table = case.get(F::AvicPhysicalTable);
    if table & MAX_INDEX > most {
        found(Must::Be(F::AvicPhysicalTable, table & POINTER | most));
    }
}

pub const RULES: &[SvmRule] = &[
    consistency(
        "avic.x2-needs-avic",
        "APM 2 \"VMCB Virtual Interrupt Control Word\"",
        &[F::VIntr],
        "AVIC must be enabled where x2AVIC is",
        |case, found| {
            if may_have(case, feature::X2AVIC) && case.all(F::VIntr, X2AVIC) {
                super::need_set(case, F::VIntr, AVIC, found);
            }
        },
    ),
    consistency(
        "avic.backing-page-physical",
        POINTERS,
        &[F::VIntr, F::AvicBackingPage],
        "the AVIC backing page must be at a physical address that the CPU can have",
        |case, found| {
            if on(case, false) || on(case, true) {
                physical(case, F::AvicBackingPage, found);
            }
        },
    ),
    consistency(
        "avic.logical-table-physical",
        POINTERS,
        &[F::VIntr, F::AvicLogicalTable],
        "the logical APIC ID table must be at a physical address that the CPU can have; x2AVIC does not use it",
        |case, found| {
            if on(case, false) {
                physical(case, F::AvicLogicalTable, found);
            }
        },
    ),
    consistency(
        "avic.physical-table-physical",
        POINTERS,
        &[F::VIntr, F::AvicPhysicalTable],
        "the physical APIC ID table must be at a physical address that the CPU can have",
        |case, found| {
            if on(case, false) || on(case, true) {
                physical(case, F::AvicPhysicalTable, found);
            }
        },
    ),
    consistency(
        "avic.max-index",
        POINTERS,
        &[F::VIntr, F::AvicPhysicalTable],
        "AVIC_PHYSICAL_MAX_INDEX must be at most 255 without x2AVIC",
        |case, found| {
            if on(case, false) {
                index(case, 255, found);
            }
        },
    ),
    consistency(
        "avic.x2-max-index",
        POINTERS,
        &[F::VIntr, F::AvicPhysicalTable],
        "AVIC_PHYSICAL_MAX_INDEX must be at most 511 with x2AVIC, unless the CPU has x2AVIC_EXT",
        |case, found| {
            let more = !caps_known(case) || case.cpu.caps.x2avic_ext();
            if on(case, true) && !more {
                index(case, 511, found);
            }
        },
    ),
];
