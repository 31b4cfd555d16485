//! The real-time clock against its data sheet, and its calendar against a model that does one second at a time.

use super::rtc::{A_UIP, D_VRT, HZ, LATE, Rtc, b, c};
use super::rtc_time::{self, Date, Format, at};
use proptest::prelude::*;
use std::{vec, vec::Vec};

/// 2026-11-21 10:05:58, a Saturday.
const START: u64 = 1_795_255_558;

/// A clock on a host whose TSC ticks with it.
struct Rig(Rtc, u64);

impl Rig {
    fn new(unix: u64) -> Self {
        Self(Rtc::new(HZ, unix, 5000), 5000)
    }
    fn r(&mut self, index: u8) -> u8 {
        self.0.write(0x70, index, self.1);
        self.0.read(0x71, self.1)
    }
    fn w(&mut self, index: u8, value: u8) {
        self.0.write(0x70, index, self.1);
        self.0.write(0x71, value, self.1);
    }
    fn wait(&mut self, ticks: u64) {
        self.1 += ticks;
        self.0.advance(self.1);
    }
    /// Century, year, month, day, weekday, hour, minute, second, as they stand there.
    fn time(&mut self) -> [u8; 8] {
        [at::CENTURY, at::YEAR, at::MONTH, at::DAY_OF_MONTH, at::DAY_OF_WEEK, at::HOURS, at::MINUTES, at::SECONDS]
            .map(|index| self.r(index))
    }
}

#[test]
fn starts_at_the_time_given_and_goes_on() {
    let mut rtc = Rig::new(START);
    assert_eq!(rtc.time(), [0x20, 0x26, 0x11, 0x21, 7, 0x10, 0x05, 0x58]);
    assert_eq!([0xa, 0xb, 0xc, 0xd].map(|i| rtc.r(i)), [0x26, 0x02, 0, D_VRT]);
    rtc.wait(HZ - 1);
    assert_eq!(rtc.time()[7], 0x58);
    rtc.wait(1);
    assert_eq!(rtc.time()[7], 0x59);
    rtc.wait(86_400 * HZ + HZ);
    assert_eq!(rtc.time(), [0x20, 0x26, 0x11, 0x22, 1, 0x10, 0x06, 0x00]);
    assert_eq!((rtc.0.read(0x70, rtc.1), rtc.0.next_event()), (0xff, None));
}

#[test]
fn the_ends_of_years_and_centuries() {
    for (time, expected) in [
        ([0x19, 0x99, 0x12, 0x31, 6], [0x20, 0x00, 0x01, 0x01, 7]),
        ([0x20, 0x00, 0x02, 0x28, 2], [0x20, 0x00, 0x02, 0x29, 3]),
        ([0x21, 0x00, 0x02, 0x28, 1], [0x21, 0x00, 0x03, 0x01, 2]),
        ([0x20, 0x24, 0x02, 0x29, 5], [0x20, 0x24, 0x03, 0x01, 6]),
        ([0x99, 0x99, 0x12, 0x31, 6], [0x00, 0x00, 0x01, 0x01, 7]),
    ] {
        let mut rtc = Rig::new(0);
        rtc.w(0xb, b::SET | b::HOURS24);
        let to = [at::CENTURY, at::YEAR, at::MONTH, at::DAY_OF_MONTH, at::DAY_OF_WEEK];
        to.into_iter().zip(time).for_each(|(index, value)| rtc.w(index, value));
        [at::HOURS, at::MINUTES, at::SECONDS].into_iter().zip([0x23, 0x59, 0x59]).for_each(|(i, v)| rtc.w(i, v));
        // While SET is on, the time stands.
        rtc.wait(10 * HZ);
        assert_eq!(rtc.time()[..5], time);
        rtc.w(0xb, b::HOURS24);
        rtc.wait(HZ);
        assert_eq!((&rtc.time()[..5], &rtc.time()[5..]), (&expected[..], &[0, 0, 0][..]));
    }
}

#[test]
fn formats() {
    let bcd12 = Format { binary: false, hours24: false };
    let hours: Vec<u8> = [0, 1, 11, 12, 13, 23].map(|h| bcd12.encode_hour(h)).into();
    assert_eq!(hours, [0x12, 0x01, 0x11, 0x92, 0x81, 0x91]);
    for format in
        [(false, false), (false, true), (true, false), (true, true)].map(|(binary, hours24)| Format { binary, hours24 })
    {
        assert!((0..24).all(|h| format.decode_hour(format.encode_hour(h)) == h));
        assert!((0..24).all(|h| format.alarm_hour(format.encode_hour(h)) == Some(h)));
        assert!((0..100).all(|n| format.decode(format.encode(n)) == n && format.alarm(format.encode(n)) == Some(n)));
        assert!((0..=255).all(|raw| format.alarm(raw).is_none() == (raw >= 0xc0)));
        // No digits make it overflow.
        (0..=255).for_each(|raw| _ = (format.decode_hour(raw), format.decode(raw), format.alarm_hour(raw)));
    }
}

#[test]
fn update_in_progress_comes_before_the_update() {
    let mut rtc = Rig::new(START);
    rtc.wait(HZ - 9);
    assert_eq!(rtc.r(0xa) & A_UIP, 0);
    rtc.wait(1);
    assert_eq!(rtc.r(0xa) & A_UIP, A_UIP);
    rtc.w(0xb, b::SET);
    assert_eq!(rtc.r(0xa) & A_UIP, 0);
    rtc.w(0xb, 0);
    rtc.wait(8);
    assert_eq!((rtc.r(0xa) & A_UIP, rtc.r(0)), (0, 0x59));
}

#[test]
fn the_divider_stands_and_starts_half_a_second_before_an_update() {
    let mut rtc = Rig::new(START);
    rtc.w(0xa, 0x70);
    rtc.w(0xb, b::UIE | b::PIE | b::AIE);
    rtc.wait(100 * HZ);
    assert_eq!((rtc.r(0), rtc.r(0xc), rtc.0.next_event()), (0x58, 0, None));
    rtc.w(0xa, 0x20);
    assert_eq!(rtc.0.next_event(), Some(rtc.1 + HZ / 2));
    rtc.wait(HZ / 2);
    assert_eq!((rtc.r(0), rtc.0.irq(), rtc.r(0xc)), (0x59, true, c::IRQF | c::UF));
    assert!(!rtc.0.irq());
}

#[test]
fn set_clears_the_update_interrupt_enable() {
    let mut rtc = Rig::new(START);
    rtc.w(0xb, b::UIE);
    assert_eq!(rtc.0.next_event(), Some(5000 + HZ));
    rtc.w(0xb, b::SET | b::UIE | b::PIE);
    assert_eq!(rtc.r(0xb), b::SET | b::PIE);
    rtc.w(0xb, 0);
    rtc.wait(HZ);
    // The flag comes without its enable bit, and enabling it then interrupts.
    assert!(!rtc.0.irq());
    rtc.w(0xb, b::UIE);
    assert!(rtc.0.irq());
    assert_eq!((rtc.r(0xc), rtc.r(0xc)), (c::IRQF | c::PF | c::UF, 0));
}

#[test]
fn periodic_rates() {
    for (rate, period) in [(1, 128), (2, 256), (3, 4), (6, 32), (10, 512), (15, 16_384)] {
        let mut rtc = Rig::new(START);
        rtc.w(0xa, 0x20 | rate);
        rtc.w(0xb, b::PIE);
        for _ in 0..5 {
            assert_eq!(rtc.0.next_event(), Some(rtc.1 + period), "{rate}");
            rtc.wait(period - 1);
            assert!(!rtc.0.irq());
            rtc.wait(1);
            assert!(rtc.0.irq());
            assert_eq!(rtc.r(0xc) & !c::UF, c::IRQF | c::PF);
        }
    }
}

#[test]
fn late_periodic_interrupts_come_one_by_one() {
    let mut rtc = Rig::new(START);
    rtc.w(0xb, b::PIE);
    rtc.wait(5 * 32);
    for left in (0..5).rev() {
        assert!(rtc.0.irq());
        assert_eq!(rtc.r(0xc), c::IRQF | c::PF);
        assert!(!rtc.0.irq());
        assert_eq!(rtc.0.next_event(), Some(if left == 0 { rtc.1 + 32 } else { rtc.1 }));
        rtc.wait(0);
    }
    assert!(!rtc.0.irq());
    rtc.wait(1 << 40);
    let mut given = 0;
    while rtc.r(0xc) & c::PF != 0 {
        given += 1;
        rtc.wait(0);
    }
    // The one that PF is, and those that were kept.
    assert_eq!(given, LATE + 1);
}

#[test]
fn alarm() {
    let mut rtc = Rig::new(START);
    for (index, value) in [(at::SECONDS_ALARM, 0x01), (at::MINUTES_ALARM, 0x06), (at::HOURS_ALARM, 0x10)] {
        rtc.w(index, value);
    }
    rtc.w(0xb, b::AIE | b::HOURS24);
    assert_eq!(rtc.0.next_event(), Some(5000 + 3 * HZ));
    rtc.wait(3 * HZ - 1);
    assert!(!rtc.0.irq());
    rtc.wait(1);
    assert_eq!(rtc.r(0xc), c::IRQF | c::PF | c::AF | c::UF);
    assert_eq!(rtc.0.next_event(), Some(rtc.1 + 86_400 * HZ));
    rtc.w(at::HOURS_ALARM, 0xff);
    assert_eq!(rtc.0.next_event(), Some(rtc.1 + 3600 * HZ));
    rtc.w(at::MINUTES_ALARM, 0xc0);
    assert_eq!(rtc.0.next_event(), Some(rtc.1 + 60 * HZ));
    rtc.w(at::SECONDS_ALARM, 0xd5);
    assert_eq!(rtc.0.next_event(), Some(rtc.1 + HZ));
    rtc.w(at::SECONDS_ALARM, 0x75);
    assert_eq!(rtc.0.next_event(), None);
}

#[test]
fn memory_and_what_firmware_leaves_there() {
    let mut rtc = Rig::new(START);
    rtc.0.set_memory(3 << 30);
    assert_eq!([0x10, 0x14, 0x15, 0x16].map(|i| rtc.r(i)), [0, 0, 0x80, 0x02]);
    assert_eq!([0x17, 0x18, 0x30, 0x31, 0x34, 0x35].map(|i| rtc.r(i)), [0xff, 0xff, 0xff, 0xff, 0x00, 0xbf]);
    rtc.0.set_memory(8 << 20);
    assert_eq!([0x17, 0x18, 0x30, 0x31, 0x34, 0x35].map(|i| rtc.r(i)), [0x00, 0x1c, 0x00, 0x1c, 0, 0]);
    rtc.0.set_memory(u64::MAX);
    assert_eq!([0x34, 0x35].map(|i| rtc.r(i)), [0xff, 0xff]);
    for i in (0xe..0x32).chain(0x33..0x80) {
        // Bit 7 of the index is not part of it.
        rtc.w(i | 0x80, i ^ 0x5a);
        assert_eq!(rtc.r(i), i ^ 0x5a);
    }
    rtc.w(0xc, 0xff);
    rtc.w(0xd, 0xff);
    assert_eq!((rtc.r(0xc), rtc.r(0xd)), (0, D_VRT));
}

/// The next second of year, month, day, weekday, hour, minute, second.
fn tick(t: &mut [u32; 7]) {
    let leap = t[0].is_multiple_of(4) && (!t[0].is_multiple_of(100) || t[0].is_multiple_of(400));
    let days = [31, 28 + u32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][t[1] as usize - 1];
    t[6] += 1;
    for (i, limit) in [(6, 60), (5, 60), (4, 24)] {
        if t[i] < limit {
            return;
        }
        t[i] = 0;
        t[if i == 4 { 2 } else { i - 1 }] += 1;
    }
    t[3] = t[3] % 7 + 1;
    if t[2] > days {
        (t[2], t[1]) = (1, t[1] + 1);
    }
    if t[1] > 12 {
        (t[1], t[0]) = (1, (t[0] + 1) % 10_000);
    }
}

#[test]
fn every_day_of_ten_thousand_years() {
    let mut time = [1970, 1, 1, 5, 23, 59, 59];
    for days in 0..25 * 146_097u64 {
        let date = Date { year: time[0] as u16, month: time[1] as u8, day: time[2] as u8 };
        assert_eq!(Date::from_days(days), date);
        assert_eq!(date.to_days(), days);
        tick(&mut time);
        [time[4], time[5], time[6]] = [23, 59, 59];
    }
    assert_eq!(time[..3], [1970, 1, 1]);
}

fn format() -> impl Strategy<Value = Format> {
    (any::<bool>(), any::<bool>()).prop_map(|(binary, hours24)| Format { binary, hours24 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn seconds_as_in_the_model(
        unix in prop_oneof![0u64..253_402_300_799, (0u64..2_900_000).prop_map(|d| d * 86_400 + 86_390)],
        f in format(), alarm in any::<[u8; 3]>(), plain in any::<[bool; 3]>(), seconds in 1u64..100_000
    ) {
        let (mut cmos, mut all) = ([0; 128], vec![]);
        rtc_time::set(&mut cmos, f, unix);
        // Mostly alarms that can come.
        let encoded = [f.encode(alarm[0] % 60), f.encode(alarm[1] % 60), f.encode_hour(alarm[2] % 24)];
        for (i, index) in [at::SECONDS_ALARM, at::MINUTES_ALARM, at::HOURS_ALARM].into_iter().enumerate() {
            cmos[usize::from(index)] = if plain[i] { encoded[i] } else { alarm[i] };
        }
        let date = rtc_time::date(&cmos, f);
        let of = |cmos: &[u8; 128], i: u8| u32::from(f.decode(cmos[usize::from(i)]));
        let mut time = [
            date.year.into(), date.month.into(), date.day.into(), of(&cmos, at::DAY_OF_WEEK),
            f.decode_hour(cmos[4]).into(), of(&cmos, at::MINUTES), of(&cmos, at::SECONDS),
        ];
        prop_assert_eq!(u64::from(time[4] * 3600 + time[5] * 60 + time[6]), unix % 86_400);
        prop_assert_eq!((date.to_days(), u64::from(time[3])), (unix / 86_400, (unix / 86_400 + 4) % 7 + 1));
        let wait = rtc_time::until_alarm(&cmos, f);
        for n in 1..=seconds.max(86_400) {
            tick(&mut time);
            let raw = [f.encode(time[6] as u8), f.encode(time[5] as u8), f.encode_hour(time[4] as u8)];
            if raw.into_iter().zip([1, 3, 5]).all(|(t, i)| cmos[i] >= 0xc0 || cmos[i] == t) {
                all.push(n);
            }
            if n == seconds {
                let mut later = cmos;
                rtc_time::add(&mut later, f, n);
                prop_assert_eq!([later[0], later[2], later[4]], raw);
                let date = rtc_time::date(&later, f);
                let date = [u32::from(date.year), date.month.into(), date.day.into()];
                prop_assert_eq!(date, [time[0], time[1], time[2]]);
                prop_assert_eq!(of(&later, at::DAY_OF_WEEK), time[3]);
            }
        }
        prop_assert_eq!(wait, all.first().copied());
    }

}

proptest! {
    #[test]
    fn many_small_steps_are_one_big_step(
        time in any::<[u8; 16]>(), century in any::<u8>(), f in format(),
        steps in prop::collection::vec(0u64..200_000, 1..20)
    ) {
        let mut cmos = [0; 128];
        cmos[..16].copy_from_slice(&time);
        cmos[0x32] = century;
        let mut other = cmos;
        steps.iter().filter(|&&n| n != 0).for_each(|&n| rtc_time::add(&mut cmos, f, n));
        rtc_time::add(&mut other, f, steps.iter().sum());
        prop_assert_eq!(cmos, other);
    }

    #[test]
    fn nothing_panics_and_events_come_when_they_say(
        hz in prop_oneof![Just(0u64), Just(HZ), Just(3_000_000_000), any::<u64>()],
        unix in any::<u64>(),
        ops in prop::collection::vec(
            (prop_oneof![3 => Just(0xau8), 4 => Just(0xb), 4 => Just(0xc), 5 => 0u8..0xe, 1 => any::<u8>()],
             prop_oneof![any::<u8>(), Just(0x26), Just(0x72), Just(0xff)], any::<bool>(),
             prop_oneof![4 => 0u64..5_000_000_000, 4 => 0u64..100_000, 1 => any::<u64>()]), 0..150)
    ) {
        let (mut rtc, mut now) = (Rtc::new(hz, unix, 0), 0u64);
        for (index, value, write, step) in ops {
            now = now.saturating_add(step);
            rtc.write(0x70, index, now);
            if write {
                rtc.write(0x71, value, now);
            } else {
                rtc.read(0x71, now);
            }
            let irq = rtc.irq();
            match rtc.next_event() {
                Some(u64::MAX) => {}
                Some(t) if t <= now => {
                    rtc.advance(now);
                    prop_assert!(rtc.irq());
                }
                Some(t) => {
                    let (mut before, mut then) = (rtc.clone(), rtc.clone());
                    before.advance(t - 1);
                    then.advance(t);
                    prop_assert_eq!(before.irq(), irq);
                    prop_assert!(then.irq());
                }
                None => {
                    let mut later = rtc.clone();
                    later.advance(now.saturating_add(1 << 50));
                    prop_assert_eq!(later.irq(), irq);
                }
            }
        }
    }
}
