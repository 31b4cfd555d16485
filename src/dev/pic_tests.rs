//! The two 8259As against their data sheet.

use super::pic::Pics;
use std::vec::Vec;

pub(super) const EOI: u8 = 0x20;
const READ_IRR: u8 = 0x0a;
pub(super) const READ_ISR: u8 = 0x0b;
const POLL: u8 = 0x0c;

fn program(p: &mut Pics, words: &[(u16, u8)]) {
    words.iter().for_each(|&(port, value)| p.write(port, value));
}
/// Initialized as on a PC, with the vectors at 0x20 and 0x28 and these ICW4s.
fn initialized(master_icw4: u8, slave_icw4: u8) -> Pics {
    let mut p = Pics::new();
    program(&mut p, &[(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, master_icw4)]);
    program(&mut p, &[(0xa0, 0x11), (0xa1, 0x28), (0xa1, 2), (0xa1, slave_icw4)]);
    p
}
pub(super) fn pc() -> Pics {
    initialized(1, 1)
}
fn raise(p: &mut Pics, irqs: &[u8]) {
    irqs.iter().for_each(|&irq| p.set_line(irq, true));
}
fn pulses(p: &mut Pics, irqs: &[u8]) {
    irqs.iter().for_each(|&irq| p.set_line(irq, false));
    raise(p, irqs);
}
/// The next vector, where one is requested.
fn next(p: &mut Pics) -> Option<u8> {
    p.output().then(|| p.acknowledge())
}
pub(super) fn status(p: &mut Pics, port: u16, which: u8) -> u8 {
    p.write(port, which);
    p.read(port)
}

#[test]
fn nothing_passes_before_the_initialization_is_over() {
    let mut p = Pics::new();
    raise(&mut p, &[0]);
    assert!(!p.output());
    p.write(0x21, 0x5a); // Linux looks whether there is one at all
    assert_eq!(p.read(0x21), 0x5a);
    let mut p = Pics::new();
    for (port, value) in [(0x20, 0x11), (0x21, 0x30), (0x21, 4), (0x21, 1)] {
        assert!(!p.output());
        p.write(port, value);
        pulses(&mut p, &[1]);
    }
    assert_eq!((p.read(0x21), next(&mut p)), (0, Some(0x31)));
}

#[test]
fn icw1_resets() {
    let mut p = pc();
    p.write(0x21, 0x10);
    raise(&mut p, &[1]);
    assert_eq!(next(&mut p), Some(0x21));
    p.write(0x20, 0xc3); // the lowest priority to IR3
    p.write(0x20, 0x68 | READ_ISR);
    raise(&mut p, &[3]);
    p.write(0x20, 0x12); // single, no ICW4
    p.write(0x21, 0x47); // the low bits do not count
    assert_eq!((p.read(0x21), p.read(0x20)), (0, 0)); // edges that came before are forgotten
    assert_eq!(status(&mut p, 0x20, READ_ISR), 0);
    assert!(!p.output());
    pulses(&mut p, &[3]);
    pulses(&mut p, &[1]);
    assert_eq!(next(&mut p), Some(0x41));
    assert_eq!(next(&mut p), None);
}

#[test]
fn fully_nested() {
    let mut p = pc();
    raise(&mut p, &[5, 4]);
    assert_eq!((next(&mut p), next(&mut p)), (Some(0x24), None));
    raise(&mut p, &[1]);
    assert_eq!((next(&mut p), next(&mut p)), (Some(0x21), None));
    assert_eq!(status(&mut p, 0x20, READ_ISR), 0x12);
    assert_eq!(status(&mut p, 0x20, READ_IRR), 0x20);
    p.write(0x20, EOI);
    assert_eq!((status(&mut p, 0x20, READ_ISR), next(&mut p)), (0x10, None));
    p.write(0x20, EOI);
    assert_eq!(next(&mut p), Some(0x25));
    p.write(0x20, 0x65); // specific
    assert_eq!(status(&mut p, 0x20, READ_ISR), 0);
    p.write(0x20, EOI); // nothing to end
    assert_eq!(next(&mut p), None);
}

#[test]
fn edges_and_levels() {
    let mut p = pc();
    p.write(0x4d0, 0xff);
    p.write(0x4d1, 0xff);
    assert_eq!((p.read(0x4d0), p.read(0x4d1)), (0xf8, 0xde));
    raise(&mut p, &[1, 5]);
    assert_eq!(next(&mut p), Some(0x21));
    p.write(0x20, EOI);
    assert_eq!(next(&mut p), Some(0x25)); // IRQ 1 is by edge
    p.write(0x20, EOI);
    assert_eq!(next(&mut p), Some(0x25)); // IRQ 5 goes on
    p.set_line(5, false);
    p.write(0x20, EOI);
    assert_eq!(next(&mut p), None);
    // An edge that comes while masked is held as long as the line is.
    p.write(0x21, 2);
    pulses(&mut p, &[1]);
    assert_eq!((next(&mut p), status(&mut p, 0x20, READ_IRR)), (None, 2));
    p.write(0x21, 0);
    assert_eq!(next(&mut p), Some(0x21));
}

#[test]
fn icw1_makes_all_by_level() {
    let mut p = pc();
    program(&mut p, &[(0x20, 0x19), (0x21, 0x20), (0x21, 4), (0x21, 3)]);
    raise(&mut p, &[1]);
    assert_eq!((next(&mut p), next(&mut p)), (Some(0x21), Some(0x21)));
    p.set_line(1, false);
    assert_eq!(next(&mut p), None);
}

#[test]
fn a_request_that_is_gone_is_the_default() {
    let mut p = pc();
    raise(&mut p, &[3]);
    assert!(p.output());
    p.set_line(3, false);
    assert!(!p.output());
    assert_eq!(p.acknowledge(), 0x27);
    assert_eq!(status(&mut p, 0x20, READ_ISR), 0);
    // The slave takes its own request at the master back with it.
    raise(&mut p, &[11]);
    p.set_line(11, false);
    assert_eq!(p.acknowledge(), 0x27);
    assert_eq!((status(&mut p, 0x20, READ_ISR), status(&mut p, 0xa0, READ_ISR)), (0, 0));
}

#[test]
fn the_cascade() {
    let mut p = pc();
    raise(&mut p, &[2]); // no device's
    assert!(!p.output());
    raise(&mut p, &[3, 12, 9]);
    assert_eq!(next(&mut p), Some(0x29));
    assert_eq!((status(&mut p, 0x20, READ_ISR), status(&mut p, 0xa0, READ_ISR)), (4, 2));
    raise(&mut p, &[8]); // higher, but the master holds it back
    assert_eq!(next(&mut p), None);
    p.write(0xa0, EOI);
    assert_eq!(next(&mut p), None);
    p.write(0x20, EOI);
    assert_eq!(next(&mut p), Some(0x28));
    p.write(0xa0, EOI);
    p.write(0x20, EOI);
    assert_eq!(next(&mut p), Some(0x2c));
    assert_eq!(next(&mut p), None); // IRQ 3 is lower than the slave
    p.write(0x20, EOI);
    assert_eq!(next(&mut p), Some(0x23));
    p.write(0x20, EOI);
    p.write(0x21, 4); // masks the slave
    pulses(&mut p, &[8]);
    p.write(0xa0, EOI);
    assert_eq!(next(&mut p), None);
    p.write(0x21, 0);
    assert_eq!(next(&mut p), Some(0x28));
}

#[test]
fn icw3_says_who_gives_the_vector() {
    let mut p = pc();
    program(&mut p, &[(0xa0, 0x11), (0xa1, 0x28), (0xa1, 3), (0xa1, 1)]);
    raise(&mut p, &[8]);
    assert_eq!(next(&mut p), Some(0xff)); // nobody answers
    assert_eq!((status(&mut p, 0x20, READ_ISR), status(&mut p, 0xa0, READ_ISR)), (4, 0));
    let mut p = pc();
    program(&mut p, &[(0x20, 0x13), (0x21, 0x20), (0x21, 1)]);
    raise(&mut p, &[8]);
    assert_eq!(next(&mut p), Some(0x22));
}

#[test]
fn special_fully_nested() {
    let mut p = initialized(0x11, 1);
    raise(&mut p, &[12]);
    assert_eq!(next(&mut p), Some(0x2c));
    raise(&mut p, &[14, 3]);
    assert_eq!(next(&mut p), None);
    raise(&mut p, &[9]);
    assert_eq!((next(&mut p), next(&mut p)), (Some(0x29), None));
    assert_eq!((status(&mut p, 0x20, READ_ISR), status(&mut p, 0xa0, READ_ISR)), (4, 0x12));
    // The slave does not nest one input in itself, whatever its own ICW4 says.
    let mut p = initialized(0x11, 0x11);
    raise(&mut p, &[9]);
    assert_eq!(next(&mut p), Some(0x29));
    pulses(&mut p, &[9]);
    assert_eq!(next(&mut p), None);
}

#[test]
fn automatic_end() {
    let mut p = initialized(3, 3);
    raise(&mut p, &[8, 9, 1, 3]);
    let all: Vec<_> = core::iter::from_fn(|| next(&mut p)).take(20).collect();
    assert_eq!(all, [0x21, 0x28, 0x29, 0x23]);
    assert_eq!((status(&mut p, 0x20, READ_ISR), status(&mut p, 0xa0, READ_ISR)), (0, 0));
    p.write(0x20, 0x80); // rotate
    pulses(&mut p, &[0, 1, 3]);
    assert_eq!(next(&mut p), Some(0x20));
    pulses(&mut p, &[0]);
    assert_eq!([1, 2, 3].map(|_| next(&mut p)), [Some(0x21), Some(0x23), Some(0x20)]);
    p.write(0x20, 0x00); // no more: IR0 stays the lowest
    pulses(&mut p, &[0, 1]);
    assert_eq!([1, 2].map(|_| next(&mut p)), [Some(0x21), Some(0x20)]);
}

#[test]
fn rotations() {
    let mut p = pc();
    raise(&mut p, &[4, 6]);
    assert_eq!(next(&mut p), Some(0x24));
    p.write(0x20, 0xa0); // rotate on non-specific EOI: IR4 is the lowest, IR5 the highest
    pulses(&mut p, &[4]);
    raise(&mut p, &[0]);
    assert_eq!((next(&mut p), next(&mut p)), (Some(0x26), None));
    p.write(0x20, 0xe6); // rotate on specific EOI
    assert_eq!(next(&mut p), Some(0x20));
    p.write(0x20, 0xa0);
    assert_eq!(next(&mut p), Some(0x24));
    p.write(0x20, EOI);
    p.write(0x20, 0xc1); // set priority: IR2 is the highest
    pulses(&mut p, &[1, 0, 7]);
    assert_eq!(next(&mut p), Some(0x27));
    p.write(0x20, 0xa0 | 7);
    assert_eq!(next(&mut p), Some(0x20));
    p.write(0x20, 0x40); // no operation
    assert_eq!(status(&mut p, 0x20, READ_ISR), 1);
}

#[test]
fn special_mask() {
    let mut p = pc();
    raise(&mut p, &[3]);
    assert_eq!(next(&mut p), Some(0x23));
    raise(&mut p, &[5]);
    p.write(0x21, 8);
    assert_eq!(next(&mut p), None);
    p.write(0x20, 0x68);
    assert_eq!(next(&mut p), Some(0x25));
    p.write(0x20, EOI); // does not find the masked one
    assert_eq!(status(&mut p, 0x20, READ_ISR), 8);
    p.write(0x20, EOI);
    assert_eq!(status(&mut p, 0x20, READ_ISR), 8);
    p.write(0x20, 0x48); // back
    p.write(0x20, EOI);
    assert_eq!(status(&mut p, 0x20, READ_ISR), 0);
}

#[test]
fn polling() {
    let mut p = pc();
    assert_eq!(status(&mut p, 0x20, POLL), 0);
    raise(&mut p, &[6, 10]);
    assert_eq!(status(&mut p, 0x20, POLL), 0x82);
    assert_eq!(status(&mut p, 0xa0, POLL), 0x82);
    assert_eq!((p.read(0x20), p.read(0xa0)), (0x40, 0)); // the next reads are the requests again
    assert_eq!((status(&mut p, 0x20, READ_ISR), status(&mut p, 0xa0, READ_ISR)), (4, 4));
    p.write(0x20, EOI);
    p.write(0x20, POLL);
    assert_eq!((p.read(0x21), p.read(0x21)), (0x86, 0)); // at either port, once
}
