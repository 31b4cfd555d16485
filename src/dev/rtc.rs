//! The real-time clock and its CMOS memory: Motorola's MC146818 with 128 bytes at ports 0x70 and 0x71, as in PCs.
//!
//! The registers hold what the guest wrote, byte for byte; an update reads and writes them in the format that register
//! B then says. Daylight saving (DSE) and the square wave (SQWE) read back and do nothing. Bit 7 of port 0x70, which
//! masks NMIs, does nothing either: this machine has no source of them behind it.

use super::clock::Rate;
use super::rtc_time::{self, Format};

/// The frequency of the time base, a watch's crystal.
pub const HZ: u64 = 32_768;

/// How many late periodic interrupts are kept for [`Rtc::advance`].
pub const LATE: u64 = 1000;

/// CMOS addresses of the control registers (MC146818 "Registers").
#[allow(missing_docs)]
pub mod control {
    pub const A: u8 = 0xa;
    pub const B: u8 = 0xb;
    pub const C: u8 = 0xc;
    pub const D: u8 = 0xd;
}

/// Register A: update in progress. Bits 6:4 are the divider (DV), bits 3:0 the rate (RS).
pub const A_UIP: u8 = 1 << 7;

/// Register B (MC146818 "Register B").
#[allow(missing_docs)]
pub mod b {
    pub const SET: u8 = 1 << 7;
    pub const PIE: u8 = 1 << 6;
    pub const AIE: u8 = 1 << 5;
    pub const UIE: u8 = 1 << 4;
    pub const BINARY: u8 = 1 << 2;
    pub const HOURS24: u8 = 1 << 1;
}

/// Register C (MC146818 "Register C").
#[allow(missing_docs)]
pub mod c {
    pub const IRQF: u8 = 1 << 7;
    pub const PF: u8 = 1 << 6;
    pub const AF: u8 = 1 << 5;
    pub const UF: u8 = 1 << 4;
}

/// Register D: valid RAM and time. The battery is never empty.
pub const D_VRT: u8 = 1 << 7;

/// UIP is set 244 µs before an update, 8 cycles of the time base (MC146818 "Update Cycle"). The update itself takes no
/// time here.
const UIP_TICKS: u64 = 8;

/// A real-time clock.
#[derive(Clone, Debug)]
pub struct Rtc {
    rate: Rate,
    /// The memory, with the time and register A's low bits and B in it. C and D are not.
    cmos: [u8; 128],
    index: u8,
    /// PF, AF and UF.
    flags: u8,
    /// Periodic interrupts that are to be given after the one that PF is.
    late: u64,
    /// The time that the clock was brought up to.
    now: u64,
    /// The same in ticks of the time base.
    tick: u64,
    /// The tick of the next update. The divider's outputs that make periodic interrupts are in step with it.
    update: u64,
}

impl Rtc {
    /// A clock that shows `unix_seconds` after 1970, UTC, at `now`, on a host whose TSC runs at `tsc_hz`: BCD, 24
    /// hours, running, no interrupt enabled, the memory all 0.
    pub fn new(tsc_hz: u64, unix_seconds: u64, now: u64) -> Self {
        let rate = Rate::new(tsc_hz, HZ);
        let tick = rate.ticks(now);
        let mut rtc =
            Self { rate, cmos: [0; 128], index: 0, flags: 0, late: 0, now, tick, update: tick.saturating_add(HZ) };
        rtc.put(control::A, 0x26);
        rtc.put(control::B, b::HOURS24);
        let format = rtc.format();
        rtc_time::set(&mut rtc.cmos, format, unix_seconds);
        rtc
    }

    /// Says how much memory the guest has below 4 GiB, in the bytes where a PC's firmware leaves it: the base memory in
    /// KiB, what is above 1 MiB in KiB (twice), and what is above 16 MiB in units of 64 KiB, as much as fits.
    pub fn set_memory(&mut self, bytes_low: u64) {
        let capped = |units: u64| u16::try_from(units).unwrap_or(u16::MAX);
        let base = capped((bytes_low >> 10).min(640));
        let extended = capped(bytes_low.saturating_sub(1 << 20) >> 10);
        let above16 = capped(bytes_low.saturating_sub(16 << 20) >> 16);
        for (index, words) in [(0x15, base), (0x17, extended), (0x30, extended), (0x34, above16)] {
            let [low, high] = words.to_le_bytes();
            self.put(index, low);
            self.put(index + 1, high);
        }
    }

    /// The guest read `port`, 0x70 or 0x71. The index, 0x70, is not readable and gives ones.
    pub fn read(&mut self, port: u16, now: u64) -> u8 {
        self.run(now);
        match (port, self.index) {
            (0x71, control::A) => self.get(control::A) | if self.update_in_progress() { A_UIP } else { 0 },
            (0x71, control::C) => {
                let irq = if self.irq() { c::IRQF } else { 0 };
                core::mem::take(&mut self.flags) | irq
            }
            (0x71, control::D) => D_VRT,
            (0x71, index) => self.get(index),
            _ => 0xff,
        }
    }

    /// The guest wrote `value` to `port`, 0x70 or 0x71.
    pub fn write(&mut self, port: u16, value: u8, now: u64) {
        self.run(now);
        match (port, self.index) {
            (0x70, _) => self.index = value & 0x7f,
            (0x71, control::A) => self.write_a(value),
            (0x71, control::B) => self.write_b(value),
            (0x71, control::C | control::D) => {}
            (0x71, index) => self.put(index, value),
            _ => {}
        }
    }

    /// The level of the interrupt output, IRQ 8: IRQF of register C.
    pub fn irq(&self) -> bool {
        // The flags are where their enable bits are.
        self.flags & self.get(control::B) != 0
    }

    /// When the interrupt output may become active next, in cycles of the host's TSC: in the past if a periodic
    /// interrupt is late, and `None` if it stays as it is.
    pub fn next_event(&self) -> Option<u64> {
        let enabled = self.get(control::B) & !self.flags;
        if enabled & b::PIE != 0 && self.late != 0 {
            return Some(self.now);
        }
        let periodic = if enabled & b::PIE != 0 { self.next_periodic() } else { None };
        let update = if enabled & b::UIE != 0 && self.updates() { Some(self.update) } else { None };
        let alarm = if enabled & b::AIE != 0 { self.next_alarm() } else { None };
        // At the end of its range the clock stands still.
        let tick = [periodic, update, alarm].into_iter().flatten().min().filter(|&tick| tick > self.tick)?;
        Some(self.rate.cycles(tick))
    }

    /// Brings the clock up to `now`. While periodic interrupts are enabled, those that come while PF is still set are
    /// kept, up to [`LATE`] of them, and each call gives one once the guest has cleared PF, so that a guest that was
    /// away does not lose ticks of its clock.
    pub fn advance(&mut self, now: u64) {
        self.run(now);
        if self.late != 0 && self.flags & c::PF == 0 {
            self.late -= 1;
            self.flags |= c::PF;
        }
    }

    fn run(&mut self, now: u64) {
        self.now = self.now.max(now);
        let (from, to) = (self.tick, self.rate.ticks(self.now));
        self.tick = to;
        if to == from || !self.divider_runs() {
            return;
        }
        if let Some(period) = self.period() {
            // Interrupts come where the distance to an update is a multiple of the period.
            let offset = period - self.update % period;
            let count = to.saturating_add(offset) / period - from.saturating_add(offset) / period;
            self.periodic(count);
        }
        if to >= self.update {
            let seconds = (to - self.update) / HZ + 1;
            self.update = self.update.saturating_add(seconds.saturating_mul(HZ));
            if self.get(control::B) & b::SET == 0 {
                self.pass(seconds);
            }
        }
    }

    fn periodic(&mut self, mut count: u64) {
        if count != 0 && self.flags & c::PF == 0 {
            self.flags |= c::PF;
            count -= 1;
        }
        if self.get(control::B) & b::PIE != 0 {
            self.late = self.late.saturating_add(count).min(LATE);
        }
    }

    /// So many updates have come.
    fn pass(&mut self, seconds: u64) {
        let format = self.format();
        self.flags |= c::UF;
        if rtc_time::until_alarm(&self.cmos, format).is_some_and(|s| s <= seconds) {
            self.flags |= c::AF;
        }
        rtc_time::add(&mut self.cmos, format, seconds);
    }

    fn next_periodic(&self) -> Option<u64> {
        let period = self.period().filter(|_| self.divider_runs())?;
        // The next update is an interrupt, too, and at most a second away.
        self.update.checked_sub((self.update.saturating_sub(self.tick).saturating_sub(1)) / period * period)
    }

    fn next_alarm(&self) -> Option<u64> {
        if !self.updates() {
            return None;
        }
        let seconds = rtc_time::until_alarm(&self.cmos, self.format())?;
        self.update.checked_add(seconds.saturating_sub(1).saturating_mul(HZ))
    }

    /// The time between periodic interrupts in ticks (MC146818 "Periodic Interrupt Rate and Square Wave Output
    /// Frequency", the column for 32.768 kHz).
    fn period(&self) -> Option<u64> {
        match self.get(control::A) & 0xf {
            0 => None,
            rate @ (1 | 2) => Some(1 << (rate + 6)),
            rate => Some(1 << (rate - 1)),
        }
    }

    /// Whether the divider is set to the time base that there is; with others, it stands still. Setting 11x is its
    /// reset (MC146818 "Divider Control").
    fn divider_runs(&self) -> bool {
        self.get(control::A) & 0x70 == 0x20
    }

    fn updates(&self) -> bool {
        self.divider_runs() && self.get(control::B) & b::SET == 0
    }

    fn update_in_progress(&self) -> bool {
        self.updates() && self.update.saturating_sub(self.tick) <= UIP_TICKS
    }

    fn format(&self) -> Format {
        let b = self.get(control::B);
        Format { binary: b & b::BINARY != 0, hours24: b & b::HOURS24 != 0 }
    }

    /// The first update comes half a second after the divider's reset ends (MC146818 "Divider Control").
    fn write_a(&mut self, value: u8) {
        let ran = self.divider_runs();
        let before = self.get(control::A);
        self.put(control::A, value & !A_UIP);
        if self.divider_runs() && !ran {
            self.update = self.tick.saturating_add(HZ / 2);
        }
        if value & !A_UIP != before {
            self.late = 0;
        }
    }

    /// SET clears UIE (MC146818 "Register B", UIE).
    fn write_b(&mut self, value: u8) {
        self.put(control::B, if value & b::SET != 0 { value & !b::UIE } else { value });
        if value & b::PIE == 0 {
            self.late = 0;
        }
    }

    fn get(&self, index: u8) -> u8 {
        self.cmos.get(usize::from(index)).copied().unwrap_or(0)
    }

    fn put(&mut self, index: u8, value: u8) {
        if let Some(byte) = self.cmos.get_mut(usize::from(index)) {
            *byte = value;
        }
    }
}
