//! Any sequence of operations: nothing panics, the registers stay consistent, and a slow model agrees.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::regs::word;
use super::tests::{XAPIC, at, enabled, fixed};
use super::*;
use crate::dev::message::{Delivery, Message};

/// The vectors in the eight registers at `first`.
fn vectors(l: &mut Lapic, first: usize) -> BTreeSet<u8> {
    (0..=255u8).filter(|&v| l.page.get(first + usize::from(v >> 5)) >> (v & 31) & 1 != 0).collect()
}

/// Sets of vectors, searched.
#[derive(Default)]
struct Model {
    irr: BTreeSet<u8>,
    isr: BTreeSet<u8>,
    level: BTreeSet<u8>,
    tpr: u8,
}

impl Model {
    fn ppr(&self) -> u8 {
        let isr = self.isr.last().map_or(0, |v| v & 0xf0);
        if self.tpr >> 4 >= isr >> 4 { self.tpr } else { isr }
    }

    fn interrupt(&self) -> Option<u8> {
        self.irr.last().copied().filter(|v| v >> 4 > self.ppr() >> 4)
    }

    fn accept(&mut self, vector: u8, level: bool) {
        if vector >= 16 {
            self.irr.insert(vector);
            if level {
                self.level.insert(vector)
            } else {
                self.level.remove(&vector)
            };
        }
    }

    fn eoi(&mut self) -> Option<u8> {
        self.isr.pop_last().filter(|v| self.level.contains(v))
    }
}

/// One thing that happens to the APIC.
fn any_operation(l: &mut Lapic, what: u8, small: u16, value: u64, now: u64) {
    let offset = if small & 0x8000 == 0 { (small & 0x3f) * 16 } else { small };
    let bits = if value & 1 << 63 == 0 { value & 0x7_97ff } else { value };
    match what {
        0..4 => l.write(offset, bits as u32, now),
        4 => _ = l.read(offset, now),
        5..8 => _ = l.write_msr(0x800 + u32::from(small & 0x3f), bits, now),
        8 => _ = l.read_msr(0x800 + u32::from(small & 0xff), now),
        9 => {
            let delivery = Delivery::of(u32::from(small));
            let destination = if small & 8 == 0 { 0xff } else { value as u32 };
            let (level, logical) = (small & 16 != 0, small & 32 != 0);
            l.accept(&Message { vector: value as u8, delivery, level, destination, logical });
        }
        10 => _ = l.set_base_msr(if small & 1 == 0 { BASE | value & 0xd00 } else { value }, small & 2 == 0),
        11 => l.set_deadline(value, (value >> 7).wrapping_sub(u64::from(small) << 48)),
        12 => l.set_lint0(small & 1 == 0),
        13 => l.set_lint1(small & 1 == 0),
        14 => l.acknowledge(value as u8),
        15 => {
            if let Some(vector) = l.interrupt() {
                l.acknowledge(vector);
                assert!(l.page.has(word::ISR, vector) && !l.page.has(word::IRR, vector));
            }
        }
        16 => l.set_cr8(value as u8),
        17 => {
            l.take_nmi();
            l.take_init();
            l.take_extint();
            l.take_eoi();
        }
        18 => l.set_tsc_offset(value),
        _ => l.advance(now),
    }
}

proptest! {
    #[test]
    fn anything_goes(ops in prop::collection::vec((0u8..20, any::<u16>(), any::<u64>(), 0u64..100_000), 0..200),
                     id in any::<u32>(), start in prop_oneof![Just(0), any::<u64>()]) {
        let mut l = enabled(id);
        let mut now = start;
        for (what, small, value, step) in ops {
            now = now.saturating_add(step);
            any_operation(&mut l, what, small, value, now);
            let (irr, isr) = (vectors(&mut l, word::IRR), vectors(&mut l, word::ISR));
            prop_assert_eq!(l.page.highest_requested(), irr.last().copied());
            prop_assert_eq!(l.page.highest_in_service(), isr.last().copied());
            prop_assert!(irr.union(&isr).all(|&v| v >= 16));
            let model = Model { isr, tpr: l.page.get(word::TPR) as u8, ..Model::default() };
            prop_assert_eq!(l.page.get(word::PPR), u32::from(model.ppr()));
            if let Some(vector) = l.interrupt() {
                prop_assert!(vector >> 4 > model.ppr() >> 4 && l.software_enabled() && l.enabled());
            }
            prop_assert_eq!(l.cr8(), model.tpr >> 4);
            if !l.enabled() {
                prop_assert!(l.next_event().is_none() && l.interrupt().is_none());
            }
        }
    }

    #[test]
    fn the_slow_model_agrees(ops in prop::collection::vec((0u8..6, any::<u8>(), any::<bool>()), 0..300)) {
        let mut l = enabled(0);
        let mut m = Model::default();
        assert_eq!(l.base_msr(), XAPIC);
        for (what, value, level) in ops {
            match what {
                0 | 1 => {
                    prop_assert_eq!(l.accept(&fixed(value, level)), value >= 16);
                    m.accept(value, level);
                }
                2 => {
                    l.write(at(word::ICR), 0x4_0000 | u32::from(value), 0);
                    m.accept(value, false);
                }
                3 => {
                    if let Some(vector) = m.interrupt() {
                        l.acknowledge(vector);
                        m.irr.remove(&vector);
                        m.isr.insert(vector);
                    }
                }
                4 => {
                    l.write(at(word::EOI), u32::from(value), 0);
                    prop_assert_eq!(l.take_eoi(), m.eoi());
                }
                _ => {
                    l.write(at(word::TPR), u32::from(value), 0);
                    m.tpr = value;
                }
            }
            prop_assert_eq!(l.interrupt(), m.interrupt());
            prop_assert_eq!(l.read(at(word::PPR), 0), u32::from(m.ppr()));
            prop_assert_eq!(vectors(&mut l, word::IRR), m.irr.clone());
            prop_assert_eq!(vectors(&mut l, word::ISR), m.isr.clone());
        }
    }
}
