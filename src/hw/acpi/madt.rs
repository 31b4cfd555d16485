//! The cores.

use arrayvec::ArrayVec;

use super::{AcpiError, PhysRead, Signature, Table};
use crate::base::Hpa;

/// A core that the MADT names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Core {
    /// The id of its local APIC: 8 bits, or 32 in x2APIC mode.
    pub apic_id: u32,
    /// Whether it can be started.
    pub enabled: bool,
}

/// The cores that can be started.
#[derive(Clone, Debug)]
pub struct Cores<const N: usize> {
    /// Their APIC ids, each once, in the order of the table.
    pub apic_ids: ArrayVec<u32, N>,
    /// How many more there are.
    pub left_out: usize,
    /// Why the table was not read to its end.
    pub error: Option<AcpiError>,
}

/// Multiple APIC Description Table (ACPI, "Multiple APIC Description Table").
pub struct Madt<'m, M> {
    table: Table<'m, M>,
}

impl<'m, M: PhysRead> Madt<'m, M> {
    /// Offset of the first entry.
    const FIRST: u32 = 44;

    pub(super) fn new(table: Table<'m, M>) -> Result<Self, AcpiError> {
        let long_enough = table.length >= Self::FIRST;
        if long_enough { Ok(Self { table }) } else { Err(AcpiError::Length(Signature::MADT, table.length)) }
    }

    /// Where the local APICs' registers are, by the 64-bit override if there is one.
    pub fn lapic_address(&self) -> Result<Hpa, AcpiError> {
        let mut address = u64::from(u32::from_le_bytes(self.table.bytes(36)?));
        for entry in self.entries() {
            if let Entry::LapicAddress(wide) = entry? {
                address = wide;
            }
        }
        Ok(Hpa::new(address))
    }

    /// All cores, enabled or not, in the table's order. After an error comes nothing.
    pub fn cores(&self) -> impl Iterator<Item = Result<Core, AcpiError>> + use<'m, M> {
        self.entries().filter_map(|entry| match entry {
            Ok(Entry::Core(core)) => Some(Ok(core)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// The first `N` enabled cores. Firmware may name a core as local APIC and as local x2APIC: it is listed once.
    pub fn enabled_cores<const N: usize>(&self) -> Cores<N> {
        let mut cores = Cores { apic_ids: ArrayVec::new(), left_out: 0, error: None };
        for core in self.cores() {
            match core {
                Ok(core) if core.enabled && !cores.apic_ids.contains(&core.apic_id) => {
                    if cores.apic_ids.try_push(core.apic_id).is_err() {
                        cores.left_out += 1;
                    }
                }
                Ok(_) => {}
                Err(error) => cores.error = Some(error),
            }
        }
        cores
    }

    fn entries(&self) -> Entries<'m, M> {
        Entries { table: self.table, at: Self::FIRST }
    }
}

enum Entry {
    Core(Core),
    LapicAddress(u64),
    Other,
}

/// Entries of a MADT from an offset on.
struct Entries<'m, M> {
    table: Table<'m, M>,
    at: u32,
}

impl<M: PhysRead> Entries<'_, M> {
    fn entry(&self, kind: u8, length: u32) -> Result<Entry, AcpiError> {
        let (table, at) = (&self.table, self.at);
        let expected = match kind {
            0 => 8,
            5 => 12,
            9 => 16,
            _ => 2,
        };
        if length < expected || length > table.length - at {
            return Err(AcpiError::Entry(Signature::MADT, at));
        }
        Ok(match kind {
            0 => {
                let [_processor, apic_id, flags, ..] = table.bytes::<6>(at + 2)?;
                // 255 addresses all cores, so none has it.
                Entry::Core(Core { apic_id: apic_id.into(), enabled: flags & 1 != 0 && apic_id != 0xff })
            }
            5 => Entry::LapicAddress(u64::from_le_bytes(table.bytes(at + 4)?)),
            9 => {
                let apic_id = u32::from_le_bytes(table.bytes(at + 4)?);
                let [flags] = table.bytes(at + 8)?;
                Entry::Core(Core { apic_id, enabled: flags & 1 != 0 && apic_id != u32::MAX })
            }
            _ => Entry::Other,
        })
    }
}

impl<M: PhysRead> Iterator for Entries<'_, M> {
    type Item = Result<Entry, AcpiError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.table.length {
            return None;
        }
        // One byte can be left: then this is an entry without a length.
        let head = self.table.bytes::<2>(self.at).map_err(|_| AcpiError::Entry(Signature::MADT, self.at));
        let entry = head.and_then(|[kind, length]| Ok((self.entry(kind, length.into())?, length)));
        match entry {
            Ok((entry, length)) => {
                self.at += u32::from(length);
                Some(Ok(entry))
            }
            Err(error) => {
                self.at = self.table.length;
                Some(Err(error))
            }
        }
    }
}
