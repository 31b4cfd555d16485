//! PUSH and POP (SDM 2B).

use super::Step;
use super::machine::{Address, Machine};
use super::memory::Place;
use super::operand::{address, memory_width};
use super::pair::known;
use crate::base::{Access, Gpr, GprFile, Mode, Segment, Width};
use crate::emu::{Fault, World};
use iced_x86::{Instruction, OpKind};

/// The width of the stack pointer (SDM 1 "Stack Address-Size Attribute").
fn pointer<W: World>(m: &Machine<W>) -> Width {
    if m.cpu.mode() == Mode::Long64 {
        Width::B8
    } else if m.cpu.segment(Segment::Ss).big() {
        Width::B4
    } else {
        Width::B2
    }
}

/// The top of the stack, if the stack pointer is `sp`.
fn top(sp: u64, pointer: Width) -> Address {
    Address { segment: Segment::Ss, offset: sp & pointer.mask(), bits: 8 * pointer as u32 }
}

/// PUSH of memory, a general-purpose register or an immediate. An operand's address and value are those before RSP moves.
pub fn push<W: World>(m: &mut Machine<W>, i: &Instruction) -> Result<Step, Fault> {
    let width = known!(width(m, i));
    let pointer = pointer(m);
    let sp = m.gprs.get(Gpr::Rsp).wrapping_sub(width.bytes());
    let from = if i.op0_kind() == OpKind::Memory {
        Source::Memory(m.locate(known!(address(i, m.gprs)), width, Access::Read)?)
    } else {
        Source::Value(known!(m.value(i, 0, width)))
    };
    let to = m.locate(top(sp, pointer), width, Access::Write)?;
    let value = match from {
        Source::Memory(place) => place.read(m.world),
        Source::Value(value) => value,
    };
    to.write(m.world, value);
    m.set_low(Gpr::Rsp, pointer, sp);
    Ok(Step::Done)
}

/// What is pushed.
enum Source {
    Memory(Place),
    Value(u64),
}

/// POP to memory or a general-purpose register. An address that is relative to RSP is that after RSP has moved, and POP
/// RSP overwrites what has moved.
pub fn pop<W: World>(m: &mut Machine<W>, i: &Instruction) -> Result<Step, Fault> {
    let width = known!(width(m, i));
    let pointer = pointer(m);
    let old = m.gprs.get(Gpr::Rsp);
    let mut after: GprFile = *m.gprs;
    after.set(Gpr::Rsp, pointer.merge(old, old.wrapping_add(width.bytes())));
    if i.op0_kind() == OpKind::Memory {
        let at = known!(address(i, &after));
        let from = m.locate(top(old, pointer), width, Access::Read)?;
        let to = m.locate(at, width, Access::Write)?;
        let value = from.read(m.world);
        to.write(m.world, value);
    } else {
        let to = known!(m.register(i, 0));
        let from = m.locate(top(old, pointer), width, Access::Read)?;
        to.set(&mut after, from.read(m.world));
    }
    *m.gprs = after;
    Ok(Step::Done)
}

/// How much is pushed or popped.
fn width<W: World>(m: &Machine<W>, i: &Instruction) -> Option<Width> {
    Some(match i.op0_kind() {
        OpKind::Memory => return memory_width(i),
        OpKind::Register => m.register(i, 0)?.width,
        OpKind::Immediate16 | OpKind::Immediate8to16 => Width::B2,
        OpKind::Immediate32 | OpKind::Immediate8to32 => Width::B4,
        OpKind::Immediate8to64 | OpKind::Immediate32to64 => Width::B8,
        _ => return None,
    })
}
