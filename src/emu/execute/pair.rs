//! Instructions of one memory operand and at most one register or immediate.

use super::Step;
use super::alu::{Binary, Unary};
use super::machine::Machine;
use super::memory::Place;
use super::operand::{Register, address, memory_width, segment};
use crate::base::{Access, Width};
use crate::emu::{Fault, World};
use iced_x86::{Instruction, OpKind};

/// Unpacks what decoding has to say, or leaves the instruction alone.
macro_rules! known {
    ($value:expr) => {
        match $value {
            Some(value) => value,
            None => return Ok(Step::NotEmulated),
        }
    };
}
pub(super) use known;

/// The memory operand, translated for `access`.
fn place<W: World>(m: &mut Machine<W>, i: &Instruction, access: Access) -> Result<Option<(Place, Width)>, Fault> {
    let (Some(width), Some(at)) = (memory_width(i), address(i, m.gprs)) else { return Ok(None) };
    Ok(Some((m.locate(at, width, access)?, width)))
}

/// Whether the memory operand comes first.
fn to_memory(i: &Instruction) -> bool {
    i.op0_kind() == OpKind::Memory
}

/// MOV, MOVNTI (SDM 2B).
pub fn mov<W: World>(m: &mut Machine<W>, i: &Instruction) -> Result<Step, Fault> {
    let width = known!(memory_width(i));
    if to_memory(i) {
        // A segment register is stored as its selector, two bytes whatever the operand size.
        let selector = segment(i.op1_register()).map(|s| u64::from(m.cpu.segment(s).selector));
        let value = known!(selector.or_else(|| m.value(i, 1, width)));
        let (place, _) = known!(place(m, i, Access::Write)?);
        place.write(m.world, value);
        return Ok(Step::Done);
    }
    let register = known!(m.register(i, 0));
    if register.width != width {
        return Ok(Step::NotEmulated);
    }
    let (place, _) = known!(place(m, i, Access::Read)?);
    register.set(m.gprs, place.read(m.world));
    Ok(Step::Done)
}

/// MOVZX, MOVSX, MOVSXD (SDM 2B).
pub fn extend<W: World>(m: &mut Machine<W>, i: &Instruction, signed: bool) -> Result<Step, Fault> {
    let register = known!(m.register(i, 0));
    let (place, width) = known!(place(m, i, Access::Read)?);
    let value = place.read(m.world);
    register.set(m.gprs, if signed { width.sign_extend(value) } else { value });
    Ok(Step::Done)
}

/// The register operand beside a memory operand of the same width: with its number.
fn partner<W: World>(m: &Machine<W>, i: &Instruction) -> Option<Register> {
    let register = m.register(i, if to_memory(i) { 1 } else { 0 })?;
    (Some(register.width) == memory_width(i)).then_some(register)
}

/// XCHG (SDM 2C).
pub fn xchg<W: World>(m: &mut Machine<W>, i: &Instruction) -> Result<Step, Fault> {
    let register = known!(partner(m, i));
    let (place, _) = known!(place(m, i, Access::Write)?);
    let old = place.read(m.world);
    place.write(m.world, register.get(m.gprs));
    register.set(m.gprs, old);
    Ok(Step::Done)
}

/// XADD (SDM 2C).
pub fn xadd<W: World>(m: &mut Machine<W>, i: &Instruction) -> Result<Step, Fault> {
    let register = known!(partner(m, i));
    let (place, width) = known!(place(m, i, Access::Write)?);
    let old = place.read(m.world);
    let (sum, flags) = Binary::Add.apply(width, old, register.get(m.gprs), m.cpu.rflags);
    place.write(m.world, sum);
    register.set(m.gprs, old);
    m.cpu.rflags = flags;
    Ok(Step::Done)
}

/// CMPXCHG (SDM 2A): the destination is written whatever the comparison says.
pub fn cmpxchg<W: World>(m: &mut Machine<W>, i: &Instruction) -> Result<Step, Fault> {
    let register = known!(partner(m, i));
    let (place, width) = known!(place(m, i, Access::Write)?);
    let accumulator = Register::accumulator(width);
    let (old, expected) = (place.read(m.world), accumulator.get(m.gprs));
    let (_, flags) = Binary::Cmp.apply(width, expected, old, m.cpu.rflags);
    if old == expected {
        place.write(m.world, register.get(m.gprs));
    } else {
        place.write(m.world, old);
        accumulator.set(m.gprs, old);
    }
    m.cpu.rflags = flags;
    Ok(Step::Done)
}

/// ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST (SDM 2).
pub fn binary<W: World>(m: &mut Machine<W>, i: &Instruction, op: Binary) -> Result<Step, Fault> {
    let width = known!(memory_width(i));
    if to_memory(i) {
        let b = known!(m.value(i, 1, width));
        let access = if op.writes() { Access::Write } else { Access::Read };
        let (place, _) = known!(place(m, i, access)?);
        let (result, flags) = op.apply(width, place.read(m.world), b, m.cpu.rflags);
        if op.writes() {
            place.write(m.world, result);
        }
        m.cpu.rflags = flags;
        return Ok(Step::Done);
    }
    let register = known!(partner(m, i));
    let (place, _) = known!(place(m, i, Access::Read)?);
    let (result, flags) = op.apply(width, register.get(m.gprs), place.read(m.world), m.cpu.rflags);
    if op.writes() {
        register.set(m.gprs, result);
    }
    m.cpu.rflags = flags;
    Ok(Step::Done)
}

/// NOT, NEG, INC, DEC (SDM 2).
pub fn unary<W: World>(m: &mut Machine<W>, i: &Instruction, op: Unary) -> Result<Step, Fault> {
    let (place, width) = known!(place(m, i, Access::Write)?);
    let (result, flags) = op.apply(width, place.read(m.world), m.cpu.rflags);
    place.write(m.world, result);
    m.cpu.rflags = flags;
    Ok(Step::Done)
}
