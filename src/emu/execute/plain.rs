//! MOV between a register and memory: what nearly all accesses to devices are. Once decoded, it can be carried out on the
//! address that the exit tells, without another look at segments and page tables.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::operand::{Register, memory_width};
use crate::base::{Gpr, GprFile, Width};

/// A MOV with one memory operand, of a general-purpose register or of an immediate value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plain {
    /// The register; `None`: the value is immediate.
    register: Option<Register>,
    immediate: u64,
    width: Width,
    /// From memory into the register; otherwise the other way.
    pub load: bool,
    /// The instruction's length in bytes.
    pub length: u64,
}

impl Plain {
    /// `i` as such a MOV, if it is one. RSP does not count: the control block has it.
    pub fn of(i: &Instruction) -> Option<Self> {
        let (load, register) = match (i.op0_kind(), i.op1_kind()) {
            (OpKind::Register, OpKind::Memory) => (true, Some(i.op0_register())),
            (OpKind::Memory, OpKind::Register) => (false, Some(i.op1_register())),
            (
                OpKind::Memory,
                OpKind::Immediate8 | OpKind::Immediate16 | OpKind::Immediate32 | OpKind::Immediate32to64,
            ) => (false, None),
            _ => return None,
        };
        let width = memory_width(i)?;
        let (register, immediate) = match register {
            None => (None, i.immediate(1)),
            Some(register) => {
                let register = Register::of(register).filter(|r| r.width == width && r.gpr != Gpr::Rsp)?;
                (Some(register), 0)
            }
        };
        let plain = Self { register, immediate, width, load, length: i.len() as u64 };
        (i.mnemonic() == Mnemonic::Mov).then_some(plain)
    }

    /// The width of both operands, an immediate one as it is written.
    #[inline(always)]
    pub const fn width(&self) -> Width {
        self.width
    }

    /// What a store writes.
    #[inline(always)]
    pub fn value(&self, gprs: &GprFile) -> u64 {
        match &self.register {
            Some(register) => register.get(gprs),
            None => self.immediate,
        }
    }

    /// Puts what a load has read into its register.
    #[inline(always)]
    pub fn finish(&self, gprs: &mut GprFile, value: u64) {
        if let Some(register) = &self.register {
            register.set(gprs, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions};

    fn plain(bytes: &[u8]) -> Option<Plain> {
        Plain::of(&Decoder::new(32, bytes, DecoderOptions::NONE).decode())
    }

    #[test]
    fn loads_and_stores_are_told_from_all_else() {
        let load = plain(&[0x8b, 0x03]).unwrap();
        assert!(load.load && load.width() == Width::B4 && load.length == 2);
        let mut gprs = GprFile::default();
        load.finish(&mut gprs, 0x1234_5678);
        assert_eq!(gprs.get(Gpr::Rax), 0x1234_5678);
        let store = plain(&[0x88, 0x63, 0x05]).unwrap();
        assert!(!store.load && store.width() == Width::B1 && store.length == 3);
        assert_eq!(store.value(&gprs), 0x56);
        assert!(plain(&[0xa1, 0, 0, 0, 0]).is_some());
        let immediate = plain(&[0xc7, 0x03, 0x78, 0x56, 0x34, 0x12]).unwrap();
        assert!(!immediate.load && immediate.width() == Width::B4 && immediate.length == 6);
        assert_eq!(immediate.value(&gprs), 0x1234_5678);
        for other in [&[0x89, 0xd8][..], &[0x01, 0x03], &[0x0f, 0xb6, 0x03], &[0x8e, 0x1b], &[0xa5], &[0x8b, 0x23]] {
            assert_eq!(plain(other), None, "{other:x?}");
        }
    }
}
