//! The width of an access.

/// How many bytes an operand or a bus access has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Width {
    /// 1 byte.
    B1 = 1,
    /// 2 bytes.
    B2 = 2,
    /// 4 bytes.
    B4 = 4,
    /// 8 bytes.
    B8 = 8,
}

impl Width {
    /// The width of `bytes` bytes, if there is one.
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::B1),
            2 => Some(Self::B2),
            4 => Some(Self::B4),
            8 => Some(Self::B8),
            _ => None,
        }
    }

    /// The width in bytes.
    #[inline(always)]
    pub const fn bytes(self) -> u64 {
        self as u64
    }

    /// A mask of the low bits that a value of this width has: also what a read of nothing gives (all ones).
    #[inline(always)]
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self as u32)
    }

    /// What `old`, a 64-bit register, holds after this width of `value` was written to it. A 32-bit write zeroes
    /// the upper half, narrower ones keep the rest (SDM 1 "General-Purpose Registers in 64-Bit Mode").
    #[inline(always)]
    pub const fn merge(self, old: u64, value: u64) -> u64 {
        match self {
            Self::B1 => old & !0xff | value & 0xff,
            Self::B2 => old & !0xffff | value & 0xffff,
            Self::B4 => value & 0xffff_ffff,
            Self::B8 => value,
        }
    }

    /// `value`, of this width, as a signed number extended to 64 bits.
    #[inline(always)]
    pub const fn sign_extend(self, value: u64) -> u64 {
        let unused = 64 - 8 * self as u32;
        (((value << unused) as i64) >> unused) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_merges() {
        assert_eq!(Width::B1.mask(), 0xff);
        assert_eq!(Width::B8.mask(), u64::MAX);
        assert_eq!(Width::B1.merge(u64::MAX, 0), 0xffff_ffff_ffff_ff00);
        assert_eq!(Width::B2.merge(u64::MAX, 0x1_0001), 0xffff_ffff_ffff_0001);
        assert_eq!(Width::B4.merge(u64::MAX, 0x1_0000_0001), 1);
        assert_eq!(Width::B8.merge(0, u64::MAX), u64::MAX);
        assert_eq!(Width::B2.sign_extend(0x8000), 0xffff_ffff_ffff_8000);
        assert_eq!(Width::B8.sign_extend(u64::MAX), u64::MAX);
    }
}
