//! The two ports that reset a PC besides the keyboard controller: 0xCF9 and 0x92.

use super::power::{Power, ResetBy};

/// Reset control register, port 0xCF9 (PCH "Reset Control Register"). Whatever the kind of reset, this machine has one.
#[allow(missing_docs)]
pub mod cf9 {
    pub const SYS_RST: u8 = 1 << 1;
    pub const RST_CPU: u8 = 1 << 2;
    pub const FULL_RST: u8 = 1 << 3;
    pub const WRITABLE: u8 = SYS_RST | RST_CPU | FULL_RST;
}

/// Port 0x92 (PCH "INIT Register"; PS/2 "System Control Port A").
#[allow(missing_docs)]
pub mod port_92 {
    pub const FAST_RESET: u8 = 1 << 0;
    pub const A20: u8 = 1 << 1;
}

/// Port 0xCF9.
#[derive(Clone, Copy, Default, Debug)]
pub struct ResetControl(u8);

impl ResetControl {
    /// The register after a reset.
    pub const fn new() -> Self {
        Self(0)
    }

    /// The guest read the port: what it wrote.
    pub const fn read(&self) -> u8 {
        self.0
    }

    /// The guest wrote the port. RST_CPU resets when it goes from 0 to 1.
    pub fn write(&mut self, value: u8) -> Option<Power> {
        let rises = value & !self.0 & cf9::RST_CPU != 0;
        self.0 = value & cf9::WRITABLE;
        rises.then_some(Power::Reset(ResetBy::Cf9))
    }
}

/// Port 0x92. The address line A20 is always on in this machine: its bit reads back as written, on at first, and does
/// nothing.
#[derive(Clone, Copy, Debug)]
pub struct Port92(u8);

impl Port92 {
    /// The register after a reset.
    pub const fn new() -> Self {
        Self(port_92::A20)
    }

    /// The guest read the port: what it wrote of the two bits.
    pub const fn read(&self) -> u8 {
        self.0
    }

    /// The guest wrote the port. The fast reset bit resets when it goes from 0 to 1.
    pub fn write(&mut self, value: u8) -> Option<Power> {
        let rises = value & !self.0 & port_92::FAST_RESET != 0;
        self.0 = value & (port_92::FAST_RESET | port_92::A20);
        rises.then_some(Power::Reset(ResetBy::Port92))
    }
}

impl Default for Port92 {
    fn default() -> Self {
        Self::new()
    }
}
