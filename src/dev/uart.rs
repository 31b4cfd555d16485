//! A virtual serial port: National Semiconductor's PC16550D by its data sheet, on a line without delay.
//!
//! What is sent is gone at once, so the transmitter is empty as long as the console has room; what is sent after that
//! waits in the transmitter until [`Uart::resume`]. Characters have eight bits whatever the line control register says,
//! and the FIFO's character time-out has always passed, as there is no clock. There are no parity or framing errors and
//! no breaks.

use super::ring::Ring;
use crate::dev::console::Console;

/// Interrupt enable register (PC16550D "Interrupt Enable Register").
#[allow(missing_docs)]
pub mod ier {
    pub const RECEIVED_DATA: u8 = 1 << 0;
    pub const TRANSMITTER_EMPTY: u8 = 1 << 1;
    pub const LINE_STATUS: u8 = 1 << 2;
    pub const MODEM_STATUS: u8 = 1 << 3;
    pub const ALL: u8 = 0xf;
}

/// Interrupt identification register (PC16550D "Interrupt Identification Register").
#[allow(missing_docs)]
pub mod iir {
    pub const NONE: u8 = 0x1;
    pub const LINE_STATUS: u8 = 0x6;
    pub const RECEIVED_DATA: u8 = 0x4;
    pub const CHARACTER_TIMEOUT: u8 = 0xc;
    pub const TRANSMITTER_EMPTY: u8 = 0x2;
    pub const MODEM_STATUS: u8 = 0x0;
    pub const FIFOS_ENABLED: u8 = 0xc0;
}

/// FIFO control register (PC16550D "FIFO Control Register"); bits 7:6 are the receiver's trigger level.
#[allow(missing_docs)]
pub mod fcr {
    pub const ENABLE: u8 = 1 << 0;
    pub const RESET_RECEIVER: u8 = 1 << 1;
    pub const RESET_TRANSMITTER: u8 = 1 << 2;
}

/// Line control register (PC16550D "Line Control Register"): the divisor latch access bit.
pub const LCR_DLAB: u8 = 1 << 7;

/// Modem control register (PC16550D "Modem Control Register").
#[allow(missing_docs)]
pub mod mcr {
    pub const DTR: u8 = 1 << 0;
    pub const RTS: u8 = 1 << 1;
    pub const OUT1: u8 = 1 << 2;
    pub const OUT2: u8 = 1 << 3;
    pub const LOOPBACK: u8 = 1 << 4;
    pub const ALL: u8 = 0x1f;
}

/// Line status register (PC16550D "Line Status Register").
#[allow(missing_docs)]
pub mod lsr {
    pub const DATA_READY: u8 = 1 << 0;
    pub const OVERRUN: u8 = 1 << 1;
    pub const HOLDING_EMPTY: u8 = 1 << 5;
    pub const TRANSMITTER_EMPTY: u8 = 1 << 6;
}

/// Modem status register (PC16550D "Modem Status Register").
#[allow(missing_docs)]
pub mod msr {
    pub const DELTA_CTS: u8 = 1 << 0;
    pub const DELTA_DSR: u8 = 1 << 1;
    pub const TRAILING_RI: u8 = 1 << 2;
    pub const DELTA_DCD: u8 = 1 << 3;
    pub const CTS: u8 = 1 << 4;
    pub const DSR: u8 = 1 << 5;
    pub const RI: u8 = 1 << 6;
    pub const DCD: u8 = 1 << 7;
}

/// How many characters each of the two FIFOs holds.
pub const FIFO: usize = 16;

/// A serial port of eight registers.
#[derive(Clone, Debug)]
pub struct Uart {
    received: Ring<u8, FIFO>,
    /// What the console had no room for. Without FIFOs at most one character: the transmitter holding register.
    waiting: Ring<u8, FIFO>,
    /// What the receiver buffer gave last: it gives it again while nothing is there.
    receiver_buffer: u8,
    divisor: [u8; 2],
    ier: u8,
    fifos: bool,
    /// FCR bits 7:6.
    trigger: u8,
    lcr: u8,
    mcr: u8,
    overrun: bool,
    /// The delta bits of the modem status register.
    modem_deltas: u8,
    scratch: u8,
    /// The transmitter became empty and the guest was not told yet.
    transmitter_event: bool,
}

impl Uart {
    /// A serial port after master reset, with a terminal that is ready at its other end.
    pub const fn new() -> Self {
        Self {
            received: Ring::new(0),
            waiting: Ring::new(0),
            receiver_buffer: 0,
            divisor: [12, 0],
            ier: 0,
            fifos: false,
            trigger: 0,
            lcr: 0,
            mcr: 0,
            overrun: false,
            modem_deltas: 0,
            scratch: 0,
            transmitter_event: false,
        }
    }

    /// The guest read the register at `offset`, 0 to 7.
    #[inline]
    pub fn read(&mut self, offset: u16) -> u8 {
        let [low, high] = self.divisor;
        match offset {
            // The common one first: every guest polls it before it sends.
            5 => self.read_line_status(),
            0 if self.divisor_access() => low,
            1 if self.divisor_access() => high,
            0 => self.read_receiver_buffer(),
            1 => self.ier,
            2 => self.read_interrupt_identification(),
            3 => self.lcr,
            4 => self.mcr,
            6 => self.modem_lines() | core::mem::take(&mut self.modem_deltas),
            7 => self.scratch,
            _ => 0xff,
        }
    }

    /// The guest wrote `value` to the register at `offset`, 0 to 7. The two status registers are not writable.
    #[inline]
    pub fn write(&mut self, offset: u16, value: u8, console: &mut Console) {
        let [low, high] = self.divisor;
        match offset {
            0 if self.divisor_access() => self.divisor = [value, high],
            1 if self.divisor_access() => self.divisor = [low, value],
            0 => self.transmit(value, console),
            1 => self.write_interrupt_enable(value),
            2 => self.write_fifo_control(value),
            3 => self.lcr = value,
            4 => {
                self.write_modem_control(value);
                // Loopback mode takes what waits into the receiver.
                self.resume(console);
            }
            7 => self.scratch = value,
            _ => {}
        }
    }

    /// A character arrives on the line. In loopback mode the line is cut off and it is lost.
    pub fn receive(&mut self, character: u8) {
        if !self.loopback() {
            self.shift_in(character);
        }
    }

    /// Whether there is room for a character that arrives now.
    pub const fn can_receive(&self) -> bool {
        !self.loopback() && if self.fifos { !self.received.is_full() } else { self.received.is_empty() }
    }

    /// Whether the INTR output is active: an enabled interrupt pends.
    pub const fn interrupt_pending(&self) -> bool {
        self.interrupt() != iir::NONE
    }

    /// Whether the PC's interrupt line is active: OUT2 lets INTR through to it. In loopback mode the modem control
    /// outputs are inactive, whatever their bits are (PC16550D "Modem Control Register", bit 4).
    pub const fn irq(&self) -> bool {
        self.mcr & (mcr::OUT2 | mcr::LOOPBACK) == mcr::OUT2 && self.interrupt_pending()
    }

    /// Whether characters wait in the transmitter for room in the console.
    #[inline]
    pub const fn is_stalled(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends what waits, as far as the console has room. To be called when somebody took output from the console; the
    /// transmitter's interrupt is raised when the last character has gone.
    pub fn resume(&mut self, console: &mut Console) {
        if self.waiting.is_empty() {
            return;
        }
        while (self.loopback() || console.has_room())
            && let Some(character) = self.waiting.pop()
        {
            self.shift_out(character, console);
        }
        self.transmitter_event |= self.waiting.is_empty();
    }

    const fn divisor_access(&self) -> bool {
        self.lcr & LCR_DLAB != 0
    }

    const fn loopback(&self) -> bool {
        self.mcr & mcr::LOOPBACK != 0
    }

    fn transmit(&mut self, character: u8, console: &mut Console) {
        self.resume(console);
        if self.waiting.is_empty() && (self.loopback() || console.has_room()) {
            self.shift_out(character, console);
            self.transmitter_event = true;
        } else {
            self.hold(character);
        }
    }

    fn shift_out(&mut self, character: u8, console: &mut Console) {
        if self.loopback() {
            self.shift_in(character);
        } else {
            console.put(character);
        }
    }

    /// A character has to wait. A full FIFO does not take it; the holding register loses the one before it.
    fn hold(&mut self, character: u8) {
        self.transmitter_event = false;
        if !self.fifos {
            self.waiting.clear();
        }
        let _ = self.waiting.push(character);
    }

    /// A character is complete in the receiver shift register. With FIFOs an overrun loses the new character, without
    /// them the old one (PC16550D "Line Status Register", bit 1).
    fn shift_in(&mut self, character: u8) {
        if self.fifos {
            self.overrun |= !self.received.push(character);
        } else {
            self.overrun |= !self.received.is_empty();
            self.received.clear();
            let _ = self.received.push(character);
        }
    }

    fn read_receiver_buffer(&mut self) -> u8 {
        self.receiver_buffer = self.received.pop().unwrap_or(self.receiver_buffer);
        self.receiver_buffer
    }

    fn read_line_status(&mut self) -> u8 {
        let ready = if self.received.is_empty() { 0 } else { lsr::DATA_READY };
        let overrun = if core::mem::take(&mut self.overrun) { lsr::OVERRUN } else { 0 };
        let empty = if self.waiting.is_empty() { lsr::HOLDING_EMPTY | lsr::TRANSMITTER_EMPTY } else { 0 };
        empty | overrun | ready
    }

    /// The pending interrupt of the highest priority (PC16550D "Interrupt Control Functions", the table).
    const fn interrupt(&self) -> u8 {
        if self.ier & ier::LINE_STATUS != 0 && self.overrun {
            iir::LINE_STATUS
        } else if self.ier & ier::RECEIVED_DATA != 0 && !self.received.is_empty() {
            if self.received.len() >= self.trigger_level() { iir::RECEIVED_DATA } else { iir::CHARACTER_TIMEOUT }
        } else if self.ier & ier::TRANSMITTER_EMPTY != 0 && self.transmitter_event {
            iir::TRANSMITTER_EMPTY
        } else if self.ier & ier::MODEM_STATUS != 0 && self.modem_deltas != 0 {
            iir::MODEM_STATUS
        } else {
            iir::NONE
        }
    }

    /// How many characters make the received data interrupt.
    const fn trigger_level(&self) -> usize {
        match (self.fifos, self.trigger) {
            (false, _) | (true, 0) => 1,
            (true, 1) => 4,
            (true, 2) => 8,
            (true, _) => 14,
        }
    }

    /// Reading the register that says "transmitter empty" takes this one interrupt back.
    fn read_interrupt_identification(&mut self) -> u8 {
        let interrupt = self.interrupt();
        if interrupt == iir::TRANSMITTER_EMPTY {
            self.transmitter_event = false;
        }
        interrupt | if self.fifos { iir::FIFOS_ENABLED } else { 0 }
    }

    /// Enabling the transmitter's interrupt raises it where the transmitter is empty.
    fn write_interrupt_enable(&mut self, value: u8) {
        if value & !self.ier & ier::TRANSMITTER_EMPTY != 0 && self.waiting.is_empty() {
            self.transmitter_event = true;
        }
        self.ier = value & ier::ALL;
    }

    /// The other bits count only with the enable bit; a change of the enable bit clears the FIFOs.
    fn write_fifo_control(&mut self, value: u8) {
        let enable = value & fcr::ENABLE != 0;
        if enable != self.fifos || (enable && value & fcr::RESET_RECEIVER != 0) {
            self.received.clear();
        }
        if enable != self.fifos || (enable && value & fcr::RESET_TRANSMITTER != 0) {
            self.transmitter_event |= !self.waiting.is_empty();
            self.waiting.clear();
        }
        self.fifos = enable;
        if enable {
            self.trigger = value >> 6;
        }
    }

    fn write_modem_control(&mut self, value: u8) {
        let before = self.modem_lines();
        self.mcr = value & mcr::ALL;
        let after = self.modem_lines();
        self.modem_deltas |= ((before ^ after) >> 4) & (msr::DELTA_CTS | msr::DELTA_DSR | msr::DELTA_DCD);
        if before & !after & msr::RI != 0 {
            self.modem_deltas |= msr::TRAILING_RI;
        }
    }

    /// The modem's lines: a terminal that is ready, or in loopback mode the guest's own outputs.
    const fn modem_lines(&self) -> u8 {
        if !self.loopback() {
            return msr::CTS | msr::DSR | msr::DCD;
        }
        let m = self.mcr;
        (m & mcr::RTS) << 3 | (m & mcr::DTR) << 5 | (m & mcr::OUT1) << 4 | (m & mcr::OUT2) << 4
    }
}

impl Default for Uart {
    fn default() -> Self {
        Self::new()
    }
}
