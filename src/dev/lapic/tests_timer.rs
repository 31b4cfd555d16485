//! The timer in its three modes.

use proptest::prelude::*;

use super::regs::{lvt, word};
use super::tests::{at, enabled};
use super::timer::BEHIND;
use super::*;

const VECTOR: u8 = 0xec;
const ENTRY: u32 = VECTOR as u32;

/// Divides by 1.
fn timer(mode: u32) -> Lapic {
    let mut l = enabled(0);
    l.write(at(word::DIVIDE), 0xb, 0);
    l.write(at(word::TIMER), mode | ENTRY, 0);
    l
}

fn count(l: &mut Lapic, now: u64) -> u32 {
    l.read(at(word::CURRENT_COUNT), now)
}

/// Takes the timer's interrupt, if there is one.
fn serve(l: &mut Lapic) -> bool {
    let there = l.interrupt() == Some(VECTOR);
    l.acknowledge(VECTOR);
    if there {
        l.write(at(word::EOI), 0, 0);
    }
    there
}

/// How many interrupts the guest gets at `now`.
fn drain(l: &mut Lapic, now: u64) -> u64 {
    let mut ticks = 0;
    while l.next_event().is_some_and(|at| at <= now) {
        l.advance(now);
        ticks += u64::from(serve(l));
    }
    ticks
}

#[test]
fn divide_values() {
    for (bits, by) in [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (0xa, 128), (0xb, 1)] {
        assert_eq!(1 << super::timer::shift(bits), by);
        let mut l = timer(lvt::ONE_SHOT);
        l.write(at(word::DIVIDE), bits, 0);
        l.write(at(word::INITIAL_COUNT), 10, 1000);
        assert_eq!(l.next_event(), Some(1000 + 10 * by));
        assert_eq!((count(&mut l, 1000), count(&mut l, 1000 + by - 1)), (10, 10));
        assert_eq!((count(&mut l, 1000 + by), count(&mut l, 1000 + 10 * by)), (9, 0));
    }
}

#[test]
fn one_shot() {
    let mut l = timer(lvt::ONE_SHOT);
    l.write(at(word::INITIAL_COUNT), 100, 50);
    l.advance(149);
    assert!(!serve(&mut l));
    assert_eq!(count(&mut l, 149), 1);
    l.advance(150);
    assert!(serve(&mut l));
    assert_eq!((l.next_event(), count(&mut l, 151), l.read(at(word::INITIAL_COUNT), 151)), (None, 0, 100));
    // Starting anew, stopping, and counting while masked.
    l.write(at(word::INITIAL_COUNT), 100, 200);
    l.write(at(word::INITIAL_COUNT), 100, 250);
    assert_eq!(l.next_event(), Some(350));
    l.write(at(word::INITIAL_COUNT), 0, 250);
    assert_eq!((l.next_event(), count(&mut l, 250)), (None, 0));
    l.write(at(word::TIMER), lvt::MASKED | ENTRY, 250);
    l.write(at(word::INITIAL_COUNT), 100, 300);
    assert_eq!((l.next_event(), count(&mut l, 330)), (None, 70));
    l.write(at(word::TIMER), ENTRY, 340);
    assert_eq!(l.next_event(), Some(400));
    l.write(at(word::TIMER), lvt::MASKED | ENTRY, 340);
    l.write(at(word::TIMER), ENTRY, 500);
    assert_eq!((l.next_event(), l.interrupt()), (None, None));
}

#[test]
fn an_expiry_is_not_lost_to_the_next_write() {
    let mut l = timer(lvt::ONE_SHOT);
    l.write(at(word::INITIAL_COUNT), 100, 0);
    l.write(at(word::INITIAL_COUNT), 100, 100);
    assert!(serve(&mut l));
    l.write(at(word::SVR), 0xff, 200);
    l.write(at(word::SVR), 0x1ff, 200);
    assert!(serve(&mut l));
}

#[test]
fn dividing_otherwise_keeps_the_count() {
    let mut l = timer(lvt::ONE_SHOT);
    l.write(at(word::INITIAL_COUNT), 100, 0);
    l.write(at(word::DIVIDE), 0, 40);
    assert_eq!((count(&mut l, 40), l.next_event()), (60, Some(160)));
}

#[test]
fn periodic_ticks_wait_for_irr_but_are_not_lost() {
    let mut l = timer(lvt::PERIODIC);
    l.write(at(word::INITIAL_COUNT), 100, 0);
    assert_eq!((l.next_event(), count(&mut l, 30)), (Some(100), 70));
    l.advance(350);
    assert_eq!((l.next_event(), count(&mut l, 350)), (None, 50));
    l.advance(350);
    l.acknowledge(VECTOR);
    assert_eq!((l.next_event(), l.interrupt()), (Some(200), None));
    l.advance(350);
    assert_eq!((l.next_event(), l.interrupt()), (None, None));
    l.write(at(word::EOI), 0, 350);
    assert!(serve(&mut l));
    assert_eq!(drain(&mut l, 350), 1);
    assert_eq!(l.next_event(), Some(400));
}

#[test]
fn periodic_drops_what_is_too_far_behind() {
    let mut l = timer(lvt::PERIODIC);
    l.write(at(word::INITIAL_COUNT), 10, 0);
    let now = 10 * (BEHIND + 5000) + 3;
    assert_eq!(drain(&mut l, now), BEHIND + 1);
    assert_eq!(l.next_event(), Some(now + 7));
    // What passes while masked gives nothing.
    l.write(at(word::TIMER), lvt::PERIODIC | lvt::MASKED | ENTRY, now);
    assert_eq!(l.next_event(), None);
    l.write(at(word::TIMER), lvt::PERIODIC | ENTRY, now + 50);
    assert_eq!((drain(&mut l, now + 50), l.next_event()), (0, Some(now + 57)));
}

#[test]
fn an_illegal_vector_is_reported_and_does_not_storm() {
    let mut l = timer(lvt::PERIODIC);
    l.write(at(word::TIMER), lvt::PERIODIC | 3, 0);
    l.write(at(word::ERROR), 0xfe, 0);
    l.write(at(word::INITIAL_COUNT), 1, 0);
    assert_eq!(l.next_event(), Some(1));
    l.advance(500);
    assert_eq!((l.interrupt(), l.next_event()), (Some(0xfe), None));
}

#[test]
fn tsc_deadline() {
    let offset = 0_u64.wrapping_sub(1000);
    let mut l = timer(lvt::ONE_SHOT);
    l.set_deadline(500, offset);
    assert_eq!((l.deadline(), l.next_event()), (0, None));
    l.write(at(word::TIMER), lvt::DEADLINE | ENTRY, 0);
    l.write(at(word::INITIAL_COUNT), 7, 0);
    l.set_deadline(500, offset);
    assert_eq!((l.deadline(), l.next_event(), count(&mut l, 0)), (500, Some(1500), 0));
    assert_eq!(l.read(at(word::INITIAL_COUNT), 0), 0);
    l.set_tsc_offset(0);
    assert_eq!(l.next_event(), Some(500));
    l.advance(499);
    assert!(!serve(&mut l));
    l.advance(500);
    assert!(serve(&mut l));
    assert_eq!((l.deadline(), l.next_event()), (0, None));
    l.set_deadline(1, 0);
    l.advance(501);
    assert!(serve(&mut l));
    l.set_deadline(900, 0);
    l.set_deadline(0, 0);
    assert_eq!((l.deadline(), l.next_event()), (0, None));
    // As far as it goes is never, not past; before the host's beginning is past.
    l.set_deadline(u64::MAX, offset);
    assert_eq!((l.deadline(), l.next_event()), (u64::MAX, None));
    l.set_deadline(5, 1000);
    assert_eq!(l.next_event(), Some(0));
}

#[test]
fn another_mode_disarms() {
    let modes = [lvt::ONE_SHOT, lvt::PERIODIC, lvt::DEADLINE];
    for (from, to) in modes.into_iter().flat_map(|a| modes.map(|b| (a, b))).filter(|(a, b)| a != b) {
        let mut l = timer(from);
        l.write(at(word::INITIAL_COUNT), 100, 0);
        l.set_deadline(100, 0);
        assert_eq!(l.next_event(), Some(100));
        l.write(at(word::TIMER), to | ENTRY, 10);
        assert_eq!((l.next_event(), l.deadline(), count(&mut l, 10)), (None, 0, 0));
        l.advance(1000);
        assert_eq!(l.interrupt(), None);
    }
}

proptest! {
    #[test]
    fn periodic_gives_every_tick(initial in 1u32..2000, divide in 0u32..16, start in 0u64..1 << 40,
                                 steps in prop::collection::vec(0u64..100_000, 1..60)) {
        let mut l = timer(lvt::PERIODIC);
        l.write(at(word::DIVIDE), divide, start);
        l.write(at(word::INITIAL_COUNT), initial, start);
        let by = 1 << super::timer::shift(divide);
        let period = u64::from(initial) * by;
        let (mut now, mut ticks) = (start, 0);
        for step in steps {
            now += step.min(period * BEHIND);
            ticks += drain(&mut l, now);
            prop_assert_eq!(ticks, (now - start) / period);
            let passed = (now - start) % period / by;
            prop_assert_eq!(u64::from(count(&mut l, now)), u64::from(initial) - passed);
        }
    }

    #[test]
    fn one_shot_counts_down(initial in 1u32.., divide in 0u32..16,
                            steps in prop::collection::vec(0u64..1 << 36, 1..40)) {
        let mut l = timer(lvt::ONE_SHOT);
        l.write(at(word::DIVIDE), divide, 9);
        l.write(at(word::INITIAL_COUNT), initial, 9);
        let (mut now, mut fired) = (9, 0);
        for step in steps {
            now += step;
            fired += drain(&mut l, now);
            let passed = (now - 9) >> super::timer::shift(divide);
            prop_assert_eq!(u64::from(count(&mut l, now)), u64::from(initial).saturating_sub(passed));
            prop_assert_eq!(fired, u64::from(passed >= u64::from(initial)));
        }
    }
}
