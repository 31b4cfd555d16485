//! One fuzz input as what a guest and time do to the bus.

use super::{Attention, Bus, Start};
use crate::base::{Gpa, TscRatio, Width};

/// The TSC of the machine, in Hz.
const TSC_HZ: u64 = 1_000_000_000;
/// Ports with something behind them, besides any port at all.
const PORTS: [u16; 32] = [
    0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x80, 0x92, 0xe9,
    0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x5f0, 0x5f8, 0x600, 0x602, 0x604, 0xcf8, 0xcf9, 0xcfc,
];
/// Pages with something behind them, and one without.
const PAGES: [u64; 4] = [0xfee0_0000, 0xfec0_0000, 0xd_0000, 0x10_0000];
/// Devices catch up with the time they missed, one tick a call, up to 1000 of each clock.
const CATCH_UP: usize = 5000;

/// A stream of numbers; after its end there are zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(core::array::from_fn(|_| self.byte()))
    }

    fn long(&mut self) -> u64 {
        u64::from(self.word()) | u64::from(self.word()) << 32
    }
}

/// Does what `bytes` say: accesses, steps of time, interrupts taken. Panics where the bus breaks a promise: when it is brought
/// up to date again and again it comes to an end, an interrupt that waits has a vector, and whoever asks for the next event
/// whenever it calls for service, or one is due, never misses one.
pub fn fuzz(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut now = 0_u64;
    let kind = input.byte();
    let guest_khz = if kind & 2 == 0 { TSC_HZ / 1000 } else { 1 + u64::from(input.word()) % 10_000_000 };
    let tsc = TscRatio::of(guest_khz, TSC_HZ / 1000).unwrap_or(TscRatio::ONE);
    let mut bus = Bus::pc(&Start { tsc_hz: TSC_HZ, now, unix_seconds: 1_800_000_000, tsc, ..Start::default() });
    if kind & 1 != 0 {
        bus.set_raw_console();
    }
    let mut alarm = 0;
    while !input.0.is_empty() {
        step(&mut bus, &mut input, &mut now);
        let attention = bus.take_attention();
        assert!(attention.has(Attention::SERVICE | Attention::INTERRUPT | Attention::CONSOLE) == attention.any());
        if attention.has(Attention::SERVICE) || alarm <= now {
            bus.advance(now);
            bus.take_attention();
            alarm = bus.next_event().unwrap_or(u64::MAX);
        }
        let next = bus.next_event().unwrap_or(u64::MAX);
        assert!(next >= alarm, "an event at {next}, and the alarm is set to {alarm}");
    }
    settle(&mut bus, now);
}

fn step(bus: &mut Bus, input: &mut Input<'_>, now: &mut u64) {
    let at = *now;
    let time = || at;
    let what = input.byte();
    let port = |input: &mut Input<'_>| {
        let byte = input.byte();
        PORTS.get(usize::from(byte)).copied().unwrap_or(u16::from(byte) | u16::from(input.byte()) << 8)
    };
    let width =
        |n: u8| [Width::B1, Width::B1, Width::B2, Width::B4].get(usize::from(n & 3)).copied().unwrap_or(Width::B1);
    match what & 15 {
        0..=2 => {
            let value = input.word();
            bus.port_out(port(input), width(what >> 4), value, time);
        }
        3 => _ = bus.port_in(port(input), width(what >> 4), time),
        4..=6 => {
            let page = PAGES.get(usize::from(what >> 4 & 3)).copied().unwrap_or(0);
            let offset = u64::from(input.byte()) << 4 | u64::from(what >> 6);
            let bytes = input.long().to_le_bytes();
            // Aligned words most often: others are nobody's.
            let (offset, length) =
                if what & 15 == 6 { (offset, usize::from(input.byte() & 15)) } else { (offset & !3, 4) };
            let mut all = [0; 16];
            all.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            let Some(some) = all.get_mut(..length) else { return };
            match what & 15 {
                4 => bus.mmio_read(Gpa::new(page | offset), some, time),
                _ => bus.mmio_write(Gpa::new(page | offset), some, time),
            }
        }
        7 => {
            let msr = 0x800 | u32::from(input.byte());
            let value = if what & 0x10 != 0 { input.long() } else { input.word().into() };
            bus.write_apic_msr(msr, value, time);
            let _ = bus.read_apic_msr(msr, time);
        }
        8 => {
            _ = bus.set_apic_base(if what & 0x80 != 0 {
                input.long()
            } else {
                0xfee0_0100 | u64::from(what & 0xf0) << 6
            })
        }
        9 => bus.set_cr8(u64::from(what >> 4)),
        10 => bus.set_tsc_deadline(if what & 0x80 != 0 { input.long() } else { at + u64::from(input.word()) }, 0, time),
        11 => bus.set_tsc_offset(input.long()),
        12 => {
            let step = if what & 0x80 != 0 { u64::from(input.word()) << 8 } else { u64::from(input.word() >> 12) };
            *now = at.saturating_add(step);
            settle(bus, *now);
        }
        13 => {
            let late = bus.next_event().unwrap_or(at);
            *now = at.max(late).min(at.saturating_add(1 << 50));
            bus.advance(*now);
        }
        14 => {
            let waits = bus.interrupt();
            let vector = bus.acknowledge();
            assert!(!waits || vector.is_some(), "an interrupt without a vector");
        }
        _ => {
            if bus.nmi() {
                bus.take_nmi();
                assert!(!bus.nmi());
            }
            let _ = (bus.take_init(), bus.may_interrupt(), bus.tsc_deadline(time), bus.apic_base(), bus.cr8());
            if bus.can_receive() {
                bus.receive(what);
            }
            let _ = bus.take_output(&mut [0; 7]);
        }
    }
}

/// Brings it up to `now`, as whoever runs the guest does: nothing may be left that is due.
fn settle(bus: &mut Bus, now: u64) {
    for _ in 0..CATCH_UP {
        bus.advance(now);
        if bus.next_event().is_none_or(|at| at > now) {
            return;
        }
    }
    assert!(bus.next_event().is_none_or(|at| at > now), "the devices do not come to an end at {now}");
}
