//! The timer against its data sheet.

use super::pit::{HZ, LATE, Pit, port_b};
use proptest::prelude::*;
use std::vec::Vec;

/// A timer whose edges are wanted, on a host whose TSC ticks with it.
fn pit() -> Pit {
    let mut p = Pit::new(HZ);
    p.set_wanted(true, 0);
    p
}

/// A timer whose counter 0 was programmed with `control` and both bytes of `count` at time 0.
fn programmed(control: u8, count: u16) -> Pit {
    let mut p = pit();
    p.write(0x43, control, 0);
    count.to_le_bytes().into_iter().for_each(|byte| p.write(0x40, byte, 0));
    p
}

/// OUT0 after each of the first `pulses`.
fn wave(p: &mut Pit, pulses: u64) -> Vec<u8> {
    (1..=pulses).map(|t| (p.advance(t), u8::from(p.out0())).1).collect()
}

/// Reads both bytes of counter 0.
fn count(p: &mut Pit, now: u64) -> u16 {
    u16::from_le_bytes([p.read(0x40, now), p.read(0x40, now)])
}

#[test]
fn mode_0_is_high_n_plus_1_pulses_after_the_count() {
    let mut p = programmed(0x30, 4);
    assert!(!p.out0());
    assert_eq!(p.next_event(), Some(5));
    assert_eq!(wave(&mut p, 7), [0, 0, 0, 0, 1, 1, 1]);
    assert_eq!((count(&mut p, 7), p.next_event()), (0xfffe, None));
    // A new count starts it again, and its first byte already takes OUT down and stops the counter.
    p.write(0x40, 3, 10);
    assert!(!p.out0());
    assert_eq!((p.next_event(), count(&mut p, 20)), (None, 0xfffb));
    p.write(0x40, 0, 20);
    assert_eq!(p.next_event(), Some(24));
    assert!(!p.advance(23));
    assert!(p.advance(24) && p.out0() && !p.advance(30));
}

#[test]
fn mode_2_divides_by_n() {
    let mut p = programmed(0x34, 3);
    assert_eq!(wave(&mut p, 10), [1, 1, 0, 1, 1, 0, 1, 1, 0, 1]);
    let mut p = programmed(0x34, 3);
    assert_eq!([1, 2, 3, 4, 5].map(|t| count(&mut p, t)), [3, 2, 1, 3, 2]);
    // A new count waits for the end of the cycle.
    p.write(0x40, 5, 5);
    p.write(0x40, 0, 5);
    assert_eq!([5, 6, 7, 8, 9].map(|t| count(&mut p, t)), [2, 1, 5, 4, 3]);
}

#[test]
fn mode_3_is_a_square_wave() {
    let mut p = programmed(0x36, 4);
    assert_eq!(wave(&mut p, 9), [1, 1, 0, 0, 1, 1, 0, 0, 1]);
    let mut p = programmed(0x36, 4);
    assert_eq!([1, 2, 3, 4].map(|t| count(&mut p, t)), [4, 2, 4, 2]);
    let mut p = programmed(0x36, 5);
    assert_eq!(wave(&mut p, 11), [1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1]);
    let mut p = programmed(0x36, 5);
    assert_eq!([1, 2, 3, 4, 5, 6].map(|t| count(&mut p, t)), [4, 2, 0, 4, 2, 4]);
}

#[test]
fn mode_4_strobes_once() {
    let mut p = programmed(0x38, 3);
    assert_eq!(p.next_event(), Some(5));
    assert_eq!(wave(&mut p, 7), [1, 1, 1, 0, 1, 1, 1]);
    assert_eq!((p.next_event(), p.advance(1_000_000)), (None, false));
}

/// Counter 2 and its gate in port 0x61, and OUT2 there.
#[test]
fn modes_1_and_5_need_the_gate_to_rise() {
    for (control, expected) in [(0xb2, [1, 0, 0, 0, 1, 1, 1]), (0xba, [1, 1, 1, 1, 0, 1, 1])] {
        let mut p = pit();
        p.write(0x43, control, 0);
        p.write(0x42, 3, 0);
        p.write(0x42, 0, 0);
        assert_eq!(p.read(0x61, 1000) & !port_b::REFRESH, port_b::OUT2);
        p.write(0x61, port_b::GATE2 | port_b::SPEAKER, 1000);
        let levels = [0, 1, 2, 3, 4, 5, 6].map(|t| (p.read(0x61, 1000 + t) & port_b::OUT2) >> 5);
        assert_eq!(levels, expected, "{control:#x}");
        assert_eq!(p.read(0x61, 2000) & 0xf, port_b::GATE2 | port_b::SPEAKER);
    }
}

#[test]
fn the_gate_stops_mode_0() {
    let mut p = pit();
    p.write(0x43, 0xb0, 0);
    p.write(0x42, 0xff, 0);
    p.write(0x42, 0xff, 0);
    assert_eq!(p.read(0x61, 1_000_000) & port_b::OUT2, 0);
    p.write(0x61, port_b::GATE2, 1_000_000);
    assert_eq!(p.read(0x61, 1_065_534) & port_b::OUT2, 0);
    assert_eq!(p.read(0x61, 1_065_535) & port_b::OUT2, port_b::OUT2);
}

#[test]
fn refresh_toggles() {
    let mut p = pit();
    let levels: Vec<_> = (0..72).map(|t| p.read(0x61, t) & port_b::REFRESH != 0).collect();
    assert!((0..72).all(|t| levels[t] == (t / 18 % 2 != 0)));
}

#[test]
fn latch_and_read_back() {
    let mut p = programmed(0x34, 1000);
    // Status before the count was loaded: OUT, null count, both bytes, mode 2.
    p.write(0x43, 0xe2, 0);
    assert_eq!(p.read(0x40, 0), 0x80 | 0x40 | 0x34);
    p.write(0x43, 0x00, 11);
    p.write(0x43, 0x00, 20);
    assert_eq!((count(&mut p, 30), count(&mut p, 31)), (990, 970));
    // Both: the status comes first. Counter 1 is not selected.
    p.write(0x43, 0xc2, 41);
    assert_eq!(p.read(0x40, 50), 0x80 | 0x34);
    assert_eq!((count(&mut p, 60), count(&mut p, 61)), (960, 940));
    assert_eq!(p.read(0x43, 62), 0xff);
}

#[test]
fn bcd_and_single_bytes() {
    let mut p = programmed(0x35, 0x0100);
    assert_eq!([1, 2, 11, 100, 101].map(|t| count(&mut p, t)), [0x100, 0x99, 0x90, 1, 0x100]);
    let mut p = programmed(0x31, 0);
    assert_eq!([1, 2, 10_001, 10_002].map(|t| count(&mut p, t)), [0, 0x9999, 0, 0x9999]);
    let mut p = pit();
    p.write(0x43, 0x14, 0);
    p.write(0x40, 10, 0);
    assert_eq!((p.read(0x40, 1), p.read(0x40, 2)), (10, 9));
    p.write(0x43, 0x24, 8);
    p.write(0x40, 2, 8);
    assert_eq!((p.read(0x40, 9), p.read(0x40, 10), p.next_event()), (2, 1, Some(9 + 0x200)));
}

#[test]
fn a_late_host_loses_no_tick_up_to_a_limit() {
    let mut p = programmed(0x34, 100);
    assert_eq!(p.next_event(), Some(101));
    // A read of the port does not swallow edges either.
    p.read(0x40, 350);
    assert_eq!(p.next_event(), Some(350));
    assert!(p.advance(350) && p.advance(350) && p.advance(350) && !p.advance(350));
    assert_eq!(p.next_event(), Some(401));
    let given = (0..2 * LATE).filter(|_| p.advance(1_000_000_000)).count();
    assert_eq!(given as u64, LATE);
    assert_eq!(p.next_event(), Some(1_000_000_001));
    // What a new mode starts with is no more than the one edge that an interrupt controller would have latched.
    p.advance(1_000_001_000);
    p.write(0x43, 0x34, 1_000_001_000);
    assert!(p.advance(1_000_001_000) && !p.advance(1_000_001_000));
}

#[test]
fn a_low_output_withdraws_what_was_late() {
    let mut p = programmed(0x34, 100);
    assert!(p.advance(101));
    // Mode 0 begins with OUT low.
    p.write(0x43, 0x10, 1000);
    assert!(p.withdraws() && !p.advance(1000));
    p.write(0x40, 5, 1000);
    assert!(p.advance(1006) && !p.advance(2000) && !p.withdraws());
}

#[test]
fn what_nobody_wants_leaves_one_edge() {
    let mut p = programmed(0x34, 100);
    p.set_wanted(false, 250);
    p.set_wanted(false, 500);
    p.read(0x40, 2000);
    p.set_wanted(true, 3000);
    let given = (0..LATE).filter(|_| p.advance(3000)).count();
    assert_eq!(given, 3, "two before, and one that an 8259 would have latched");
    assert_eq!((0..LATE).filter(|_| p.advance(4000)).count(), 10);
}

proptest! {
    #[test]
    fn nothing_panics_and_events_come_when_they_say(
        hz in prop_oneof![Just(0u64), Just(HZ), Just(3_000_000_000), any::<u64>()],
        ops in prop::collection::vec(
            (prop::sample::select(std::vec![0x40u16, 0x41, 0x42, 0x43, 0x43, 0x61, 0x99]), any::<u8>(), any::<bool>(),
             prop_oneof![4 => 0u64..5_000_000, 1 => any::<u64>()]), 0..200)
    ) {
        let (mut p, mut now) = (Pit::new(hz), 0u64);
        for (port, value, write, step) in ops {
            now = now.saturating_add(step);
            if write {
                p.write(port, value, now);
            } else {
                p.read(port, now);
            }
            match p.next_event() {
                Some(u64::MAX) => {}
                Some(t) if t <= now => prop_assert!(p.advance(now)),
                Some(t) => {
                    prop_assert!(!p.clone().advance(t - 1));
                    prop_assert!(p.clone().advance(t));
                }
                None => prop_assert!(!p.clone().advance(now.saturating_add(1 << 40))),
            }
        }
    }
}
