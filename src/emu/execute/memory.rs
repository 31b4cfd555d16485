//! Operands in the guest's memory, of which one may lie across two pages.

use super::machine::Address;
use crate::base::{Access, CpuState, Gpa, Gva, PAGE_SIZE, Width};
use crate::emu::segment::{self, linear};
use crate::emu::walk::translate;
use crate::emu::{Fault, World};

/// An operand that was translated for an access and may be accessed without a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    first: Gpa,
    /// Where the bytes from `split` on are.
    second: Gpa,
    split: usize,
    width: Width,
}

impl Place {
    /// Translates an operand, both pages if there are two (SDM 3A "Segmentation", "Paging").
    pub fn locate<W: World>(
        cpu: &CpuState,
        world: &mut W,
        at: Address,
        width: Width,
        access: Access,
    ) -> Result<Self, Fault> {
        let gva = linear(cpu, at.segment, at.offset, width.bytes(), access, at.bits)?;
        let user = cpu.cpl == 3;
        let first = translate(cpu, world, gva, access, user)?;
        let split = (PAGE_SIZE - gva.page_offset()).min(width.bytes());
        let second = if split < width.bytes() {
            let next = gva.raw().wrapping_add(split) & segment::mask(segment::linear_bits(cpu.mode()));
            translate(cpu, world, Gva::new(next), access, user)?
        } else {
            first
        };
        Ok(Self { first, second, split: split as usize, width })
    }

    /// Reads the operand.
    pub fn read<W: World>(&self, world: &mut W) -> u64 {
        let mut bytes = [0; 8];
        let end = self.width as usize;
        if let Some(part) = bytes.get_mut(..self.split) {
            world.read(self.first, part);
        }
        if self.split < end
            && let Some(part) = bytes.get_mut(self.split..end)
        {
            world.read(self.second, part);
        }
        u64::from_le_bytes(bytes)
    }

    /// Writes the operand.
    pub fn write<W: World>(&self, world: &mut W, value: u64) {
        let bytes = value.to_le_bytes();
        let end = self.width as usize;
        if let Some(part) = bytes.get(..self.split) {
            world.write(self.first, part);
        }
        if self.split < end
            && let Some(part) = bytes.get(self.split..end)
        {
            world.write(self.second, part);
        }
    }
}
