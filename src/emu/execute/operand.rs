//! The operands of a decoded instruction: registers, widths, effective addresses.

use super::machine::Address;
use crate::base::{Gpr, GprFile, Segment, Width};
use crate::emu::segment::mask;
use iced_x86::{Instruction, MemorySize, Register as Name};

/// A general-purpose register of any width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Register {
    pub gpr: Gpr,
    pub width: Width,
    /// AH, CH, DH, BH: bits 15:8.
    high: bool,
}

impl Register {
    /// The register of this name, if it is a general-purpose one.
    pub fn of(name: Name) -> Option<Self> {
        let n = name as u64;
        let from = |first: Name| n.wrapping_sub(first as u64);
        let (number, width, high) = match name {
            _ if from(Name::AL) < 4 => (from(Name::AL), Width::B1, false),
            _ if from(Name::AH) < 4 => (from(Name::AH), Width::B1, true),
            _ if from(Name::SPL) < 12 => (from(Name::SPL) + 4, Width::B1, false),
            _ if from(Name::AX) < 16 => (from(Name::AX), Width::B2, false),
            _ if from(Name::EAX) < 16 => (from(Name::EAX), Width::B4, false),
            _ if from(Name::RAX) < 16 => (from(Name::RAX), Width::B8, false),
            _ => return None,
        };
        Some(Self { gpr: Gpr::from_low_bits(number), width, high })
    }

    /// The accumulator of this width: AL, AX, EAX, RAX.
    pub const fn accumulator(width: Width) -> Self {
        Self { gpr: Gpr::Rax, width, high: false }
    }

    /// Its value.
    pub fn get(self, gprs: &GprFile) -> u64 {
        gprs.get(self.gpr) >> self.shift() & self.width.mask()
    }

    /// Writes it; a 32-bit register zeroes the upper half.
    pub fn set(self, gprs: &mut GprFile, value: u64) {
        let old = gprs.get(self.gpr);
        let new = self.width.merge(old.rotate_right(self.shift()), value).rotate_left(self.shift());
        gprs.set(self.gpr, new);
    }

    const fn shift(self) -> u32 {
        if self.high { 8 } else { 0 }
    }
}

/// The width of an integer memory operand.
pub fn memory_width(i: &Instruction) -> Option<Width> {
    Some(match i.memory_size() {
        MemorySize::UInt8 | MemorySize::Int8 => Width::B1,
        MemorySize::UInt16 | MemorySize::Int16 => Width::B2,
        MemorySize::UInt32 | MemorySize::Int32 => Width::B4,
        MemorySize::UInt64 | MemorySize::Int64 => Width::B8,
        _ => return None,
    })
}

/// The segment register of this name.
pub const fn segment(name: Name) -> Option<Segment> {
    Some(match name {
        Name::ES => Segment::Es,
        Name::CS => Segment::Cs,
        Name::SS => Segment::Ss,
        Name::DS => Segment::Ds,
        Name::FS => Segment::Fs,
        Name::GS => Segment::Gs,
        _ => return None,
    })
}

/// The address of the memory operand (SDM 1 "Specifying an Offset", "Memory Addressing in 64-Bit Mode").
pub fn address(i: &Instruction, gprs: &GprFile) -> Option<Address> {
    let (base, index) = (i.memory_base(), i.memory_index());
    let bits = address_bits(i, base, index);
    let mut offset = i.memory_displacement64();
    // The decoder has added RIP already.
    if !matches!(base, Name::None | Name::RIP | Name::EIP) {
        offset = offset.wrapping_add(Register::of(base)?.get(gprs));
    }
    if index != Name::None {
        let scaled = Register::of(index)?.get(gprs).wrapping_mul(u64::from(i.memory_index_scale()));
        offset = offset.wrapping_add(scaled);
    }
    Some(Address { segment: segment(i.memory_segment())?, offset: offset & mask(bits), bits })
}

fn address_bits(i: &Instruction, base: Name, index: Name) -> u32 {
    let of = |name: Name| match name {
        Name::RIP => Some(64),
        Name::EIP => Some(32),
        _ => Register::of(name).map(|r| 8 * r.width as u32),
    };
    // Without a register there is a displacement of the address size.
    of(base).or_else(|| of(index)).unwrap_or(match i.memory_displ_size() {
        8 => 64,
        4 => 32,
        _ => 16,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_by_name() {
        let mut g = GprFile::default();
        g.set(Gpr::Rbx, 0x1122_3344_5566_7788);
        let bh = Register::of(Name::BH).unwrap();
        assert_eq!(bh.get(&g), 0x77);
        bh.set(&mut g, 0xff);
        assert_eq!(g.get(Gpr::Rbx), 0x1122_3344_5566_ff88);
        Register::of(Name::BL).unwrap().set(&mut g, 0);
        Register::of(Name::BX).unwrap().set(&mut g, 0x1_abcd);
        assert_eq!(g.get(Gpr::Rbx), 0x1122_3344_5566_abcd);
        Register::of(Name::EBX).unwrap().set(&mut g, 1);
        assert_eq!(g.get(Gpr::Rbx), 1);
        for (name, gpr) in [(Name::SPL, Gpr::Rsp), (Name::DIL, Gpr::Rdi), (Name::R8L, Gpr::R8), (Name::R15L, Gpr::R15)]
        {
            assert_eq!(Register::of(name).map(|r| (r.gpr, r.width, r.high)), Some((gpr, Width::B1, false)));
        }
        assert_eq!(Register::of(Name::R15D).map(|r| (r.gpr, r.width)), Some((Gpr::R15, Width::B4)));
        for name in [Name::None, Name::EIP, Name::RIP, Name::ES, Name::CR0, Name::XMM0] {
            assert_eq!(Register::of(name), None);
        }
    }
}
