//! PCI configuration space with a host bridge and nothing else.
//!
//! PCI Local Bus Specification 3.0, "Software Generation of Configuration Transactions" (mechanism #1). The bridge is
//! Intel's 82441FX by its data sheet, as much of it as a guest without its firmware has use for: no BARs, no registers
//! for DRAM and caching.

use crate::base::Width;

/// The address port.
pub const ADDRESS: u16 = 0xcf8;
/// The first of the four data ports.
pub const DATA: u16 = 0xcfc;

/// The address register: the enable bit, bus, device, function and doubleword. The others are 0.
const ADDRESS_BITS: u32 = 0x80ff_fffc;
const ENABLE: u32 = 1 << 31;

/// Command register of the bridge (82441FX "PCICMD"): memory access and bus master are on for good, the reports of
/// parity and system errors can be switched.
#[allow(missing_docs)]
pub mod command {
    pub const FIXED: u16 = 1 << 1 | 1 << 2;
    pub const WRITABLE: u16 = 1 << 6 | 1 << 8;
}

/// Configuration space, as ports 0xCF8 and 0xCFC to 0xCFF give it.
#[derive(Clone, Debug)]
pub struct Pci {
    address: u32,
    /// The bridge's command register.
    command: u16,
}

impl Pci {
    /// Configuration space after a reset.
    pub const fn new() -> Self {
        Self { address: 0, command: command::FIXED }
    }

    /// The guest read `width` at `port`. The address port has 32 bits at a time and gives ones otherwise; an access
    /// that goes past the data ports has ones there.
    pub fn read(&self, port: u16, width: Width) -> u32 {
        let ones = width.mask() as u32;
        match (port, width) {
            (ADDRESS, Width::B4) => self.address,
            (0xcfc..=0xcff, _) => {
                let shift = u32::from(port & 3) * 8;
                // Ones from above the doubleword.
                let data = u64::from(self.doubleword()) | 0xffff_ffff << 32;
                (data >> shift) as u32 & ones
            }
            _ => ones,
        }
    }

    /// The guest wrote the low `width` of `value` at `port`.
    pub fn write(&mut self, port: u16, width: Width, value: u32) {
        match (port, width) {
            (ADDRESS, Width::B4) => self.address = value & ADDRESS_BITS,
            (0xcfc..=0xcff, _) if self.address == (ENABLE | 4) => {
                let shift = u32::from(port & 3) * 8;
                let (mask, value) = ((width.mask() as u32) << shift, value << shift);
                let mask = mask as u16 & command::WRITABLE;
                self.command = self.command & !mask | value as u16 & mask;
            }
            _ => {}
        }
    }

    /// The doubleword that the address register names.
    fn doubleword(&self) -> u32 {
        if self.address & ENABLE == 0 || self.address & 0x00ff_ff00 != 0 {
            return u32::MAX;
        }
        match self.address & 0xff {
            // Device 0x1237, vendor 0x8086.
            0x00 => 0x1237_8086,
            // Status: fast back-to-back, medium DEVSEL timing.
            0x04 => 0x0280 << 16 | u32::from(self.command),
            // Class 06 (bridge), subclass 00 (host), revision 2.
            0x08 => 0x0600_0002,
            _ => 0,
        }
    }
}

impl Default for Pci {
    fn default() -> Self {
        Self::new()
    }
}
