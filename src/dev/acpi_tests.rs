//! The fixed hardware against the ACPI specification.

use super::acpi::{Acpi, HZ, SLEEP_OFF, control, event, offset};
use super::power::Power;
use crate::base::Width;
use proptest::prelude::*;

const OFF: u16 = (SLEEP_OFF as u16) << 10 | control::SLP_EN;

fn acpi() -> Acpi {
    Acpi::new(HZ, 1000)
}

#[test]
fn the_timer_counts_from_the_start_and_is_not_writable() {
    let mut a = acpi();
    assert_eq!(a.read(offset::TIMER, Width::B4, 1000), 0);
    assert_eq!(a.write(offset::TIMER, Width::B4, 77, 1000), None);
    assert_eq!(a.read(offset::TIMER, Width::B4, 0x1_2345_6789 + 1000), 0x2345_6789);
    assert_eq!(a.read(offset::TIMER + 1, Width::B1, 0x1_2345_6789 + 1000), 0x67);
    assert_eq!(a.read(offset::TIMER + 2, Width::B2, 0x1_2345_6789 + 1000), 0x2345);
    assert_eq!(a.read(offset::TIMER + 2, Width::B4, 0x1_2345_6789 + 1000), 0xffff_2345);
}

#[test]
fn the_timer_interrupts_when_its_top_bit_changes() {
    let mut a = acpi();
    assert_eq!(a.next_event(), None);
    a.write(offset::ENABLE, Width::B2, event::TIMER.into(), 5000);
    let first = 1000 + (1 << 31);
    assert_eq!(a.next_event(), Some(first));
    a.advance(first - 1);
    assert!(!a.sci());
    a.advance(first);
    assert!(a.sci());
    assert_eq!(a.next_event(), None);
    a.write(offset::STATUS, Width::B2, event::TIMER.into(), first + 5);
    assert!(!a.sci());
    assert_eq!(a.next_event(), Some(1000 + (1 << 32)));
}

#[test]
fn status_is_cleared_by_ones() {
    let mut a = acpi();
    a.power_button();
    assert!(!a.sci());
    a.write(offset::ENABLE, Width::B2, 0xffff, 1000);
    assert_eq!(a.read(offset::ENABLE, Width::B2, 1000), u32::from(event::ALL));
    assert!(a.sci());
    assert_eq!(a.read(offset::STATUS, Width::B4, 1000), u32::from(event::ALL) << 16 | 0x100);
    a.write(offset::STATUS, Width::B2, !u32::from(event::POWER_BUTTON), 1000);
    assert!(a.sci());
    a.write(offset::STATUS + 1, Width::B1, 1, 1000);
    assert!(!a.sci());
    a.write(offset::ENABLE + 1, Width::B1, 0, 1000);
    assert_eq!(a.read(offset::ENABLE, Width::B2, 1000), u32::from(event::TIMER | event::GLOBAL));
}

#[test]
fn always_in_acpi_mode() {
    let mut a = acpi();
    assert_eq!(a.read(offset::CONTROL, Width::B2, 1000), 1);
    a.write(offset::CONTROL, Width::B2, 0, 1000);
    assert_eq!(a.read(offset::CONTROL, Width::B2, 1000), 1);
    a.write(offset::CONTROL, Width::B2, (control::SLP_TYP | control::BM_RLD | 1 << 2).into(), 1000);
    assert_eq!(a.read(offset::CONTROL, Width::B4, 1000), u32::from(control::SLP_TYP | control::BM_RLD | 1));
}

#[test]
fn soft_off_and_no_other_sleep() {
    for sleep in 0..8u8 {
        let value = u16::from(sleep) << 10 | control::SLP_EN;
        let off = (sleep == SLEEP_OFF).then_some(Power::Off);
        assert_eq!(acpi().write(offset::CONTROL, Width::B2, value.into(), 1000), off);
        assert_eq!(acpi().write(offset::CONTROL + 1, Width::B1, u32::from(value >> 8), 1000), off);
        assert_eq!(acpi().write(offset::ENABLE, Width::B4, u32::from(value) << 16, 1000), off);
        assert_eq!(acpi().write(offset::CONTROL, Width::B1, value.into(), 1000), None);
        assert_eq!(acpi().write(offset::CONTROL, Width::B2, (value & !control::SLP_EN).into(), 1000), None);
    }
    assert_eq!(OFF, 0x3400);
}

proptest! {
    #[test]
    fn nothing_panics_and_bytes_make_up_words(
        hz in prop_oneof![Just(0u64), Just(HZ), any::<u64>()],
        ops in prop::collection::vec(
            (prop_oneof![0u16..14, any::<u16>()],
             prop::sample::select(std::vec![Width::B1, Width::B2, Width::B4, Width::B8]), any::<u32>(), 0u8..3,
             prop_oneof![4 => 0u64..1 << 33, 1 => any::<u64>()]), 0..100)
    ) {
        let (mut a, mut now) = (Acpi::new(hz, 0), 0u64);
        let mut timer = 0;
        for (at, width, value, what, step) in ops {
            now = now.saturating_add(step);
            match what {
                0 => _ = a.write(at, width, value, now),
                1 => a.power_button(),
                _ => {
                    let whole = a.read(at, width, now).to_le_bytes();
                    for i in 0..(width as u16).min(4) {
                        if let Some(at) = at.checked_add(i) {
                            prop_assert_eq!(a.read(at, Width::B1, now), u32::from(whole[usize::from(i)]));
                        }
                    }
                }
            }
            prop_assert_eq!(a.read(offset::CONTROL, Width::B1, now) & 1, 1);
            if let Some(t) = a.next_event().filter(|&t| t != u64::MAX) {
                prop_assert!(t > now);
                let (mut before, mut then) = (a.clone(), a.clone());
                before.advance(t - 1);
                then.advance(t);
                prop_assert_eq!(before.sci(), a.sci());
                prop_assert!(then.sci());
            }
            let new = a.read(offset::TIMER, Width::B4, now);
            if step < 1 << 30 && hz == HZ {
                prop_assert!(new.wrapping_sub(timer) < 1 << 31);
            }
            timer = new;
        }
    }
}
