//! The frames that a guest's nested tables live in, set aside when the VM is made, so that no exit allocates.

use alloc::vec::Vec;

use super::nested::TableMemory;
use crate::base::{Hpa, PAGE_SIZE};
use crate::mem::frames::{self, Frames};
use crate::mem::{self, owner::Owner};

/// Frames for nested tables. Dropping it gives them back.
#[derive(Debug)]
pub struct TablePool {
    frames: Vec<Frames>,
    used: usize,
}

impl TablePool {
    /// Sets aside frames for `tables` tables of guest `vm`; `None` if there are not as many.
    pub fn new(vm: u16, tables: usize) -> Option<Self> {
        let mut frames = Vec::new();
        frames.try_reserve_exact(tables).ok()?;
        for _ in 0..tables {
            let mut frame = frames::alloc(Owner::NestedTable(vm))?;
            frame.zero();
            frames.push(frame);
        }
        Some(Self { frames, used: 0 })
    }

    /// How many tables map `bytes` of guest memory in `ranges` separate ranges in 4 KiB pages, at most: at each level
    /// one for every span of its entries, and one more for each range that does not begin at a boundary.
    pub const fn worst_case(bytes: u64, ranges: u64) -> usize {
        let mut tables = 1;
        let mut span = PAGE_SIZE;
        let mut level = 1;
        while level < 4 {
            span *= 512;
            tables += bytes / span + 2 * ranges;
            level += 1;
        }
        tables as usize
    }

    /// Where entry `index` of `table` is.
    fn entry(table: Hpa, index: usize) -> *mut u64 {
        // The index is nine bits of an address; the mask says so to the reader.
        mem::direct(table).cast::<u64>().wrapping_add(index & 511)
    }
}

impl TableMemory for TablePool {
    #[inline(always)]
    fn read(&self, table: Hpa, index: usize) -> u64 {
        // SAFETY: `table` is one of this pool's frames (roots come from `new_table`, the others from entries that the
        // builder wrote), mapped read-write in the direct map. Volatile: the CPU sets accessed and dirty flags in it.
        unsafe { Self::entry(table, index).read_volatile() }
    }

    #[inline(always)]
    fn write(&mut self, table: Hpa, index: usize, entry: u64) {
        // SAFETY: as in `read`; `&mut self` keeps other writers of ours away.
        unsafe { Self::entry(table, index).write_volatile(entry) }
    }

    fn new_table(&mut self) -> Option<Hpa> {
        let frame = self.frames.get(self.used)?;
        self.used += 1;
        Some(frame.hpa())
    }
}
