//! The two 8259As against a slow model of fully nested mode, and under any guest.

use super::pic::Pics;
use super::pic_tests::{EOI, READ_ISR, pc, status};
use proptest::prelude::*;

const PORTS: [u16; 6] = [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1];

/// Fully nested mode, the slow way: inputs by priority, each with its request and whether it is served.
#[derive(Default, Clone)]
struct Model {
    line: [bool; 16],
    fresh: [bool; 16],
    level: [bool; 16],
    masked: [bool; 16],
    served: [bool; 16],
}

impl Model {
    fn wants(&self, irq: usize) -> bool {
        self.line[irq] && (self.fresh[irq] || self.level[irq]) && !self.masked[irq]
    }
    /// The first of `irqs` that wants to be served, if it is before the first that is.
    fn first(&self, irqs: core::ops::Range<usize>) -> Option<usize> {
        for irq in irqs {
            let wants = if irq == 2 { self.first(8..16).is_some() && !self.masked[2] } else { self.wants(irq) };
            if self.served[irq] {
                return None;
            }
            if wants {
                return Some(irq);
            }
        }
        None
    }
    fn acknowledge(&mut self) -> u8 {
        let Some(mut irq) = self.first(0..8) else { return 0x27 };
        self.served[irq] = true;
        if irq == 2 {
            irq = self.first(8..16).unwrap();
            self.served[irq] = true;
        }
        self.fresh[irq] = false;
        0x20 + irq as u8
    }
}

fn bits(of: &[bool]) -> u8 {
    of.iter().zip(0..).map(|(&b, n)| u8::from(b) << n).sum()
}

proptest! {
    #[test]
    fn fully_nested_as_in_the_slow_model(
        elcr in any::<[u8; 2]>(), ops in prop::collection::vec((0u8..8, 0usize..16, any::<u8>()), 0..200)
    ) {
        let mut p = pc();
        let mut m = Model { fresh: [true; 16], ..Model::default() };
        for half in 0..2 {
            p.write(0x4d0 + half as u16, elcr[half]);
            (0..8).for_each(|n| m.level[half * 8 + n] = elcr[half] & [0xf8, 0xde][half] & 1 << n != 0);
        }
        for (what, irq, value) in ops {
            let half = irq / 8;
            let port = [0x20, 0xa0][half];
            match what {
                0..3 => {
                    p.set_line(irq as u8, value & 1 != 0);
                    m.line[irq] = value & 1 != 0 && irq != 2;
                    m.fresh[irq] |= value & 1 == 0;
                }
                3 => {
                    p.write(port + 1, value & 0x3a);
                    (0..8).for_each(|n| m.masked[half * 8 + n] = value & 0x3a & 1 << n != 0);
                }
                4 => {
                    p.write(port, EOI);
                    if let Some(n) = (half * 8..half * 8 + 8).find(|&n| m.served[n]) {
                        m.served[n] = false;
                    }
                }
                5 => {
                    p.write(port, 0x60 | (irq & 7) as u8);
                    m.served[irq] = false;
                }
                _ => prop_assert_eq!(p.acknowledge(), m.acknowledge()),
            }
            prop_assert_eq!(p.output(), m.first(0..8).is_some());
            prop_assert_eq!(status(&mut p, 0x20, READ_ISR), bits(&m.served[..8]));
            prop_assert_eq!(status(&mut p, 0xa0, READ_ISR), bits(&m.served[8..]));
        }
    }

    #[test]
    fn any_guest(ops in prop::collection::vec((0u8..3, any::<u8>(), any::<u8>()), 0..300)) {
        let mut p = Pics::new();
        for (what, n, value) in ops {
            match what {
                0 => p.write(PORTS[usize::from(n % 6)], value),
                1 => p.set_line(n % 18, value & 1 != 0),
                _ if n & 0xc0 == 0 => { p.acknowledge(); }
                _ => { p.read(PORTS[usize::from(n % 6)]); }
            }
            let mut copy = p.clone();
            // Where nothing is requested, an acknowledge changes nothing.
            if !p.output() {
                prop_assert_eq!(copy.acknowledge() & 7, 7);
                prop_assert_eq!(std::format!("{copy:?}"), std::format!("{p:?}"));
            }
            prop_assert_eq!((p.read(0x4d0) & 0x07, p.read(0x4d1) & 0x21), (0, 0));
        }
    }
}
