//! The instructions that access control registers, read from the guest's memory: which register, and what value.

use iced_x86::{Instruction, Mnemonic, OpKind, Register as Name};

use super::memory::Place;
use super::operand::{Register, address};
use crate::base::{Access as Memory, CpuState, Gpr, GprFile, Width};
use crate::emu::decode::{decode, next_rip};
use crate::emu::{Fault, World};

/// What an instruction wants of a control register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// MOV from CRn; the whole register `to` is written.
    Read {
        /// The number of the control register.
        cr: u8,
        /// Where its value goes.
        to: Gpr,
    },
    /// MOV to CRn.
    Write {
        /// The number of the control register.
        cr: u8,
        /// The value.
        value: u64,
    },
    /// SMSW into a register: `width` of CR0 is written to `to`.
    Smsw {
        /// Where it goes.
        to: Gpr,
        /// How much of it.
        width: Width,
    },
    /// SMSW into memory: done already.
    Stored,
    /// LMSW of this value.
    Lmsw(u16),
    /// CLTS.
    Clts,
    /// None of these: the bytes have changed since the CPU executed them.
    Other,
}

/// An access, and RIP after its instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// What it wants.
    pub access: Access,
    /// RIP of the next instruction.
    pub next_rip: u64,
}

/// Reads the instruction at CS:RIP (SDM 2B "MOV—Move to/from Control Registers", "LMSW—Load Machine Status Word").
///
/// # Errors
/// What reading the instruction, or LMSW's memory operand, raises.
pub fn control_access<W: World>(cpu: &CpuState, gprs: &GprFile, world: &mut W) -> Result<Decoded, Fault> {
    let i = decode(cpu, world)?;
    let access = match i.mnemonic() {
        Mnemonic::Mov => mov(&i, gprs),
        Mnemonic::Lmsw => Access::Lmsw(source16(cpu, gprs, world, &i)?),
        Mnemonic::Smsw => smsw(cpu, gprs, world, &i)?,
        Mnemonic::Clts => Access::Clts,
        _ => Access::Other,
    };
    Ok(Decoded { access, next_rip: next_rip(cpu, i.len() as u64) })
}

/// The number of a control register.
fn number(name: Name) -> Option<u8> {
    let n = (name as u32).wrapping_sub(Name::CR0 as u32);
    (n < 16).then_some(n as u8)
}

fn mov(i: &Instruction, gprs: &GprFile) -> Access {
    let (to, from) = (i.op0_register(), i.op1_register());
    match (number(to), Register::of(from), Register::of(to), number(from)) {
        (Some(cr), Some(from), ..) => Access::Write { cr, value: from.get(gprs) },
        (_, _, Some(to), Some(cr)) => Access::Read { cr, to: to.gpr },
        _ => Access::Other,
    }
}

/// SMSW stores 16 bits in memory, and the whole register's width of CR0 in a register (SDM 2B "SMSW—Store Machine Status
/// Word").
fn smsw<W: World>(cpu: &CpuState, gprs: &GprFile, world: &mut W, i: &Instruction) -> Result<Access, Fault> {
    match (i.op0_kind(), Register::of(i.op0_register()), address(i, gprs)) {
        (OpKind::Register, Some(register), _) => Ok(Access::Smsw { to: register.gpr, width: register.width }),
        (OpKind::Memory, _, Some(at)) => {
            Place::locate(cpu, world, at, Width::B2, Memory::Write)?.write(world, cpu.cr0);
            Ok(Access::Stored)
        }
        _ => Err(Fault::UD),
    }
}

fn source16<W: World>(cpu: &CpuState, gprs: &GprFile, world: &mut W, i: &Instruction) -> Result<u16, Fault> {
    let value = match (i.op0_kind(), Register::of(i.op0_register()), address(i, gprs)) {
        (OpKind::Register, Some(register), _) => register.get(gprs),
        (OpKind::Memory, _, Some(at)) => Place::locate(cpu, world, at, Width::B2, Memory::Read)?.read(world),
        _ => return Err(Fault::UD),
    };
    Ok(value as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Gpa;

    /// 64 KiB of RAM and nothing else.
    struct Ram(std::vec::Vec<u8>);
    impl World for Ram {
        fn read(&mut self, gpa: Gpa, to: &mut [u8]) {
            to.copy_from_slice(&self.0[gpa.raw() as usize..][..to.len()]);
        }
        fn write(&mut self, _: Gpa, _: &[u8]) {}
        fn fetch_ram(&mut self, gpa: Gpa, to: &mut [u8]) -> usize {
            self.read(gpa, to);
            to.len()
        }
        fn port_in(&mut self, _: u16, _: Width) -> u32 {
            0
        }
        fn port_out(&mut self, _: u16, _: Width, _: u32) {}
        fn pause(&self) -> bool {
            false
        }
    }

    fn access(bytes: &[u8]) -> Decoded {
        let mut ram = Ram(std::vec![0; 0x1_0000]);
        ram.0[0x100..][..bytes.len()].copy_from_slice(bytes);
        ram.0[0x200..0x202].copy_from_slice(&[0x31, 0x80]);
        let mut gprs = GprFile::default();
        gprs.set(Gpr::Rbx, 0xffff_ffff_1234_5678);
        control_access(&CpuState::real_mode(0, 0x100), &gprs, &mut ram).unwrap()
    }

    #[test]
    fn each_form() {
        let write = Access::Write { cr: 0, value: 0x1234_5678 };
        assert_eq!(access(&[0x0f, 0x22, 0xc3]), Decoded { access: write, next_rip: 0x103 });
        assert_eq!(access(&[0x0f, 0x20, 0xe3]).access, Access::Read { cr: 4, to: Gpr::Rbx });
        assert_eq!(access(&[0x0f, 0x01, 0xf3]).access, Access::Lmsw(0x5678));
        assert_eq!(access(&[0x0f, 0x01, 0x36, 0x00, 0x02]).access, Access::Lmsw(0x8031));
        assert_eq!(access(&[0x0f, 0x01, 0xe3]).access, Access::Smsw { to: Gpr::Rbx, width: Width::B2 });
        assert_eq!(access(&[0x66, 0x0f, 0x01, 0xe3]).access, Access::Smsw { to: Gpr::Rbx, width: Width::B4 });
        assert_eq!(access(&[0x0f, 0x01, 0x26, 0x00, 0x02]).access, Access::Stored);
        assert_eq!(access(&[0x0f, 0x06]), Decoded { access: Access::Clts, next_rip: 0x102 });
        assert_eq!(access(&[0x90]).access, Access::Other);
        assert_eq!(access(&[0x89, 0xd8]).access, Access::Other);
    }
}
