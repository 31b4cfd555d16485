//! The time of day, from the machine's real-time clock.

#[cfg(target_os = "none")]
use core::sync::atomic::{AtomicU64, Ordering};

#[cfg(target_os = "none")]
use crate::hw::time;

/// A date and time of the Gregorian calendar, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Date {
    pub year: u32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
}

impl Date {
    /// Seconds since 1970-01-01 00:00:00; 0 for earlier dates and for nonsense.
    pub fn unix_seconds(&self) -> u64 {
        let Self { year, month, day, hour, minute, second } = *self;
        let sane = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !sane || hour > 23 || minute > 59 || second > 60 {
            return 0;
        }
        // March is the first month, so that the leap day is the last of its year.
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = u64::from(365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1);
        const TO_1970: u64 = 719_468;
        ((days.saturating_sub(TO_1970) * 24 + u64::from(hour)) * 60 + u64::from(minute)) * 60 + u64::from(second)
    }

    /// A date from the clock's registers 0, 2, 4, 7, 8, 9 and the century, as register B says that they are coded
    /// (MC146818 "Time, Calendar, and Alarm Locations", "Register B").
    pub fn from_registers([second, minute, hour, day, month, year, century]: [u8; 7], register_b: u8) -> Self {
        const BINARY: u8 = 1 << 2;
        const HOURS_24: u8 = 1 << 1;
        const PM: u8 = 1 << 7;
        let number = |raw: u8| u32::from(if register_b & BINARY != 0 { raw } else { (raw >> 4) * 10 + (raw & 0xf) });
        let hour = match (register_b & HOURS_24 != 0, hour & PM != 0) {
            (true, _) => number(hour),
            (false, pm) => number(hour & !PM) % 12 + if pm { 12 } else { 0 },
        };
        // Not every machine keeps the century, and then the byte may be anything.
        let century = if matches!(number(century), 19..=21) { number(century) } else { 20 };
        Self {
            year: century * 100 + number(year),
            month: number(month),
            day: number(day),
            hour,
            minute: number(minute),
            second: number(second),
        }
    }
}

/// The time of day when the TSC was 0, in seconds since 1970.
#[cfg(target_os = "none")]
static TSC_ZERO: AtomicU64 = AtomicU64::new(0);

/// Reads the clock, once, while no other core runs: its ports are an index and a datum. [`time::init`] comes first.
///
/// [`time::init`]: crate::hw::time::init
#[cfg(target_os = "none")]
pub fn init() {
    TSC_ZERO.store(read().saturating_sub(time::tsc() / time::tsc_hz().max(1)), Ordering::Relaxed);
}

/// The time of day in seconds since 1970, taken as UTC; since the start where there is no clock that goes.
#[cfg(target_os = "none")]
pub fn unix_seconds() -> u64 {
    TSC_ZERO.load(Ordering::Relaxed) + time::tsc() / time::tsc_hz().max(1)
}

#[cfg(target_os = "none")]
fn read() -> u64 {
    use x86_64::instructions::port::Port;
    const REGISTER_A: u8 = 0xa;
    const REGISTER_B: u8 = 0xb;
    const UPDATING: u8 = 1 << 7;
    /// Where most firmware keeps the century.
    const CENTURY: u8 = 0x32;
    let read = |register: u8| {
        // SAFETY: the clock's ports are where every PC has them; reading these registers changes nothing. Bit 7 of the index, which
        // masks NMIs, is left clear.
        unsafe {
            Port::<u8>::new(0x70).write(register);
            Port::<u8>::new(0x71).read()
        }
    };
    let all = || [0, 2, 4, 7, 8, 9, CENTURY].map(read);
    for _ in 0..10_000 {
        let first = all();
        if read(REGISTER_A) & UPDATING == 0 && first == all() {
            return Date::from_registers(first, read(REGISTER_B)).unix_seconds();
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: u32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> u64 {
        Date { year, month, day, hour, minute, second }.unix_seconds()
    }

    #[test]
    fn seconds_since_1970() {
        assert_eq!(at(1970, 1, 1, 0, 0, 0), 0);
        assert_eq!(at(2000, 2, 29, 12, 0, 0), 951_825_600);
        assert_eq!(at(2026, 11, 21, 10, 20, 30), 1_795_256_430);
        assert_eq!(at(2026, 0, 1, 0, 0, 0), 0);
        assert_eq!(at(1969, 12, 31, 23, 59, 59), 0);
    }

    #[test]
    fn the_clocks_codes() {
        let date = Date::from_registers([0x59, 0x30, 0x92, 0x21, 0x11, 0x26, 0x20], 0);
        assert_eq!(date, Date { year: 2026, month: 11, day: 21, hour: 12, minute: 30, second: 59 });
        let date = Date::from_registers([59, 30, 13, 21, 11, 26, 0xff], 0b110);
        assert_eq!(date, Date { year: 2026, month: 11, day: 21, hour: 13, minute: 30, second: 59 });
        assert_eq!(Date::from_registers([0, 0, 0x12, 1, 1, 0, 0x20], 0).hour, 0);
    }
}
