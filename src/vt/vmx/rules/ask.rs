//! What rules about the guest ask of a VMCS over and over.

use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

/// VM-entry controls by bit.
pub(super) mod entry {
    pub const DEBUG_CONTROLS: u64 = 1 << 2;
    pub const IA32E_GUEST: u64 = 1 << 9;
    pub const TO_SMM: u64 = 1 << 10;
    pub const PERF_GLOBAL_CTRL: u64 = 1 << 13;
    pub const PAT: u64 = 1 << 14;
    pub const EFER: u64 = 1 << 15;
    pub const BNDCFGS: u64 = 1 << 16;
    pub const RTIT_CTL: u64 = 1 << 18;
    pub const CET: u64 = 1 << 20;
    pub const LBR_CTL: u64 = 1 << 21;
    pub const PKRS: u64 = 1 << 22;
}

pub(super) mod cr0 {
    pub const PE: u64 = 1;
    pub const WP: u64 = 1 << 16;
    pub const NW: u64 = 1 << 29;
    pub const CD: u64 = 1 << 30;
    pub const PG: u64 = 1 << 31;
}

pub(super) mod cr4 {
    pub const PAE: u64 = 1 << 5;
    pub const PCIDE: u64 = 1 << 17;
    pub const CET: u64 = 1 << 23;
    pub const LAM_SUP: u64 = 1 << 28;
    pub const FRED: u64 = 1 << 32;
}

pub(super) mod rflags {
    pub const FIXED: u64 = 1 << 1;
    pub const TF: u64 = 1 << 8;
    pub const IF: u64 = 1 << 9;
    pub const VM: u64 = 1 << 17;
}

/// Secondary controls that the rules about the guest know.
pub(super) const EPT: u64 = 1 << 1;
pub(super) const UNRESTRICTED: u64 = 1 << 7;
pub(super) const SHADOWING: u64 = 1 << 14;

/// Whether a secondary control is 1, and in force: "activate secondary controls" is 1 too.
///
/// Rules that ask this name [`F::Primary`] and not [`F::Secondary`]: a CPU without the field has all of these controls
/// at 0, and the rules hold there too.
pub(super) fn secondary(c: &VmxCase, control: u64) -> bool {
    c.all(F::Primary, 1 << 31) && c.all(F::Secondary, control)
}

/// Whether "IA-32e mode guest" is 1.
pub(super) fn ia32e(c: &VmxCase) -> bool {
    c.all(F::EntryControls, entry::IA32E_GUEST)
}

/// Whether the guest will be in 64-bit mode.
pub(super) fn long_mode(c: &VmxCase) -> bool {
    ia32e(c) && c.all(F::CsRights, 1 << 13)
}

/// Whether the guest will be in virtual-8086 mode.
pub(super) fn virtual8086(c: &VmxCase) -> bool {
    c.all(F::Rflags, rflags::VM)
}

/// Whether the guest uses the host's IDT: the hypervisor was started under an operating system that runs on as its
/// guest. That guest has the machine, and its interrupts, ports and memory are its own.
pub(super) fn is_host_os(c: &VmxCase) -> bool {
    let idt = c.get(F::IdtrBase);
    idt != 0 && idt == c.get(F::HostIdtrBase)
}

/// The privilege level in access rights.
pub(super) const fn dpl(rights: u64) -> u64 {
    rights >> 5 & 3
}

/// The event that the entry injects: its type and vector.
pub(super) fn injected(c: &VmxCase) -> Option<(u64, u64)> {
    let info = c.get(F::EntryInfo);
    (info >> 31 & 1 != 0).then_some((info >> 8 & 7, info & 0xff))
}

/// Types of an event.
pub(super) mod event {
    pub const EXTERNAL: u64 = 0;
    pub const NMI: u64 = 2;
    pub const HARDWARE: u64 = 3;
    pub const OTHER: u64 = 7;
}

/// Whether the bits from `width` - 1 up are all the same.
pub(super) const fn canonical(value: u64, width: u32) -> bool {
    if width == 0 || width >= 64 {
        return true;
    }
    let upper = value as i64 >> (width - 1);
    upper == 0 || upper == -1
}

/// The bits from `width` up.
pub(super) const fn above(width: u32) -> u64 {
    if width >= 64 { 0 } else { u64::MAX << width }
}
