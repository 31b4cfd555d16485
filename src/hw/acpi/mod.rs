//! The few ACPI tables that say which cores there are, where the PM timer is, and how to reset the machine.
//!
//! Why an own reader: the `acpi` crate, 6.1 as well as 7.0.0-pre1, never leaves a MADT entry of length 0, reads past the
//! end of a table whose last entry is cut off, refers to table structures in place however short the table is, and
//! needs an unstable feature for its heap-using parts. Here every byte is fetched by a checked read, so that a
//! firmware's mistake is an error and not a hang.

mod fadt;
mod madt;
#[cfg(test)]
mod tests;

use core::fmt;

use crate::base::Hpa;

pub use fadt::{Fadt, PmTimer};
pub use madt::{Core, Cores, Madt};

/// Memory that holds ACPI tables.
pub trait PhysRead {
    /// Copies `buffer.len()` bytes from `from` on. Whether all of them could be read.
    fn read(&self, from: Hpa, buffer: &mut [u8]) -> bool;
}

/// The four letters that a table begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 4]);

impl Signature {
    const RSDT: Self = Self(*b"RSDT");
    const XSDT: Self = Self(*b"XSDT");
    const MADT: Self = Self(*b"APIC");
    const FADT: Self = Self(*b"FACP");
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| byte.escape_ascii().try_for_each(|b| write!(f, "{}", b as char)))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with this machine's tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AcpiError {
    /// The RSDP is too short, lacks its signature, or its sum is wrong.
    Rsdp,
    /// Nothing readable is at this address.
    Unreadable(Hpa),
    /// Another table is where this one should be.
    NotA(Signature),
    /// The table's length can't be right.
    Length(Signature, u32),
    /// The sum of the table's bytes is not 0.
    Checksum(Signature),
    /// There is no such table.
    Missing(Signature),
    /// The entry at this offset of the table is shorter than its kind, or longer than the table.
    Entry(Signature, u32),
}

impl fmt::Display for AcpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsdp => f.write_str("the ACPI root pointer is invalid"),
            Self::Unreadable(at) => write!(f, "the ACPI table at {at} can't be read"),
            Self::NotA(table) => write!(f, "the ACPI table {table} is not where it should be"),
            Self::Length(table, length) => write!(f, "the ACPI table {table} has the impossible length {length}"),
            Self::Checksum(table) => write!(f, "the ACPI table {table} has a wrong checksum"),
            Self::Missing(table) => write!(f, "there is no ACPI table {table}"),
            Self::Entry(table, at) => write!(f, "the ACPI table {table} has an impossible entry at offset {at:#x}"),
        }
    }
}

/// Bytes of the header that all tables have (ACPI, "System Description Table Header").
const HEADER: u32 = 36;
/// No table is longer. (A MADT with 4096 cores has 64 KiB.)
const LONGEST: u32 = 1 << 20;

/// A table whose header and sum are right.
struct Table<'m, M> {
    memory: &'m M,
    at: Hpa,
    signature: Signature,
    length: u32,
}

impl<M> Clone for Table<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for Table<'_, M> {}

impl<'m, M: PhysRead> Table<'m, M> {
    fn open(memory: &'m M, at: Hpa, signature: Signature) -> Result<Self, AcpiError> {
        let mut head = [0; 8];
        if !memory.read(at, &mut head) {
            return Err(AcpiError::Unreadable(at));
        }
        let [a, b, c, d, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        if Signature([a, b, c, d]) != signature {
            return Err(AcpiError::NotA(signature));
        }
        if !(HEADER..=LONGEST).contains(&length) || at.checked_add(length.into()).is_none() {
            return Err(AcpiError::Length(signature, length));
        }
        let table = Self { memory, at, signature, length };
        let (mut sum, mut buffer, mut offset) = (0u8, [0; 64], 0);
        while offset < length {
            let part = (length - offset).min(64);
            let bytes = &mut buffer[..part as usize];
            table.read(offset, bytes)?;
            sum = bytes.iter().fold(sum, |sum, &byte| sum.wrapping_add(byte));
            offset += part;
        }
        if sum == 0 { Ok(table) } else { Err(AcpiError::Checksum(signature)) }
    }

    /// Copies bytes from `offset` on. All within the table, or it is an error.
    fn read(&self, offset: u32, buffer: &mut [u8]) -> Result<(), AcpiError> {
        let fits = offset.checked_add(buffer.len() as u32).is_some_and(|end| end <= self.length);
        let at = self.at.checked_add(offset.into()).filter(|_| fits);
        let at = at.ok_or(AcpiError::Length(self.signature, self.length))?;
        if self.memory.read(at, buffer) { Ok(()) } else { Err(AcpiError::Unreadable(at)) }
    }

    fn bytes<const N: usize>(&self, offset: u32) -> Result<[u8; N], AcpiError> {
        let mut bytes = [0; N];
        self.read(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// A 32-bit field, or `None` where the table (of an older revision) ends before it.
    fn word(&self, offset: u32) -> Option<u32> {
        self.bytes(offset).ok().map(u32::from_le_bytes)
    }
}

/// This machine's tables.
pub struct Acpi<'m, M> {
    root: Table<'m, M>,
    /// Bytes of an address in the root table.
    entry: u32,
}

impl<'m, M: PhysRead> Acpi<'m, M> {
    /// Finds the root table from the RSDP's bytes, as the boot loader copied them (ACPI, "Root System Description
    /// Pointer"). The XSDT, or else the RSDT.
    pub fn open(memory: &'m M, rsdp: &[u8]) -> Result<Self, AcpiError> {
        let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte));
        let first = rsdp.first_chunk::<20>().ok_or(AcpiError::Rsdp)?;
        if !first.starts_with(b"RSD PTR ") || sum(first) != 0 {
            return Err(AcpiError::Rsdp);
        }
        let [.., revision, a, b, c, d] = *first;
        let rsdt = u32::from_le_bytes([a, b, c, d]);
        let extended = rsdp.first_chunk::<36>().filter(|all| revision >= 2 && sum(&all[..]) == 0);
        if let Some(xsdt) = extended.and_then(|all| all[24..].first_chunk()) {
            match Table::open(memory, Hpa::new(u64::from_le_bytes(*xsdt)), Signature::XSDT) {
                Ok(root) => return Ok(Self { root, entry: 8 }),
                // The old root table may still be right.
                Err(error) if rsdt == 0 => return Err(error),
                Err(_) => {}
            }
        }
        if rsdt == 0 {
            return Err(AcpiError::Rsdp);
        }
        let root = Table::open(memory, Hpa::new(rsdt.into()), Signature::RSDT)?;
        Ok(Self { root, entry: 4 })
    }

    /// The first table with this signature. Addresses in the root table that lead nowhere are passed over.
    fn table(&self, signature: Signature) -> Result<Table<'m, M>, AcpiError> {
        let mut offset = HEADER;
        while offset + self.entry <= self.root.length {
            let mut address = [0; 8];
            self.root.read(offset, &mut address[..self.entry as usize])?;
            offset += self.entry;
            match Table::open(self.root.memory, Hpa::new(u64::from_le_bytes(address)), signature) {
                Err(AcpiError::NotA(_) | AcpiError::Unreadable(_)) => {}
                found => return found,
            }
        }
        Err(AcpiError::Missing(signature))
    }

    /// The table of cores and interrupt controllers.
    pub fn madt(&self) -> Result<Madt<'m, M>, AcpiError> {
        Madt::new(self.table(Signature::MADT)?)
    }

    /// The table of fixed hardware.
    pub fn fadt(&self) -> Result<Fadt, AcpiError> {
        Fadt::read(&self.table(Signature::FADT)?)
    }
}
