//! The debug console that Bochs has at port 0xE9: a byte written is a character printed.

use crate::dev::console::Console;

/// What a read gives: how a guest finds the device.
pub const PRESENT: u8 = 0xe9;

/// The debug console. It has no state of its own.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Debugcon;

impl Debugcon {
    /// The guest read the port.
    #[inline]
    pub const fn read(&self) -> u8 {
        PRESENT
    }

    /// The guest wrote `byte` to the port.
    #[inline]
    pub fn write(&mut self, byte: u8, console: &mut Console) {
        console.put(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_is_found() {
        let mut console = Console::new();
        b"hi\0".iter().for_each(|&b| Debugcon.write(b, &mut console));
        assert_eq!(console.kept(), b"hi\0");
        assert_eq!(Debugcon.read(), 0xe9);
    }
}
