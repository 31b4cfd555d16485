//! The rules of VM entry, as the manual has them (SDM 3C "VM Entries").

mod advice;
mod advice_guest;
mod ask;
mod controls;
#[cfg(test)]
pub(crate) mod fixture;
mod guest;
#[cfg(test)]
mod guest_cases;
mod guest_other;
mod guest_registers;
#[cfg(test)]
mod guest_tests;
mod host;
mod host_size;
pub mod launch;
mod msrs;
mod segment;
mod segments;
mod system_segments;
#[cfg(test)]
mod tests_controls;

use super::case::VmxCase;
use super::state::F;
use crate::vt::doctor::{Must, Rule};

/// A rule of VM entry.
pub type VmxRule = Rule<F, VmxCase>;
/// Where a rule says what must change.
type Found<'a> = &'a mut dyn FnMut(Must<F>);

/// All rules, in the order in which a CPU judges their classes.
pub const ALL: &[&[VmxRule]] = &[
    launch::RULES,
    controls::execution::RULES,
    controls::apic::RULES,
    controls::ept::RULES,
    controls::exit::RULES,
    controls::entry::RULES,
    controls::event::RULES,
    host::RULES,
    host_size::RULES,
    guest_registers::RULES,
    segments::RULES,
    system_segments::RULES,
    guest::RULES,
    guest_other::RULES,
    msrs::RULES,
    advice::RULES,
    advice_guest::RULES,
    msrs::ADVICE,
];
