//! ACPI's fixed hardware: the PM1a event and control blocks and the power management timer.
//!
//! ACPI 6.5 "Fixed Hardware Programming Model", "PM1 Event Grouping", "PM1 Control Grouping", "Power Management Timer".
//! The FADT that fits: `SMI_CMD` 0, as the machine is in ACPI mode from the start (SCI_EN is always 1);
//! `PM1a_EVT_BLK` [`BASE`] of 4 bytes, `PM1a_CNT_BLK` at 4 of 2 bytes, `PM_TMR_BLK` at 8 of 4 bytes, no PM1b, PM2 or
//! GPE blocks; flags `TMR_VAL_EXT` (the timer has 32 bits), `WBINVD`, `SLP_BUTTON` (no fixed sleep button) and
//! `FIX_RTC` (the real-time clock does not wake) set, `PWR_BUTTON` (no fixed power button) clear. Of the
//! sleep states there is S5 alone, `\_S5` with SLP_TYPa [`SLEEP_OFF`].

use super::clock::Rate;
use super::power::Power;
use crate::base::Width;

/// The port of the first register; the offsets count from here.
pub const BASE: u16 = 0x600;
/// How many ports the registers take.
pub const LEN: u16 = 0xc;

/// The frequency of the timer.
pub const HZ: u64 = 3_579_545;

/// SLP_TYP of S5, soft off.
pub const SLEEP_OFF: u8 = 5;

/// Offsets of the registers.
#[allow(missing_docs)]
pub mod offset {
    pub const STATUS: u16 = 0;
    pub const ENABLE: u16 = 2;
    pub const CONTROL: u16 = 4;
    pub const TIMER: u16 = 8;
}

/// PM1 status and enable registers (ACPI "PM1 Status Registers", "PM1 Enable Registers").
#[allow(missing_docs)]
pub mod event {
    pub const TIMER: u16 = 1 << 0;
    pub const GLOBAL: u16 = 1 << 5;
    pub const POWER_BUTTON: u16 = 1 << 8;
    pub const SLEEP_BUTTON: u16 = 1 << 9;
    pub const RTC: u16 = 1 << 10;
    /// What can be enabled. Not all of them happen.
    pub const ALL: u16 = TIMER | GLOBAL | POWER_BUTTON | SLEEP_BUTTON | RTC;
}

/// PM1 control register (ACPI "PM1 Control Registers"). SLP_TYP is bits 12:10; SLP_EN and GBL_RLS read as 0.
#[allow(missing_docs)]
pub mod control {
    pub const SCI_EN: u16 = 1 << 0;
    pub const BM_RLD: u16 = 1 << 1;
    pub const SLP_TYP: u16 = 7 << 10;
    pub const SLP_EN: u16 = 1 << 13;
}

/// The fixed hardware.
#[derive(Clone, Debug)]
pub struct Acpi {
    rate: Rate,
    /// When the timer was 0.
    start: u64,
    /// The timer as of the last call, with the bits above its 32.
    timer: u64,
    status: u16,
    enable: u16,
    control: u16,
}

impl Acpi {
    /// The registers after a reset at `now`, when the timer starts at 0, on a host whose TSC runs at `tsc_hz`.
    pub const fn new(tsc_hz: u64, now: u64) -> Self {
        Self { rate: Rate::new(tsc_hz, HZ), start: now, timer: 0, status: 0, enable: 0, control: control::SCI_EN }
    }

    /// The guest read `width` at `offset` from [`BASE`]. Bytes past the registers are ones; 6 and 7 are 0.
    pub fn read(&mut self, offset: u16, width: Width, now: u64) -> u32 {
        self.advance(now);
        let [s0, s1] = self.status.to_le_bytes();
        let [e0, e1] = self.enable.to_le_bytes();
        let [c0, c1] = self.control.to_le_bytes();
        let [t0, t1, t2, t3] = (self.timer as u32).to_le_bytes();
        let all = [s0, s1, e0, e1, c0, c1, 0, 0, t0, t1, t2, t3];
        let mut bytes = [0; 4];
        for (byte, at) in bytes.iter_mut().zip(usize::from(offset)..).take(width as usize) {
            *byte = all.get(at).copied().unwrap_or(0xff);
        }
        u32::from_le_bytes(bytes)
    }

    /// The guest wrote the low `width` of `value` at `offset` from [`BASE`]. The timer is not writable. A write that
    /// turns the machine off says so; the other sleep types are ignored, as no `\_Sx` object offers them.
    pub fn write(&mut self, offset: u16, width: Width, value: u32, now: u64) -> Option<Power> {
        self.advance(now);
        let mut power = None;
        for (byte, at) in value.to_le_bytes().into_iter().zip(usize::from(offset)..).take(width as usize) {
            let (shift, bits) = (at as u32 % 2 * 8, u16::from(byte));
            match at {
                0 | 1 => self.status &= !(bits << shift),
                2 | 3 => self.enable = self.enable & !(0xff << shift) | bits << shift & event::ALL,
                4 | 5 => power = power.or(self.write_control(bits << shift, 0xff << shift)),
                _ => {}
            }
        }
        power
    }

    /// The user pressed the power button.
    pub const fn power_button(&mut self) {
        self.status |= event::POWER_BUTTON;
    }

    /// The level of the system control interrupt, as of the last call.
    pub const fn sci(&self) -> bool {
        self.status & self.enable != 0
    }

    /// When the interrupt may become active next, in cycles of the host's TSC, if it can.
    pub const fn next_event(&self) -> Option<u64> {
        if self.enable & !self.status & event::TIMER == 0 {
            return None;
        }
        match (self.timer | ((1 << 31) - 1)).checked_add(1) {
            Some(toggle) => Some(self.start.saturating_add(self.rate.cycles(toggle))),
            None => None,
        }
    }

    /// Brings the timer up to `now`. TMR_STS is set whenever its most significant bit changes (ACPI "Power Management
    /// Timer").
    pub fn advance(&mut self, now: u64) {
        let timer = self.rate.ticks(now.saturating_sub(self.start)).max(self.timer);
        if timer >> 31 != self.timer >> 31 {
            self.status |= event::TIMER;
        }
        self.timer = timer;
    }

    /// Writes those bits of the control register that are in `mask`. SLP_TYP and SLP_EN are in the same byte.
    fn write_control(&mut self, bits: u16, mask: u16) -> Option<Power> {
        let mask = mask & (control::BM_RLD | control::SLP_TYP);
        self.control = self.control & !mask | bits & mask;
        let sleep = (bits & control::SLP_TYP) >> 10;
        (bits & control::SLP_EN != 0 && sleep == u16::from(SLEEP_OFF)).then_some(Power::Off)
    }
}
