//! Segment registers with their hidden parts.

/// Which segment register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Segment {
    Es = 0,
    Cs = 1,
    Ss = 2,
    Ds = 3,
    Fs = 4,
    Gs = 5,
}

impl Segment {
    /// All of them, in the order of their encoding.
    pub const ALL: [Self; 6] = [Self::Es, Self::Cs, Self::Ss, Self::Ds, Self::Fs, Self::Gs];

    /// The name, as assemblers write it.
    pub const fn name(self) -> &'static str {
        ["es", "cs", "ss", "ds", "fs", "gs"][self as usize]
    }
}

/// A segment register: selector and hidden descriptor part.
///
/// `attrib` has the layout of the VMCB (APM 2 "VMCB State Save Area"): bits 7:0 are descriptor bits 47:40 (type, S, DPL,
/// P), bits 11:8 are descriptor bits 55:52 (AVL, L, D/B, G). VMX keeps the same bits at 7:0 and 15:12.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SegmentRegister {
    /// The visible selector.
    pub selector: u16,
    /// Type, S, DPL, P in bits 7:0; AVL, L, D/B, G in bits 11:8.
    pub attrib: u16,
    /// The limit in bytes, already scaled by granularity.
    pub limit: u32,
    /// The base, a linear address.
    pub base: u64,
}

impl SegmentRegister {
    /// A segment as real-address mode loads it: base = selector × 16, limit 64 KiB.
    /// `attrib` is 0x9b for CS and 0x93 for data.
    pub const fn real(selector: u16, attrib: u16) -> Self {
        Self { selector, attrib, limit: 0xffff, base: (selector as u64) << 4 }
    }

    /// Present (P).
    pub const fn present(&self) -> bool {
        self.attrib & 0x80 != 0
    }
    /// Descriptor privilege level, 0 to 3.
    pub const fn dpl(&self) -> u8 {
        ((self.attrib >> 5) & 3) as u8
    }
    /// 64-bit code segment (L).
    pub const fn long(&self) -> bool {
        self.attrib & 0x200 != 0
    }
    /// 32-bit default operand size or big stack (D/B).
    pub const fn big(&self) -> bool {
        self.attrib & 0x400 != 0
    }
    /// Expand-down data segment (S set, not code, E set).
    pub const fn expand_down(&self) -> bool {
        self.attrib & 0b1_1100 == 0b1_0100
    }
    /// Writable data segment.
    pub const fn writable(&self) -> bool {
        self.attrib & 0b1_1010 == 0b1_0010
    }
    /// Code segment (S and executable).
    pub const fn code(&self) -> bool {
        self.attrib & 0b1_1000 == 0b1_1000
    }
    /// May data be read through it: any data segment, or a readable code segment.
    pub const fn readable(&self) -> bool {
        self.attrib & 0b1_0000 != 0 && (!self.code() || self.attrib & 0b10 != 0)
    }
}
