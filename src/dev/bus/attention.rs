//! What the bus wants from whoever runs the guest, before its next entry.

use core::ops::BitOr;

/// A set of wishes, in one byte, so that the exit loop asks for all of them at once.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Attention(u8);

impl Attention {
    /// The CPU may have an interrupt, an NMI or an INIT to take.
    pub const INTERRUPT: Self = Self(1 << 0);
    /// Time has passed, or a device's next event is another one: [`Bus::advance`](super::Bus::advance) and ask when.
    pub const SERVICE: Self = Self(1 << 1);
    /// The guest has printed something, or has room for what was typed.
    pub const CONSOLE: Self = Self(1 << 2);

    /// Whether there is anything.
    #[inline(always)]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether any of `these` is in it.
    #[inline(always)]
    pub const fn has(self, these: Self) -> bool {
        self.0 & these.0 != 0
    }
}

impl BitOr for Attention {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
