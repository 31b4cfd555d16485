//! Accesses to device memory by a MOV that made one before: without decoding, segmentation and page walk again.
//!
//! The CPU has translated the address and checked the rights before it exited; the exit says where the access went. What is
//! left is to know that the instruction is a plain MOV, and its register: that is remembered with its bytes.

use crate::base::{Access, PAGE_SIZE};
use crate::dev::bus::IOAPIC;
use crate::emu::decode;
use crate::emu::execute::plain::Plain;
use crate::hw::time;
use crate::vm::board::Board;
use crate::vm::soft::Soft;
use crate::vt::exit::NestedFault;
use crate::vt::{Loaded, Vendor};

/// A MOV, with the bytes that it was decoded from.
#[derive(Clone, Copy, Default, Debug)]
struct Shortcut {
    bytes: [u64; 2],
    mode: u32,
    plain: Option<Plain>,
}

/// How many are remembered.
const SHORTCUTS: usize = 64;

/// The MOVs that accessed devices last.
#[derive(Clone, Copy, Debug)]
pub struct Shortcuts([Shortcut; SHORTCUTS]);

impl Default for Shortcuts {
    fn default() -> Self {
        Self([Shortcut::default(); SHORTCUTS])
    }
}

impl Shortcuts {
    /// The place for the MOV at `rip`.
    #[inline(always)]
    fn slot(&mut self, rip: u64) -> Option<&mut Shortcut> {
        // Fibonacci hashing: neighbours do not meet.
        self.0.get_mut((rip.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize)
    }
}

/// Carries the access out if it is by a remembered MOV; whether it was.
#[inline(always)]
pub fn access<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>, fault: NestedFault) -> bool {
    let rip = V::rip(cpu);
    let Some(&mut Shortcut { bytes, mode, plain: Some(mov) }) = soft.shortcuts.slot(rip) else { return false };
    let Some(code) = board.code16(cpu) else { return false };
    let wanted = if mov.load { Access::Read } else { Access::Write };
    let offset = fault.gpa.page_offset();
    // An address at the start of a page may be the second half of an operand that begins in the page before. The I/O APIC has its
    // index there, which no such operand is for.
    let size = mov.width().bytes();
    let whole = (offset != 0 || fault.gpa == IOAPIC) && offset + size <= PAGE_SIZE;
    if code != bytes || V::code_mode(cpu) != mode || fault.access != wanted || fault.walk || !whole {
        return false;
    }
    let mut data = [0; 8];
    let size = size as usize;
    if mov.load {
        if let Some(part) = data.get_mut(..size) {
            board.bus.mmio_read(fault.gpa, part, time::tsc);
        }
        mov.finish(V::gprs(cpu), u64::from_le_bytes(data));
    } else {
        data = mov.value(V::gprs(cpu)).to_le_bytes();
        if let Some(part) = data.get(..size) {
            board.bus.mmio_write(fault.gpa, part, time::tsc);
        }
    }
    soft.finish(cpu, rip.wrapping_add(mov.length));
    true
}

/// Remembers the instruction at RIP, if it is a plain MOV.
pub fn learn<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>) {
    let Some(bytes) = board.code16(cpu) else { return };
    let state = V::state(cpu);
    let room = board.code_room(cpu).unwrap_or(0);
    let plain = decode::decode(&state, board).ok().and_then(|instruction| Plain::of(&instruction));
    // All of it is among the bytes.
    let plain = plain.filter(|mov| mov.length <= room);
    if let Some(slot) = soft.shortcuts.slot(state.rip) {
        *slot = Shortcut { bytes, mode: V::code_mode(cpu), plain };
    }
}
