//! Fixed hardware.

use super::{AcpiError, PhysRead, Table};
use crate::hw::end::Reset;

/// The ACPI power management timer: 3,579,545 Hz, by I/O port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PmTimer {
    /// A 32-bit port.
    pub port: u16,
    /// Whether it counts in 32 bits; else in 24.
    pub wide: bool,
}

/// What this kernel takes from the Fixed ACPI Description Table (ACPI, "Fixed ACPI Description Table").
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Fadt {
    /// The PM timer.
    pub pm_timer: Option<PmTimer>,
    /// How to reset the machine.
    pub reset: Option<Reset>,
    /// Port of the PM1a control block, which puts the machine to sleep.
    pub pm1a_control: Option<u16>,
    /// Port of the PM1b control block, where there are two.
    pub pm1b_control: Option<u16>,
}

impl Fadt {
    const TIMER_IS_WIDE: u32 = 1 << 8;
    const RESET_IS_SUPPORTED: u32 = 1 << 10;

    pub(super) fn read<M: PhysRead>(table: &Table<'_, M>) -> Result<Self, AcpiError> {
        // The oldest revision has 116 bytes; all that is read by `word` and `generic` may be missing.
        let flags = u32::from_le_bytes(table.bytes(112)?);
        let wide = flags & Self::TIMER_IS_WIDE != 0;
        let reset = (flags & Self::RESET_IS_SUPPORTED != 0).then(|| Self::reset(table)).flatten();
        Ok(Self {
            pm_timer: Self::port(table, 76, 208).map(|port| PmTimer { port, wide }),
            reset,
            pm1a_control: Self::port(table, 64, 172),
            pm1b_control: Self::port(table, 68, 184),
        })
    }

    /// An I/O port by the generic address at `wide`, or else by the 32-bit field at `narrow`.
    fn port<M: PhysRead>(table: &Table<'_, M>, narrow: u32, wide: u32) -> Option<u16> {
        let wide = match Self::generic(table, wide) {
            Some((1, address)) => u16::try_from(address).ok(),
            _ => None,
        };
        let narrow = || table.word(narrow).and_then(|port| u16::try_from(port).ok());
        wide.filter(|&port| port != 0).or_else(narrow).filter(|&port| port != 0)
    }

    fn reset<M: PhysRead>(table: &Table<'_, M>) -> Option<Reset> {
        let [value] = table.bytes(128).ok()?;
        match Self::generic(table, 116)? {
            (1, address) => Some(Reset::Port { port: u16::try_from(address).ok().filter(|&port| port != 0)?, value }),
            (2, address) => {
                let (device, function) =
                    (u8::try_from(address >> 32).ok()?, u8::try_from(address >> 16 & 0xffff).ok()?);
                let offset = u8::try_from(address & 0xffff).ok()?;
                (device < 32 && function < 8).then_some(Reset::Pci { device, function, offset, value })
            }
            // A register in memory would have to be mapped; the ways that all PCs have come instead.
            _ => None,
        }
    }

    /// Address space and address (ACPI, "Generic Address Structure").
    fn generic<M: PhysRead>(table: &Table<'_, M>, offset: u32) -> Option<(u8, u64)> {
        let [space, _width, _bit, _size, address @ ..] = table.bytes::<12>(offset).ok()?;
        Some((space, u64::from_le_bytes(address)))
    }
}
