//! What a run that compares the rules with a CPU must know of a VMCB: which fields it may change how.

use super::case::SvmCase;
use super::state::F;
use crate::base::cpu::{cr0, cr4, efer, rflags};
use crate::vt::doctor::rule::Peril;

/// Fields that are no input of VMRUN, or whose effect nobody could see.
pub const fn is_untouched(field: F) -> bool {
    matches!(
        field,
        F::Clean | F::ExitCode | F::ExitInfo1 | F::ExitInfo2 | F::ExitIntInfo | F::NextRip | F::Ghcb | F::Vmsa | F::Rax
    )
}

/// Whether a guest must not be entered with `new` in place of `old`, should it be legal.
pub const fn is_hazard(field: F, old: u64, new: u64) -> bool {
    if old == new {
        return false;
    }
    let cleared = old & !new;
    let set = new & !old;
    match field {
        // INTR, NMI, SMI, INIT, HLT, IOIO, MSR, shutdown.
        F::InterceptMisc1 => cleared & (0b1011 | 1 << 24 | 1 << 27 | 1 << 28 | 1 << 31) != 0,
        // #DF, without which a shutdown can come.
        F::InterceptExceptions => cleared & (1 << 8 | 1 << 18) != 0,
        // V_INTR_MASKING, AVIC.
        F::VIntr => cleared & 1 << 24 != 0 || set & (1 << 30 | 1 << 31) != 0,
        // The nested table; SEV.
        F::NestedControl => cleared & 1 != 0 || set & !1 != 0,
        F::VirtExt => set != 0,
        F::NCr3 | F::IopmBase | F::MsrpmBase => true,
        F::AvicApicBar | F::AvicBackingPage | F::AvicLogicalTable | F::AvicPhysicalTable => false,
        _ => false,
    }
}

/// States that not every emulator survives (docs/testing.md).
pub const PERILS: &[Peril<SvmCase>] = &[
    ("virtual-8086", |c| c.all(F::Rflags, rflags::VM)),
    ("lma-without-paging", |c| {
        c.all(F::Efer, efer::LMA) && (c.get(F::Cr0) & cr0::PG == 0 || c.get(F::Cr0) & cr0::PE == 0)
    }),
    ("lme-without-pae", |c| c.all(F::Efer, efer::LME) && c.get(F::Cr0) & cr0::PG == 0 && c.get(F::Cr4) & cr4::PAE == 0),
];
