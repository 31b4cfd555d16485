//! The latch for power-on self test codes: firmware and kernels write it to say how far they are, or to pass time.

use crate::base::Width;

/// A latch of four bytes that are all at one port: a narrow access reaches the low ones.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Post {
    code: u32,
}

impl Post {
    /// A latch that holds 0.
    pub const fn new() -> Self {
        Self { code: 0 }
    }

    /// What was written last.
    #[inline]
    pub const fn code(&self) -> u32 {
        self.code
    }

    /// The guest read the port.
    #[inline]
    pub const fn read(&self, width: Width) -> u32 {
        self.code & width.mask() as u32
    }

    /// The guest wrote the low `width` of `value`.
    #[inline]
    pub const fn write(&mut self, width: Width, value: u32) {
        let mask = width.mask() as u32;
        self.code = (self.code & !mask) | (value & mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_written() {
        let mut post = Post::new();
        assert_eq!(post.read(Width::B4), 0);
        post.write(Width::B4, 0x1234_5678);
        post.write(Width::B1, 0xffff_ffaa);
        assert_eq!(post.read(Width::B1), 0xaa);
        assert_eq!(post.read(Width::B2), 0x56aa);
        assert_eq!(post.read(Width::B4), 0x1234_56aa);
        assert_eq!(post.code(), 0x1234_56aa);
    }
}
