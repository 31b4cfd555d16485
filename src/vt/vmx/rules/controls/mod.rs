//! Rules about the control fields (SDM 3C "Checks on VMX Controls"), and what they share with the other rules.

pub(super) mod apic;
pub(super) mod entry;
pub(super) mod ept;
pub(super) mod event;
pub(super) mod execution;
pub(super) mod exit;

use super::{Found, VmxRule};
use crate::vt::doctor::{Class, Must};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

const EXECUTION: &str = "SDM 3C \"VM-Execution Control Fields\"";
const EXIT: &str = "SDM 3C \"VM-Exit Control Fields\"";
const ENTRY: &str = "SDM 3C \"VM-Entry Control Fields\"";

/// Pin-based controls.
mod pin {
    pub const EXTERNAL_INTERRUPT_EXITING: u64 = 1;
    pub const NMI_EXITING: u64 = 1 << 3;
    pub const VIRTUAL_NMIS: u64 = 1 << 5;
    pub const PREEMPTION_TIMER: u64 = 1 << 6;
    pub const POSTED_INTERRUPTS: u64 = 1 << 7;
}

/// Primary processor-based controls.
mod primary {
    pub const TERTIARY: u64 = 1 << 17;
    pub const TPR_SHADOW: u64 = 1 << 21;
    pub const NMI_WINDOW_EXITING: u64 = 1 << 22;
    pub const IO_BITMAPS: u64 = 1 << 25;
    pub const MSR_BITMAPS: u64 = 1 << 28;
    pub const SECONDARY: u64 = 1 << 31;
}

/// Secondary processor-based controls.
mod second {
    pub const APIC_ACCESSES: u64 = 1;
    pub const EPT: u64 = 1 << 1;
    pub const X2APIC_MODE: u64 = 1 << 4;
    pub const VPID: u64 = 1 << 5;
    pub const UNRESTRICTED_GUEST: u64 = 1 << 7;
    pub const APIC_REGISTERS: u64 = 1 << 8;
    pub const INTERRUPT_DELIVERY: u64 = 1 << 9;
    pub const VM_FUNCTIONS: u64 = 1 << 13;
    pub const VMCS_SHADOWING: u64 = 1 << 14;
    pub const PML: u64 = 1 << 17;
    pub const VE: u64 = 1 << 18;
    pub const MODE_BASED_EXECUTE: u64 = 1 << 22;
    pub const SUB_PAGE_WRITE: u64 = 1 << 23;
    pub const PT_GUEST_PHYSICAL: u64 = 1 << 24;
    pub const TSC_SCALING: u64 = 1 << 25;
}

/// Tertiary processor-based controls.
mod third {
    pub const IPI_VIRTUALIZATION: u64 = 1 << 4;
}

/// A rule of class [`Class::Control`].
const fn rule(
    section: &'static str,
    id: &'static str,
    fields: &'static [F],
    says: &'static str,
    check: fn(&VmxCase, Found<'_>),
) -> VmxRule {
    VmxRule { id, class: Class::Control, section, fields, says, check }
}

/// The secondary controls that are in force: none unless "activate secondary controls" is 1. Rules that ask for them
/// name [`F::Primary`]; [`F::Secondary`] only where they ask for a change of it because it has a bit set.
pub(super) fn secondary(c: &VmxCase) -> u64 {
    if c.all(F::Primary, primary::SECONDARY) { c.get(F::Secondary) } else { 0 }
}

/// The tertiary controls that are in force: none unless "activate tertiary controls" is 1.
fn tertiary(c: &VmxCase) -> u64 {
    if c.all(F::Primary, primary::TERTIARY) { c.get(F::TertiaryControls) } else { 0 }
}

/// Whether one of these secondary controls is in force.
fn second(c: &VmxCase, bits: u64) -> bool {
    secondary(c) & bits != 0
}

/// Whether a field has one of these bits.
fn has(c: &VmxCase, field: F, bits: u64) -> bool {
    c.get(field) & bits != 0
}

/// Whether the capability MSRs are known. IA32_VMX_BASIC has the size of a VMCS and is 0 on no CPU.
pub(super) const fn knows_caps(c: &VmxCase) -> bool {
    c.cpu.caps.basic != 0
}

/// The bits from this one up.
pub(super) const fn from_bit(bit: u32) -> u64 {
    if bit >= 64 { 0 } else { u64::MAX << bit }
}

/// How many bits an address may have that a control field holds: the physical-address width, or 32 where
/// IA32_VMX_BASIC\[48\] limits it.
pub(super) fn address_width(basic: u64, phys_bits: u32) -> u32 {
    if basic >> 48 & 1 != 0 { phys_bits.min(32) } else { phys_bits }
}

/// The same for this case's CPU.
fn width(c: &VmxCase) -> u32 {
    address_width(c.cpu.caps.basic, c.cpu.phys_bits)
}

/// Asks for the address to be aligned and within the physical-address width.
fn address(c: &VmxCase, field: F, align: u64, found: Found<'_>) {
    let value = c.get(field);
    if value & (align - 1) != 0 {
        found(Must::Aligned(field, align));
    }
    if value & from_bit(width(c)) != 0 {
        found(Must::Physical(field, width(c)));
    }
}

/// Asks for the address of a page, where `needed`.
fn page_if(c: &VmxCase, needed: bool, field: F, found: Found<'_>) {
    if needed {
        address(c, field, 0x1000, found);
    }
}

/// Asks for these bits of a field.
fn set(c: &VmxCase, field: F, bits: u64, found: Found<'_>) {
    let missing = bits & !c.get(field);
    if missing != 0 {
        found(Must::Set(field, missing));
    }
}

/// Asks for these bits of a field to be 0.
pub(super) fn clear(c: &VmxCase, field: F, bits: u64, found: Found<'_>) {
    let extra = bits & c.get(field);
    if extra != 0 {
        found(Must::Clear(field, extra));
    }
}

/// Asks for secondary controls, and for their activation.
fn set_secondary(c: &VmxCase, bits: u64, found: Found<'_>) {
    set(c, F::Primary, primary::SECONDARY, found);
    set(c, F::Secondary, bits, found);
}

/// Asks for what a capability MSR says of a control field: allowed 0-settings in 31:0, allowed 1-settings in 63:32.
fn reserved(c: &VmxCase, field: F, capability: u64, found: Found<'_>) {
    if knows_caps(c) {
        set(c, field, capability & 0xffff_ffff, found);
        clear(c, field, !(capability >> 32), found);
    }
}

/// Asks for the address of an MSR area: 16 bytes aligned, its first byte within the physical-address width.
fn area(c: &VmxCase, count: F, field: F, found: Found<'_>) {
    if c.get(count) != 0 {
        address(c, field, 16, found);
    }
}

/// Asks for the last byte of an MSR area to be within the physical-address width, where its first byte is.
fn area_end(c: &VmxCase, count: F, field: F, found: Found<'_>) {
    let (entries, start) = (c.get(count), c.get(field));
    if entries == 0 || start & from_bit(width(c)) != 0 {
        return;
    }
    let space = 1_u128 << width(c).min(64);
    let bytes = u128::from(entries) * 16;
    if bytes > space {
        found(Must::AtMost(count, (space / 16) as u64));
    } else if u128::from(start) + bytes > space {
        found(Must::AtMost(field, (space - bytes) as u64));
    }
}
