//! The reset ports.

use super::power::{Power, ResetBy};
use super::reset::{Port92, ResetControl};

#[test]
fn cf9_resets_on_the_rise_of_rst_cpu() {
    let reset = Some(Power::Reset(ResetBy::Cf9));
    let mut r = ResetControl::new();
    assert_eq!(r.read(), 0);
    assert_eq!((r.write(0x02), r.read()), (None, 0x02));
    assert_eq!((r.write(0x06), r.read()), (reset, 0x06));
    assert_eq!(r.write(0x06), None);
    assert_eq!((r.write(0xf1), r.read()), (None, 0));
    assert_eq!(r.write(0x04), reset);
    assert_eq!((r.write(0x0a), r.write(0x0e)), (None, reset));
}

#[test]
fn port_92_resets_on_the_rise_of_bit_0() {
    let reset = Some(Power::Reset(ResetBy::Port92));
    let mut p = Port92::new();
    assert_eq!(p.read(), 2);
    assert_eq!((p.write(0xfc), p.read()), (None, 0));
    assert_eq!((p.write(0xff), p.read()), (reset, 3));
    assert_eq!(p.write(0x01), None);
    assert_eq!((p.write(0x02), p.write(0x03)), (None, reset));
}

#[test]
fn every_pair_of_writes() {
    for (first, second) in (0..=255).flat_map(|a| (0..=255).map(move |b| (a, b))) {
        let (mut r, mut p) = (ResetControl::new(), Port92::new());
        assert_eq!(r.write(first).is_some(), first & 4 != 0);
        assert_eq!(r.write(second).is_some(), first & 4 == 0 && second & 4 != 0);
        assert_eq!(p.write(first).is_some(), first & 1 != 0);
        assert_eq!(p.write(second).is_some(), first & 1 == 0 && second & 1 != 0);
    }
}
