//! What VMRUN checks of the control area.

use super::{
    NP_ENABLE, SvmRule, V_NMI_ENABLE, above, beyond, consistency, encryption, feature, may_have, need_set, nested,
};
use crate::vt::doctor::Must;
use crate::vt::svm::case::SvmCase;
use crate::vt::svm::state::F;
use crate::vt::svm::vmcb::{misc1, misc2};

const CHECKS: &str = "APM 2 \"Canonicalization and Consistency Checks\"";

/// Bytes of the I/O permission map.
pub const IOPM_BYTES: u64 = 0x3000;
/// Bytes of the MSR permission map.
pub const MSRPM_BYTES: u64 = 0x2000;
/// The bits of a map's address that the CPU reads.
pub const MAP_ADDRESS: u64 = !0xfff;

/// Asks for a map that ends within the CPU's physical addresses; whether it is encrypted does not matter.
fn within(case: &SvmCase, field: F, bytes: u64, found: super::Found<'_>) {
    // The highest physical address.
    let last = !above(case);
    let end = (case.get(field) & MAP_ADDRESS & !encryption(case)).checked_add(bytes - 1);
    if end.is_none_or(|end| end > last) {
        found(Must::AtMost(field, last.saturating_sub(bytes - 1) | case.get(field) & encryption(case)));
    }
}

pub const RULES: &[SvmRule] = &[
    consistency(
        "control.vmrun-intercept",
        CHECKS,
        &[F::InterceptMisc2],
        "the intercept of VMRUN must be set",
        |case, found| need_set(case, F::InterceptMisc2, misc2::VMRUN.into(), found),
    ),
    consistency(
        "control.iopm-physical",
        CHECKS,
        &[F::IopmBase],
        "the I/O permission map, 12 KiB at IOPM_BASE_PA, must end within the CPU's physical addresses",
        |case, found| within(case, F::IopmBase, IOPM_BYTES, found),
    ),
    consistency(
        "control.msrpm-physical",
        CHECKS,
        &[F::MsrpmBase],
        "the MSR permission map, 8 KiB at MSRPM_BASE_PA, must end within the CPU's physical addresses",
        |case, found| within(case, F::MsrpmBase, MSRPM_BYTES, found),
    ),
    consistency(
        "control.asid-zero",
        CHECKS,
        &[F::Asid],
        "the guest's ASID must not be 0, which is the host's",
        |case, found| {
            if case.get(F::Asid) == 0 {
                found(Must::AtLeast(F::Asid, 1));
            }
        },
    ),
    consistency(
        "control.nested-host-paging",
        "APM 2 \"Enabling Nested Paging\"",
        &[F::NestedControl],
        "NP_ENABLE must be clear where the host's CR0.PG is clear",
        |case, found| {
            if nested(case) && !case.cpu.host_paging {
                found(Must::Clear(F::NestedControl, NP_ENABLE));
            }
        },
    ),
    consistency(
        "control.ncr3-physical",
        "APM 2 \"Nested Paging and VMRUN/#VMEXIT\"",
        &[F::NestedControl, F::NCr3],
        "nCR3 must be a physical address that the CPU can have, under nested paging",
        |case, found| {
            if nested(case) && case.get(F::NCr3) & beyond(case) != 0 {
                found(Must::Physical(F::NCr3, case.cpu.phys_bits));
            }
        },
    ),
    consistency(
        "control.v-nmi-intercept",
        "APM 2 \"NMI Virtualization\"",
        &[F::VIntr, F::InterceptMisc1],
        "the intercept of NMI must be set where V_NMI_ENABLE is",
        |case, found| {
            if case.all(F::VIntr, V_NMI_ENABLE) && may_have(case, feature::VIRTUAL_NMI) {
                need_set(case, F::InterceptMisc1, misc1::NMI.into(), found);
            }
        },
    ),
];
