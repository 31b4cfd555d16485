//! The CPU as boot protocols want it: flat segments, with or without long mode.

use alloc::vec::Vec;

use crate::base::cpu::{cr0, cr4, efer};
use crate::base::{CpuState, DescriptorTable, SegmentRegister};

/// The selectors of a flat code and of a flat data segment, in the table that [`table`] makes.
#[derive(Clone, Copy)]
pub struct Selectors {
    /// Of CS.
    pub code: u16,
    /// Of the others.
    pub data: u16,
}

/// How the code segment is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// 32-bit protected mode.
    B32,
    /// 64-bit mode.
    B64,
}

impl Bits {
    /// The attributes of the code segment: accessed, readable; L or D.
    const fn code(self) -> u16 {
        match self {
            Self::B32 => 0xc9b,
            Self::B64 => 0xa9b,
        }
    }
}

/// Of a data segment: accessed, writable, 32-bit, in pages.
const DATA: u16 = 0xc93;

/// The bytes of a descriptor table with both segments at their selectors (SDM 3A "Segment Descriptors").
pub fn table(selectors: Selectors, bits: Bits) -> Vec<u8> {
    let flat = |attrib: u16| 0x000f_0000_0000_ffff | u64::from(attrib & 0xff) << 40 | u64::from(attrib >> 8) << 52;
    let mut table = Vec::new();
    for selector in (0..=selectors.code.max(selectors.data)).step_by(8) {
        let descriptor = match selector {
            s if s == selectors.code => flat(bits.code()),
            s if s == selectors.data => flat(DATA),
            _ => 0,
        };
        table.extend_from_slice(&descriptor.to_le_bytes());
    }
    table
}

/// A CPU in 32-bit protected mode without paging, about to execute what is at `rip`, interrupts off. `gdt` is where
/// [`table`] is, and its length in bytes.
pub fn protected(rip: u64, selectors: Selectors, gdt: (u64, usize)) -> CpuState {
    let real = CpuState::real_mode(0, 0);
    let flat = |selector, attrib| SegmentRegister { selector, attrib, limit: u32::MAX, base: 0 };
    let (code, data) = (flat(selectors.code, Bits::B32.code()), flat(selectors.data, DATA));
    CpuState {
        rip,
        cr0: cr0::PE | cr0::ET | cr0::NE,
        segments: [data, code, data, data, data, data],
        gdtr: DescriptorTable { base: gdt.0, limit: u32::try_from(gdt.1).unwrap_or(0).saturating_sub(1) },
        // The guest has none yet: an exception ends the VM instead of running what happens to be there.
        idtr: DescriptorTable { base: 0, limit: 0 },
        // LDTR and TR, a busy TSS, as after INIT: they pass the checks of VM entry in every mode.
        ..real
    }
}

/// A CPU in 64-bit mode with the page tables at `cr3`, otherwise as [`protected`].
pub fn long(rip: u64, selectors: Selectors, gdt: (u64, usize), cr3: u64) -> CpuState {
    let mut state = protected(rip, selectors, gdt);
    let [_, code, ..] = &mut state.segments;
    code.attrib = Bits::B64.code();
    CpuState { cr0: state.cr0 | cr0::PG, cr3, cr4: cr4::PAE, efer: efer::LME | efer::LMA, ..state }
}
