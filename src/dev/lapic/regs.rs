//! The local APIC's registers as words of its page (SDM 3A "The Local APIC Block Diagram", the register address map).
//!
//! Word `n` is the register at offset `16 * n` of the page and, in x2APIC mode, MSR `0x800 + n`.

use core::num::NonZeroU32;

/// Word numbers: offset in the page divided by 16.
#[allow(missing_docs)]
pub mod word {
    pub const ID: usize = 0x02;
    pub const VERSION: usize = 0x03;
    pub const TPR: usize = 0x08;
    pub const PPR: usize = 0x0a;
    pub const EOI: usize = 0x0b;
    pub const LDR: usize = 0x0d;
    pub const DFR: usize = 0x0e;
    pub const SVR: usize = 0x0f;
    pub const ISR: usize = 0x10;
    pub const TMR: usize = 0x18;
    pub const IRR: usize = 0x20;
    pub const ESR: usize = 0x28;
    pub const ICR: usize = 0x30;
    /// The destination: bits 31:24 of it in xAPIC mode, all of it in x2APIC mode.
    pub const ICR_HIGH: usize = 0x31;
    pub const TIMER: usize = 0x32;
    pub const THERMAL: usize = 0x33;
    pub const PERFORMANCE: usize = 0x34;
    pub const LINT0: usize = 0x35;
    pub const LINT1: usize = 0x36;
    pub const ERROR: usize = 0x37;
    pub const INITIAL_COUNT: usize = 0x38;
    pub const CURRENT_COUNT: usize = 0x39;
    pub const DIVIDE: usize = 0x3e;
    pub const SELF_IPI: usize = 0x3f;
}

/// Local vector table entries (SDM 3A "Local Vector Table").
#[allow(missing_docs)]
pub mod lvt {
    pub const VECTOR: u32 = 0xff;
    pub const DELIVERY: u32 = 7 << 8;
    pub const REMOTE_IRR: u32 = 1 << 14;
    pub const LEVEL: u32 = 1 << 15;
    pub const MASKED: u32 = 1 << 16;
    /// The timer's mode, two bits.
    pub const MODE: u32 = 3 << 17;
    pub const ONE_SHOT: u32 = 0 << 17;
    pub const PERIODIC: u32 = 1 << 17;
    pub const DEADLINE: u32 = 2 << 17;

    /// Bits that software can change; delivery status (12) and remote IRR (14) are read-only.
    pub const TIMER_BITS: u32 = MODE | MASKED | VECTOR;
    pub const ERROR_BITS: u32 = MASKED | VECTOR;
    pub const SENSOR_BITS: u32 = MASKED | DELIVERY | VECTOR;
    /// With the pin's polarity (13), which is kept but means nothing: the caller says "asserted".
    pub const LINT_BITS: u32 = MASKED | LEVEL | 1 << 13 | DELIVERY | VECTOR;
    pub const STATUS: u32 = 1 << 12;
}

/// Interrupt command register (SDM 3A "Interrupt Command Register (ICR)").
#[allow(missing_docs)]
pub mod icr {
    pub const DELIVERY: u32 = 7 << 8;
    pub const LOGICAL: u32 = 1 << 11;
    pub const ASSERT: u32 = 1 << 14;
    pub const LEVEL: u32 = 1 << 15;
    pub const SHORTHAND: u32 = 3 << 18;
    pub const NO_SHORTHAND: u32 = 0 << 18;
    pub const TO_SELF: u32 = 1 << 18;
    pub const ALL: u32 = 2 << 18;
    pub const OTHERS: u32 = 3 << 18;
    /// What is kept of the low half; delivery status (12) always reads "idle".
    pub const BITS: u32 = 0x000c_cfff;
    /// Delivery status: ignored when written, in both modes.
    pub const STATUS: u32 = 1 << 12;
}

/// Error status register (SDM 3A "Error Handling").
#[allow(missing_docs)]
pub mod esr {
    pub const SEND_ILLEGAL_VECTOR: u32 = 1 << 5;
    pub const RECEIVE_ILLEGAL_VECTOR: u32 = 1 << 6;
    pub const ILLEGAL_REGISTER: u32 = 1 << 7;
}

/// Spurious-interrupt vector register: the APIC is software-enabled.
pub const SVR_ENABLED: u32 = 1 << 8;
/// Vector, software enable and focus checking; suppression of EOI broadcasts is not offered.
pub const SVR_BITS: u32 = 0x3ff;
/// An integrated APIC with six LVT entries, without suppression of EOI broadcasts.
pub const VERSION: u32 = 5 << 16 | 0x14;
/// Destination format register: the 28 bits that are always 1.
pub const DFR_ONES: u32 = 0x0fff_ffff;
/// Divide configuration register: the bits that exist.
pub const DIVIDE_BITS: u32 = 0xb;
/// Vectors below this are illegal (SDM 3A "Valid Interrupt Vectors").
pub const FIRST_VECTOR: u8 = 16;

const fn set(words: &[usize]) -> u64 {
    let (mut mask, mut i) = (0, 0);
    while i < words.len() {
        mask |= 1 << words[i];
        i += 1;
    }
    mask
}

/// ISR, TMR and IRR.
const VECTORS: u64 = 0xff_ffff << word::ISR;
/// What both modes can read and write.
const COMMON: u64 = {
    use word::*;
    let table = set(&[TIMER, THERMAL, PERFORMANCE, LINT0, LINT1, ERROR]);
    set(&[TPR, SVR, ESR, ICR, INITIAL_COUNT, DIVIDE]) | table
};
/// Read-only in both modes.
const READ_ONLY: u64 = set(&[word::ID, word::VERSION, word::PPR, word::CURRENT_COUNT]) | VECTORS;
/// Words that xAPIC mode knows; those for arbitration and remote reads (9 and 12) read as 0.
pub const XAPIC: u64 = COMMON | READ_ONLY | set(&[word::EOI, word::LDR, word::DFR, word::ICR_HIGH, 9, 12]);
/// Words that RDMSR can read in x2APIC mode (SDM 3A "x2APIC Register Address Space").
pub const X2APIC_READ: u64 = COMMON | READ_ONLY | 1 << word::LDR;
/// Words that WRMSR can write in x2APIC mode.
pub const X2APIC_WRITE: u64 = COMMON | set(&[word::EOI, word::SELF_IPI]);

/// Bits that WRMSR may set in x2APIC mode; others are reserved. The ICR's own upper half is not in it.
pub const X2APIC_BITS: [u32; 64] = {
    let mut bits = [0; 64];
    bits[word::TPR] = 0xff;
    bits[word::SVR] = SVR_BITS;
    bits[word::ICR] = icr::BITS | icr::STATUS;
    bits[word::TIMER] = lvt::TIMER_BITS | lvt::STATUS;
    bits[word::THERMAL] = lvt::SENSOR_BITS | lvt::STATUS;
    bits[word::PERFORMANCE] = lvt::SENSOR_BITS | lvt::STATUS;
    bits[word::LINT0] = lvt::LINT_BITS | lvt::REMOTE_IRR | lvt::STATUS;
    bits[word::LINT1] = lvt::LINT_BITS | lvt::REMOTE_IRR | lvt::STATUS;
    bits[word::ERROR] = lvt::ERROR_BITS | lvt::STATUS;
    bits[word::INITIAL_COUNT] = u32::MAX;
    bits[word::DIVIDE] = DIVIDE_BITS;
    bits[word::SELF_IPI] = 0xff;
    bits
};

/// The words, and which of IRR's and ISR's words are not 0: the highest vector is then two leading-zero counts away.
#[derive(Clone, Debug)]
pub(super) struct Page {
    words: [u32; 64],
    requested: u32,
    in_service: u32,
    /// A word besides IRR has changed since [`Page::give`].
    changed: bool,
    /// TMR has changed.
    triggers: bool,
}

/// The highest vector of the eight words at `first`, of which `used` are not 0.
#[inline]
const fn highest(words: &[u32; 64], first: usize, used: u32) -> Option<u8> {
    let Some(used) = NonZeroU32::new(used) else { return None };
    let word = used.ilog2();
    // `| 1` does not change the logarithm, and spares the compiler the case of 0.
    let bit = (words[first + (word as usize & 7)] | 1).ilog2();
    Some((word * 32 + bit) as u8)
}

/// The word of `vector` in the eight at `first`, and its bit there.
#[inline]
const fn place(first: usize, vector: u8) -> (usize, u32) {
    (first + (vector >> 5) as usize, 1 << (vector & 31))
}

impl Page {
    /// The state after power-up or reset (SDM 3A "Local APIC State After Power-Up or Reset").
    pub const fn new() -> Self {
        let mut words = [0; 64];
        words[word::VERSION] = VERSION;
        words[word::DFR] = u32::MAX;
        words[word::SVR] = 0xff;
        let mut entry = word::TIMER;
        while entry <= word::ERROR {
            words[entry] = lvt::MASKED;
            entry += 1;
        }
        Self { words, requested: 0, in_service: 0, changed: true, triggers: true }
    }

    /// Word `index`.
    #[inline]
    pub const fn get(&self, index: usize) -> u32 {
        self.words[index & 63]
    }

    /// Sets word `index`, which is none of IRR and ISR.
    #[inline]
    pub const fn set(&mut self, index: usize, value: u32) {
        self.words[index & 63] = value;
        self.changed = true;
    }

    /// Whether the bit of `vector` is set in the eight words at `first`.
    #[inline]
    pub const fn has(&self, first: usize, vector: u8) -> bool {
        let (index, bit) = place(first, vector);
        self.words[index] & bit != 0
    }

    /// The highest vector in IRR.
    #[inline]
    pub const fn highest_requested(&self) -> Option<u8> {
        highest(&self.words, word::IRR, self.requested)
    }

    /// The highest vector in ISR.
    #[inline]
    pub const fn highest_in_service(&self) -> Option<u8> {
        highest(&self.words, word::ISR, self.in_service)
    }

    /// Accepts `vector` into IRR; TMR says how it was triggered.
    #[inline]
    pub const fn request(&mut self, vector: u8, level: bool) {
        let (irr, bit) = place(word::IRR, vector);
        self.words[irr] |= bit;
        self.requested |= 1 << (vector >> 5);
        let tmr = place(word::TMR, vector).0;
        if (self.words[tmr] & bit != 0) != level {
            self.words[tmr] ^= bit;
            self.changed = true;
            self.triggers = true;
        }
    }

    /// Moves `vector`, which is in IRR, to ISR.
    #[inline]
    pub const fn begin(&mut self, vector: u8) {
        let (irr, bit) = place(word::IRR, vector);
        self.words[irr] &= !bit;
        self.requested &= !(((self.words[irr] == 0) as u32) << (vector >> 5));
        self.words[place(word::ISR, vector).0] |= bit;
        self.in_service |= 1 << (vector >> 5);
        self.changed = true;
    }

    /// Removes the highest vector from ISR: which it was, and whether TMR says level-triggered.
    #[inline]
    pub const fn end(&mut self) -> Option<(u8, bool)> {
        let Some(used) = NonZeroU32::new(self.in_service) else { return None };
        let word = used.ilog2();
        let index = word::ISR + (word as usize & 7);
        let bit = (self.words[index] | 1).ilog2();
        let mask = 1 << bit;
        self.words[index] &= !mask;
        self.changed = true;
        if self.words[index] == 0 {
            self.in_service ^= 1 << word;
        }
        Some(((word * 32 + bit) as u8, self.words[index + (word::TMR - word::ISR)] & mask != 0))
    }

    /// Takes ISR and TPR from `page`, where a register is every fourth word, and adds its IRR. With `icr`, in xAPIC mode, the guest
    /// writes ICR's high half there too, and its low half to send to itself.
    pub fn merge(&mut self, page: &[u32; 1024], icr: bool) {
        self.words[word::TPR] = page[4 * word::TPR] & 0xff;
        if icr {
            self.words[word::ICR_HIGH] = page[4 * word::ICR_HIGH] & 0xff00_0000;
            self.words[word::ICR] = page[4 * word::ICR] & icr::BITS;
        }
        (self.requested, self.in_service) = (0, 0);
        for i in 0..8 {
            let (irr, isr) = (word::IRR + i, word::ISR + i);
            self.words[irr] |= page[4 * irr];
            self.words[isr] = page[4 * isr];
            self.requested |= u32::from(self.words[irr] != 0) << i;
            self.in_service |= u32::from(self.words[isr] != 0) << i;
        }
    }

    /// Writes what has changed to `page`, where a register is every fourth word, and clears IRR here.
    pub fn give(&mut self, page: &mut [u32; 1024]) {
        if self.changed {
            self.changed = false;
            for (index, word) in self.words.iter().enumerate() {
                page[4 * index] = *word;
            }
        }
        while let Some(used) = NonZeroU32::new(self.requested) {
            let irr = word::IRR + (used.ilog2() as usize & 7);
            page[4 * irr] = self.words[irr];
            self.words[irr] = 0;
            self.requested ^= 1 << used.ilog2();
        }
    }

    /// All words are to be given anew.
    pub fn show_again(&mut self) {
        self.changed = true;
    }

    /// Whether TMR has changed since this was asked last.
    pub fn take_triggers_changed(&mut self) -> bool {
        core::mem::take(&mut self.triggers)
    }

    /// Brings PPR up to date with TPR and ISR (SDM 3A "Task and Processor Priorities").
    #[inline]
    pub const fn update_ppr(&mut self) {
        let tpr = self.words[word::TPR];
        let in_service = match self.highest_in_service() {
            Some(vector) => vector as u32 & 0xf0,
            None => 0,
        };
        // As the class alone has no low bits, this compares the classes, and TPR wins if they are equal.
        self.words[word::PPR] = if tpr >= in_service { tpr } else { in_service };
    }
}
