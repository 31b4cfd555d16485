//! The tables that a guest's firmware would leave in memory: ACPI (ACPI 6, "ACPI Software Programming Model") and, for
//! software without ACPI, the MP table (MultiProcessor Specification 1.4).
//!
//! Both tell of the same machine: a PC with one PCI bus, local APICs, one I/O APIC and no firmware of its own.

mod acpi;
mod aml;
mod madt;
mod mp;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use crate::base::Gpa;

/// Where the image belongs: the ROM of a PC, where both roots are looked for.
pub const AT: Gpa = Gpa::new(BASE);
const BASE: u64 = 0xf_0000;
/// The room there, in bytes.
pub const ROOM: usize = 0x1_0000;
/// The most CPUs: the I/O APIC's ID follows theirs, 15 is the last of a 4-bit ID, and all entries fit.
pub const MOST_CPUS: u32 = 15;

/// Where each local APIC's registers are.
const LOCAL_APIC: u32 = 0xfee0_0000;
/// Where the I/O APIC's registers are.
const IO_APIC: u32 = 0xfec0_0000;
/// The line of the System Control Interrupt: level-triggered, active high.
const SCI: u8 = 9;

/// Tables for one VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Firmware {
    /// What goes to guest-physical memory from [`AT`] on, at most [`ROOM`] bytes.
    pub image: Vec<u8>,
    /// Where the ACPI root pointer (RSDP) is.
    pub rsdp: Gpa,
}

/// The tables of a machine with so many CPUs; at least one and at most [`MOST_CPUS`] are told of. Their local APICs
/// have the IDs from 0 on, the I/O APIC has the next one.
pub fn build(cpus: u32) -> Firmware {
    let cpus = cpus.clamp(1, MOST_CPUS) as u8;
    let mut image = Image::default();
    // The roots come first, where they are found soonest. What they point to is not placed yet: they are put in later.
    let rsdp = image.reserve(acpi::RSDP_BYTES);
    let pointer = image.reserve(mp::POINTER_BYTES);
    let table = image.put(&mp::table(cpus), 16);
    image.replace(pointer, &mp::pointer(table));
    let root = acpi::place(&mut image, cpus);
    image.replace(rsdp, &acpi::rsdp(root));
    Firmware { image: image.bytes, rsdp: Gpa::new(u64::from(rsdp)) }
}

/// The image as it grows.
#[derive(Default)]
struct Image {
    bytes: Vec<u8>,
}

impl Image {
    /// Adds a table at the next multiple of `align`, a power of two in bytes; its guest-physical address.
    fn put(&mut self, table: &[u8], align: usize) -> u32 {
        let start = self.bytes.len().next_multiple_of(align);
        self.bytes.resize(start, 0);
        self.bytes.extend_from_slice(table);
        BASE as u32 + start as u32
    }

    /// Adds zeros at the next paragraph.
    fn reserve(&mut self, bytes: usize) -> u32 {
        let at = self.put(&[], 16);
        self.bytes.resize(self.bytes.len() + bytes, 0);
        at
    }

    /// Puts a table where there was room reserved for it.
    fn replace(&mut self, at: u32, table: &[u8]) {
        let start = at.wrapping_sub(BASE as u32) as usize;
        if let Some(to) = self.bytes.get_mut(start..start.saturating_add(table.len())) {
            to.copy_from_slice(table);
        }
    }
}

/// The byte that makes the sum of all bytes 0, where it stands as 0 in `bytes`.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}
