//! Executing one instruction whose memory operand is on a device, or one of the string I/O instructions.
//!
//! The instruction is fetched and decoded from the guest's memory, which another CPU of the guest may change between
//! the exit and here: what is executed is a guest instruction all the same, with this CPU's rights.

mod alu;
mod bits;
mod fuzz;
mod machine;
mod memory;
mod operand;
mod pair;
pub mod plain;
mod stack;
mod string;
pub mod system;

pub use fuzz::fuzz;

use crate::base::cpu::rflags;
use crate::base::{CpuState, GprFile};
use crate::emu::decode::{decode, next_rip};
use crate::emu::{Fault, World};
use alu::{Binary, Unary};
use iced_x86::{Instruction, Mnemonic, OpKind};
use machine::Machine;

/// How far [`step`] came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The instruction is complete: registers, RFLAGS and RIP are those after it.
    Done,
    /// A repeated string instruction is not yet complete, because this call's budget is used up or the guest has
    /// ended its VM: the registers say what is left, RIP is at the instruction.
    Continue,
    /// Not an instruction that is emulated here; nothing has changed.
    NotEmulated,
}

/// Fetches, decodes and executes the instruction at CS:RIP.
///
/// On a fault RIP and RFLAGS are unchanged; where it comes in the middle of a REP, the registers are those after the
/// iterations before it (SDM 2B "REP/REPE/REPZ/REPNE/REPNZ—Repeat String Operation Prefix"). A complete instruction
/// clears RFLAGS.RF; the single-step trap of RFLAGS.TF is the caller's to raise.
pub fn step<W: World>(cpu: &mut CpuState, gprs: &mut GprFile, world: &mut W) -> Result<Step, Fault> {
    let instruction = decode(cpu, world)?;
    let mut machine = Machine { cpu, gprs, world };
    let step = match string::Op::of(&instruction) {
        Some(op) => op.execute(&mut machine, &instruction)?,
        None => general(&mut machine, &instruction)?,
    };
    if step == Step::Done {
        machine.cpu.rip = next_rip(machine.cpu, instruction.len() as u64);
        machine.cpu.rflags &= !rflags::RF;
    }
    Ok(step)
}

/// The instructions with a ModRM or moffs memory operand, and those whose memory operand is the stack.
fn general<W: World>(m: &mut Machine<W>, i: &Instruction) -> Result<Step, Fault> {
    match i.mnemonic() {
        Mnemonic::Push => return stack::push(m, i),
        Mnemonic::Pop => return stack::pop(m, i),
        _ => {}
    }
    if !(0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory) {
        return Ok(Step::NotEmulated);
    }
    match i.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movnti => pair::mov(m, i),
        Mnemonic::Movzx => pair::extend(m, i, false),
        Mnemonic::Movsx | Mnemonic::Movsxd => pair::extend(m, i, true),
        Mnemonic::Xchg => pair::xchg(m, i),
        Mnemonic::Xadd => pair::xadd(m, i),
        Mnemonic::Cmpxchg => pair::cmpxchg(m, i),
        Mnemonic::Add => pair::binary(m, i, Binary::Add),
        Mnemonic::Or => pair::binary(m, i, Binary::Or),
        Mnemonic::Adc => pair::binary(m, i, Binary::Adc),
        Mnemonic::Sbb => pair::binary(m, i, Binary::Sbb),
        Mnemonic::And => pair::binary(m, i, Binary::And),
        Mnemonic::Sub => pair::binary(m, i, Binary::Sub),
        Mnemonic::Xor => pair::binary(m, i, Binary::Xor),
        Mnemonic::Cmp => pair::binary(m, i, Binary::Cmp),
        Mnemonic::Test => pair::binary(m, i, Binary::Test),
        Mnemonic::Not => pair::unary(m, i, Unary::Not),
        Mnemonic::Neg => pair::unary(m, i, Unary::Neg),
        Mnemonic::Inc => pair::unary(m, i, Unary::Inc),
        Mnemonic::Dec => pair::unary(m, i, Unary::Dec),
        Mnemonic::Bt => bits::test(m, i, bits::Change::None),
        Mnemonic::Bts => bits::test(m, i, bits::Change::Set),
        Mnemonic::Btr => bits::test(m, i, bits::Change::Reset),
        Mnemonic::Btc => bits::test(m, i, bits::Change::Complement),
        _ => Ok(Step::NotEmulated),
    }
}

#[cfg(test)]
pub(crate) mod ram;
#[cfg(test)]
mod string_tests;
#[cfg(test)]
mod tests;
