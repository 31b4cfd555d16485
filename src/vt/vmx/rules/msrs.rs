//! Rules about the VM-entry MSR-load area.

use super::host::{is_canonical, is_pat};
use super::{Found, VmxRule};
use crate::vt::doctor::{Class, Must};
use crate::vt::vmx::case::{MsrEntry, VmxCase};
use crate::vt::vmx::state::F;

const SECTION: &str = "SDM 3C \"Loading MSRs\"";

/// MSRs that the rules know (SDM 4 "Architectural MSRs").
mod msr {
    pub const BIOS_UPDT_TRIG: u32 = 0x79;
    pub const BIOS_SIGN_ID: u32 = 0x8b;
    pub const SMM_MONITOR_CTL: u32 = 0x9b;
    pub const SMBASE: u32 = 0x9e;
    pub const MTRRCAP: u32 = 0xfe;
    pub const ARCH_CAPABILITIES: u32 = 0x10a;
    pub const SYSENTER_ESP: u32 = 0x175;
    pub const SYSENTER_EIP: u32 = 0x176;
    pub const MCG_CAP: u32 = 0x179;
    pub const DEBUGCTL: u32 = 0x1d9;
    pub const PAT: u32 = 0x277;
    pub const PERF_CAPABILITIES: u32 = 0x345;
    pub const PERF_GLOBAL_STATUS: u32 = 0x38e;
    pub const PERF_GLOBAL_CTRL: u32 = 0x38f;
    /// IA32_VMX_BASIC and the other VMX capability MSRs.
    pub const VMX_FIRST: u32 = 0x480;
    pub const VMX_LAST: u32 = 0x493;
    pub const DS_AREA: u32 = 0x600;
    pub const EFER: u32 = 0xc000_0080;
    pub const LSTAR: u32 = 0xc000_0082;
    pub const CSTAR: u32 = 0xc000_0083;
    pub const FS_BASE: u32 = 0xc000_0100;
    pub const GS_BASE: u32 = 0xc000_0101;
    pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
    pub const TSC_AUX: u32 = 0xc000_0103;
}

const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// VM-entry controls "IA-32e mode guest" and "load IA32_EFER".
const IA32E_GUEST: u64 = 1 << 9;
const LOAD_EFER: u64 = 1 << 15;
const CR0_PG: u64 = 1 << 31;

const fn rule(id: &'static str, says: &'static str, check: fn(&VmxCase, Found<'_>)) -> VmxRule {
    VmxRule { id, class: Class::MsrLoad, section: SECTION, fields: &[F::EntryMsrLoadCount], says, check }
}

/// Tells each entry of the area that is `wrong`, by its number from 1: as the exit qualification of exit reason 34
/// counts.
fn each(c: &VmxCase, found: Found<'_>, wrong: impl Fn(&MsrEntry) -> bool) {
    let count = usize::try_from(c.get(F::EntryMsrLoadCount)).unwrap_or(usize::MAX);
    for (n, entry) in (1_u32..).zip(c.entry_msrs.iter().take(count)) {
        if wrong(entry) {
            found(Must::Msr(n, entry.index));
        }
    }
}

/// IA32_EFER.LME of the guest, as it is before MSRs are loaded.
fn guest_lme(c: &VmxCase) -> bool {
    if c.all(F::EntryControls, LOAD_EFER) { c.all(F::Efer, EFER_LME) } else { c.all(F::EntryControls, IA32E_GUEST) }
}

const fn is_read_only(index: u32) -> bool {
    matches!(
        index,
        msr::SMBASE
            | msr::MTRRCAP
            | msr::ARCH_CAPABILITIES
            | msr::MCG_CAP
            | msr::PERF_CAPABILITIES
            | msr::PERF_GLOBAL_STATUS
            | msr::VMX_FIRST..=msr::VMX_LAST
    )
}

const fn holds_address(index: u32) -> bool {
    matches!(
        index,
        msr::SYSENTER_ESP | msr::SYSENTER_EIP | msr::DS_AREA | msr::LSTAR | msr::CSTAR | msr::KERNEL_GS_BASE
    )
}

pub const RULES: &[VmxRule] = &[
    rule(
        "msr-load.fs-gs-base",
        "the MSR-load area must not have IA32_FS_BASE or IA32_GS_BASE, which the guest's segments load",
        |c, found| each(c, found, |e| matches!(e.index, msr::FS_BASE | msr::GS_BASE)),
    ),
    rule("msr-load.x2apic", "the MSR-load area must not have an MSR of the local APIC: 0x800 to 0x8ff", |c, found| {
        each(c, found, |e| e.index >> 8 == 8)
    }),
    rule("msr-load.smm", "the MSR-load area must not have IA32_SMM_MONITOR_CTL, which only SMM writes", |c, found| {
        each(c, found, |e| !c.in_smm && e.index == msr::SMM_MONITOR_CTL)
    }),
    rule("msr-load.reserved", "bits 63:32 of an entry of the MSR-load area must be 0", |c, found| {
        each(c, found, |e| e.reserved != 0)
    }),
    rule("msr-load.read-only", "the MSR-load area must not have an MSR that is read-only", |c, found| {
        each(c, found, |e| is_read_only(e.index))
    }),
    rule("msr-load.canonical", "the MSR-load area must not load an address that is not canonical", |c, found| {
        each(c, found, |e| holds_address(e.index) && !is_canonical(e.value, c.cpu.linear_bits))
    }),
    rule("msr-load.efer", "the MSR-load area must not set bits of IA32_EFER that the CPU does not have", |c, found| {
        each(c, found, |e| e.index == msr::EFER && e.value & !(c.cpu.efer | EFER_LME | EFER_LMA) != 0)
    }),
    VmxRule {
        id: "msr-load.efer-lme",
        class: Class::MsrLoad,
        section: SECTION,
        fields: &[F::EntryMsrLoadCount, F::EntryControls, F::Cr0],
        says: "the MSR-load area must not change IA32_EFER.LME where guest CR0.PG is 1",
        check: |c, found| {
            let judged = c.all(F::Cr0, CR0_PG);
            each(c, found, |e| judged && e.index == msr::EFER && (e.value & EFER_LME != 0) != guest_lme(c));
        },
    },
    rule("msr-load.pat", "the MSR-load area must load IA32_PAT with memory types: 0, 1, 4, 5, 6 or 7", |c, found| {
        each(c, found, |e| e.index == msr::PAT && !is_pat(e.value))
    }),
    rule(
        "msr-load.debugctl",
        "the MSR-load area must not set bits of IA32_DEBUGCTL that the CPU does not have",
        |c, found| each(c, found, |e| e.index == msr::DEBUGCTL && e.value & !c.cpu.debugctl != 0),
    ),
    rule(
        "msr-load.perf-global",
        "the MSR-load area must not set bits of IA32_PERF_GLOBAL_CTRL for counters that the CPU does not have",
        |c, found| each(c, found, |e| e.index == msr::PERF_GLOBAL_CTRL && e.value & !c.cpu.perf_global != 0),
    ),
    rule("msr-load.tsc-aux", "the MSR-load area must not set bits 63:32 of IA32_TSC_AUX", |c, found| {
        each(c, found, |e| e.index == msr::TSC_AUX && e.value >> 32 != 0)
    }),
];

/// What a CPU may refuse and another not.
pub const ADVICE: &[VmxRule] = &[VmxRule {
    id: "advice.msr-load.microcode",
    class: Class::Advice,
    section: SECTION,
    fields: &[F::EntryMsrLoadCount],
    says: "a CPU may refuse to load IA32_BIOS_UPDT_TRIG and IA32_BIOS_SIGN_ID from the MSR-load area",
    check: |c, found| each(c, found, |e| matches!(e.index, msr::BIOS_UPDT_TRIG | msr::BIOS_SIGN_ID)),
}];
