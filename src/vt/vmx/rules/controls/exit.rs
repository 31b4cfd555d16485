//! Rules about the VM-exit controls.

use super::{EXIT, area, area_end, has, pin, reserved, rule, set};
use crate::vt::vmx::rules::VmxRule;
use crate::vt::vmx::state::F;

/// "Save VMX-preemption timer value".
const SAVE_PREEMPTION_TIMER: u64 = 1 << 22;

const STORE: &[F] = &[F::ExitMsrStoreCount, F::ExitMsrStoreAddress];
const LOAD: &[F] = &[F::ExitMsrLoadCount, F::ExitMsrLoadAddress];

pub const RULES: &[VmxRule] = &[
    rule(
        EXIT,
        "control.exit.reserved",
        &[F::ExitControls],
        "reserved bits of the VM-exit controls must be as IA32_VMX_(TRUE_)EXIT_CTLS has them",
        |c, found| reserved(c, F::ExitControls, c.cpu.caps.exit, found),
    ),
    rule(
        EXIT,
        "control.exit.preemption-timer",
        &[F::PinBased, F::ExitControls],
        "\"save VMX-preemption timer value\" needs \"activate VMX-preemption timer\"",
        |c, found| {
            if has(c, F::ExitControls, SAVE_PREEMPTION_TIMER) {
                set(c, F::PinBased, pin::PREEMPTION_TIMER, found);
            }
        },
    ),
    rule(
        EXIT,
        "control.exit.msr-store.address",
        STORE,
        "the VM-exit MSR-store area must begin at a physical address, aligned to 16 bytes",
        |c, found| area(c, F::ExitMsrStoreCount, F::ExitMsrStoreAddress, found),
    ),
    rule(
        EXIT,
        "control.exit.msr-store.end",
        STORE,
        "the VM-exit MSR-store area must end within the physical-address width",
        |c, found| area_end(c, F::ExitMsrStoreCount, F::ExitMsrStoreAddress, found),
    ),
    rule(
        EXIT,
        "control.exit.msr-load.address",
        LOAD,
        "the VM-exit MSR-load area must begin at a physical address, aligned to 16 bytes",
        |c, found| area(c, F::ExitMsrLoadCount, F::ExitMsrLoadAddress, found),
    ),
    rule(
        EXIT,
        "control.exit.msr-load.end",
        LOAD,
        "the VM-exit MSR-load area must end within the physical-address width",
        |c, found| area_end(c, F::ExitMsrLoadCount, F::ExitMsrLoadAddress, found),
    ),
];
