//! The rules of VMRUN, as the manual has them (APM 2 "Canonicalization and Consistency Checks").
//!
//! What cannot be judged from a VMCB is left out: the PDPTEs that VMRUN reads for a guest with PAE paging under shadow
//! page tables, and U_CET, which VMRUN checks against RFLAGS.VM and which is not in the VMCB of a plain guest.

/// Makes a rule that reads the save area, by `consistency` or `advice`: it is not judged where the guest's state is
/// elsewhere. It need not name the nested control for this: a VMCB of which that is not known is taken for a plain one.
macro_rules! of_save_area {
    ($make:ident, $id:expr, $section:expr, $fields:expr, $says:expr, |$case:ident, $found:ident| $check:expr $(,)?) => {
        super::$make($id, $section, $fields, $says, |$case, $found| {
            if !super::in_vmsa($case) {
                $check
            }
        })
    };
}

mod advice_controls;
mod advice_events;
mod advice_guest;
mod advice_intercepts;
mod avic;
#[cfg(test)]
pub(crate) mod broken;
mod controls;
mod events;
#[cfg(test)]
pub(crate) mod fixture;
mod launch;
mod save;
#[cfg(test)]
mod tests;

use super::case::SvmCase;
use super::state::F;
use crate::base::cpu::{cr0, efer, rflags};
use crate::vt::doctor::{Class, Must, Rule};

/// A rule of VMRUN.
pub type SvmRule = Rule<F, SvmCase>;
/// Where a rule says what must change.
type Found<'a> = &'a mut dyn FnMut(Must<F>);
/// Decides a rule.
type Check = fn(&SvmCase, Found<'_>);

/// All rules; advice comes last.
pub const ALL: &[&[SvmRule]] = &[
    launch::RULES,
    save::RULES,
    controls::RULES,
    events::RULES,
    avic::RULES,
    advice_intercepts::RULES,
    advice_controls::RULES,
    advice_events::RULES,
    advice_guest::RULES,
];

/// NP_ENABLE in the nested control.
const NP_ENABLE: u64 = 1 << 0;
/// SEV and SEV-ES in the nested control.
const SEV: u64 = 3 << 1;
/// The VNMI enable bit of the virtual interrupt control.
const V_NMI_ENABLE: u64 = 1 << 26;
/// The virtual GIF's enable bit.
const V_GIF_ENABLE: u64 = 1 << 25;
/// x2AVIC's enable bit.
const X2AVIC: u64 = 1 << 30;
/// AVIC's enable bit.
const AVIC: u64 = 1 << 31;

/// L in a segment's attributes as the VMCB has them.
const ATTRIB_L: u64 = 1 << 9;
/// D/B in a segment's attributes.
const ATTRIB_D: u64 = 1 << 10;

/// Features: bits of CPUID Fn8000_000A_EDX.
mod feature {
    pub const NESTED_PAGING: u32 = 0;
    pub const LBR: u32 = 1;
    pub const NEXT_RIP: u32 = 3;
    pub const FLUSH_BY_ASID: u32 = 6;
    pub const AVIC: u32 = 13;
    pub const VIRTUAL_VMSAVE: u32 = 15;
    pub const VIRTUAL_GIF: u32 = 16;
    pub const X2AVIC: u32 = 18;
    pub const VIRTUAL_NMI: u32 = 25;
    pub const VIRTUAL_IBS: u32 = 26;
}

/// Makes a rule that VMRUN judges.
const fn consistency(
    id: &'static str,
    section: &'static str,
    fields: &'static [F],
    says: &'static str,
    check: Check,
) -> SvmRule {
    Rule { id, class: Class::Consistency, section, fields, says, check }
}

/// Makes an advice.
const fn advice(
    id: &'static str,
    section: &'static str,
    fields: &'static [F],
    says: &'static str,
    check: Check,
) -> SvmRule {
    Rule { id, class: Class::Advice, section, fields, says, check }
}

/// Asks for the bits of `mask` that are clear.
fn need_set(case: &SvmCase, field: F, mask: u64, found: Found<'_>) {
    let missing = mask & !case.get(field);
    if missing != 0 {
        found(Must::Set(field, missing));
    }
}

/// Asks for the absence of the bits of `mask` that are set.
fn need_clear(case: &SvmCase, field: F, mask: u64, found: Found<'_>) {
    let extra = mask & case.get(field);
    if extra != 0 {
        found(Must::Clear(field, extra));
    }
}

/// Whether it is known what the CPU can do: a CPU that has SVM has ASIDs.
const fn caps_known(case: &SvmCase) -> bool {
    case.cpu.caps.asids != 0
}

/// Whether the CPU has the feature, as far as is known.
const fn may_have(case: &SvmCase, bit: u32) -> bool {
    !caps_known(case) || case.cpu.caps.edx >> bit & 1 != 0
}

/// The address bits from the physical-address width up.
const fn above(case: &SvmCase) -> u64 {
    match u64::MAX.checked_shl(case.cpu.phys_bits) {
        Some(mask) => mask,
        None => 0,
    }
}

/// The bit that says that a page is encrypted, where it is known to be one: it may be set in any physical address.
fn encryption(case: &SvmCase) -> u64 {
    case.cpu.encryption_bit.and_then(|bit| 1_u64.checked_shl(bit)).unwrap_or(0)
}

/// The address bits that the CPU does not have.
fn beyond(case: &SvmCase) -> u64 {
    above(case) & !encryption(case)
}

/// Whether the guest is one of SEV-ES: VMRUN loads its state from the VMSA, which is encrypted, and neither reads the
/// save area of the VMCB nor keeps it up to date.
fn in_vmsa(case: &SvmCase) -> bool {
    case.all(F::NestedControl, SEV)
}

/// Whether nested paging is asked for and the CPU has it, as far as is known.
fn nested(case: &SvmCase) -> bool {
    case.all(F::NestedControl, NP_ENABLE) && may_have(case, feature::NESTED_PAGING)
}

/// Whether the guest begins in long mode. VMRUN does not read EFER.LMA for this.
fn long(case: &SvmCase) -> bool {
    case.all(F::Efer, efer::LME) && case.all(F::Cr0, cr0::PG)
}

/// Whether the guest begins in 64-bit mode.
fn code64(case: &SvmCase) -> bool {
    long(case) && case.all(F::CsAttrib, ATTRIB_L)
}

/// Whether the guest begins in protected or long mode, not in real-address or virtual-8086 mode.
fn protected(case: &SvmCase) -> bool {
    case.all(F::Cr0, cr0::PE) && !case.all(F::Rflags, rflags::VM)
}

/// EVENTINJ, taken apart.
struct Injected {
    kind: u64,
    vector: u64,
    error: bool,
}

impl Injected {
    /// An external interrupt.
    const INTERRUPT: u64 = 0;
    /// An NMI: its vector is ignored.
    const NMI: u64 = 2;
    /// An exception.
    const EXCEPTION: u64 = 3;
    /// An INT instruction.
    const SOFTWARE: u64 = 4;
    /// Error code valid.
    const EV: u64 = 1 << 11;

    /// The event, if one is valid.
    fn of(case: &SvmCase) -> Option<Self> {
        let event = case.get(F::EventInj);
        (event >> 31 & 1 != 0).then_some(Self {
            kind: event >> 8 & 7,
            vector: event & 0xff,
            error: event & Self::EV != 0,
        })
    }
}
