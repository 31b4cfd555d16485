//! The keyboard controller as operating systems use it.

use super::i8042::{I8042, status};
use super::power::{Power, ResetBy};
use proptest::prelude::*;

const IDLE: u8 = status::NOT_LOCKED | status::SYSTEM;
const RESET: Option<Power> = Some(Power::Reset(ResetBy::KeyboardController));

/// Gives a command and reads its answer.
fn ask(k: &mut I8042, command: u8) -> Option<u8> {
    assert_eq!(k.write(0x64, command), None);
    (k.read(0x64) & status::OUTPUT_FULL != 0).then(|| k.read(0x60))
}

#[test]
fn tests_and_answers() {
    let mut k = I8042::new();
    assert_eq!(k.read(0x64), IDLE);
    assert_eq!([0xaa, 0xab, 0xa9, 0xc0, 0xd0].map(|c| ask(&mut k, c)), [0x55, 0, 0, 0x80, 3].map(Some));
    assert_eq!([0xad, 0xae, 0xa7, 0xa8, 0xdd, 0xdf, 0xff].map(|c| ask(&mut k, c)), [None; 7]);
    assert_eq!(k.read(0x64), IDLE | status::COMMAND);
}

#[test]
fn command_byte() {
    let mut k = I8042::new();
    assert_eq!(ask(&mut k, 0x20), Some(0x04));
    k.write(0x64, 0x60);
    k.write(0x60, 0x43);
    assert_eq!(k.read(0x64), status::NOT_LOCKED);
    assert_eq!(ask(&mut k, 0x20), Some(0x43));
    k.write(0x64, 0xad);
    k.write(0x64, 0xa7);
    assert_eq!(ask(&mut k, 0x20), Some(0x73));
    k.write(0x64, 0xae);
    k.write(0x64, 0xa8);
    assert_eq!(ask(&mut k, 0x20), Some(0x43));
}

#[test]
fn loops_for_both_interfaces() {
    let mut k = I8042::new();
    for (command, aux) in [(0xd3, status::OUTPUT_AUX), (0xd2, 0)] {
        k.write(0x64, command);
        k.write(0x60, 0x5a);
        assert_eq!(k.read(0x64), IDLE | status::OUTPUT_FULL | aux);
        assert_eq!((k.read(0x60), k.read(0x64)), (0x5a, IDLE));
    }
}

#[test]
fn nobody_answers_a_byte_for_a_device() {
    let mut k = I8042::new();
    k.write(0x60, 0xff);
    assert_eq!(k.read(0x64), IDLE | status::TIMEOUT);
    k.write(0x64, 0xd4);
    assert_eq!(k.read(0x64), IDLE | status::COMMAND);
    k.write(0x60, 0xf2);
    assert_eq!(k.read(0x64), IDLE | status::TIMEOUT);
}

#[test]
fn resets() {
    for command in 0xf0..=0xff {
        assert_eq!(I8042::new().write(0x64, command), if command & 1 == 0 { RESET } else { None });
    }
    let mut k = I8042::new();
    k.write(0x64, 0xd1);
    assert_eq!(k.write(0x60, 0xdf), None);
    assert_eq!(ask(&mut k, 0xd0), Some(0xdf));
    k.write(0x64, 0xd1);
    assert_eq!(k.write(0x60, 0xfe), RESET);
    // A command in between takes the byte away from it.
    k.write(0x64, 0xd1);
    k.write(0x64, 0xae);
    assert_eq!(k.write(0x60, 0xfe), None);
}

proptest! {
    #[test]
    fn any_accesses(ops in prop::collection::vec((0x5fu16..0x66, any::<u8>(), any::<bool>()), 0..200)) {
        let mut k = I8042::new();
        for (port, value, write) in ops {
            if write {
                k.write(port, value);
            } else {
                k.read(port);
            }
            // It is always ready for input.
            prop_assert_eq!(k.read(0x64) & 0x92, status::NOT_LOCKED);
        }
    }
}
