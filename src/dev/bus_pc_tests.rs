//! The devices of the bus together: how a timer's tick, a character or a power event comes to the CPU, and how the CPU takes it.

use super::bus::{self, Attention, Bus, Ended, IOAPIC, LOCAL_APIC, Start};
use super::power::{Power, ResetBy};
use crate::base::{Gpa, Width};
use proptest::prelude::*;
use std::vec::Vec;

const TSC_HZ: u64 = 1_000_000_000;
/// Registers of the local APIC.
const EOI: u64 = 0xb0;
const LVT_TIMER: u64 = 0x320;
const LVT_LINT0: u64 = 0x350;
const MASKED: u32 = 1 << 16;
/// Offset and value of entries of the I/O APIC.
const LEVEL: u32 = 1 << 15;

fn pc() -> Bus {
    let mut bus = Bus::pc(&Start { tsc_hz: TSC_HZ, now: 0, unix_seconds: 1_800_000_000, ..Start::default() });
    // The first look, at which nothing is there.
    assert!(bus.take_attention().has(Attention::SERVICE));
    assert_eq!((bus.next_event(), bus.interrupt(), bus.nmi()), (None, false, false));
    bus
}

fn out(bus: &mut Bus, port: u16, value: u8, now: u64) {
    bus.port_out(port, Width::B1, value.into(), || now);
}

fn put(bus: &mut Bus, at: Gpa, offset: u64, value: u32, now: u64) {
    bus.mmio_write(at.checked_add(offset).unwrap(), &value.to_le_bytes(), || now);
}

fn get(bus: &mut Bus, at: Gpa, offset: u64) -> u32 {
    let mut bytes = [0; 4];
    bus.mmio_read(at.checked_add(offset).unwrap(), &mut bytes, || 0);
    u32::from_le_bytes(bytes)
}

/// Has the I/O APIC send `pin` as `low` to the CPU, and the 8259s be silent.
fn route(bus: &mut Bus, pin: u32, low: u32) {
    put(bus, LOCAL_APIC, LVT_LINT0, MASKED, 0);
    put(bus, IOAPIC, 0, 0x11 + 2 * pin, 0);
    put(bus, IOAPIC, 0x10, 0, 0);
    put(bus, IOAPIC, 0, 0x10 + 2 * pin, 0);
    put(bus, IOAPIC, 0x10, low, 0);
}

/// Sets the 8259s up for vectors from 0x20 and 0x28 on, with the lines of `mask` masked.
fn set_up_pics(bus: &mut Bus, mask: u16) {
    let [low, high] = mask.to_le_bytes();
    for (port, value) in [
        (0x20, 0x11),
        (0x21, 0x20),
        (0x21, 4),
        (0x21, 1),
        (0x21, low),
        (0xa0, 0x11),
        (0xa1, 0x28),
        (0xa1, 2),
        (0xa1, 1),
        (0xa1, high),
    ] {
        out(bus, port, value, 0);
    }
}

/// Counter 0 in mode 2: a tick each `count` of its clock.
fn start_pit(bus: &mut Bus, count: u16) {
    let [low, high] = count.to_le_bytes();
    for (port, value) in [(0x43, 0x34), (0x40, low), (0x40, high)] {
        out(bus, port, value, 0);
    }
    assert!(bus.take_attention().has(Attention::SERVICE), "the next event is another one");
}

/// Goes on to the next event; when that was.
fn go(bus: &mut Bus) -> u64 {
    let at = bus.next_event().expect("an event");
    bus.advance(at);
    at
}

#[test]
fn the_timer_through_the_io_apic() {
    let mut bus = pc();
    route(&mut bus, 2, 0x31);
    start_pit(&mut bus, 1193);
    let mut last = 0;
    for _ in 0..3 {
        let at = go(&mut bus);
        assert!(at > last, "{at} after {last}");
        assert!(bus.interrupt() && bus.take_attention().has(Attention::INTERRUPT));
        let held = bus.next_event().is_some_and(|next| next - at >= TSC_HZ / 50);
        assert!(held, "the tick after it waits until this one is taken, for 20 ms at most");
        assert_eq!(bus.acknowledge(), Some(0x31));
        assert!(!bus.interrupt() && bus.acknowledge().is_none());
        assert!(bus.take_attention().has(Attention::SERVICE), "now it is known when the next one comes");
        // In service: bit 0x11 of the word for vectors 0x20 to 0x3f.
        assert_eq!(get(&mut bus, LOCAL_APIC, 0x110), 1 << 0x11);
        put(&mut bus, LOCAL_APIC, EOI, 0, at);
        assert_eq!(get(&mut bus, LOCAL_APIC, 0x110), 0);
        last = at;
    }
    // About three milliseconds, as 1193 of the PIT's clock are one.
    assert!((2_900_000..3_100_000).contains(&last), "{last}");
}

#[test]
fn the_timer_through_the_8259s() {
    let mut bus = pc();
    set_up_pics(&mut bus, 0xfffe);
    start_pit(&mut bus, 1193);
    let at = go(&mut bus);
    assert!(bus.interrupt());
    assert_eq!(bus.acknowledge(), Some(0x20));
    assert!(!bus.interrupt());
    // No vector of the local APIC's own is in service.
    assert_eq!(get(&mut bus, LOCAL_APIC, 0x110), 0);
    // The next tick waits in the 8259 for the end of this one.
    let next = go(&mut bus);
    assert!(next > at && !bus.interrupt());
    out(&mut bus, 0x20, 0x20, next);
    assert!(bus.interrupt());
    assert_eq!(bus.acknowledge(), Some(0x20));
    // A masked LINT0 lets nothing through.
    out(&mut bus, 0x20, 0x20, next);
    put(&mut bus, LOCAL_APIC, LVT_LINT0, MASKED | 0x700, next);
    go(&mut bus);
    assert!(!bus.interrupt());
    put(&mut bus, LOCAL_APIC, LVT_LINT0, 0x700, next);
    assert!(bus.interrupt());
}

#[test]
fn a_tick_that_nobody_took_is_withdrawn_by_mode_0() {
    let mut bus = pc();
    set_up_pics(&mut bus, 0xfffe);
    start_pit(&mut bus, 1193);
    let at = go(&mut bus);
    assert!(bus.interrupt());
    out(&mut bus, 0x43, 0x10, at);
    assert!(!bus.interrupt());
    out(&mut bus, 0x40, 100, at);
    assert!(go(&mut bus) < at + 90_000, "100 of the PIT's clock are 84 us");
    assert_eq!(bus.acknowledge(), Some(0x20));
    assert!(bus.next_event().is_none() && !bus.interrupt());
}

#[test]
fn ticks_that_a_mask_hides_leave_one() {
    let mut bus = pc();
    set_up_pics(&mut bus, 0xfffe);
    start_pit(&mut bus, 1193);
    // Three are late already when it is masked, and come later.
    let masked = 3_500_000;
    out(&mut bus, 0x21, 0xff, masked);
    assert!(bus.next_event().is_none());
    let now = masked + TSC_HZ;
    bus.advance(now);
    out(&mut bus, 0x21, 0xfe, now);
    let mut ticks = 0;
    bus.advance(now);
    while bus.acknowledge().is_some() {
        ticks += 1;
        out(&mut bus, 0x20, 0x20, now);
        bus.advance(now);
    }
    assert_eq!(ticks, 4);
    assert!(bus.next_event().unwrap() > now);
}

#[test]
fn a_timer_that_was_never_wanted_leaves_one_tick() {
    let mut bus = pc();
    start_pit(&mut bus, 1193);
    bus.advance(TSC_HZ);
    put(&mut bus, LOCAL_APIC, LVT_LINT0, MASKED, TSC_HZ);
    put(&mut bus, IOAPIC, 0, 0x14, TSC_HZ);
    put(&mut bus, IOAPIC, 0x10, 0x31, TSC_HZ);
    bus.advance(TSC_HZ);
    assert_eq!(bus.acknowledge(), Some(0x31));
    put(&mut bus, LOCAL_APIC, EOI, 0, TSC_HZ);
    bus.advance(TSC_HZ);
    assert_eq!(bus.acknowledge(), None);
}

#[test]
fn timers_written_by_msr_call_for_service() {
    let mut bus = pc();
    assert!(bus.set_apic_base(0xfee0_0d00));
    for (msr, value) in [(0x80f, 0x1ff), (0x832, 0x40), (0x83e, 0xb), (0x838, 1000)] {
        bus.take_attention();
        assert!(bus.write_apic_msr(msr, value, || 0));
        assert_eq!(bus.take_attention().has(Attention::SERVICE), msr != 0x80f, "{msr:#x}");
    }
    assert!(bus.next_event().is_some());
    // An illegal vector is an error, and no reason to come again until the guest has seen it.
    assert!(bus.write_apic_msr(0x832, 0x2_0005, || 0) && bus.write_apic_msr(0x838, 1000, || 0));
    go(&mut bus);
    bus.take_attention();
    assert!(bus.next_event().is_none());
    assert!(bus.write_apic_msr(0x828, 0, || 0));
    assert!(bus.take_attention().has(Attention::SERVICE) && bus.next_event().is_some());
}

#[test]
fn ticks_that_were_missed_come_one_by_one() {
    let mut bus = pc();
    route(&mut bus, 2, 0x31);
    start_pit(&mut bus, 1193);
    let tick = bus.next_event().unwrap();
    // Nobody looked for ten ticks.
    let now = tick * 10;
    let mut ticks = 0;
    bus.advance(now);
    while bus.acknowledge().is_some() {
        ticks += 1;
        put(&mut bus, LOCAL_APIC, EOI, 0, now);
        assert!(bus.take_attention().has(Attention::SERVICE));
        bus.advance(now);
        assert!(ticks < 100);
    }
    assert!((9..=10).contains(&ticks), "{ticks}");
    assert!(bus.next_event().unwrap() > now);
}

#[test]
fn the_local_timer() {
    let mut bus = pc();
    put(&mut bus, LOCAL_APIC, LVT_TIMER, 0x2_0040, 0);
    put(&mut bus, LOCAL_APIC, 0x3e0, 0xb, 0);
    put(&mut bus, LOCAL_APIC, 0x380, 1_000_000, 0);
    assert!(bus.take_attention().has(Attention::SERVICE));
    let first = go(&mut bus);
    assert_eq!(bus.next_event(), None, "held until it is taken");
    assert_eq!(bus.acknowledge(), Some(0x40));
    assert!(bus.take_attention().has(Attention::SERVICE));
    assert_eq!(bus.next_event(), Some(2 * first));
    // The priority of what is in service keeps the next one back.
    go(&mut bus);
    assert!(!bus.interrupt());
    put(&mut bus, LOCAL_APIC, EOI, 0, 2 * first);
    assert!(bus.interrupt());
    bus.set_cr8(4);
    assert!(!bus.interrupt() && bus.cr8() == 4);
    bus.set_cr8(3);
    assert!(bus.interrupt());
}

#[test]
fn an_empty_transmitter_is_line_4() {
    let mut bus = pc();
    set_up_pics(&mut bus, !(1 << 4));
    out(&mut bus, 0x3fc, 0x08, 0);
    out(&mut bus, 0x3f9, 0x02, 0);
    assert!(bus.interrupt() && bus.take_attention().has(Attention::INTERRUPT));
    assert_eq!(bus.acknowledge(), Some(0x24));
    // Reading its identification ends it.
    assert_eq!(bus.port_in(0x3fa, Width::B1, || 0) & 0xf, 0x2);
    out(&mut bus, 0x20, 0x20, 0);
    assert!(!bus.interrupt());
    // A character is sent at once, and the transmitter is empty again.
    out(&mut bus, 0x3f8, b'x', 0);
    assert_eq!(bus.acknowledge(), Some(0x24));
    assert_eq!(bus.console().kept(), b"x");
}

#[test]
fn a_line_for_the_console() {
    let mut bus = pc();
    out(&mut bus, 0xe9, b'x', 0);
    assert!(!bus.attention().any());
    out(&mut bus, 0xe9, b'\n', 0);
    assert!(bus.take_attention().has(Attention::CONSOLE));
    bus.set_raw_console();
    assert!(bus.may_interrupt(), "what is typed may come at any time");
    out(&mut bus, 0x3f8, b'y', 0);
    assert!(bus.take_attention().has(Attention::CONSOLE));
}

#[test]
fn the_power_timer_is_the_system_control_interrupt() {
    let mut bus = pc();
    route(&mut bus, 9, LEVEL | 0x59);
    bus.port_out(0x602, Width::B2, 1, || 0);
    assert!(bus.take_attention().has(Attention::SERVICE));
    // The highest of its 32 bits changes every ten minutes.
    let at = go(&mut bus);
    assert!((599..601).contains(&(at / TSC_HZ)));
    assert_eq!(bus.acknowledge(), Some(0x59));
    put(&mut bus, LOCAL_APIC, EOI, 0, at);
    assert!(bus.interrupt(), "a level that is still there comes again");
    assert_eq!(bus.acknowledge(), Some(0x59));
    bus.port_out(0x600, Width::B2, 1, || at);
    put(&mut bus, LOCAL_APIC, EOI, 0, at);
    assert!(!bus.interrupt());
}

#[test]
fn the_ends_of_the_machine() {
    let ended = |accesses: &[(u16, Width, u32)]| {
        let mut bus = pc();
        for (port, width, value) in accesses {
            assert_eq!(bus.ended(), None);
            bus.port_out(*port, *width, *value, || 0);
        }
        bus.ended()
    };
    assert_eq!(ended(&[(0x604, Width::B2, 0x3400)]), Some(Ended::Power(Power::Off)));
    assert_eq!(ended(&[(0x604, Width::B2, 0x2400)]), None, "a sleep state that is not offered");
    let reset = |by| Some(Ended::Power(Power::Reset(by)));
    assert_eq!(ended(&[(0x64, Width::B1, 0xfe)]), reset(ResetBy::KeyboardController));
    assert_eq!(ended(&[(0x92, Width::B1, 1)]), reset(ResetBy::Port92));
    assert_eq!(ended(&[(0xcf9, Width::B1, 2), (0xcf9, Width::B1, 6)]), reset(ResetBy::Cf9));
    assert_eq!(ended(&[(0xf4, Width::B1, 3), (0xcf9, Width::B1, 6)][..1]), Some(Ended::Exit(3)));
}

#[test]
fn apics_have_aligned_words_only() {
    let mut bus = pc();
    let version = get(&mut bus, LOCAL_APIC, 0x30);
    assert_ne!(version, u32::MAX);
    for (offset, length) in [(0x30, 1), (0x30, 2), (0x30, 8), (0x31, 4), (0x32, 4)] {
        for apic in [LOCAL_APIC, IOAPIC] {
            let before = bus.unclaimed().total();
            let mut bytes = [0; 8];
            let at = apic.checked_add(offset).unwrap();
            bus.mmio_read(at, &mut bytes[..length], || 0);
            assert_eq!(bytes[..length], [0xff; 8][..length]);
            bus.mmio_write(at, &bytes[..length], || 0);
            assert_eq!(bus.unclaimed().total(), before + 2);
        }
    }
    // In x2APIC mode its page is nobody's.
    assert!(bus.set_apic_base(0xfee0_0d00));
    assert_eq!(get(&mut bus, LOCAL_APIC, 0x30), u32::MAX);
    assert_eq!(bus.read_apic_msr(0x803, || 0), Some(version.into()));
}

proptest! {
    #[test]
    fn whatever_comes_it_settles(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        bus::fuzz(&bytes);
    }

    #[test]
    fn timers_of_any_speed_settle(
        steps in prop::collection::vec((0u8..12, any::<u8>(), any::<u32>()), 1..100)
    ) {
        // Clocks, their interrupts, and time.
        let mut bytes = Vec::from([0]);
        for (what, byte, value) in steps {
            let head = match what {
                0 | 1 => &[0x10, byte, byte, 0, 0, 6 + (what & 3)][..],
                2 => &[0, 0x34, 0, 0, 0, 9],
                3 => &[0x05, 0x32],
                4 => &[0x05, 0x38],
                5 => &[0x05, 0x3e],
                6 => &[0, byte | 0x40, 0, 0, 0, 14],
                7 => &[14],
                8 => &[0x05, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0],
                9 => &[0x0c],
                10 => &[0x8c],
                _ => &[13],
            };
            bytes.extend_from_slice(head);
            if matches!(what, 3..=5 | 9 | 10) {
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            if matches!(what, 3..=5) {
                bytes.extend_from_slice(&[0; 4]);
            }
        }
        bus::fuzz(&bytes);
    }
}
