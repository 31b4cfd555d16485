//! Loaders of guests: what a VM is made of, and its RAM and first CPU as the guest's boot protocol wants them.
//!
//! Everything here reads bytes that somebody else wrote. A mistake in them is a [`LoadError`], never a panic, and
//! nothing is written but to RAM that the guest's memory map calls usable, each byte at most once. A VM is made at
//! boot, so memory may be allocated.

pub mod description;
mod entry;
mod error;
mod flat;
mod fuzz;
mod linux;
mod memory_map;
mod multiboot;
mod room;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use crate::base::{CpuState, Gpa, GprFile};

pub use description::{GuestKind, Module, Protocol, VmSpec, group};
pub use error::{LoadError, Part};
pub use flat::load as load_flat;
pub use fuzz::fuzz;
pub use linux::load as load_linux;
pub use memory_map::{E820, E820Kind, MAX_MEMORY, MIN_MEMORY, MemoryMap};
pub use multiboot::load as load_multiboot;

/// The RAM of a VM that is being made. It reads as zero where nothing was written.
pub trait Memory {
    /// Copies `bytes` to `at`. All of them are RAM, or nothing is written.
    fn write(&mut self, at: Gpa, bytes: &[u8]) -> Result<(), OutsideRam>;
}

/// Bytes were to be written where the VM has no RAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutsideRam {
    /// Where.
    pub at: Gpa,
}

/// What a loader needs to know of the VM, besides images.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'a> {
    /// Its memory.
    pub map: &'a MemoryMap,
    /// Where the ACPI root pointer (RSDP) is, or will be; 0: nowhere.
    pub rsdp: Gpa,
    /// The guest's own command line.
    pub command_line: &'a str,
}

/// The first CPU at the guest's first instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// All but the general-purpose registers.
    pub state: CpuState,
    /// The general-purpose registers; [`CpuState::rip`] is in the state.
    pub gprs: GprFile,
}

/// Loads what `spec` describes, by the loader of its kind.
pub fn load(spec: &VmSpec<'_>, memory: &mut dyn Memory, map: &MemoryMap, rsdp: Gpa) -> Result<Entry, LoadError> {
    let boot = Boot { map, rsdp, command_line: spec.command_line };
    match &spec.guest {
        GuestKind::Linux { kernel, initrd, protocol } => linux::load(memory, &boot, kernel, *initrd, *protocol),
        GuestKind::Multiboot { image, modules } => multiboot::load(memory, &boot, image, modules),
        GuestKind::Flat { image, at, entry } => flat::load(memory, map, image, *at, *entry),
    }
}

/// The little-endian number at `offset` of `bytes`, if it is there.
fn number<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// The 16-bit number at `offset`.
fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    number(bytes, offset).map(u16::from_le_bytes)
}

/// The 32-bit number at `offset`.
fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    number(bytes, offset).map(u32::from_le_bytes)
}

/// The 64-bit number at `offset`.
fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    number(bytes, offset).map(u64::from_le_bytes)
}

/// Puts `bytes` at `offset` of a table that is being built; nothing happens past its end.
fn put(table: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(place) = table.get_mut(offset..).and_then(|rest| rest.get_mut(..bytes.len())) {
        place.copy_from_slice(bytes);
    }
}

/// A command line with the zero that ends it.
fn c_string(line: &str) -> Result<Vec<u8>, LoadError> {
    if let Some(index) = line.bytes().position(|byte| byte == 0) {
        return Err(LoadError::NulInCommandLine { index: index as u64 });
    }
    let mut bytes = Vec::from(line);
    bytes.push(0);
    Ok(bytes)
}
