//! The serial port as interrupt-driven drivers use it, and with a console that is full.

use super::console::{Console, RAW};
use super::uart::{FIFO, LCR_DLAB, Uart, fcr, ier, iir, lsr, mcr, msr};
use proptest::prelude::*;
use std::{vec, vec::Vec};

const IDLE: u8 = lsr::HOLDING_EMPTY | lsr::TRANSMITTER_EMPTY;

/// A serial port and a raw console with room for `room` bytes.
struct Rig(Uart, Console);

impl Rig {
    fn new(room: usize) -> Self {
        let mut console = Console::new();
        console.set_raw();
        (room..RAW).for_each(|_| console.put(b'.'));
        Self(Uart::new(), console)
    }
    fn w(&mut self, offset: u16, value: u8) {
        self.0.write(offset, value, &mut self.1);
    }
    fn r(&mut self, offset: u16) -> u8 {
        self.0.read(offset)
    }
    /// Takes `n` bytes from the console and lets the serial port go on.
    fn drain(&mut self, n: usize) -> Vec<u8> {
        let mut to = vec![0; n];
        let taken = self.1.take_raw(&mut to);
        to.truncate(taken);
        self.0.resume(&mut self.1);
        to
    }
}

/// Linux's `autoconfig`: is it there, and what is it?
#[test]
fn linux_finds_a_16550a() {
    let mut u = Rig::new(RAW);
    u.w(1, 0);
    assert_eq!(u.r(1) & 0xf, 0);
    u.w(1, 0xf);
    assert_eq!(u.r(1) & 0xf, 0xf);
    u.w(1, 0);
    u.w(4, mcr::LOOPBACK | mcr::OUT2 | mcr::RTS);
    assert_eq!(u.r(6) & 0xf0, msr::DCD | msr::CTS);
    u.w(4, 0);
    u.w(3, 0xbf); // where a 16650 has its enhanced feature register
    u.w(2, 0);
    u.w(3, 0);
    u.w(2, fcr::ENABLE);
    assert_eq!(u.r(2) >> 6, 3);
    for select in [LCR_DLAB, 0xbf] {
        u.w(3, select);
        assert_ne!(u.r(2), 0);
    }
    u.w(3, 0); // National's SuperIO has another register bank at 0xe0
    let before = u.r(4);
    u.w(3, 0xe0);
    assert_eq!((u.r(2) ^ before) & mcr::LOOPBACK, 0);
    u.w(3, 0);
    u.w(4, before ^ mcr::LOOPBACK);
    u.w(3, 0xe0);
    assert_eq!((u.r(2) ^ before) & mcr::LOOPBACK, 0);
    u.w(3, 0);
    u.w(4, before);
    u.w(2, fcr::ENABLE); // a 16750 has 64 bytes with one more bit
    assert_eq!(u.r(2) >> 5, 6);
    u.w(3, LCR_DLAB);
    u.w(2, fcr::ENABLE | 0x20);
    assert_eq!(u.r(2) >> 5, 6);
    u.w(3, 0);
    u.w(1, 0x40); // an XScale has an enable bit here
    assert_eq!(u.r(1), 0);
    u.w(2, fcr::ENABLE | fcr::RESET_RECEIVER | fcr::RESET_TRANSMITTER);
    u.w(4, mcr::LOOPBACK); // its size_fifo
    (0..=255).for_each(|n| u.w(0, n));
    let count = core::iter::from_fn(|| (u.r(5) & lsr::DATA_READY != 0).then(|| u.r(0))).take(256).count();
    assert_eq!(count, FIFO);
}

/// Linux's `serial8250_do_startup`: does the transmitter's interrupt work?
#[test]
fn linux_finds_no_transmitter_bugs() {
    let mut u = Rig::new(RAW);
    u.w(2, fcr::ENABLE);
    u.w(2, fcr::ENABLE | fcr::RESET_RECEIVER | fcr::RESET_TRANSMITTER);
    u.w(2, 0);
    for offset in [5, 0, 2, 6] {
        u.r(offset);
    }
    assert_eq!(u.r(5), IDLE);
    u.w(3, 3);
    u.w(4, mcr::OUT2);
    u.w(1, ier::TRANSMITTER_EMPTY);
    assert!(u.0.irq());
    assert_eq!(u.r(2) & iir::NONE, 0);
    u.w(1, 0);
    u.w(1, ier::TRANSMITTER_EMPTY);
    assert_eq!(u.r(2) & iir::NONE, 0);
    u.w(1, 0);
    assert!(!u.0.irq());
    u.w(1, ier::TRANSMITTER_EMPTY);
    let (status, interrupt) = (u.r(5), u.r(2));
    assert!(status & lsr::TRANSMITTER_EMPTY != 0 && interrupt & iir::NONE == 0);
}

#[test]
fn out2_lets_the_interrupt_through_but_not_in_loopback_mode() {
    for value in 0..=mcr::ALL {
        let mut u = Rig::new(RAW);
        u.w(4, value);
        assert!(!u.0.irq());
        u.w(1, ier::TRANSMITTER_EMPTY);
        assert!(u.0.interrupt_pending());
        assert_eq!(u.0.irq(), value & mcr::OUT2 != 0 && value & mcr::LOOPBACK == 0, "{value:#x}");
    }
}

#[test]
fn a_full_console_holds_the_transmitter_back() {
    let mut u = Rig::new(2);
    u.w(2, fcr::ENABLE);
    u.w(4, mcr::OUT2);
    u.w(1, ier::TRANSMITTER_EMPTY);
    assert_eq!(u.r(2), iir::FIFOS_ENABLED | iir::TRANSMITTER_EMPTY);
    // A driver that has seen an empty FIFO fills it without another look.
    (0..FIFO as u8).for_each(|n| u.w(0, b'A' + n));
    assert!(u.0.is_stalled() && !u.0.irq());
    assert_eq!((u.r(5), u.r(2)), (0, iir::FIFOS_ENABLED | iir::NONE));
    u.w(1, 0);
    u.w(1, ier::TRANSMITTER_EMPTY); // enabling raises it only where the transmitter is empty
    assert!(!u.0.irq());
    u.drain(10);
    assert_eq!((u.r(5), u.0.irq()), (0, false));
    u.drain(RAW - 13);
    assert_eq!((u.r(5), u.0.irq()), (IDLE, true));
    assert_eq!(u.r(2), iir::FIFOS_ENABLED | iir::TRANSMITTER_EMPTY);
    assert_eq!(u.drain(RAW), b".ABCDEFGHIJKLMNOP");
    assert!(!u.0.irq()); // once
    assert_eq!(u.1.lost(), 0);
}

#[test]
fn what_does_not_fit_is_lost() {
    let mut u = Rig::new(0);
    u.w(0, b'a');
    assert_eq!(u.r(5), 0);
    u.w(0, b'b'); // the holding register has one place
    u.drain(RAW);
    assert_eq!((u.r(5), u.drain(RAW)), (IDLE, vec![b'b']));
    let mut u = Rig::new(0);
    u.w(2, fcr::ENABLE);
    (0..=FIFO as u8).for_each(|n| u.w(0, b'A' + n));
    u.drain(RAW);
    assert_eq!(u.drain(RAW), b"ABCDEFGHIJKLMNOP");
    assert_eq!(u.1.lost(), 0);
}

#[test]
fn the_resets_of_the_transmitter() {
    for value in [fcr::ENABLE | fcr::RESET_TRANSMITTER, 0] {
        let mut u = Rig::new(0);
        u.w(1, ier::TRANSMITTER_EMPTY);
        u.w(2, fcr::ENABLE);
        u.w(0, b'x');
        u.w(2, fcr::ENABLE | fcr::RESET_RECEIVER);
        assert_eq!((u.r(5), u.0.interrupt_pending()), (0, false));
        u.w(2, value);
        assert_eq!((u.r(5), u.0.interrupt_pending()), (IDLE, true));
        assert_eq!((u.drain(RAW).len(), u.drain(RAW).len()), (RAW, 0));
    }
}

#[test]
fn loopback_mode_takes_what_waits_into_the_receiver() {
    let mut u = Rig::new(0);
    u.w(0, b'x');
    u.w(4, mcr::LOOPBACK);
    assert_eq!((u.r(5), u.r(0)), (IDLE | lsr::DATA_READY, b'x'));
    u.w(0, b'y');
    assert_eq!((u.r(5), u.r(0)), (IDLE | lsr::DATA_READY, b'y'));
}

#[test]
fn a_read_of_the_last_character_ends_the_interrupt() {
    let mut u = Rig::new(RAW);
    u.w(2, fcr::ENABLE | 0x80);
    u.w(4, mcr::OUT2);
    u.w(1, ier::RECEIVED_DATA);
    (0..9).for_each(|c| u.0.receive(c));
    assert_eq!(u.r(2) & 0xf, iir::RECEIVED_DATA);
    (0..2).for_each(|c| assert_eq!(u.r(0), c));
    assert_eq!(u.r(2) & 0xf, iir::CHARACTER_TIMEOUT); // below the trigger level
    (2..9).for_each(|c| {
        assert!(u.0.irq());
        assert_eq!(u.r(0), c);
    });
    assert!(!u.0.irq());
}

proptest! {
    /// A driver that fills the FIFO at each interrupt gets all through, in order, however the console is drained.
    #[test]
    fn an_interrupt_driven_driver_loses_nothing(drains in prop::collection::vec(0usize..2000, 1..20)) {
        let mut u = Rig::new(RAW);
        u.w(2, fcr::ENABLE);
        u.w(4, mcr::OUT2);
        u.w(1, ier::TRANSMITTER_EMPTY);
        let (mut sent, mut got) = (0u32, 0u32);
        for n in drains {
            for _ in 0..n {
                if !u.0.irq() {
                    break;
                }
                prop_assert_eq!(u.r(2), iir::FIFOS_ENABLED | iir::TRANSMITTER_EMPTY);
                for _ in 0..FIFO {
                    u.w(0, sent as u8);
                    sent += 1;
                }
            }
            for b in u.drain(n) {
                prop_assert_eq!(b, got as u8);
                got += 1;
            }
            prop_assert!(u.0.is_stalled() || u.0.irq());
        }
        while got < sent {
            for b in u.drain(100) {
                prop_assert_eq!(b, got as u8);
                got += 1;
            }
        }
        prop_assert!(u.0.irq());
        prop_assert_eq!(u.1.lost(), 0);
    }

    #[test]
    fn any_guest_with_a_full_console(ops in prop::collection::vec((0u16..9, any::<u8>(), 0u8..5), 0..300)) {
        let mut u = Rig::new(4);
        for (offset, value, what) in ops {
            match what {
                0 => u.w(offset, value),
                1 => u.w(0, value),
                2 => u.0.receive(value),
                3 => drop(u.drain(usize::from(value % 32))),
                _ => { u.r(offset); }
            }
            let status = u.0.clone().read(5);
            prop_assert_eq!(status & IDLE, if u.0.is_stalled() { 0 } else { IDLE });
            // It waits only for the console.
            prop_assert!(!(u.0.is_stalled() && u.1.has_room()));
            prop_assert!(!u.0.irq() || u.0.interrupt_pending());
            let told = u.0.clone().read(2) & 0xf;
            prop_assert!(!(u.0.is_stalled() && told == iir::TRANSMITTER_EMPTY));
        }
        prop_assert_eq!(u.1.lost(), 0);
    }
}
