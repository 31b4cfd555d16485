//! The bus against a naive model of single ports and bytes.

use super::bus::{Bus, Ended, SCRATCH_MEMORY, Start};
use super::console::Console;
use super::uart::Uart;
use super::unclaimed::{Place, Unclaimed};
use crate::base::{Gpa, Width};
use proptest::prelude::*;
use std::{collections::HashMap, collections::VecDeque, vec, vec::Vec};

const WIDTHS: [Width; 3] = [Width::B1, Width::B2, Width::B4];

/// The standard machine, one port and one byte at a time.
#[derive(Default)]
struct Model {
    post: [u8; 4],
    uart: Uart,
    console: Console,
    ended: Option<u32>,
    scratch: HashMap<u32, u8>,
    fifo: VecDeque<u8>,
    unclaimed: Vec<(u16, bool)>,
}

impl Model {
    fn access(&mut self, port: u16, bytes: &mut [u8], write: bool) {
        let count = bytes.len();
        let mut missing = None;
        for (i, byte) in bytes.iter_mut().enumerate() {
            // The three wide devices take all bytes of an access that starts at their port.
            let at = if matches!(port, 0x80 | 0xf4 | 0x5f8) { port.into() } else { u32::from(port) + i as u32 };
            match (at, write) {
                (0x80, true) => self.post[if port == 0x80 { i } else { 0 }] = *byte,
                (0x80, false) => *byte = self.post[if port == 0x80 { i } else { 0 }],
                (0xe9, true) => self.console.put(*byte),
                (0xe9, false) => *byte = 0xe9,
                (0xf4, false) => *byte = 0,
                (0x3f8..=0x3ff, true) => self.uart.write(at as u16 - 0x3f8, *byte, &mut self.console),
                (0x3f8..=0x3ff, false) => *byte = self.uart.read(at as u16 - 0x3f8),
                (0x5f0..=0x5f7, true) => _ = self.scratch.insert(at, *byte),
                (0x5f0..=0x5f7, false) => *byte = self.scratch.get(&at).copied().unwrap_or(0),
                (0x5f8, true) if self.fifo.len() < 256 => self.fifo.push_back(*byte),
                (0x5f8, true) => {}
                (0x5f8, false) => *byte = self.fifo.pop_front().unwrap_or(0xff),
                (0xf4, true) if port == 0xf4 => {}
                (0xf4, true) => self.ended = self.ended.or(Some((*byte).into())),
                _ => {
                    if at <= 0xffff && missing.is_none() {
                        missing = Some(at as u16);
                    }
                    if !write {
                        *byte = 0xff;
                    }
                }
            }
        }
        if write && port == 0xf4 && self.ended.is_none() {
            let mut value = [0; 4];
            value[..count].copy_from_slice(bytes);
            self.ended = Some(u32::from_le_bytes(value));
        }
        self.unclaimed.extend(missing.map(|port| (port, write)));
    }
}

fn pc() -> Bus {
    Bus::pc(&Start::default())
}

/// A clock that stands still.
fn stopped() -> u64 {
    0
}

fn any_port() -> impl Strategy<Value = u16> {
    prop_oneof![
        1 => any::<u16>(),
        1 => 0xfffcu16..=0xffff,
        2 => 0x7cu16..0x84,
        2 => 0xe5u16..0xf8,
        4 => 0x3f4u16..0x404,
        4 => 0x5ecu16..0x5fc,
        3 => Just(0x5f8u16),
    ]
    .prop_filter("a device that the model has not", |port| {
        let others = [0x20..=0x21, 0x40..=0x43, 0x60..=0x64, 0x70..=0x71, 0x92..=0x92, 0xa0..=0xa1]
            .into_iter()
            .chain([0x4d0..=0x4d1, 0x600..=0x60b, 0xcf8..=0xcff]);
        // Also not by the last bytes of a wide access.
        !others.into_iter().any(|ports: std::ops::RangeInclusive<u16>| {
            (0..4).any(|i| port.checked_add(i).is_some_and(|p| ports.contains(&p)))
        })
    })
}

proptest! {
    #[test]
    fn ports_as_in_the_model(
        ops in prop::collection::vec(
            (any_port(), prop::sample::select(WIDTHS.to_vec()), any::<u32>(), any::<bool>()), 0..600)
    ) {
        let (mut bus, mut model) = (pc(), Model::default());
        for (port, width, value, write) in ops {
            let n = width as usize;
            let mut bytes = value.to_le_bytes();
            model.access(port, &mut bytes[..n], write);
            if write {
                bus.port_out(port, width, value, stopped);
            } else {
                bytes[n..].fill(0);
                prop_assert_eq!(bus.port_in(port, width, stopped), u32::from_le_bytes(bytes), "{:#x} {:?}", port, width);
            }
            prop_assert_eq!(bus.ended(), model.ended.map(Ended::Exit));
        }
        prop_assert_eq!(bus.post_code(), u32::from_le_bytes(model.post));
        prop_assert_eq!(bus.console().kept(), model.console.kept());
        prop_assert_eq!(bus.unclaimed().total(), model.unclaimed.len() as u64);
        let mut first = vec![];
        for u in &model.unclaimed {
            if !first.contains(u) && first.len() < 8 {
                first.push(*u);
            }
        }
        let counted: Vec<_> = first
            .into_iter()
            .map(|(port, write)| Unclaimed {
                place: Place::Port(port),
                write,
                count: model.unclaimed.iter().filter(|&&u| u == (port, write)).count() as u64,
            })
            .collect();
        prop_assert_eq!(bus.unclaimed().first(), &counted[..]);
    }

    #[test]
    fn memory_as_in_the_model(
        ops in prop::collection::vec(
            (prop_oneof![0xc_fff0u64..0xd_0010, 0xd_0ff0u64..0xd_1010, 1u64 << 32.., (u64::MAX - 8)..=u64::MAX],
             prop::collection::vec(any::<u8>(), 0..20), any::<bool>()), 0..200)
    ) {
        let (mut bus, mut model, mut unclaimed) = (pc(), HashMap::new(), 0);
        for (at, mut bytes, write) in ops {
            let place = |i: usize| u128::from(at) + i as u128;
            let claimed = |i: usize| (0xd_0000..0xd_1000).contains(&place(i));
            unclaimed += u64::from((0..bytes.len()).any(|i| !claimed(i)));
            if write {
                bus.mmio_write(Gpa::new(at), &bytes, stopped);
                for (i, &b) in bytes.iter().enumerate().filter(|(i, _)| claimed(*i)) {
                    model.insert(place(i), b);
                }
            } else {
                bus.mmio_read(Gpa::new(at), &mut bytes, stopped);
                for (i, &b) in bytes.iter().enumerate() {
                    let expected = if claimed(i) { model.get(&place(i)).copied().unwrap_or(0) } else { 0xff };
                    prop_assert_eq!(b, expected, "{:#x}", place(i));
                }
            }
        }
        prop_assert_eq!(bus.unclaimed().total(), unclaimed);
    }
}

#[test]
fn unclaimed_ports_read_as_ones_of_their_width() {
    let mut bus = pc();
    assert_eq!(WIDTHS.map(|w| bus.port_in(0x1000, w, stopped)), [0xff, 0xffff, 0xffff_ffff]);
    bus.port_out(0x1000, Width::B4, 1, stopped);
    assert_eq!(bus.port_in(0xffff, Width::B4, stopped), 0xffff_ffff);
    assert_eq!(bus.unclaimed().total(), 5);
    assert_eq!(
        bus.unclaimed().first(),
        [(0x1000, false, 3), (0x1000, true, 1), (0xffff, false, 1)].map(|(port, write, count)| Unclaimed {
            place: Place::Port(port),
            write,
            count
        })
    );
}

#[test]
fn a_wide_write_to_the_debug_console_prints_its_low_byte() {
    let mut bus = pc();
    bus.port_out(0xe9, Width::B4, 0x4443_4241, stopped);
    assert_eq!(bus.console().kept(), b"A");
    assert_eq!(bus.port_in(0xe9, Width::B2, stopped), 0xffe9);
    assert_eq!(bus.unclaimed().first()[0].place, Place::Port(0xea));
}

#[test]
fn both_bytes_of_the_divisor_at_once() {
    let mut bus = pc();
    bus.port_out(0x3fb, Width::B1, 0x80, stopped);
    bus.port_out(0x3f8, Width::B2, 0x1234, stopped);
    assert_eq!(bus.port_in(0x3f8, Width::B2, stopped), 0x1234);
    bus.receive(b'x');
    assert_eq!(bus.port_in(0x3fd, Width::B1, stopped), 0x61);
}

#[test]
fn the_fifo_is_not_split_but_an_access_that_reaches_it_is() {
    let mut bus = pc();
    bus.port_out(0x5f8, Width::B4, 0x0403_0201, stopped);
    bus.port_out(0x5f6, Width::B4, 0x0807_0605, stopped); // two to scratch ports, one to the queue, one to nobody
    assert_eq!(bus.port_in(0x5f6, Width::B2, stopped), 0x0605);
    assert_eq!(bus.port_in(0x5f8, Width::B4, stopped), 0x0403_0201);
    assert_eq!(bus.port_in(0x5f8, Width::B2, stopped), 0xff07);
    assert_eq!(bus.unclaimed().first(), [Unclaimed { place: Place::Port(0x5f9), write: true, count: 1 }]);
}

#[test]
fn memory_straddles_and_long_slices() {
    let mut bus = pc();
    let page: Vec<u8> = (0..4096).map(|i| (i % 251) as u8).collect();
    bus.mmio_write(SCRATCH_MEMORY, &page, stopped);
    let mut all = vec![0; 4098];
    bus.mmio_read(Gpa::new(0xc_ffff), &mut all, stopped);
    assert_eq!((all[0], &all[1..4097], all[4097]), (0xff, &page[..], 0xff));
    assert_eq!(
        bus.unclaimed().first(),
        [Unclaimed { place: Place::Memory(Gpa::new(0xc_ffff)), write: false, count: 1 }]
    );
    bus.mmio_read(Gpa::new(u64::MAX), &mut all[..2], stopped);
    assert_eq!(all[..2], [0xff, 0xff]);
    bus.mmio_write(Gpa::new(5), &[], stopped);
    assert_eq!(bus.unclaimed().total(), 2);
}

#[test]
fn the_first_exit_wins() {
    let mut bus = pc();
    assert_eq!(bus.ended(), None);
    bus.port_out(0xf4, Width::B4, 0x8000_0001, stopped);
    bus.port_out(0xf4, Width::B1, 2, stopped);
    assert_eq!(bus.ended(), Some(Ended::Exit(0x8000_0001)));
}
