//! The port by which a guest ends its VM, as QEMU's `isa-debug-exit`: the value written, of any width, is the result.

use crate::base::Width;

/// The exit port: a wide device, all of whose bytes are at one port.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ExitPort {
    value: Option<u32>,
}

impl ExitPort {
    /// A port that was not written.
    pub const fn new() -> Self {
        Self { value: None }
    }

    /// The guest read the port: always 0.
    #[inline]
    pub const fn read(&self) -> u32 {
        0
    }

    /// The guest wrote the low `width` of `value`. The first write decides.
    #[inline]
    pub fn write(&mut self, width: Width, value: u32) {
        self.value.get_or_insert(value & width.mask() as u32);
    }

    /// The value that was written first.
    #[inline]
    pub const fn value(&self) -> Option<u32> {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_write_wins() {
        let mut port = ExitPort::new();
        assert_eq!(port.value(), None);
        assert_eq!(port.read(), 0);
        port.write(Width::B2, 0xffff_0000);
        port.write(Width::B1, 7);
        assert_eq!(port.value(), Some(0));
    }

    #[test]
    fn as_wide_as_it_was_written() {
        for (width, value) in [(Width::B1, 0x78), (Width::B2, 0x5678), (Width::B4, 0x1234_5678)] {
            let mut port = ExitPort::new();
            port.write(width, 0x1234_5678);
            assert_eq!(port.value(), Some(value));
        }
    }
}
