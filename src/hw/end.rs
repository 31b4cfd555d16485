//! How the machine ends.

use core::fmt;

/// How it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// As it should.
    Pass,
    /// Not so.
    Fail,
}

/// What to do after the last line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Mode {
    /// Stop, with the last lines on the screen.
    Halt = 0,
    /// End QEMU through its `isa-debug-exit` device at port 0x501: status 33 for pass, 35 for fail.
    Qemu = 1,
    /// End Bochs through its shutdown port, 0x8900.
    Bochs = 2,
    /// Start the machine again.
    Reboot = 3,
}

impl Mode {
    /// All of them by the words of the command line.
    pub const NAMES: [(&str, Self); 4] =
        [("halt", Self::Halt), ("qemu", Self::Qemu), ("bochs", Self::Bochs), ("reboot", Self::Reboot)];
}

/// The register that resets the machine, and what to write to it (ACPI, "Reset Register").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reset {
    /// A byte-wide I/O port.
    Port {
        /// Its number.
        port: u16,
        /// What to write.
        value: u8,
    },
    /// A byte-wide register in the configuration space of a device on PCI bus 0.
    Pci {
        /// Device number, 0 to 31.
        device: u8,
        /// Function number, 0 to 7.
        function: u8,
        /// Offset of the register, 0 to 255.
        offset: u8,
        /// What to write.
        value: u8,
    },
}

impl Reset {
    /// All of it in a word that is not 0, for an atomic.
    pub const fn to_bits(self) -> u64 {
        let (tag, at, value) = match self {
            Self::Port { port, value } => (1, port as u64, value),
            Self::Pci { device, function, offset, value } => {
                (2, (device as u64 & 31) << 11 | (function as u64 & 7) << 8 | offset as u64, value)
            }
        };
        (tag << 32) | (at << 8) | value as u64
    }

    /// The opposite of [`Self::to_bits`].
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let (at, value) = ((bits >> 8) as u16, bits as u8);
        match bits >> 32 {
            1 => Some(Self::Port { port: at, value }),
            2 => {
                let (device, function, offset) = ((at >> 11) as u8, (at >> 8) as u8 & 7, at as u8);
                Some(Self::Pci { device, function, offset, value })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { port, value } => write!(f, "port {port:#x}, value {value:#x}"),
            Self::Pci { device, function, offset, value } => {
                write!(f, "PCI 00:{device:02x}.{function} offset {offset:#x}, value {value:#x}")
            }
        }
    }
}

#[cfg(target_os = "none")]
pub use bare::{end, halt, set_mode, set_reset};

#[cfg(target_os = "none")]
mod bare {
    use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

    use x86_64::instructions::{hlt, interrupts, port::Port};

    use super::{Ending, Mode, Reset};
    use crate::hw::console;

    static MODE: AtomicU8 = AtomicU8::new(Mode::Halt as u8);
    static RESET: AtomicU64 = AtomicU64::new(0);

    /// What [`end`] shall do; set as soon as the options are read, so that a panic ends the same way.
    pub fn set_mode(mode: Mode) {
        MODE.store(mode as u8, Ordering::Relaxed);
    }

    /// What ACPI says about resetting this machine.
    pub fn set_reset(reset: Reset) {
        RESET.store(reset.to_bits(), Ordering::Relaxed);
    }

    /// Ends the machine after the last line is out. Other cores should be stopped before.
    pub fn end(ending: Ending) -> ! {
        console::drain();
        let mode = MODE.load(Ordering::Relaxed);
        match Mode::NAMES.iter().map(|&(_, known)| known).find(|&known| known as u8 == mode) {
            Some(Mode::Qemu) => {
                let value: u8 = if ending == Ending::Pass { 0x10 } else { 0x11 };
                // SAFETY: the user says that this is a QEMU with its exit device at this port; nothing is there
                // otherwise on a PC.
                unsafe { Port::new(0x501).write(value) };
            }
            Some(Mode::Bochs) => {
                for &byte in b"Shutdown" {
                    // SAFETY: the user says that this is Bochs, whose shutdown port this is.
                    unsafe { Port::new(0x8900).write(byte) };
                }
            }
            Some(Mode::Reboot) => reboot(),
            _ => {}
        }
        halt()
    }

    /// Stops this core for good. An NMI wakes it for a moment.
    pub fn halt() -> ! {
        loop {
            interrupts::disable();
            hlt();
        }
    }

    /// Resets the machine by all ways that there are, the most polite first.
    fn reboot() {
        interrupts::disable();
        match Reset::from_bits(RESET.load(Ordering::Relaxed)) {
            // SAFETY: ACPI says that this port resets the machine, which is what the user wants.
            Some(Reset::Port { port, value }) => unsafe { Port::new(port).write(value) },
            Some(Reset::Pci { device, function, offset, value }) => {
                let address = 1 << 31 | u32::from(device) << 11 | u32::from(function) << 8 | u32::from(offset & !3);
                // SAFETY: as above; the ports are configuration mechanism #1 of PCI, which every PC has.
                unsafe {
                    Port::new(0xcf8).write(address);
                    Port::new(0xcfc + u16::from(offset & 3)).write(value);
                }
            }
            None => {}
        }
        pause();
        // SAFETY: the reset control register of all chipsets since the 430; bits 1 and 2 ask for a full reset.
        unsafe {
            Port::new(0xcf9).write(0x02_u8);
            Port::new(0xcf9).write(0x06_u8);
        }
        pause();
        // SAFETY: the keyboard controller's command port; 0xfe pulses the reset line.
        unsafe { Port::new(0x64).write(0xfe_u8) };
        pause();
        let nothing = x86_64::structures::DescriptorTablePointer { limit: 0, base: x86_64::VirtAddr::zero() };
        // SAFETY: no interrupt can be delivered with this table, which is what is wanted: the breakpoint becomes a
        // triple fault, and that resets the machine.
        unsafe { x86_64::instructions::tables::lidt(&nothing) };
        x86_64::instructions::interrupts::int3();
    }

    /// Some milliseconds: a reset is not instant everywhere.
    fn pause() {
        for _ in 0..10_000 {
            // SAFETY: reading port 0x80, where firmware writes its progress, takes a microsecond and does nothing else.
            let _: u8 = unsafe { Port::new(0x80).read() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_reset_survives_its_word(port: u16, value: u8, device in 0u8..32, function in 0u8..8, offset: u8) {
            for reset in [Reset::Port { port, value }, Reset::Pci { device, function, offset, value }] {
                prop_assert_eq!(Reset::from_bits(reset.to_bits()), Some(reset));
            }
        }
    }

    #[test]
    fn no_word_no_reset() {
        assert_eq!(Reset::from_bits(0), None);
    }
}
