//! BT, BTS, BTR, BTC (SDM 2A).

use super::Step;
use super::machine::{Address, Machine};
use super::operand::{address, memory_width};
use super::pair::known;
use crate::base::cpu::rflags::CF;
use crate::base::{Access, Width};
use crate::emu::segment::mask;
use crate::emu::{Fault, World};
use iced_x86::{Instruction, OpKind};

/// What happens to the bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    None,
    Set,
    Reset,
    Complement,
}

/// Copies one bit to CF and changes it. ZF stays; OF, SF, AF and PF are undefined and stay too.
pub fn test<W: World>(m: &mut Machine<W>, i: &Instruction, change: Change) -> Result<Step, Fault> {
    let width = known!(memory_width(i));
    let number = known!(m.value(i, 1, width));
    let mut at = known!(address(i, m.gprs));
    if i.op1_kind() == OpKind::Register {
        at = in_string(at, width, number);
    }
    let access = if change == Change::None { Access::Read } else { Access::Write };
    let place = m.locate(at, width, access)?;
    let old = place.read(m.world);
    let bit = 1 << (number % (8 * width.bytes()));
    let new = match change {
        Change::None => None,
        Change::Set => Some(old | bit),
        Change::Reset => Some(old & !bit),
        Change::Complement => Some(old ^ bit),
    };
    if let Some(new) = new {
        place.write(m.world, new);
    }
    m.cpu.rflags = m.cpu.rflags & !CF | if old & bit != 0 { CF } else { 0 };
    Ok(Step::Done)
}

/// A bit number from a register is signed and counts from the operand in both directions (SDM 2A "Bit(BitBase,
/// BitOffset)"): the unit of the operand's width that has the bit.
fn in_string(at: Address, width: Width, number: u64) -> Address {
    let units = width.sign_extend(number) as i64 >> (8 * width.bytes()).trailing_zeros();
    let bytes = (units as u64).wrapping_mul(width.bytes());
    Address { offset: at.offset.wrapping_add(bytes) & mask(at.bits), ..at }
}
