//! The I/O APIC against its data sheet.

use super::ioapic::{Ioapic, PINS, entry, index, mmio};
use super::message::{Delivery, Message};
use proptest::prelude::*;

const LEVEL: u32 = entry::LEVEL;
const MASKED: u32 = entry::MASKED;

fn select(a: &mut Ioapic, index: u8) {
    a.write(mmio::IOREGSEL, index.into());
}
fn r(a: &mut Ioapic, index: u8) -> u32 {
    select(a, index);
    a.read(mmio::IOWIN)
}
fn w(a: &mut Ioapic, index: u8, value: u32) {
    select(a, index);
    a.write(mmio::IOWIN, value);
}
const fn low(pin: u8) -> u8 {
    index::REDIRECTION + 2 * pin
}

/// An I/O APIC with `low` in the entry of `pin`.
fn with(pin: u8, value: u32) -> Ioapic {
    let mut a = Ioapic::new(0);
    w(&mut a, low(pin), value);
    a
}

fn vectors(a: &mut Ioapic) -> std::vec::Vec<u8> {
    core::iter::from_fn(|| a.take_message()).map(|m| m.vector).collect()
}

#[test]
fn after_reset() {
    let mut a = Ioapic::new(0x12);
    assert_eq!(a.read(mmio::IOREGSEL), 0);
    assert_eq!(a.read(mmio::IOWIN), 0x0200_0000);
    assert_eq!(r(&mut a, index::VERSION), 0x0017_0011);
    assert_eq!(r(&mut a, index::ARBITRATION), 0x0200_0000);
    for pin in 0..PINS as u8 {
        assert_eq!((r(&mut a, low(pin)), r(&mut a, low(pin) + 1)), (MASKED, 0));
        a.set_line(pin, true);
    }
    assert!(!a.has_message());
    assert_eq!(a.take_message(), None);
}

#[test]
fn identification_loads_arbitration_and_the_rest_is_read_only() {
    let mut a = Ioapic::new(0);
    w(&mut a, index::ID, 0xffff_ffff);
    assert_eq!((r(&mut a, index::ID), r(&mut a, index::ARBITRATION)), (0x0f00_0000, 0x0f00_0000));
    w(&mut a, index::VERSION, 0);
    w(&mut a, index::ARBITRATION, 0);
    assert_eq!((r(&mut a, index::VERSION), r(&mut a, index::ARBITRATION)), (0x0017_0011, 0x0f00_0000));
    for reserved in (3..0x10).chain(0x40..=0xff) {
        w(&mut a, reserved, 0xffff_ffff);
        assert_eq!(r(&mut a, reserved), 0);
    }
}

#[test]
fn only_two_offsets_are_registers_and_the_select_has_eight_bits() {
    let mut a = Ioapic::new(0);
    a.write(mmio::IOREGSEL, 0xffff_ff01);
    assert_eq!(a.read(mmio::IOREGSEL), 1);
    for offset in [1, 4, 8, 0xc, 0x11, 0x14, 0x20, 0x40, 0xffc, 0xffff] {
        a.write(offset, 0xffff_ffff);
        assert_eq!(a.read(offset), 0);
    }
    assert_eq!(a.read(mmio::IOWIN), 0x0017_0011);
}

#[test]
fn entries_keep_what_is_writable() {
    let mut a = Ioapic::new(0);
    for pin in 0..PINS as u8 {
        w(&mut a, low(pin), 0xffff_ffff);
        w(&mut a, low(pin) + 1, 0xabff_ffff);
        assert_eq!((r(&mut a, low(pin)), r(&mut a, low(pin) + 1)), (0x1_afff, 0xab00_0000));
    }
}

#[test]
fn the_message_is_the_entry() {
    let mut a = with(5, 0x31 | entry::LOGICAL | 1 << entry::DELIVERY_SHIFT | LEVEL | entry::ACTIVE_LOW);
    w(&mut a, low(5) + 1, 0xc300_0000);
    a.set_line(5, true);
    assert!(a.has_message());
    let expected =
        Message { vector: 0x31, delivery: Delivery::LowestPriority, level: true, destination: 0xc3, logical: true };
    assert_eq!(a.take_message(), Some(expected));
    w(&mut a, low(6), 0x32);
    a.set_line(6, true);
    let expected = Message { vector: 0x32, delivery: Delivery::Fixed, level: false, destination: 0, logical: false };
    assert_eq!(a.take_message(), Some(expected));
}

#[test]
fn an_edge_is_sent_once_and_lost_where_masked() {
    let mut a = with(1, 0x31);
    a.set_line(1, true);
    a.set_line(1, true);
    a.set_line(1, false); // the edge is latched
    assert_eq!(vectors(&mut a), [0x31]);
    a.set_line(1, true);
    assert_eq!(vectors(&mut a), [0x31]);
    assert_eq!(r(&mut a, low(1)) & entry::REMOTE_IRR, 0);
    w(&mut a, low(1), 0x31 | MASKED);
    a.set_line(1, false);
    a.set_line(1, true);
    w(&mut a, low(1), 0x31);
    assert!(!a.has_message());
    // One that waits is withdrawn.
    a.set_line(1, false);
    a.set_line(1, true);
    w(&mut a, low(1), 0x31 | MASKED);
    w(&mut a, low(1), 0x31);
    assert!(!a.has_message());
}

#[test]
fn a_level_is_sent_until_it_ends() {
    let mut a = with(9, 0x40 | LEVEL);
    a.set_line(9, true);
    assert_eq!(vectors(&mut a), [0x40]);
    assert_eq!(r(&mut a, low(9)), 0x40 | LEVEL | entry::REMOTE_IRR);
    a.set_line(9, false);
    a.set_line(9, true);
    assert!(!a.has_message());
    a.eoi(0x41);
    assert!(!a.has_message());
    a.eoi(0x40);
    assert_eq!(vectors(&mut a), [0x40]);
    a.set_line(9, false);
    a.eoi(0x40);
    assert!(!a.has_message());
    assert_eq!(r(&mut a, low(9)), 0x40 | LEVEL);
    // One that goes before it is sent leaves nothing.
    a.set_line(9, true);
    a.set_line(9, false);
    assert!(!a.has_message());
}

#[test]
fn a_masked_level_is_sent_when_unmasked() {
    let mut a = with(9, 0x40 | LEVEL | MASKED);
    a.set_line(9, true);
    assert!(!a.has_message());
    w(&mut a, low(9), 0x40 | LEVEL);
    assert_eq!(vectors(&mut a), [0x40]);
    w(&mut a, low(9), 0x40 | LEVEL | MASKED);
    a.eoi(0x40); // the mask does not hold back the EOI
    assert_eq!(r(&mut a, low(9)), 0x40 | LEVEL | MASKED);
    assert!(!a.has_message());
}

#[test]
fn remote_irr_is_read_only_and_an_edge_entry_clears_it() {
    let mut a = with(9, 0x40 | LEVEL | entry::REMOTE_IRR | entry::DELIVERY_STATUS);
    assert_eq!(r(&mut a, low(9)), 0x40 | LEVEL);
    a.set_line(9, true);
    assert_eq!(vectors(&mut a), [0x40]);
    w(&mut a, low(9), 0x40 | LEVEL);
    assert_eq!(r(&mut a, low(9)), 0x40 | LEVEL | entry::REMOTE_IRR);
    // How Linux ends one on an I/O APIC that has no EOI register.
    w(&mut a, low(9), 0x40 | MASKED);
    w(&mut a, low(9), 0x40 | LEVEL);
    assert_eq!(r(&mut a, low(9)), 0x40 | LEVEL);
    assert_eq!(vectors(&mut a), [0x40]);
}

#[test]
fn an_eoi_is_for_all_entries_with_the_vector() {
    let mut a = with(3, 0x50 | LEVEL);
    w(&mut a, low(7), 0x50 | LEVEL);
    w(&mut a, low(8), 0x51 | LEVEL);
    [8, 7, 3].iter().for_each(|&pin| a.set_line(pin, true));
    assert_eq!(vectors(&mut a), [0x50, 0x50, 0x51]);
    a.set_line(7, false);
    a.eoi(0x50);
    assert_eq!([3, 7, 8].map(|p| r(&mut a, low(p)) & entry::REMOTE_IRR != 0), [false, false, true]);
    assert_eq!(vectors(&mut a), [0x50]);
}

#[test]
fn modes_without_a_vector_are_by_edge_and_reserved_ones_send_nothing() {
    for mode in 0..8 {
        let mut a = with(2, mode << entry::DELIVERY_SHIFT | LEVEL);
        a.set_line(2, true);
        let delivery = Delivery::of(mode);
        let level = matches!(delivery, Delivery::Fixed | Delivery::LowestPriority);
        let message = Message { vector: 0, delivery, level, destination: 0, logical: false };
        let expected = (mode != 3 && mode != 6).then_some(message);
        assert_eq!(a.has_message(), expected.is_some());
        assert_eq!(a.take_message(), expected);
        assert_eq!(r(&mut a, low(2)) & entry::REMOTE_IRR != 0, level);
    }
}

#[test]
fn there_are_no_pins_past_the_last() {
    let mut a = Ioapic::new(0);
    for pin in PINS as u8..=255 {
        a.set_line(pin, true);
        a.set_line(pin, false);
    }
    assert!(!a.has_message());
}

/// One pin, the slow way.
#[derive(Clone, Default)]
struct Pin {
    line: bool,
    unmasked: bool,
    level: bool,
    vector: u8,
    waiting_edge: bool,
    sent: bool,
}

impl Pin {
    fn wants(&self) -> bool {
        self.unmasked && if self.level { self.line && !self.sent } else { self.waiting_edge }
    }
}

proptest! {
    #[test]
    fn as_in_the_slow_model(ops in prop::collection::vec((0u8..5, 0usize..PINS, any::<u8>()), 0..300)) {
        let mut a = Ioapic::new(0);
        let mut pins = std::vec![Pin::default(); PINS];
        for (what, n, value) in ops {
            let p = &mut pins[n];
            match what {
                0 => {
                    let (level, unmasked, vector) = (value & 1 != 0, value & 2 != 0, value >> 6);
                    let flags = if level { LEVEL } else { 0 } | if unmasked { 0 } else { MASKED };
                    w(&mut a, low(n as u8), u32::from(vector) | flags);
                    p.waiting_edge &= unmasked && !level;
                    p.sent &= level;
                    (p.level, p.unmasked, p.vector) = (level, unmasked, vector);
                }
                1 | 2 => {
                    let line = value & 1 != 0;
                    a.set_line(n as u8, line);
                    p.waiting_edge |= line && !p.line && p.unmasked && !p.level;
                    p.line = line;
                }
                3 => {
                    a.eoi(value >> 6);
                    pins.iter_mut().filter(|p| p.vector == value >> 6).for_each(|p| p.sent = false);
                }
                _ => {
                    let next = pins.iter_mut().find(|p| p.wants());
                    let expected = next.map(|p| {
                        // Each level is sent once until its EOI.
                        assert!(!(p.level && p.sent));
                        p.sent = p.level;
                        p.waiting_edge = false;
                        (p.vector, p.level)
                    });
                    prop_assert_eq!(a.take_message().map(|m| (m.vector, m.level)), expected);
                }
            }
            prop_assert_eq!(a.has_message(), pins.iter().any(Pin::wants));
            for (p, n) in pins.iter().zip(0..) {
                prop_assert_eq!(r(&mut a, low(n)) & entry::REMOTE_IRR != 0, p.sent);
            }
        }
    }

    #[test]
    fn any_guest(ops in prop::collection::vec((0u8..5, any::<u8>(), any::<u32>()), 0..300)) {
        let mut a = Ioapic::new(1);
        for (what, n, value) in ops {
            match what {
                0 => a.write(n.into(), value),
                1 => w(&mut a, n % 0x42, value),
                2 => a.set_line(n, value & 1 != 0),
                3 => a.eoi(n),
                _ => { a.read(n.into()); }
            }
            // Each pin sends at most once until something happens.
            let mut copy = a.clone();
            let sent = core::iter::from_fn(|| copy.take_message()).take(PINS + 1).count();
            prop_assert!(sent <= PINS);
            prop_assert_eq!(sent > 0, a.has_message());
            for pin in 0..PINS as u8 {
                prop_assert_eq!(r(&mut copy, low(pin)) & !(entry::WRITABLE | entry::REMOTE_IRR), 0);
            }
        }
    }
}
