//! The first serial port, with an end to every wait.

use uart_16550::backend::Backend;
use uart_16550::spec::registers::{IER, LSR, MCR, offsets};
use uart_16550::{BaudRate, Config, Uart16550};

/// How often the line status may be read in one operation: about a second on real machines, where a port takes about
/// a microsecond. One character at 115,200 baud takes 87 microseconds.
const PATIENCE: u32 = 1_000_000;

/// A UART's registers, made so that no wait on them lasts for ever.
///
/// The driver waits by reading the line status. When an operation has read it [`PATIENCE`] times, the UART is given up:
/// from then on nothing reaches it, and its line status says that all is sent, and that there is a byte to receive at
/// every other look, so that each loop of the driver ends.
struct Bounded<B> {
    registers: B,
    left: u32,
    dead: bool,
    flip: bool,
}

impl<B: Backend> Backend for Bounded<B> {
    unsafe fn read(&mut self, offset: u8) -> u8 {
        if usize::from(offset) == offsets::LSR && !self.dead {
            match self.left.checked_sub(1) {
                Some(left) => self.left = left,
                None => self.dead = true,
            }
        }
        if !self.dead {
            // SAFETY: the caller's promise about `offset` is passed on.
            return unsafe { self.registers.read(offset) };
        }
        if usize::from(offset) != offsets::LSR {
            return 0;
        }
        self.flip = !self.flip;
        let ready = LSR::THR_EMPTY | LSR::TRANSMITTER_EMPTY;
        (if self.flip { ready | LSR::DATA_READY } else { ready }).bits()
    }

    unsafe fn write(&mut self, offset: u8, value: u8) {
        if !self.dead {
            // SAFETY: the caller's promise about `offset` is passed on.
            unsafe { self.registers.write(offset, value) };
        }
    }
}

/// A UART that passed its test.
pub struct Uart<B: Backend> {
    chip: Uart16550<Bounded<B>>,
}

impl<B: Backend> Uart<B> {
    /// Sets the UART to 115,200 baud, 8N1, and tests it: the scratch register must hold what is written to it, and in
    /// loopback what is sent must come back. `None` if there is none that works.
    ///
    /// # Safety
    /// `registers` leads to the eight registers of a 16550 or to nothing (all reads ones, writes dropped), and nobody
    /// else uses them.
    pub unsafe fn find(registers: B) -> Option<Self> {
        let bounded = Bounded { registers, left: PATIENCE, dead: false, flip: false };
        // SAFETY: reads and writes reach all eight registers, by this function's contract.
        let mut this = Self { chip: unsafe { Uart16550::new_with_backend(bounded) } };
        this.chip.init(Config { baud_rate: BaudRate::Baud115200, ..Config::DEFAULT }).ok()?;
        this.chip.test_loopback().ok()?;
        (!this.given_up()).then_some(this)
    }

    /// Whether it stopped answering, so that nothing is sent any more.
    pub fn given_up(&self) -> bool {
        self.chip.backend().dead
    }

    /// Sends `text`, a carriage return before each line feed. Waits for room before each byte: there are machines whose
    /// queue is shorter than it should be.
    pub fn send(&mut self, text: &[u8]) {
        for &byte in text {
            if byte == b'\n' {
                self.put(b'\r');
            }
            self.put(byte);
        }
    }

    fn put(&mut self, byte: u8) {
        self.chip.backend_mut().left = PATIENCE;
        while self.chip.try_send_byte(byte).is_err() {
            core::hint::spin_loop();
        }
    }

    /// Sends of `bytes`, unchanged, what goes into the queue now; how many.
    pub fn try_send(&mut self, bytes: &[u8]) -> usize {
        self.chip.backend_mut().left = PATIENCE;
        self.chip.send_bytes(bytes)
    }

    /// Takes a byte that has come, if there is one.
    pub fn receive(&mut self) -> Option<u8> {
        self.chip.backend_mut().left = PATIENCE;
        if self.given_up() { None } else { self.chip.try_receive_byte().ok() }
    }

    /// Has the UART interrupt when a byte comes (PC16550D "Interrupt Enable Register"; on a PC OUT2 lets it through).
    pub fn interrupt_on_input(&mut self) {
        self.chip.enable_interrupts(IER::DATA_READY);
        let registers = self.chip.backend_mut();
        // SAFETY: the modem control register; DTR, RTS and OUT2 change nothing in memory.
        unsafe { registers.write(offsets::MCR as u8, (MCR::DTR | MCR::RTS | MCR::OUT_2_INT_ENABLE).bits()) };
    }

    /// Waits until the last bit is on the line.
    pub fn drain(&mut self) {
        self.chip.backend_mut().left = PATIENCE;
        while !self.chip.lsr().contains(LSR::TRANSMITTER_EMPTY) {
            core::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::VecDeque, vec::Vec};

    /// A 16550 as far as this driver uses it; with faults.
    #[derive(Default)]
    struct Chip {
        regs: [u8; 8],
        divisor: [u8; 2],
        sent: Vec<u8>,
        received: VecDeque<u8>,
        /// Nothing is there: reads give ones.
        absent: bool,
        /// Loopback gives something else.
        broken_loopback: bool,
        /// Loopback gives nothing.
        silent_loopback: bool,
        /// The transmitter never gets empty once that many bytes are sent.
        stuck_after: Option<usize>,
        /// There is always one more byte to receive.
        babbles: bool,
        reads: usize,
    }

    impl Backend for &mut Chip {
        unsafe fn read(&mut self, offset: u8) -> u8 {
            self.reads += 1;
            let dlab = self.regs[3] & 0x80 != 0;
            match offset {
                _ if self.absent => 0xff,
                0 | 1 if dlab => self.divisor[offset as usize],
                0 if self.babbles => 0x55,
                0 => self.received.pop_front().unwrap_or(0),
                2 => 0xc1,
                5 => {
                    let stuck = self.stuck_after.is_some_and(|n| self.sent.len() >= n);
                    let ready = if stuck { 0 } else { 0x60 };
                    ready | u8::from(self.babbles || !self.received.is_empty())
                }
                6 => 0xb0,
                _ => self.regs[offset as usize],
            }
        }

        unsafe fn write(&mut self, offset: u8, value: u8) {
            let dlab = self.regs[3] & 0x80 != 0;
            match offset {
                0 | 1 if dlab => self.divisor[offset as usize] = value,
                0 if self.regs[4] & 0x10 != 0 => {
                    if !self.silent_loopback {
                        self.received.push_back(if self.broken_loopback { !value } else { value });
                    }
                }
                0 => self.sent.push(value),
                _ => self.regs[offset as usize] = value,
            }
        }
    }

    fn find(chip: &mut Chip) -> Option<Uart<&mut Chip>> {
        // SAFETY: the chip is plain memory.
        unsafe { Uart::find(chip) }
    }

    #[test]
    fn sets_the_line_and_sends_lines() {
        let mut chip = Chip::default();
        let mut uart = find(&mut chip).unwrap();
        uart.send(b"a\nb");
        uart.drain();
        assert_eq!(chip.sent, b"a\r\nb");
        assert_eq!((chip.divisor, chip.regs[3], chip.regs[1]), ([1, 0], 0x03, 0), "115,200 baud, 8N1, no interrupts");
        assert_eq!(chip.regs[4] & 0x10, 0, "not in loopback any more");
    }

    #[test]
    fn an_absent_or_broken_one_is_not_used() {
        assert!(find(&mut Chip { absent: true, ..Chip::default() }).is_none());
        assert!(find(&mut Chip { broken_loopback: true, ..Chip::default() }).is_none());
        assert!(find(&mut Chip { silent_loopback: true, ..Chip::default() }).is_none());
        assert!(find(&mut Chip { stuck_after: Some(0), ..Chip::default() }).is_none());
        assert!(find(&mut Chip { babbles: true, ..Chip::default() }).is_none());
    }

    #[test]
    fn one_that_stops_is_given_up_once() {
        let mut chip = Chip { stuck_after: Some(3), ..Chip::default() };
        let mut uart = find(&mut chip).unwrap();
        uart.send(b"abcdef");
        assert!(uart.given_up());
        uart.send(b"ghi");
        uart.drain();
        assert_eq!(chip.sent, b"abc");
        assert!(chip.reads < PATIENCE as usize + 1000, "waited once only");
    }
}
