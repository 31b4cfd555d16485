//! Rules about the host's registers and segments in the host-state area.

use super::controls::{clear, from_bit, knows_caps};
use super::{Found, VmxRule};
use crate::vt::doctor::{Class, Must};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

const REGISTERS: &str = "SDM 3C \"Checks on Host Control Registers, MSRs, and SSP\"";
const SEGMENTS: &str = "SDM 3C \"Checks on Host Segment and Descriptor-Table Registers\"";

/// VM-exit controls.
pub(super) mod exit {
    pub const ADDRESS_SPACE: u64 = 1 << 9;
    pub const LOAD_PERF_GLOBAL: u64 = 1 << 12;
    pub const LOAD_PAT: u64 = 1 << 19;
    pub const LOAD_EFER: u64 = 1 << 21;
    pub const LOAD_CET: u64 = 1 << 28;
    pub const LOAD_PKRS: u64 = 1 << 29;
}

/// CR0.NW and CR0.CD, which a VM exit does not change.
const CACHE: u64 = 1 << 29 | 1 << 30;
const CR0_WP: u64 = 1 << 16;
const CR4_CET: u64 = 1 << 23;
const CR4_LAM: u32 = 28;
/// CR3.LAM_U57 and CR3.LAM_U48.
const CR3_LAM: u64 = 1 << 61 | 1 << 62;
/// EFER.LME and EFER.LMA.
const LONG_MODE: u64 = 1 << 8 | 1 << 10;
/// IA32_S_CET: reserved bits; the suppression and the tracker.
const S_CET_RESERVED: u64 = 0xf << 6;
const S_CET_STATE: u64 = 1 << 10 | 1 << 11;

pub(super) const fn rule(
    section: &'static str,
    id: &'static str,
    fields: &'static [F],
    says: &'static str,
    check: fn(&VmxCase, Found<'_>),
) -> VmxRule {
    VmxRule { id, class: Class::Host, section, fields, says, check }
}

/// Whether a VM-exit control is 1.
pub(super) fn on_exit(c: &VmxCase, control: u64) -> bool {
    c.all(F::ExitControls, control)
}

/// Whether the host is in 64-bit mode after a VM exit.
pub(super) fn host64(c: &VmxCase) -> bool {
    on_exit(c, exit::ADDRESS_SPACE)
}

/// Whether all bits from the last linear-address bit up are the same.
pub(super) fn is_canonical(address: u64, width: u32) -> bool {
    let high = from_bit(width.saturating_sub(1));
    address & high == 0 || address & high == high
}

/// Whether each byte is a memory type: 0 (UC), 1 (WC), 4 (WT), 5 (WP), 6 (WB) or 7 (UC-).
pub(super) fn is_pat(value: u64) -> bool {
    value.to_le_bytes().iter().all(|t| matches!(t, 0 | 1 | 4..=7))
}

pub(super) fn canonical(c: &VmxCase, field: F, found: Found<'_>) {
    if !is_canonical(c.get(field), c.cpu.linear_bits) {
        found(Must::Canonical(field, c.cpu.linear_bits));
    }
}

pub(super) fn set(c: &VmxCase, field: F, bits: u64, found: Found<'_>) {
    let missing = bits & !c.get(field);
    if missing != 0 {
        found(Must::Set(field, missing));
    }
}

/// Asks for a register to have the bits that VMX operation fixes.
fn fixed(c: &VmxCase, field: F, ones: u64, allowed: u64, found: Found<'_>) {
    if knows_caps(c) {
        set(c, field, ones, found);
        clear(c, field, !allowed, found);
    }
}

fn not_null(c: &VmxCase, field: F, found: Found<'_>) {
    if c.get(field) == 0 {
        found(Must::Change(field));
    }
}

const SELECTORS: &[F] = &[
    F::HostEsSelector,
    F::HostCsSelector,
    F::HostSsSelector,
    F::HostDsSelector,
    F::HostFsSelector,
    F::HostGsSelector,
    F::HostTrSelector,
];

pub const RULES: &[VmxRule] = &[
    rule(
        REGISTERS,
        "host.cr0.fixed",
        &[F::HostCr0],
        "host CR0 must have the bits that VMX operation fixes",
        |c, found| {
            fixed(c, F::HostCr0, c.cpu.caps.cr0_fixed0 & !CACHE, c.cpu.caps.cr0_fixed1 | CACHE, found);
        },
    ),
    rule(
        REGISTERS,
        "host.cr4.fixed",
        &[F::HostCr4],
        "host CR4 must have the bits that VMX operation fixes",
        |c, found| {
            fixed(c, F::HostCr4, c.cpu.caps.cr4_fixed0, c.cpu.caps.cr4_fixed1, found);
        },
    ),
    rule(REGISTERS, "host.cr4.cet-needs-wp", &[F::HostCr0, F::HostCr4], "host CR4.CET needs CR0.WP", |c, found| {
        if c.all(F::HostCr4, CR4_CET) {
            set(c, F::HostCr0, CR0_WP, found);
        }
    }),
    rule(
        REGISTERS,
        "host.cr3.physical",
        &[F::HostCr3],
        "host CR3 must have no bit from the physical-address width up",
        |c, found| {
            let lam = if c.cpu.caps.cr4_fixed1 >> CR4_LAM & 1 != 0 { CR3_LAM } else { 0 };
            if c.get(F::HostCr3) & from_bit(c.cpu.phys_bits) & !lam != 0 {
                found(Must::Physical(F::HostCr3, c.cpu.phys_bits));
            }
        },
    ),
    rule(
        REGISTERS,
        "host.sysenter-esp.canonical",
        &[F::HostSysenterEsp],
        "host IA32_SYSENTER_ESP must be canonical",
        |c, found| canonical(c, F::HostSysenterEsp, found),
    ),
    rule(
        REGISTERS,
        "host.sysenter-eip.canonical",
        &[F::HostSysenterEip],
        "host IA32_SYSENTER_EIP must be canonical",
        |c, found| canonical(c, F::HostSysenterEip, found),
    ),
    rule(
        REGISTERS,
        "host.perf-global.reserved",
        &[F::ExitControls, F::HostPerfGlobalCtrl],
        "with \"load IA32_PERF_GLOBAL_CTRL\" on exit, its bits for counters that the CPU does not have must be 0",
        |c, found| {
            if on_exit(c, exit::LOAD_PERF_GLOBAL) {
                clear(c, F::HostPerfGlobalCtrl, !c.cpu.perf_global, found);
            }
        },
    ),
    rule(
        REGISTERS,
        "host.pat.types",
        &[F::ExitControls, F::HostPat],
        "with \"load IA32_PAT\" on exit, each byte of host IA32_PAT must be a memory type: 0, 1, 4, 5, 6 or 7",
        |c, found| {
            if on_exit(c, exit::LOAD_PAT) && !is_pat(c.get(F::HostPat)) {
                found(Must::Change(F::HostPat));
            }
        },
    ),
    rule(
        REGISTERS,
        "host.efer.reserved",
        &[F::ExitControls, F::HostEfer],
        "with \"load IA32_EFER\" on exit, bits of host IA32_EFER that the CPU does not have must be 0",
        |c, found| {
            if on_exit(c, exit::LOAD_EFER) {
                clear(c, F::HostEfer, !(c.cpu.efer | LONG_MODE), found);
            }
        },
    ),
    rule(
        REGISTERS,
        "host.efer.mode",
        &[F::ExitControls, F::HostEfer],
        "with \"load IA32_EFER\" on exit, LMA and LME of host IA32_EFER must each be as \"host address-space size\"",
        |c, found| match (on_exit(c, exit::LOAD_EFER), host64(c)) {
            (true, true) => set(c, F::HostEfer, LONG_MODE, found),
            (true, false) => clear(c, F::HostEfer, LONG_MODE, found),
            _ => {}
        },
    ),
    rule(
        REGISTERS,
        "host.s-cet.reserved",
        &[F::ExitControls, F::HostSCet],
        "with \"load CET state\" on exit, bits 9:6 of host IA32_S_CET must be 0",
        |c, found| {
            if on_exit(c, exit::LOAD_CET) {
                clear(c, F::HostSCet, S_CET_RESERVED, found);
            }
        },
    ),
    rule(
        REGISTERS,
        "host.s-cet.state",
        &[F::ExitControls, F::HostSCet],
        "with \"load CET state\" on exit, SUPPRESS and TRACKER of host IA32_S_CET must not both be 1",
        |c, found| {
            if on_exit(c, exit::LOAD_CET) && c.all(F::HostSCet, S_CET_STATE) {
                found(Must::Change(F::HostSCet));
            }
        },
    ),
    rule(
        REGISTERS,
        "host.ssp.aligned",
        &[F::ExitControls, F::HostSsp],
        "with \"load CET state\" on exit, bits 1:0 of host SSP must be 0",
        |c, found| {
            if on_exit(c, exit::LOAD_CET) {
                clear(c, F::HostSsp, 3, found);
            }
        },
    ),
    rule(
        REGISTERS,
        "host.ssp-table.canonical",
        &[F::ExitControls, F::HostSspTable],
        "with \"load CET state\" on exit, host IA32_INTERRUPT_SSP_TABLE_ADDR must be canonical",
        |c, found| {
            if on_exit(c, exit::LOAD_CET) {
                canonical(c, F::HostSspTable, found);
            }
        },
    ),
    rule(
        REGISTERS,
        "host.pkrs.high",
        &[F::ExitControls, F::HostPkrs],
        "with \"load PKRS\" on exit, bits 63:32 of host IA32_PKRS must be 0",
        |c, found| {
            if on_exit(c, exit::LOAD_PKRS) {
                clear(c, F::HostPkrs, from_bit(32), found);
            }
        },
    ),
    rule(SEGMENTS, "host.selectors.rpl-ti", SELECTORS, "host selectors must have RPL 0 and TI 0", |c, found| {
        SELECTORS.iter().for_each(|field| clear(c, *field, 7, found));
    }),
    rule(SEGMENTS, "host.cs.null", &[F::HostCsSelector], "the host CS selector must not be 0", |c, found| {
        not_null(c, F::HostCsSelector, found);
    }),
    rule(SEGMENTS, "host.tr.null", &[F::HostTrSelector], "the host TR selector must not be 0", |c, found| {
        not_null(c, F::HostTrSelector, found);
    }),
    rule(
        SEGMENTS,
        "host.ss.null",
        &[F::ExitControls, F::HostSsSelector],
        "the host SS selector must not be 0 without \"host address-space size\"",
        |c, found| {
            if !host64(c) {
                not_null(c, F::HostSsSelector, found);
            }
        },
    ),
    rule(SEGMENTS, "host.fs-base.canonical", &[F::HostFsBase], "the host FS base must be canonical", |c, found| {
        canonical(c, F::HostFsBase, found);
    }),
    rule(SEGMENTS, "host.gs-base.canonical", &[F::HostGsBase], "the host GS base must be canonical", |c, found| {
        canonical(c, F::HostGsBase, found);
    }),
    rule(
        SEGMENTS,
        "host.gdtr-base.canonical",
        &[F::HostGdtrBase],
        "the host GDTR base must be canonical",
        |c, found| {
            canonical(c, F::HostGdtrBase, found);
        },
    ),
    rule(
        SEGMENTS,
        "host.idtr-base.canonical",
        &[F::HostIdtrBase],
        "the host IDTR base must be canonical",
        |c, found| {
            canonical(c, F::HostIdtrBase, found);
        },
    ),
    rule(SEGMENTS, "host.tr-base.canonical", &[F::HostTrBase], "the host TR base must be canonical", |c, found| {
        canonical(c, F::HostTrBase, found);
    }),
];
