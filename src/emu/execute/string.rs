//! String instructions, string I/O, and their repetition (SDM 1 "String Operations", "Repeating String Operations").
//!
//! INS and OUTS ask nobody for permission: where CPL > IOPL or in virtual-8086 mode the CPU has looked at the I/O
//! permission bit map of the TSS before it left the guest (SDM 3C "Relative Priority of Faults and VM Exits", APM 2
//! "IN and OUT Behavior"), and in real mode every port is allowed. That holds for an exit that an I/O instruction
//! caused; after one that a memory access caused, another CPU of the guest may have put INS or OUTS in its place.

use super::Step;
use super::alu::Binary;
use super::machine::{Address, Machine};
use super::memory::Place;
use super::operand::{Register, segment};
use super::pair::known;
use crate::base::cpu::rflags::{TF, ZF};
use crate::base::{Access, Gpr, Segment, Width};
use crate::emu::{Fault, World};
use iced_x86::{Code, Instruction, OpKind};

/// How many iterations one call of [`super::step`] does.
pub const BUDGET: usize = 1024;

/// What is done to each element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Movs,
    Stos,
    Lods,
    Cmps,
    Scas,
    Ins,
    Outs,
}

/// A string instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    kind: Kind,
    width: Width,
}

impl Op {
    /// The string instruction that this is, if it is one.
    pub fn of(i: &Instruction) -> Option<Self> {
        let (kind, width) = match i.code() {
            Code::Movsb_m8_m8 => (Kind::Movs, Width::B1),
            Code::Movsw_m16_m16 => (Kind::Movs, Width::B2),
            Code::Movsd_m32_m32 => (Kind::Movs, Width::B4),
            Code::Movsq_m64_m64 => (Kind::Movs, Width::B8),
            Code::Stosb_m8_AL => (Kind::Stos, Width::B1),
            Code::Stosw_m16_AX => (Kind::Stos, Width::B2),
            Code::Stosd_m32_EAX => (Kind::Stos, Width::B4),
            Code::Stosq_m64_RAX => (Kind::Stos, Width::B8),
            Code::Lodsb_AL_m8 => (Kind::Lods, Width::B1),
            Code::Lodsw_AX_m16 => (Kind::Lods, Width::B2),
            Code::Lodsd_EAX_m32 => (Kind::Lods, Width::B4),
            Code::Lodsq_RAX_m64 => (Kind::Lods, Width::B8),
            Code::Cmpsb_m8_m8 => (Kind::Cmps, Width::B1),
            Code::Cmpsw_m16_m16 => (Kind::Cmps, Width::B2),
            Code::Cmpsd_m32_m32 => (Kind::Cmps, Width::B4),
            Code::Cmpsq_m64_m64 => (Kind::Cmps, Width::B8),
            Code::Scasb_AL_m8 => (Kind::Scas, Width::B1),
            Code::Scasw_AX_m16 => (Kind::Scas, Width::B2),
            Code::Scasd_EAX_m32 => (Kind::Scas, Width::B4),
            Code::Scasq_RAX_m64 => (Kind::Scas, Width::B8),
            Code::Insb_m8_DX => (Kind::Ins, Width::B1),
            Code::Insw_m16_DX => (Kind::Ins, Width::B2),
            Code::Insd_m32_DX => (Kind::Ins, Width::B4),
            Code::Outsb_DX_m8 => (Kind::Outs, Width::B1),
            Code::Outsw_DX_m16 => (Kind::Outs, Width::B2),
            Code::Outsd_DX_m32 => (Kind::Outs, Width::B4),
            _ => return None,
        };
        Some(Self { kind, width })
    }

    /// Executes it, as often as its prefix says and the budget allows.
    ///
    /// RFLAGS change only when it is complete: after a fault they are those from before (SDM 2B "REP"), and an
    /// instruction that goes on later does not read them.
    pub fn execute<W: World>(self, m: &mut Machine<W>, i: &Instruction) -> Result<Step, Fault> {
        let size = known!(address_size(i));
        let source = known!(segment(i.memory_segment()));
        let each = Each { op: self, size, source };
        let mut flags = m.cpu.rflags;
        if !i.has_rep_prefix() && !i.has_repne_prefix() {
            each.execute(m, &mut flags)?;
            m.cpu.rflags = flags;
            return Ok(Step::Done);
        }
        // The single-step trap comes after each iteration.
        let budget = if m.cpu.rflags & TF != 0 { 1 } else { BUDGET };
        for _ in 0..budget {
            if m.low(Gpr::Rcx, size) == 0 {
                m.cpu.rflags = flags;
                return Ok(Step::Done);
            }
            each.execute(m, &mut flags)?;
            m.advance(Gpr::Rcx, size, u64::MAX);
            let wanted = if i.has_repne_prefix() { 0 } else { ZF };
            let stops = matches!(self.kind, Kind::Cmps | Kind::Scas) && flags & ZF != wanted;
            if stops || m.low(Gpr::Rcx, size) == 0 {
                m.cpu.rflags = flags;
                return Ok(Step::Done);
            }
            if m.world.pause() {
                break;
            }
        }
        Ok(Step::Continue)
    }
}

/// The address size, from the operand that shows it.
fn address_size(i: &Instruction) -> Option<Width> {
    (0..i.op_count()).find_map(|n| match i.op_kind(n) {
        OpKind::MemorySegSI | OpKind::MemoryESDI => Some(Width::B2),
        OpKind::MemorySegESI | OpKind::MemoryESEDI => Some(Width::B4),
        OpKind::MemorySegRSI | OpKind::MemoryESRDI => Some(Width::B8),
        _ => None,
    })
}

/// One iteration.
struct Each {
    op: Op,
    size: Width,
    /// The segment of the source; that of the destination is always ES.
    source: Segment,
}

impl Each {
    fn place<W: World>(&self, m: &mut Machine<W>, index: Gpr, access: Access) -> Result<Place, Fault> {
        let segment = if index == Gpr::Rsi { self.source } else { Segment::Es };
        let at = Address { segment, offset: m.low(index, self.size), bits: 8 * self.size as u32 };
        m.locate(at, self.op.width, access)
    }

    /// Everything that may fault comes before everything that a device may notice.
    fn execute<W: World>(&self, m: &mut Machine<W>, flags: &mut u64) -> Result<(), Fault> {
        let width = self.op.width;
        let accumulator = Register::accumulator(width);
        let port = m.gprs.get(Gpr::Rdx) as u16;
        match self.op.kind {
            Kind::Movs => {
                let from = self.place(m, Gpr::Rsi, Access::Read)?;
                let to = self.place(m, Gpr::Rdi, Access::Write)?;
                let value = from.read(m.world);
                to.write(m.world, value);
            }
            Kind::Stos => {
                let to = self.place(m, Gpr::Rdi, Access::Write)?;
                to.write(m.world, accumulator.get(m.gprs));
            }
            Kind::Lods => {
                let from = self.place(m, Gpr::Rsi, Access::Read)?;
                accumulator.set(m.gprs, from.read(m.world));
            }
            Kind::Cmps => {
                let (a, b) = (self.place(m, Gpr::Rsi, Access::Read)?, self.place(m, Gpr::Rdi, Access::Read)?);
                let (a, b) = (a.read(m.world), b.read(m.world));
                *flags = Binary::Cmp.apply(width, a, b, *flags).1;
            }
            Kind::Scas => {
                let b = self.place(m, Gpr::Rdi, Access::Read)?.read(m.world);
                *flags = Binary::Cmp.apply(width, accumulator.get(m.gprs), b, *flags).1;
            }
            Kind::Ins => {
                let to = self.place(m, Gpr::Rdi, Access::Write)?;
                let value = m.world.port_in(port, width);
                to.write(m.world, value as u64);
            }
            Kind::Outs => {
                let value = self.place(m, Gpr::Rsi, Access::Read)?.read(m.world);
                m.world.port_out(port, width, value as u32);
            }
        }
        let stride = m.stride(width);
        if !matches!(self.op.kind, Kind::Stos | Kind::Scas | Kind::Ins) {
            m.advance(Gpr::Rsi, self.size, stride);
        }
        if !matches!(self.op.kind, Kind::Lods | Kind::Outs) {
            m.advance(Gpr::Rdi, self.size, stride);
        }
        Ok(())
    }
}
