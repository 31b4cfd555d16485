//! Rules about the guest's control registers, debug registers and MSRs.

use super::ask::{UNRESTRICTED, above, canonical, cr0, cr4, entry, ia32e, secondary};
use super::controls::knows_caps;
use super::{Found, VmxRule};
use crate::vt::doctor::{Class, Must};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

const fn rule(id: &'static str, fields: &'static [F], says: &'static str, check: fn(&VmxCase, Found<'_>)) -> VmxRule {
    let section = "SDM 3C \"Checks on Guest Control Registers, Debug Registers, and MSRs\"";
    VmxRule { id, class: Class::Guest, section, fields, says, check }
}

/// IA32_RTIT_CTL bits that no CPU defines (SDM 3C "IA32_RTIT_CTL MSR").
const RTIT_RESERVED: u64 = 1 << 18 | 1 << 23 | 0b111 << 28 | 0x7f << 48 | above(57);
/// IA32_LBR_CTL bits that no CPU defines (SDM 4 "Architectural MSRs").
const LBR_RESERVED: u64 = !0x7f_000f;
/// IA32_S_CET bits 9:6.
const S_CET_RESERVED: u64 = 0xf << 6;
/// SUPPRESS and TRACKER of IA32_S_CET.
const S_CET_TRACKING: u64 = 0b11 << 10;
/// IA32_BNDCFGS bits 11:2.
const BNDCFGS_RESERVED: u64 = 0xffc;

/// Asks for `mask` to be clear in a field that the entry loads if `control` is 1.
fn clear_if(c: &VmxCase, control: u64, field: F, mask: u64, found: Found<'_>) {
    if c.all(F::EntryControls, control) {
        clear(c, field, mask, found);
    }
}

fn clear(c: &VmxCase, field: F, mask: u64, found: Found<'_>) {
    let wrong = c.get(field) & mask;
    if wrong != 0 {
        found(Must::Clear(field, wrong));
    }
}

fn set(c: &VmxCase, field: F, mask: u64, found: Found<'_>) {
    let wrong = !c.get(field) & mask;
    if wrong != 0 {
        found(Must::Set(field, wrong));
    }
}

/// Asks for a canonical address.
pub(super) fn must_be_canonical(c: &VmxCase, field: F, found: Found<'_>) {
    if !canonical(c.get(field), c.cpu.linear_bits) {
        found(Must::Canonical(field, c.cpu.linear_bits));
    }
}

/// In the order of the manual.
pub const RULES: &[VmxRule] = &[
    rule(
        "guest.cr0.fixed",
        &[F::Cr0, F::Primary],
        "CR0 must have the bits that VMX operation fixes (but CD and NW; and PE and PG of an unrestricted guest)",
        |c, found| {
            if !knows_caps(c) {
                return;
            }
            let free = if secondary(c, UNRESTRICTED) { cr0::PE | cr0::PG } else { 0 } | cr0::CD | cr0::NW;
            set(c, F::Cr0, c.cpu.caps.cr0_fixed0 & !free, found);
            clear(c, F::Cr0, !c.cpu.caps.cr0_fixed1 & !free, found);
        },
    ),
    rule("guest.cr0.pg-pe", &[F::Cr0], "CR0.PG needs CR0.PE", |c, found| {
        if c.all(F::Cr0, cr0::PG) {
            set(c, F::Cr0, cr0::PE, found);
        }
    }),
    rule("guest.cr4.fixed", &[F::Cr4], "CR4 must have the bits that VMX operation and the CPU fix", |c, found| {
        if knows_caps(c) {
            set(c, F::Cr4, c.cpu.caps.cr4_fixed0, found);
            clear(c, F::Cr4, !c.cpu.caps.cr4_fixed1, found);
        }
    }),
    rule("guest.cr4.cet-wp", &[F::Cr0, F::Cr4], "CR4.CET needs CR0.WP", |c, found| {
        if c.all(F::Cr4, cr4::CET) {
            set(c, F::Cr0, cr0::WP, found);
        }
    }),
    rule(
        "guest.cr4.fred",
        &[F::Cr4, F::EntryControls],
        "CR4.FRED needs the VM-entry control \"IA-32e mode guest\"",
        |c, found| {
            if c.all(F::Cr4, cr4::FRED) {
                set(c, F::EntryControls, entry::IA32E_GUEST, found);
            }
        },
    ),
    rule(
        "guest.debugctl.reserved",
        &[F::Debugctl, F::EntryControls],
        "reserved bits of IA32_DEBUGCTL must be 0 if \"load debug controls\" is 1",
        |c, found| clear_if(c, entry::DEBUG_CONTROLS, F::Debugctl, !c.cpu.debugctl, found),
    ),
    rule("guest.ia32e.paging", &[F::Cr0, F::EntryControls], "a guest in IA-32e mode needs CR0.PG", |c, found| {
        if ia32e(c) {
            set(c, F::Cr0, cr0::PG, found);
        }
    }),
    rule("guest.ia32e.pae", &[F::Cr4, F::EntryControls], "a guest in IA-32e mode needs CR4.PAE", |c, found| {
        if ia32e(c) {
            set(c, F::Cr4, cr4::PAE, found);
        }
    }),
    rule(
        "guest.cr4.pcide",
        &[F::Cr4, F::EntryControls],
        "CR4.PCIDE must be 0 if \"IA-32e mode guest\" is 0",
        |c, found| {
            if !ia32e(c) {
                clear(c, F::Cr4, cr4::PCIDE, found);
            }
        },
    ),
    rule("guest.cr3.physical", &[F::Cr3], "CR3 must have no bit above the CPU's physical-address width", |c, found| {
        // Linear-address masking has its two bits there.
        let lam = if !knows_caps(c) || c.cpu.caps.cr4_fixed1 & cr4::LAM_SUP != 0 { 0b11 << 61 } else { 0 };
        if c.get(F::Cr3) & above(c.cpu.phys_bits) & !lam != 0 {
            found(Must::Physical(F::Cr3, c.cpu.phys_bits));
        }
    }),
    rule(
        "guest.dr7.high",
        &[F::Dr7, F::EntryControls],
        "bits 63:32 of DR7 must be 0 if \"load debug controls\" is 1",
        |c, found| clear_if(c, entry::DEBUG_CONTROLS, F::Dr7, above(32), found),
    ),
    rule("guest.sysenter-esp.canonical", &[F::SysenterEsp], "IA32_SYSENTER_ESP must be canonical", |c, found| {
        must_be_canonical(c, F::SysenterEsp, found);
    }),
    rule("guest.sysenter-eip.canonical", &[F::SysenterEip], "IA32_SYSENTER_EIP must be canonical", |c, found| {
        must_be_canonical(c, F::SysenterEip, found);
    }),
    rule(
        "guest.s-cet.canonical",
        &[F::SCet, F::EntryControls],
        "IA32_S_CET must be canonical if \"load CET state\" is 1",
        |c, found| {
            if c.all(F::EntryControls, entry::CET) {
                must_be_canonical(c, F::SCet, found);
            }
        },
    ),
    rule(
        "guest.ssp-table.canonical",
        &[F::SspTable, F::EntryControls],
        "IA32_INTERRUPT_SSP_TABLE_ADDR must be canonical if \"load CET state\" is 1",
        |c, found| {
            if c.all(F::EntryControls, entry::CET) {
                must_be_canonical(c, F::SspTable, found);
            }
        },
    ),
    rule(
        "guest.perf-global-ctrl.reserved",
        &[F::PerfGlobalCtrl, F::EntryControls],
        "reserved bits of IA32_PERF_GLOBAL_CTRL must be 0 if \"load IA32_PERF_GLOBAL_CTRL\" is 1",
        |c, found| clear_if(c, entry::PERF_GLOBAL_CTRL, F::PerfGlobalCtrl, !c.cpu.perf_global, found),
    ),
    rule(
        "guest.pat.types",
        &[F::Pat, F::EntryControls],
        "each byte of IA32_PAT must be a memory type (0, 1, 4, 5, 6 or 7) if \"load IA32_PAT\" is 1",
        |c, found| {
            let known = |byte: &u8| matches!(byte, 0 | 1 | 4..=7);
            if c.all(F::EntryControls, entry::PAT) && !c.get(F::Pat).to_le_bytes().iter().all(known) {
                found(Must::Change(F::Pat));
            }
        },
    ),
    rule(
        "guest.efer.reserved",
        &[F::Efer, F::EntryControls],
        "IA32_EFER bits that the CPU does not have must be 0 if \"load IA32_EFER\" is 1",
        |c, found| clear_if(c, entry::EFER, F::Efer, !c.cpu.efer, found),
    ),
    rule(
        "guest.efer.lma",
        &[F::Efer, F::EntryControls],
        "IA32_EFER.LMA must equal \"IA-32e mode guest\" if \"load IA32_EFER\" is 1",
        |c, found| {
            if c.all(F::EntryControls, entry::EFER) && c.all(F::Efer, 1 << 10) != ia32e(c) {
                found(Must::Agree(F::Efer, 1 << 10, F::EntryControls, entry::IA32E_GUEST));
            }
        },
    ),
    rule(
        "guest.efer.lme",
        &[F::Efer, F::Cr0, F::EntryControls],
        "IA32_EFER.LME must equal IA32_EFER.LMA if CR0.PG is 1 and \"load IA32_EFER\" is 1",
        |c, found| {
            let loads = c.all(F::EntryControls, entry::EFER) && c.all(F::Cr0, cr0::PG);
            if loads && c.all(F::Efer, 1 << 8) != c.all(F::Efer, 1 << 10) {
                found(Must::Agree(F::Efer, 1 << 8, F::Efer, 1 << 10));
            }
        },
    ),
    rule(
        "guest.bndcfgs.reserved",
        &[F::Bndcfgs, F::EntryControls],
        "bits 11:2 of IA32_BNDCFGS must be 0 if \"load IA32_BNDCFGS\" is 1",
        |c, found| clear_if(c, entry::BNDCFGS, F::Bndcfgs, BNDCFGS_RESERVED, found),
    ),
    rule(
        "guest.bndcfgs.canonical",
        &[F::Bndcfgs, F::EntryControls],
        "the bound directory's address in IA32_BNDCFGS must be canonical if \"load IA32_BNDCFGS\" is 1",
        |c, found| {
            if c.all(F::EntryControls, entry::BNDCFGS) {
                must_be_canonical(c, F::Bndcfgs, found);
            }
        },
    ),
    rule(
        "guest.rtit-ctl.reserved",
        &[F::RtitCtl, F::EntryControls],
        "reserved bits of IA32_RTIT_CTL must be 0 if \"load IA32_RTIT_CTL\" is 1",
        |c, found| clear_if(c, entry::RTIT_CTL, F::RtitCtl, RTIT_RESERVED, found),
    ),
    rule(
        "guest.s-cet.reserved",
        &[F::SCet, F::EntryControls],
        "bits 9:6 of IA32_S_CET must be 0 if \"load CET state\" is 1",
        |c, found| clear_if(c, entry::CET, F::SCet, S_CET_RESERVED, found),
    ),
    rule(
        "guest.s-cet.suppress",
        &[F::SCet, F::EntryControls],
        "IA32_S_CET.SUPPRESS must be 0 while TRACKER waits for ENDBRANCH, if \"load CET state\" is 1",
        |c, found| {
            if c.all(F::SCet, S_CET_TRACKING) {
                clear_if(c, entry::CET, F::SCet, 1 << 10, found);
            }
        },
    ),
    rule(
        "guest.lbr-ctl.reserved",
        &[F::LbrCtl, F::EntryControls],
        "reserved bits of IA32_LBR_CTL must be 0 if \"load guest IA32_LBR_CTL\" is 1",
        |c, found| clear_if(c, entry::LBR_CTL, F::LbrCtl, LBR_RESERVED, found),
    ),
    rule(
        "guest.pkrs.high",
        &[F::Pkrs, F::EntryControls],
        "bits 63:32 of IA32_PKRS must be 0 if \"load PKRS\" is 1",
        |c, found| clear_if(c, entry::PKRS, F::Pkrs, above(32), found),
    ),
];
