//! Accesses to device memory by the MOV that made the last one: without decoding, segmentation and page walk again.
//!
//! The CPU has translated the address and checked the rights before it exited; the exit says where the access went. What is
//! left is to know that the instruction is a plain MOV, and its register: that is remembered with its bytes.

use crate::base::{Access, PAGE_SIZE};
use crate::emu::decode;
use crate::emu::execute::plain::Plain;
use crate::vm::board::Board;
use crate::vm::soft::Soft;
use crate::vt::exit::NestedFault;
use crate::vt::{Loaded, Vendor};

/// A MOV, with the bytes that it was decoded from.
#[derive(Clone, Copy, Default, Debug)]
pub struct Shortcut {
    bytes: [u64; 2],
    mode: u32,
    plain: Option<Plain>,
}

/// Carries the access out if it is by the remembered MOV, with the guest's paging off; whether it was.
#[inline(always)]
pub fn access<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>, fault: NestedFault) -> bool {
    let Shortcut { bytes, mode, plain: Some(mov) } = soft.shortcut else { return false };
    let Some(code) = V::unpaged_code(cpu).and_then(|at| board.code16(at)) else { return false };
    let wanted = if mov.load { Access::Read } else { Access::Write };
    let offset = fault.gpa.page_offset();
    // An address at the start of a page may be the second half of an operand that begins in the page before.
    let whole = offset != 0 && offset + mov.width().bytes() <= PAGE_SIZE;
    if code != bytes || V::code_mode(cpu) != mode || fault.access != wanted || fault.walk || !whole {
        return false;
    }
    let mut data = [0; 8];
    let size = mov.width() as usize;
    if mov.load {
        if let Some(part) = data.get_mut(..size) {
            board.bus.mmio_read(fault.gpa, part);
        }
        mov.finish(V::gprs(cpu), u64::from_le_bytes(data));
    } else {
        data = mov.value(V::gprs(cpu)).to_le_bytes();
        if let Some(part) = data.get(..size) {
            board.bus.mmio_write(fault.gpa, part);
        }
    }
    soft.finish(cpu, V::rip(cpu).wrapping_add(mov.length));
    true
}

/// Remembers the instruction at RIP, if it is a plain MOV.
pub fn learn<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>) {
    soft.shortcut.plain = None;
    let Some(bytes) = V::unpaged_code(cpu).and_then(|at| board.code16(at)) else { return };
    let state = V::state(cpu);
    if let Ok(instruction) = decode::decode(&state, board) {
        soft.shortcut = Shortcut { bytes, mode: V::code_mode(cpu), plain: Plain::of(&instruction) };
    }
}
