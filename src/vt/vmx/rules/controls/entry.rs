//! Rules about the VM-entry controls, but for event injection.

use super::{ENTRY, area, area_end, clear, reserved, rule};
use crate::vt::vmx::rules::VmxRule;
use crate::vt::vmx::state::F;

/// "Entry to SMM".
const TO_SMM: u64 = 1 << 10;
/// "Deactivate dual-monitor treatment".
const DEACTIVATE_DUAL_MONITOR: u64 = 1 << 11;

const LOAD: &[F] = &[F::EntryMsrLoadCount, F::EntryMsrLoadAddress];

pub const RULES: &[VmxRule] = &[
    rule(
        ENTRY,
        "control.entry.reserved",
        &[F::EntryControls],
        "reserved bits of the VM-entry controls must be as IA32_VMX_(TRUE_)ENTRY_CTLS has them",
        |c, found| reserved(c, F::EntryControls, c.cpu.caps.entry, found),
    ),
    rule(
        ENTRY,
        "control.entry.msr-load.address",
        LOAD,
        "the VM-entry MSR-load area must begin at a physical address, aligned to 16 bytes",
        |c, found| area(c, F::EntryMsrLoadCount, F::EntryMsrLoadAddress, found),
    ),
    rule(
        ENTRY,
        "control.entry.msr-load.end",
        LOAD,
        "the VM-entry MSR-load area must end within the physical-address width",
        |c, found| area_end(c, F::EntryMsrLoadCount, F::EntryMsrLoadAddress, found),
    ),
    rule(
        ENTRY,
        "control.entry.smm",
        &[F::EntryControls],
        "outside SMM, \"entry to SMM\" and \"deactivate dual-monitor treatment\" must be 0",
        |c, found| {
            if !c.in_smm {
                clear(c, F::EntryControls, TO_SMM | DEACTIVATE_DUAL_MONITOR, found);
            }
        },
    ),
    rule(
        ENTRY,
        "control.entry.smm-both",
        &[F::EntryControls],
        "\"entry to SMM\" and \"deactivate dual-monitor treatment\" must not both be 1",
        |c, found| {
            if c.in_smm && c.all(F::EntryControls, TO_SMM | DEACTIVATE_DUAL_MONITOR) {
                clear(c, F::EntryControls, DEACTIVATE_DUAL_MONITOR, found);
            }
        },
    ),
];
