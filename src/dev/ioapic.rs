//! A virtual I/O APIC: Intel's 82093AA by its data sheet, with 24 pins.
//!
//! It is driven by [`Ioapic::set_line`] and drained by [`Ioapic::take_message`]. As a message is delivered at once, the
//! delivery status always reads as idle. Destinations have eight bits, as on the machines with an xAPIC, where the data
//! sheet's bus had four in physical mode.

use super::message::{Delivery, Message};

/// How many pins it has.
pub const PINS: usize = 24;

/// Offsets in its page (82093AA "I/O APIC Registers"); there is nothing at the others.
#[allow(missing_docs)]
pub mod mmio {
    pub const IOREGSEL: u16 = 0x00;
    pub const IOWIN: u16 = 0x10;
}

/// What IOREGSEL selects (82093AA "I/O APIC Register Description").
#[allow(missing_docs)]
pub mod index {
    pub const ID: u8 = 0x00;
    pub const VERSION: u8 = 0x01;
    pub const ARBITRATION: u8 = 0x02;
    /// The first entry's low half; each entry has a low and a high one.
    pub const REDIRECTION: u8 = 0x10;
}

/// The low half of a redirection entry (82093AA "I/O Redirection Table Registers").
#[allow(missing_docs)]
pub mod entry {
    pub const VECTOR: u32 = 0xff;
    pub const DELIVERY_SHIFT: u32 = 8;
    pub const LOGICAL: u32 = 1 << 11;
    pub const DELIVERY_STATUS: u32 = 1 << 12;
    pub const ACTIVE_LOW: u32 = 1 << 13;
    pub const REMOTE_IRR: u32 = 1 << 14;
    pub const LEVEL: u32 = 1 << 15;
    pub const MASKED: u32 = 1 << 16;
    /// The bits that software writes.
    pub const WRITABLE: u32 = 0x1_ffff & !(DELIVERY_STATUS | REMOTE_IRR);
}

/// Version 0x11, which has no EOI register, and the number of the last entry.
const VERSION: u32 = 0x11 | (PINS as u32 - 1) << 16;

/// The identification bits of the ID and the arbitration register.
const ID_SHIFT: u32 = 24;

/// An I/O APIC.
#[derive(Clone, Debug)]
pub struct Ioapic {
    select: u8,
    id: u8,
    arbitration: u8,
    /// The entries' low halves, without the bits that are read-only.
    low: [u32; PINS],
    destination: [u8; PINS],
    /// One bit a pin, as in all that follow: it is active.
    lines: u32,
    /// An edge came while the pin was not masked, and was not sent yet.
    edges: u32,
    /// A level was sent and its EOI has not come.
    remote_irr: u32,
    /// The pins that are not masked and send by level.
    levels: u32,
    /// The pins that have a message to send.
    wants: u32,
}

impl Ioapic {
    /// An I/O APIC after reset, but with `id` (four bits) as firmware would have set it. All pins are masked.
    pub const fn new(id: u8) -> Self {
        Self {
            select: 0,
            id: id & 0xf,
            arbitration: id & 0xf,
            low: [entry::MASKED; PINS],
            destination: [0; PINS],
            lines: 0,
            edges: 0,
            remote_irr: 0,
            levels: 0,
            wants: 0,
        }
    }

    /// The guest read the 32-bit register at `offset` in the page. What is reserved reads as zero.
    pub fn read(&mut self, offset: u16) -> u32 {
        match offset {
            mmio::IOREGSEL => self.select.into(),
            mmio::IOWIN => self.read_selected(),
            _ => 0,
        }
    }

    /// The guest wrote `value` to the 32-bit register at `offset` in the page.
    pub fn write(&mut self, offset: u16, value: u32) {
        match offset {
            mmio::IOREGSEL => self.select = value as u8,
            mmio::IOWIN => self.write_selected(value),
            _ => {}
        }
    }

    /// Whether input `pin` is masked.
    pub fn is_masked(&self, pin: u8) -> bool {
        self.low.get(usize::from(pin)).is_none_or(|low| low & entry::MASKED != 0)
    }

    /// The device at `pin` made its line active or inactive. Which voltage that is does not matter here: the polarity
    /// bit is taken as right. There are no pins after the 24th.
    ///
    /// An edge at a masked pin is ignored and not held (82093AA "I/O Redirection Table Registers", bit 16).
    pub fn set_line(&mut self, pin: u8, asserted: bool) {
        let Some(&low) = self.low.get(usize::from(pin)) else { return };
        let bit = 1 << pin;
        if !asserted {
            self.lines &= !bit;
        } else if self.lines & bit == 0 {
            self.lines |= bit;
            if sends(low) && !by_level(low) {
                self.edges |= bit;
            }
        }
        self.update();
    }

    /// Takes the next message to be sent: the one of the lowest pin that has one.
    pub fn take_message(&mut self) -> Option<Message> {
        if self.wants == 0 {
            return None;
        }
        let pin = self.wants.trailing_zeros();
        let &low = self.low.get(pin as usize)?;
        let &destination = self.destination.get(pin as usize)?;
        let (bit, level) = (1 << pin, by_level(low));
        if level {
            self.remote_irr |= bit;
        } else {
            self.edges &= !bit;
        }
        self.update();
        Some(Message {
            vector: (low & entry::VECTOR) as u8,
            delivery: delivery(low),
            level,
            destination: destination.into(),
            logical: low & entry::LOGICAL != 0,
        })
    }

    /// Whether there is a message to be sent.
    #[cfg(test)]
    pub const fn has_message(&self) -> bool {
        self.wants != 0
    }

    /// A local APIC said that the level-triggered interrupt `vector` is over. Pins that sent it and are still active
    /// have a message again.
    pub fn eoi(&mut self, vector: u8) {
        if self.remote_irr == 0 {
            return;
        }
        for (low, pin) in self.low.iter().zip(0..) {
            if low & entry::VECTOR == u32::from(vector) {
                self.remote_irr &= !(1 << pin);
            }
        }
        self.update();
    }

    fn read_selected(&self) -> u32 {
        match self.select {
            index::ID => u32::from(self.id) << ID_SHIFT,
            index::VERSION => VERSION,
            index::ARBITRATION => u32::from(self.arbitration) << ID_SHIFT,
            select => match selected_half(select) {
                Some((pin, false)) => {
                    let waits = if self.remote_irr & 1 << pin != 0 { entry::REMOTE_IRR } else { 0 };
                    self.low.get(pin).map_or(0, |low| low | waits)
                }
                Some((pin, true)) => self.destination.get(pin).map_or(0, |&d| u32::from(d) << 24),
                None => 0,
            },
        }
    }

    fn write_selected(&mut self, value: u32) {
        match self.select {
            // The arbitration register is loaded with it (82093AA "I/O APIC Arbitration Register").
            index::ID => {
                self.id = (value >> ID_SHIFT) as u8 & 0xf;
                self.arbitration = self.id;
            }
            select => match selected_half(select) {
                Some((pin, false)) => self.write_low(pin, value & entry::WRITABLE),
                Some((pin, true)) => {
                    if let Some(destination) = self.destination.get_mut(pin) {
                        *destination = (value >> 24) as u8;
                    }
                }
                None => {}
            },
        }
    }

    /// A masked pin forgets the edge that was not sent, as if the device had withdrawn it. Remote IRR means something
    /// for levels only and is clear otherwise: that is how software ends a level interrupt without an EOI register.
    fn write_low(&mut self, pin: usize, value: u32) {
        let Some(low) = self.low.get_mut(pin) else { return };
        *low = value;
        let bit = 1 << pin;
        if by_level(value) {
            self.edges &= !bit;
        } else {
            self.remote_irr &= !bit;
        }
        self.levels &= !bit;
        if !sends(value) {
            self.edges &= !bit;
        } else if by_level(value) {
            self.levels |= bit;
        }
        self.update();
    }

    const fn update(&mut self) {
        self.wants = self.edges | (self.lines & self.levels & !self.remote_irr);
    }
}

const fn delivery(low: u32) -> Delivery {
    Delivery::of(low >> entry::DELIVERY_SHIFT)
}

/// Whether a pin is unmasked, and its delivery mode is one that an I/O APIC has.
const fn sends(low: u32) -> bool {
    low & entry::MASKED == 0 && !matches!(delivery(low), Delivery::Reserved | Delivery::StartUp)
}

/// Whether a pin sends by level. The modes that have no vector are by edge, whatever the trigger mode bit says (82093AA
/// "I/O Redirection Table Registers", bits 10:8): no EOI would follow.
const fn by_level(low: u32) -> bool {
    low & entry::LEVEL != 0 && matches!(delivery(low), Delivery::Fixed | Delivery::LowestPriority)
}

/// The pin whose entry the index `select` belongs to, and whether it is the high half.
const fn selected_half(select: u8) -> Option<(usize, bool)> {
    match select.checked_sub(index::REDIRECTION) {
        Some(half) if ((half / 2) as usize) < PINS => Some(((half / 2) as usize, half & 1 != 0)),
        _ => None,
    }
}
