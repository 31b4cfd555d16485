//! The serial port against its data sheet.

use super::console::Console;
use super::uart::{FIFO, LCR_DLAB, Uart, ier, iir, lsr, mcr, msr};
use proptest::prelude::*;
use std::collections::VecDeque;

const IDLE: u8 = lsr::HOLDING_EMPTY | lsr::TRANSMITTER_EMPTY;

/// A serial port and the guest's console at its other end.
struct Rig(Uart, Console);

impl Rig {
    fn new() -> Self {
        Self(Uart::new(), Console::new())
    }
    fn w(&mut self, offset: u16, value: u8) {
        self.0.write(offset, value, &mut self.1);
    }
    fn r(&mut self, offset: u16) -> u8 {
        self.0.read(offset)
    }
    fn receive(&mut self, text: &[u8]) {
        text.iter().for_each(|&c| self.0.receive(c));
    }
}

#[test]
fn master_reset() {
    let mut u = Rig::new();
    assert_eq!([1, 2, 3, 4, 5].map(|o| u.r(o)), [0, iir::NONE, 0, 0, IDLE]);
    assert_eq!(u.r(6) & 0xf, 0);
    assert!(!u.0.interrupt_pending());
}

#[test]
fn sent_characters_are_printed_and_the_transmitter_stays_empty() {
    let mut u = Rig::new();
    for c in *b"hello\n" {
        assert_eq!(u.r(5), IDLE);
        u.w(0, c);
    }
    assert_eq!(u.1.kept(), b"hello\n");
    assert_eq!(u.1.take_line().as_deref(), Some("hello"));
}

#[test]
fn divisor_latch_hides_data_and_interrupt_enable() {
    let mut u = Rig::new();
    u.w(1, 0x05);
    u.w(3, LCR_DLAB | 3);
    u.w(0, 0x34);
    u.w(1, 0x12);
    assert_eq!((u.r(0), u.r(1), u.r(3)), (0x34, 0x12, 0x83));
    assert!(u.1.kept().is_empty());
    u.receive(b"x");
    assert_eq!(u.r(0), 0x34);
    u.w(3, 3);
    assert_eq!((u.r(0), u.r(1)), (b'x', 0x05));
    u.w(3, LCR_DLAB);
    assert_eq!((u.r(0), u.r(1)), (0x34, 0x12));
}

#[test]
fn reserved_bits_read_as_zero_and_status_is_read_only() {
    let mut u = Rig::new();
    u.w(1, 0xff);
    u.w(4, 0xef);
    u.w(5, 0xff);
    u.w(6, 0x00);
    u.w(7, 0xa5);
    assert_eq!([1, 4, 5, 7].map(|o| u.r(o)), [0x0f, 0x0f, IDLE, 0xa5]);
    assert_eq!(u.r(6), msr::CTS | msr::DSR | msr::DCD);
    assert_eq!(u.r(8), 0xff);
}

#[test]
fn without_fifo_an_overrun_loses_the_old_character() {
    let mut u = Rig::new();
    assert!(u.0.can_receive());
    u.receive(b"a");
    assert!(!u.0.can_receive());
    assert_eq!(u.r(5), IDLE | lsr::DATA_READY);
    u.receive(b"b");
    assert_eq!(u.r(5), IDLE | lsr::DATA_READY | lsr::OVERRUN);
    assert_eq!(u.r(5), IDLE | lsr::DATA_READY);
    assert_eq!(u.r(0), b'b');
    assert_eq!(u.r(5), IDLE);
    assert_eq!(u.r(0), b'b');
}

#[test]
fn with_fifo_an_overrun_loses_the_new_character() {
    let mut u = Rig::new();
    u.w(2, 1);
    u.receive(b"0123456789abcde");
    assert!(u.0.can_receive());
    u.receive(b"f");
    assert!(!u.0.can_receive());
    assert_eq!(u.r(5), IDLE | lsr::DATA_READY);
    u.receive(b"g");
    assert_eq!(u.r(5), IDLE | lsr::DATA_READY | lsr::OVERRUN);
    b"0123456789abcdef".iter().for_each(|&c| assert_eq!(u.r(0), c));
    assert_eq!(u.r(5), IDLE);
}

#[test]
fn fifo_control() {
    let mut u = Rig::new();
    u.w(2, 0xc1);
    assert_eq!(u.r(2), iir::FIFOS_ENABLED | iir::NONE);
    u.receive(b"ab");
    u.w(2, 0xc1); // nothing changes, nothing is lost
    assert_eq!(u.r(5) & lsr::DATA_READY, 1);
    u.w(2, 0x05); // the transmitter's reset leaves the receiver alone
    assert_eq!(u.r(5) & lsr::DATA_READY, 1);
    u.w(2, 0x03); // the receiver's reset
    assert_eq!(u.r(5) & lsr::DATA_READY, 0);
    u.receive(b"ab");
    u.w(2, 0xc0); // disabling clears, and the trigger level is not programmed
    assert_eq!(u.r(2), iir::NONE);
    assert_eq!(u.r(5) & lsr::DATA_READY, 0);
    u.receive(b"c");
    u.w(2, 0x02); // the reset bit does not count without the enable bit
    assert_eq!(u.r(5) & lsr::DATA_READY, 1);
    u.w(2, 0x01); // enabling clears
    assert_eq!(u.r(5) & lsr::DATA_READY, 0);
}

#[test]
fn trigger_levels() {
    for (fcr, level) in [(0x01, 1), (0x41, 4), (0x81, 8), (0xc1, 14)] {
        let mut u = Rig::new();
        u.w(1, ier::RECEIVED_DATA);
        u.w(2, fcr);
        assert!(!u.0.interrupt_pending());
        for n in 1..=FIFO {
            u.receive(b"x");
            let expected = if n >= level { iir::RECEIVED_DATA } else { iir::CHARACTER_TIMEOUT };
            assert_eq!(u.r(2), iir::FIFOS_ENABLED | expected, "{n} characters at level {level}");
        }
        (0..FIFO).for_each(|_| assert_eq!(u.r(0), b'x'));
        assert!(!u.0.interrupt_pending());
    }
}

#[test]
fn without_fifo_the_trigger_level_is_one() {
    let mut u = Rig::new();
    u.w(2, 0xc1);
    u.w(2, 0x00);
    u.w(1, ier::RECEIVED_DATA);
    u.receive(b"x");
    assert_eq!(u.r(2), iir::RECEIVED_DATA);
}

#[test]
fn transmitter_empty_interrupt() {
    let mut u = Rig::new();
    u.w(0, b'a');
    assert_eq!(u.r(2), iir::NONE); // not enabled
    u.w(1, ier::TRANSMITTER_EMPTY);
    assert!(u.0.interrupt_pending());
    assert_eq!(u.r(2), iir::TRANSMITTER_EMPTY);
    assert_eq!(u.r(2), iir::NONE); // the read took it back
    u.w(1, ier::TRANSMITTER_EMPTY);
    assert_eq!(u.r(2), iir::NONE); // it was enabled before
    u.w(0, b'b');
    assert_eq!(u.r(2), iir::TRANSMITTER_EMPTY);
    u.w(1, 0);
    u.w(1, ier::TRANSMITTER_EMPTY);
    assert_eq!(u.r(2), iir::TRANSMITTER_EMPTY);
}

#[test]
fn interrupts_by_priority_each_cleared_by_its_own_register() {
    let mut u = Rig::new();
    u.w(4, mcr::LOOPBACK | mcr::OUT1); // DCD, DSR and CTS fall
    u.w(1, ier::ALL);
    u.w(0, b'a');
    u.w(0, b'b'); // overrun, and b is there
    assert_eq!(u.r(2), iir::LINE_STATUS);
    assert_eq!(u.r(2), iir::LINE_STATUS);
    u.r(5);
    assert_eq!(u.r(2), iir::RECEIVED_DATA);
    assert_eq!(u.r(2), iir::RECEIVED_DATA);
    assert_eq!(u.r(0), b'b');
    assert_eq!(u.r(2), iir::TRANSMITTER_EMPTY);
    assert_eq!(u.r(2), iir::MODEM_STATUS);
    assert!(u.0.interrupt_pending());
    u.r(6);
    assert_eq!(u.r(2), iir::NONE);
    assert!(!u.0.interrupt_pending());
}

#[test]
fn each_interrupt_needs_its_enable_bit() {
    for enabled in 0..=ier::ALL {
        let mut u = Rig::new();
        u.w(4, mcr::LOOPBACK);
        u.w(0, b'a');
        u.w(0, b'b');
        u.w(1, enabled);
        let order = [
            (ier::LINE_STATUS, iir::LINE_STATUS),
            (ier::RECEIVED_DATA, iir::RECEIVED_DATA),
            (ier::TRANSMITTER_EMPTY, iir::TRANSMITTER_EMPTY),
            (ier::MODEM_STATUS, iir::MODEM_STATUS),
        ];
        let expected = order.iter().find(|(e, _)| enabled & e != 0).map_or(iir::NONE, |&(_, i)| i);
        assert_eq!(u.r(2), expected, "enabled {enabled:#x}");
    }
}

#[test]
fn loopback_reflects_outputs_and_cuts_the_line() {
    let mut u = Rig::new();
    u.w(4, mcr::LOOPBACK | mcr::OUT2 | mcr::RTS);
    assert_eq!(u.r(6) & 0xf0, msr::DCD | msr::CTS); // what Linux tests for
    for (output, input) in [(mcr::DTR, msr::DSR), (mcr::RTS, msr::CTS), (mcr::OUT1, msr::RI), (mcr::OUT2, msr::DCD)] {
        u.w(4, mcr::LOOPBACK | output);
        assert_eq!(u.r(6) & 0xf0, input);
    }
    u.receive(b"from outside");
    assert!(!u.0.can_receive());
    assert_eq!(u.r(5), IDLE);
    u.w(0, b'L');
    assert_eq!(u.r(5), IDLE | lsr::DATA_READY);
    assert_eq!(u.r(0), b'L');
    assert!(u.1.kept().is_empty());
    u.w(4, 0);
    u.w(0, b'O');
    assert_eq!(u.1.kept(), b"O");
    assert_eq!(u.r(6) & 0xf0, msr::CTS | msr::DSR | msr::DCD);
}

#[test]
fn modem_deltas_are_set_by_changes_and_cleared_by_the_read() {
    let mut u = Rig::new();
    u.w(4, mcr::LOOPBACK);
    assert_eq!(u.r(6), msr::DELTA_CTS | msr::DELTA_DSR | msr::DELTA_DCD);
    assert_eq!(u.r(6), 0);
    u.w(4, mcr::LOOPBACK | mcr::OUT1); // RI rises: no event
    assert_eq!(u.r(6), msr::RI);
    u.w(4, mcr::LOOPBACK); // its trailing edge is one
    assert_eq!(u.r(6), msr::TRAILING_RI);
    u.w(4, mcr::LOOPBACK | mcr::RTS);
    u.w(4, mcr::LOOPBACK); // there and back again: the event stays
    assert_eq!(u.r(6), msr::DELTA_CTS);
}

proptest! {
    #[test]
    fn invariants_hold_under_any_guest(ops in prop::collection::vec((0u16..9, any::<u8>(), 0u8..3), 0..300)) {
        let mut u = Rig::new();
        let (mut lcr, mut fifos) = (0, false);
        for (offset, value, what) in ops {
            match what {
                0 => u.w(offset, value),
                1 => u.0.receive(value),
                _ => { u.r(offset); }
            }
            if what == 0 && offset == 3 {
                lcr = value;
            }
            if what == 0 && offset == 2 {
                fifos = value & 1 != 0;
            }
            prop_assert_eq!(u.r(3), lcr);
            let pending = u.0.interrupt_pending();
            let iir = u.0.clone().read(2);
            prop_assert_eq!(iir & 1 == 0, pending);
            prop_assert_eq!(iir & 0xf0, if fifos { 0xc0 } else { 0 });
            prop_assert_eq!(u.0.clone().read(5) & !(lsr::DATA_READY | lsr::OVERRUN), IDLE);
            prop_assert_eq!(u.r(1) & 0xf0 & if lcr & LCR_DLAB != 0 { 0 } else { 0xff }, 0);
        }
    }

    #[test]
    fn the_receiver_is_a_bounded_queue(ops in prop::collection::vec(prop::option::of(any::<u8>()), 0..200)) {
        let mut u = Rig::new();
        u.w(2, 1);
        let (mut model, mut overrun) = (VecDeque::new(), false);
        for op in ops {
            match op {
                Some(c) => {
                    u.0.receive(c);
                    if model.len() < FIFO { model.push_back(c) } else { overrun = true }
                }
                None => {
                    let status = IDLE | u8::from(!model.is_empty()) | u8::from(core::mem::take(&mut overrun)) << 1;
                    prop_assert_eq!(u.r(5), status);
                    if let Some(c) = model.pop_front() {
                        prop_assert_eq!(u.r(0), c);
                    }
                }
            }
        }
    }
}
