//! MOV between a register and memory: what nearly all accesses to devices are. Once decoded, it can be carried out on the
//! address that the exit tells, without another look at segments and page tables.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::operand::{Register, memory_width};
use crate::base::{Gpr, GprFile, Width};

/// A MOV with one register and one memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plain {
    register: Register,
    /// From memory into the register; otherwise the other way.
    pub load: bool,
    /// The instruction's length in bytes.
    pub length: u64,
}

impl Plain {
    /// `i` as such a MOV, if it is one. RSP does not count: the control block has it.
    pub fn of(i: &Instruction) -> Option<Self> {
        let (load, register) = match (i.op0_kind(), i.op1_kind()) {
            (OpKind::Register, OpKind::Memory) => (true, i.op0_register()),
            (OpKind::Memory, OpKind::Register) => (false, i.op1_register()),
            _ => return None,
        };
        let register = Register::of(register)?;
        let plain =
            i.mnemonic() == Mnemonic::Mov && memory_width(i) == Some(register.width) && register.gpr != Gpr::Rsp;
        plain.then_some(Self { register, load, length: i.len() as u64 })
    }

    /// The width of both operands.
    #[inline(always)]
    pub const fn width(&self) -> Width {
        self.register.width
    }

    /// What a store writes.
    #[inline(always)]
    pub fn value(&self, gprs: &GprFile) -> u64 {
        self.register.get(gprs)
    }

    /// Puts what a load has read into its register.
    #[inline(always)]
    pub fn finish(&self, gprs: &mut GprFile, value: u64) {
        self.register.set(gprs, value);
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
        for other in [
            &[0x89, 0xd8][..],
            &[0x01, 0x03],
            &[0x0f, 0xb6, 0x03],
            &[0xc7, 0x03, 0, 0, 0, 0],
            &[0x8e, 0x1b],
            &[0xa5],
            &[0x8b, 0x23],
        ] {
            assert_eq!(plain(other), None, "{other:x?}");
        }
    }
}
