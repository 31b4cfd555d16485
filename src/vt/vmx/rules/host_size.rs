//! Rules about the host's address-space size: that of the CPU before VM entry and after VM exit.

use super::controls::{clear, from_bit};
use super::host::{canonical, exit, host64, on_exit, rule, set};
use super::{Found, VmxRule};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

const SIZE: &str = "SDM 3C \"Checks Related to Address-Space Size\"";

/// VM-entry control "IA-32e mode guest".
const IA32E_GUEST: u64 = 1 << 9;

const CR4_PAE: u64 = 1 << 5;
const CR4_PCIDE: u64 = 1 << 17;

/// Asks for an address that fits the host's address-space size.
fn fits(c: &VmxCase, field: F, found: Found<'_>) {
    if host64(c) { canonical(c, field, found) } else { clear(c, field, from_bit(32), found) }
}

pub const RULES: &[VmxRule] = &[
    rule(
        SIZE,
        "host.size.outside-ia32e",
        &[F::EntryControls, F::ExitControls],
        "outside IA-32e mode, \"IA-32e mode guest\" and \"host address-space size\" must be 0",
        |c, found| {
            if !c.cpu.ia32e {
                clear(c, F::EntryControls, IA32E_GUEST, found);
                clear(c, F::ExitControls, exit::ADDRESS_SPACE, found);
            }
        },
    ),
    rule(
        SIZE,
        "host.size.in-ia32e",
        &[F::ExitControls],
        "in IA-32e mode, \"host address-space size\" must be 1",
        |c, found| {
            if c.cpu.ia32e {
                set(c, F::ExitControls, exit::ADDRESS_SPACE, found);
            }
        },
    ),
    rule(
        SIZE,
        "host.size.guest",
        &[F::EntryControls, F::ExitControls],
        "\"IA-32e mode guest\" needs \"host address-space size\"",
        |c, found| {
            if c.all(F::EntryControls, IA32E_GUEST) {
                set(c, F::ExitControls, exit::ADDRESS_SPACE, found);
            }
        },
    ),
    rule(
        SIZE,
        "host.size.pcide",
        &[F::ExitControls, F::HostCr4],
        "host CR4.PCIDE must be 0 without \"host address-space size\"",
        |c, found| {
            if !host64(c) {
                clear(c, F::HostCr4, CR4_PCIDE, found);
            }
        },
    ),
    rule(
        SIZE,
        "host.size.pae",
        &[F::ExitControls, F::HostCr4],
        "\"host address-space size\" needs host CR4.PAE",
        |c, found| {
            if host64(c) {
                set(c, F::HostCr4, CR4_PAE, found);
            }
        },
    ),
    rule(
        SIZE,
        "host.size.rip",
        &[F::ExitControls, F::HostRip],
        "host RIP must be canonical, or have bits 63:32 clear without \"host address-space size\"",
        |c, found| fits(c, F::HostRip, found),
    ),
    rule(
        SIZE,
        "host.size.s-cet",
        &[F::ExitControls, F::HostSCet],
        "with \"load CET state\" on exit, host IA32_S_CET must be canonical, or have bits 63:32 clear without \"host \
         address-space size\"",
        |c, found| {
            if on_exit(c, exit::LOAD_CET) {
                fits(c, F::HostSCet, found);
            }
        },
    ),
    rule(
        SIZE,
        "host.size.ssp",
        &[F::ExitControls, F::HostSsp],
        "with \"load CET state\" on exit, host SSP must be canonical, or have bits 63:32 clear without \"host \
         address-space size\"",
        |c, found| {
            if on_exit(c, exit::LOAD_CET) {
                fits(c, F::HostSsp, found);
            }
        },
    ),
];
