//! Which values the data MSRs take.

/// The rule for a register.
#[derive(Clone, Copy)]
pub(super) enum Check {
    /// Any value.
    Any,
    /// SDM 4, IA32_MISC_ENABLE.
    MiscEnable,
    /// SDM 3A "Variable Range MTRRs": bases at even numbers, masks at odd ones.
    MtrrVariable,
    /// SDM 3A "Fixed Range MTRRs".
    MtrrFixed,
    /// SDM 3A "IA32_MTRR_DEF_TYPE MSR".
    MtrrDefault,
}

const FAST_STRINGS: u64 = 1;
/// Limit CPUID maxval and XD bit disable: they would change what CPUID offers.
const MISC_REFUSED: u64 = 1 << 22 | 1 << 34;
/// Bits 51:12, the widest physical address.
const FRAME: u64 = 0x000f_ffff_ffff_f000;
/// FE and E.
const DEF_ENABLES: u64 = 0b11 << 10;
const MASK_VALID: u64 = 1 << 11;

impl Check {
    /// What the register holds after `value` was written over `now`; `None` is #GP.
    pub const fn value(self, msr: u32, now: u64, value: u64) -> Option<u64> {
        let fine = match self {
            Self::Any => true,
            Self::MiscEnable if value & MISC_REFUSED != 0 => false,
            Self::MiscEnable => return Some(now & !FAST_STRINGS | value & FAST_STRINGS),
            Self::MtrrVariable if msr & 1 == 0 => value & !(FRAME | 0xff) == 0 && memory_type(value as u8),
            Self::MtrrVariable => value & !(FRAME | MASK_VALID) == 0,
            Self::MtrrFixed => memory_types(value),
            Self::MtrrDefault => value & !(DEF_ENABLES | 0xff) == 0 && memory_type(value as u8),
        };
        if fine { Some(value) } else { None }
    }
}

/// UC, WC, WT, WP, WB.
const fn memory_type(t: u8) -> bool {
    matches!(t, 0 | 1 | 4 | 5 | 6)
}

const fn memory_types(value: u64) -> bool {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    memory_type(a)
        && memory_type(b)
        && memory_type(c)
        && memory_type(d)
        && memory_type(e)
        && memory_type(f)
        && memory_type(g)
        && memory_type(h)
}

/// Whether all eight entries are memory types (SDM 3A "IA32_PAT MSR"): 0, 1, 4 to 7. A byte may have no bit above bit
/// 2, and bit 1 only together with bit 2.
#[inline]
pub(super) const fn pat(value: u64) -> bool {
    (value << 1 & 0x0404_0404_0404_0404 | value) & !0xf8f8_f8f8_f8f8_f8f8 == value
}
