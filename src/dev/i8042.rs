//! The keyboard controller, ports 0x60 and 0x64, without a keyboard or a mouse: Intel's 8042 as programmed for the PC
//! AT (IBM PC AT Technical Reference, "Keyboard Controller") and the PS/2 (its commands for the auxiliary device).
//!
//! It is there for its reset pulse and for software that wants to see it before it gives up. The FADT should say that
//! there is none (`IAPC_BOOT_ARCH`, bit 1 "8042" clear): Linux then does not look for a keyboard, and its reset by
//! command 0xFE works all the same. IRQ 1 and IRQ 12 are never asserted, whatever the command byte says.

use super::power::{Power, ResetBy};

/// Status register, port 0x64.
#[allow(missing_docs)]
pub mod status {
    pub const OUTPUT_FULL: u8 = 1 << 0;
    pub const SYSTEM: u8 = 1 << 2;
    pub const COMMAND: u8 = 1 << 3;
    pub const NOT_LOCKED: u8 = 1 << 4;
    pub const OUTPUT_AUX: u8 = 1 << 5;
    pub const TIMEOUT: u8 = 1 << 6;
}

/// Command byte, what commands 0x20 and 0x60 read and write.
#[allow(missing_docs)]
pub mod command_byte {
    pub const SYSTEM: u8 = 1 << 2;
    pub const KEYBOARD_DISABLED: u8 = 1 << 4;
    pub const AUX_DISABLED: u8 = 1 << 5;
}

/// Output port, what commands 0xD0 and 0xD1 read and write: bit 0 low holds the processor in reset. A20, bit 1, is
/// always on in this machine; the bit reads back as written.
#[allow(missing_docs)]
pub mod output_port {
    pub const NOT_RESET: u8 = 1 << 0;
    pub const A20: u8 = 1 << 1;
}

/// A keyboard controller.
#[derive(Clone, Debug)]
pub struct I8042 {
    /// What port 0x60 gives.
    output: u8,
    /// OUTPUT_FULL, OUTPUT_AUX, COMMAND and TIMEOUT.
    status: u8,
    command_byte: u8,
    output_port: u8,
    /// The command that waits for a byte at port 0x60.
    waits: Option<u8>,
}

impl I8042 {
    /// A controller as firmware leaves it: tested, with nothing to read.
    pub const fn new() -> Self {
        Self {
            output: 0,
            status: 0,
            command_byte: command_byte::SYSTEM,
            output_port: output_port::NOT_RESET | output_port::A20,
            waits: None,
        }
    }

    /// The guest read `port`, 0x60 (data) or 0x64 (status).
    pub fn read(&mut self, port: u16) -> u8 {
        match port {
            0x60 => {
                self.status &= !(status::OUTPUT_FULL | status::OUTPUT_AUX);
                self.output
            }
            // The system flag is the one of the command byte, at the same place.
            0x64 => self.status | status::NOT_LOCKED | self.command_byte & command_byte::SYSTEM,
            _ => 0xff,
        }
    }

    /// The guest wrote `value` to `port`, 0x60 (data) or 0x64 (command).
    pub fn write(&mut self, port: u16, value: u8) -> Option<Power> {
        match port {
            0x60 => {
                self.status &= !(status::COMMAND | status::TIMEOUT);
                self.write_data(value)
            }
            0x64 => {
                self.status = self.status & !status::TIMEOUT | status::COMMAND;
                self.command(value)
            }
            _ => None,
        }
    }

    fn command(&mut self, command: u8) -> Option<Power> {
        self.waits = None;
        match command {
            0x20 => self.answer(self.command_byte),
            // The rest of its memory is not there.
            0x21..=0x3f => self.answer(0),
            0x60..=0x7f | 0xd1..=0xd4 => self.waits = Some(command),
            0xa7 => self.command_byte |= command_byte::AUX_DISABLED,
            0xa8 => self.command_byte &= !command_byte::AUX_DISABLED,
            // Tests of the two interfaces: no line is stuck.
            0xa9 | 0xab => self.answer(0),
            0xaa => {
                self.command_byte |= command_byte::SYSTEM;
                self.answer(0x55);
            }
            0xad => self.command_byte |= command_byte::KEYBOARD_DISABLED,
            0xae => self.command_byte &= !command_byte::KEYBOARD_DISABLED,
            // Input port: the keyboard is not locked.
            0xc0 => self.answer(0x80),
            0xd0 => self.answer(self.output_port),
            // Pulls those of the output port's low four bits low for a moment that are 0 in the command.
            0xf0..=0xff if command & output_port::NOT_RESET == 0 => return RESET,
            _ => {}
        }
        None
    }

    fn write_data(&mut self, value: u8) -> Option<Power> {
        match self.waits.take() {
            Some(0x60) => self.command_byte = value,
            Some(0xd1) => {
                // The reset takes the bit back.
                self.output_port = value | output_port::NOT_RESET;
                if value & output_port::NOT_RESET == 0 {
                    return RESET;
                }
            }
            Some(0xd2) => self.answer(value),
            Some(0xd3) => {
                self.answer(value);
                self.status |= status::OUTPUT_AUX;
            }
            // For the auxiliary device: nobody takes it.
            Some(0xd4) => self.status |= status::TIMEOUT,
            Some(_) => {}
            // For the keyboard, which is enabled by that: nobody takes it.
            None => {
                self.command_byte &= !command_byte::KEYBOARD_DISABLED;
                self.status |= status::TIMEOUT;
            }
        }
        None
    }

    fn answer(&mut self, value: u8) {
        self.output = value;
        self.status = self.status & !status::OUTPUT_AUX | status::OUTPUT_FULL;
    }
}

const RESET: Option<Power> = Some(Power::Reset(ResetBy::KeyboardController));

impl Default for I8042 {
    fn default() -> Self {
        Self::new()
    }
}
