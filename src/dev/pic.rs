//! A PC's two interrupt controllers, the slave at the master's IR2, and the registers that set edge or level for each
//! line.
//!
//! A device must hold its line until it is served: a request does not outlive it.

use super::i8259::{CASCADE, Pic};

/// The two 8259As of a PC.
#[derive(Clone, Debug)]
pub struct Pics {
    master: Pic,
    slave: Pic,
}

impl Pics {
    /// Both before their initialization, all lines inactive and masked.
    pub const fn new() -> Self {
        Self { master: Pic::new(true), slave: Pic::new(false) }
    }

    /// The guest read `port`: 0x20, 0x21, 0xa0, 0xa1, 0x4d0 or 0x4d1.
    pub fn read(&mut self, port: u16) -> u8 {
        match port {
            0x20 | 0x21 => self.master.read(port & 1 != 0),
            0xa0 | 0xa1 => {
                let acknowledges = self.slave.poll;
                let value = self.slave.read(port & 1 != 0);
                if acknowledges {
                    self.slave_acknowledged();
                }
                value
            }
            0x4d0 => self.master.level,
            0x4d1 => self.slave.level,
            _ => 0xff,
        }
    }

    /// The guest wrote `value` to one of those ports. The lines of the timer, the keyboard, the slave, the clock and
    /// the coprocessor are by edge whatever is written.
    pub fn write(&mut self, port: u16, value: u8) {
        match port {
            0x20 | 0x21 => self.master.write(port & 1 != 0, value),
            0xa0 | 0xa1 => self.slave.write(port & 1 != 0, value),
            0x4d0 => self.master.level = value & 0xf8,
            0x4d1 => self.slave.level = value & 0xde,
            _ => {}
        }
        self.cascade();
    }

    /// The device at `irq`, 0 to 15, made its line active or inactive. IRQ 2 is the slave's and is no device's.
    pub fn set_line(&mut self, irq: u8, asserted: bool) {
        match irq {
            CASCADE | 16.. => {}
            0..8 => self.master.set_line(irq, asserted),
            8..16 => {
                self.slave.set_line(irq - 8, asserted);
                self.cascade();
            }
        }
    }

    /// Whether `irq` (0 to 7) is masked at the master.
    pub const fn is_masked(&self, irq: u8) -> bool {
        self.master.is_masked(irq)
    }

    /// The INT output of the master: the CPU's INTR input.
    #[inline]
    pub const fn output(&self) -> bool {
        self.master.request().is_some()
    }

    /// The CPU acknowledges: the vector. Where the request has gone it is the default IR7's, of the slave if that is
    /// the one without a request, and nothing becomes in service there. A slave that was given another number than 2 does
    /// not answer.
    pub fn acknowledge(&mut self) -> u8 {
        match self.master.acknowledge() {
            Some(CASCADE) if self.master.has_slave_at(CASCADE) => {
                if !self.slave.is_slave_at(CASCADE) {
                    return 0xff;
                }
                let ir = self.slave.acknowledge();
                self.slave_acknowledged();
                self.slave.vector(ir)
            }
            ir => self.master.vector(ir),
        }
    }

    /// The slave's INT output falls with each acknowledge, and rises again if there is more: the master sees an edge.
    const fn slave_acknowledged(&mut self) {
        self.master.set_line(CASCADE, false);
        self.cascade();
    }

    const fn cascade(&mut self) {
        self.master.set_line(CASCADE, self.slave.request().is_some());
    }
}

impl Default for Pics {
    fn default() -> Self {
        Self::new()
    }
}
