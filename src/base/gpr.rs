//! General-purpose registers in the order of their encoding.

use crate::base::Width;

/// A general-purpose register; its number is the one in instruction encodings and in exit qualifications.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Gpr {
    Rax = 0,
    Rcx = 1,
    Rdx = 2,
    Rbx = 3,
    Rsp = 4,
    Rbp = 5,
    Rsi = 6,
    Rdi = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
    R11 = 11,
    R12 = 12,
    R13 = 13,
    R14 = 14,
    R15 = 15,
}

impl Gpr {
    /// All of them, in order.
    pub const ALL: [Self; 16] = [
        Self::Rax,
        Self::Rcx,
        Self::Rdx,
        Self::Rbx,
        Self::Rsp,
        Self::Rbp,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
    ];

    /// The register whose encoding is the low four bits of `n`.
    #[inline(always)]
    pub const fn from_low_bits(n: u64) -> Self {
        Self::ALL[(n & 15) as usize]
    }
}

/// The sixteen general-purpose registers of a guest, in the order of their encoding.
///
/// RSP and (on SVM) RAX live in the control structure while the guest runs; the exit path copies them here, so that
/// whoever reads this reads the truth.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(C)]
pub struct GprFile {
    regs: [u64; 16],
}

impl GprFile {
    /// The whole 64 bits of `r`.
    #[inline(always)]
    pub const fn get(&self, r: Gpr) -> u64 {
        self.regs[r as usize]
    }

    /// Sets the whole 64 bits of `r`.
    #[inline(always)]
    pub const fn set(&mut self, r: Gpr, value: u64) {
        self.regs[r as usize] = value;
    }

    /// Writes `width` of `value` to `r` as an instruction with that operand size does.
    #[inline(always)]
    pub const fn write(&mut self, r: Gpr, width: Width, value: u64) {
        self.regs[r as usize] = width.merge(self.regs[r as usize], value);
    }

    /// The low `width` of `r`.
    #[inline(always)]
    pub const fn read(&self, r: Gpr, width: Width) -> u64 {
        self.regs[r as usize] & width.mask()
    }

    /// EDX:EAX as one number: what RDMSR, WRMSR, RDTSC and XSETBV speak in.
    #[inline(always)]
    pub const fn edx_eax(&self) -> u64 {
        (self.regs[Gpr::Rdx as usize] << 32) | (self.regs[Gpr::Rax as usize] & 0xffff_ffff)
    }

    /// Sets EDX:EAX from one number and zeroes the upper halves of RDX and RAX.
    #[inline(always)]
    pub const fn set_edx_eax(&mut self, value: u64) {
        self.regs[Gpr::Rax as usize] = value & 0xffff_ffff;
        self.regs[Gpr::Rdx as usize] = value >> 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_order() {
        for (i, r) in Gpr::ALL.iter().enumerate() {
            assert_eq!(*r as usize, i);
            assert_eq!(Gpr::from_low_bits(i as u64 | 0xf0), *r);
        }
    }

    #[test]
    fn pairs() {
        let mut g = GprFile::default();
        g.set(Gpr::Rax, u64::MAX);
        g.set_edx_eax(0x1122_3344_5566_7788);
        assert_eq!(g.get(Gpr::Rax), 0x5566_7788);
        assert_eq!(g.get(Gpr::Rdx), 0x1122_3344);
        assert_eq!(g.edx_eax(), 0x1122_3344_5566_7788);
    }
}
