//! What an instruction works on: a CPU's state, its registers, and the world around it.

use super::operand::Register;
use crate::base::cpu::rflags;
use crate::base::{Access, CpuState, Gpr, GprFile, Segment, Width};
use crate::emu::execute::memory::Place;
use crate::emu::{Fault, World};
use iced_x86::{Instruction, OpKind};

/// A CPU in the middle of one instruction.
pub struct Machine<'a, W> {
    pub cpu: &'a mut CpuState,
    pub gprs: &'a mut GprFile,
    pub world: &'a mut W,
}

impl<W: World> Machine<'_, W> {
    /// Finds an operand in guest-physical memory.
    pub fn locate(&mut self, at: Address, width: Width, access: Access) -> Result<Place, Fault> {
        Place::locate(self.cpu, self.world, at, width, access)
    }

    /// The value of a register operand or an immediate, of this width. `None` if operand `n` is neither.
    pub fn value(&self, i: &Instruction, n: u32, width: Width) -> Option<u64> {
        if i.op_kind(n) == OpKind::Register {
            let register = Register::of(i.op_register(n))?;
            return (register.width == width).then(|| register.get(self.gprs));
        }
        i.try_immediate(n).ok().map(|value| value & width.mask())
    }

    /// The register that is operand `n`, if it is a general-purpose register.
    pub fn register(&self, i: &Instruction, n: u32) -> Option<Register> {
        if i.op_kind(n) == OpKind::Register { Register::of(i.op_register(n)) } else { None }
    }

    /// The low `width` of `r`.
    pub fn low(&self, r: Gpr, width: Width) -> u64 {
        self.gprs.get(r) & width.mask()
    }

    /// Writes the low `width` of `r` as an instruction with this operand or address size does.
    pub fn set_low(&mut self, r: Gpr, width: Width, value: u64) {
        self.gprs.set(r, width.merge(self.gprs.get(r), value));
    }

    /// Adds to the low `width` of `r`, which wraps there.
    pub fn advance(&mut self, r: Gpr, width: Width, by: u64) {
        self.set_low(r, width, self.gprs.get(r).wrapping_add(by));
    }

    /// What a string instruction adds to its index registers: plus or minus the width of its element.
    pub fn stride(&self, width: Width) -> u64 {
        if self.cpu.rflags & rflags::DF == 0 { width.bytes() } else { width.bytes().wrapping_neg() }
    }
}

/// Where an operand is, before segmentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    pub segment: Segment,
    pub offset: u64,
    /// The size of the offset: 16, 32 or 64.
    pub bits: u32,
}
