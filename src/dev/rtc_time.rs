//! The calendar of the real-time clock, over the registers that the guest sees.

/// CMOS addresses of the time (MC146818 "Time, Calendar, and Alarm Locations") and of the century, as in PCs.
#[allow(missing_docs)]
pub mod at {
    pub const SECONDS: u8 = 0;
    pub const SECONDS_ALARM: u8 = 1;
    pub const MINUTES: u8 = 2;
    pub const MINUTES_ALARM: u8 = 3;
    pub const HOURS: u8 = 4;
    pub const HOURS_ALARM: u8 = 5;
    pub const DAY_OF_WEEK: u8 = 6;
    pub const DAY_OF_MONTH: u8 = 7;
    pub const MONTH: u8 = 8;
    pub const YEAR: u8 = 9;
    pub const CENTURY: u8 = 0x32;
}

/// The seconds of a day.
pub const DAY: u64 = 86_400;

/// 9999-12-31 23:59:59, in seconds since 1970.
const LAST: u64 = 253_402_300_799;

/// How times are written in the registers (MC146818 "Register B", DM and 24/12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// Not BCD.
    pub binary: bool,
    /// Not 1 to 12 with bit 7 for the afternoon.
    pub hours24: bool,
}

impl Format {
    /// A number below 100 as it stands in a register.
    pub const fn encode(self, value: u8) -> u8 {
        if self.binary { value } else { (value / 10 % 10) << 4 | (value % 10) }
    }

    /// The number in a register, at most 255. A BCD digit above 9 has its value.
    pub const fn decode(self, raw: u8) -> u8 {
        if self.binary { raw } else { (raw >> 4) * 10 + (raw & 0xf) }
    }

    /// An hour from 0 to 23 as it stands in a register.
    pub const fn encode_hour(self, hour: u8) -> u8 {
        if self.hours24 {
            return self.encode(hour);
        }
        let afternoon = if hour >= 12 { 0x80 } else { 0 };
        let hour = match hour % 12 {
            0 => 12,
            hour => hour,
        };
        self.encode(hour) | afternoon
    }

    /// The hour in a register. It is 24 or more only if that is no hour.
    pub const fn decode_hour(self, raw: u8) -> u8 {
        if self.hours24 {
            return self.decode(raw);
        }
        match self.decode(raw & 0x7f) {
            hour @ 1..=12 => hour % 12 + if raw & 0x80 != 0 { 12 } else { 0 },
            _ => 24,
        }
    }

    /// What an alarm register compares with: `None` for any value ("don't care", the two high bits set). What no time
    /// register can hold matches never.
    pub fn alarm(self, raw: u8) -> Option<u8> {
        (raw < 0xc0).then(|| {
            let value = self.decode(raw);
            if self.encode(value) == raw { value } else { u8::MAX }
        })
    }

    /// [`Self::alarm`] for the hours.
    pub fn alarm_hour(self, raw: u8) -> Option<u8> {
        (raw < 0xc0).then(|| {
            let hour = self.decode_hour(raw);
            if hour < 24 && self.encode_hour(hour) == raw { hour } else { u8::MAX }
        })
    }
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Date {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// The days from 0000-03-01, with which the years of this count begin, to 1970-01-01.
const TO_1970: u32 = 719_468;
/// The days of 400 years.
const ERA: u32 = 146_097;

impl Date {
    /// The day that is `days` after 1970-01-01.
    pub const fn from_days(days: u64) -> Self {
        // Past the year 9999 comes the year 0.
        let days = ((days % (25 * ERA as u64)) as u32 + TO_1970) % (25 * ERA);
        let (era, of_era) = (days / ERA, days % ERA);
        // Each term takes back the leap days that the division by 365 took for days of the next year.
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        // March is month 0; from there on, the months have 31, 30, 31, 30, 31 days again and again.
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self { year: ((era * 400 + year + next) % 10_000) as u16, month: month as u8, day: day as u8 }
    }

    /// The days since 1970-01-01, of 10,000 years, before it as after it. A month or day that does not exist is taken
    /// as the next one that does.
    pub const fn to_days(self) -> u64 {
        let month = if self.month < 1 {
            1
        } else if self.month > 12 {
            12
        } else {
            self.month
        } as u32;
        let day = if self.day < 1 {
            1
        } else if self.day > 31 {
            31
        } else {
            self.day
        } as u32;
        let (year, month) = if month > 2 {
            (self.year as u32 % 10_000, month - 3)
        } else {
            // The year before year 0 is 9999.
            ((self.year as u32 + 9_999) % 10_000, month + 9)
        };
        let of_year = (153 * month + 2) / 5 + day - 1;
        let (era, of_era) = (year / 400, year % 400);
        let days = era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        ((days + 25 * ERA - TO_1970) % (25 * ERA)) as u64
    }
}

/// Writes the time `unix` seconds after 1970 into the registers. It ends with the year 9999.
pub fn set(cmos: &mut [u8; 128], format: Format, unix: u64) {
    let unix = if unix > LAST { LAST } else { unix };
    let (days, second) = (unix / DAY, (unix % DAY) as u32);
    put(cmos, at::SECONDS, format.encode((second % 60) as u8));
    put(cmos, at::MINUTES, format.encode((second / 60 % 60) as u8));
    put(cmos, at::HOURS, format.encode_hour((second / 3600) as u8));
    // The first of January 1970 was a Thursday; Sunday is 1.
    put(cmos, at::DAY_OF_WEEK, format.encode(((days + 4) % 7) as u8 + 1));
    put_date(cmos, format, Date::from_days(days));
}

/// Moves the time in the registers on by `seconds`. A register that no carry reaches stays as the guest wrote it; in
/// one that a carry reaches, what is no time is reduced to one.
pub fn add(cmos: &mut [u8; 128], format: Format, seconds: u64) {
    let Some(carry) = add_to(cmos, at::SECONDS, format, seconds) else { return };
    let Some(carry) = add_to(cmos, at::MINUTES, format, carry) else { return };
    let hours = u64::from(format.decode_hour(get(cmos, at::HOURS)) % 24).saturating_add(carry);
    put(cmos, at::HOURS, format.encode_hour((hours % 24) as u8));
    let days = hours / 24;
    if days == 0 {
        return;
    }
    let weekday = u64::from(format.decode(get(cmos, at::DAY_OF_WEEK))) + 6;
    put(cmos, at::DAY_OF_WEEK, format.encode((weekday.saturating_add(days) % 7) as u8 + 1));
    let date = date(cmos, format);
    put_date(cmos, format, Date::from_days(date.to_days().saturating_add(days)));
}

/// The date in the registers.
pub fn date(cmos: &[u8; 128], format: Format) -> Date {
    let of = |index| format.decode(get(cmos, index));
    let year = u16::from(of(at::CENTURY) % 100) * 100 + u16::from(of(at::YEAR) % 100);
    Date { year, month: of(at::MONTH), day: of(at::DAY_OF_MONTH) }
}

/// How many seconds after the time in the registers the alarm matches, from 1 to [`DAY`]: `None` if it never does.
pub fn until_alarm(cmos: &[u8; 128], format: Format) -> Option<u64> {
    let of = |index| u64::from(format.decode(get(cmos, index)) % 60);
    let hour = u64::from(format.decode_hour(get(cmos, at::HOURS)) % 24);
    let now = hour * 3600 + of(at::MINUTES) * 60 + of(at::SECONDS);
    let start = now + 1;
    let second = format.alarm(get(cmos, at::SECONDS_ALARM));
    let minute = format.alarm(get(cmos, at::MINUTES_ALARM));
    let hour_alarm = format.alarm_hour(get(cmos, at::HOURS_ALARM));
    // Hours from the current one to the same one tomorrow, each with the part of it that is not over.
    for hour in start / 3600..=start / 3600 + 24 {
        if hour_alarm.is_some_and(|h| u64::from(h) != hour % 24) {
            continue;
        }
        let from = start.saturating_sub(hour * 3600);
        if let Some(found) = first_in_hour(minute, second, from as u32) {
            return Some(hour * 3600 + u64::from(found) - now);
        }
    }
    None
}

/// The first second of an hour, at `from` or later, that matches.
fn first_in_hour(minute: Option<u8>, second: Option<u8>, from: u32) -> Option<u32> {
    let this = first(minute, from / 60)?;
    let second_from = if this == from / 60 { from % 60 } else { 0 };
    if let Some(s) = first(second, second_from) {
        return Some(this * 60 + s);
    }
    Some(first(minute, this + 1)? * 60 + first(second, 0)?)
}

/// The first number below 60, at `from` or later, that matches.
fn first(wanted: Option<u8>, from: u32) -> Option<u32> {
    let number = wanted.map_or(from, u32::from);
    (number >= from && number < 60).then_some(number)
}

/// Adds to a register of seconds or minutes. Gives what is carried, if anything.
fn add_to(cmos: &mut [u8; 128], index: u8, format: Format, count: u64) -> Option<u64> {
    let sum = u64::from(format.decode(get(cmos, index)) % 60).saturating_add(count);
    put(cmos, index, format.encode((sum % 60) as u8));
    (sum >= 60).then_some(sum / 60)
}

fn put_date(cmos: &mut [u8; 128], format: Format, date: Date) {
    put(cmos, at::DAY_OF_MONTH, format.encode(date.day));
    put(cmos, at::MONTH, format.encode(date.month));
    put(cmos, at::YEAR, format.encode((date.year % 100) as u8));
    put(cmos, at::CENTURY, format.encode((date.year / 100 % 100) as u8));
}

fn get(cmos: &[u8; 128], index: u8) -> u8 {
    cmos.get(usize::from(index)).copied().unwrap_or(0)
}

fn put(cmos: &mut [u8; 128], index: u8, value: u8) {
    if let Some(byte) = cmos.get_mut(usize::from(index)) {
        *byte = value;
    }
}
