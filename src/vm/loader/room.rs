//! Which of a VM's RAM the parts of a guest have taken.

use alloc::vec::Vec;

use crate::base::{GIB, Gpa, MIB, PAGE_SIZE};
use crate::vm::loader::memory_map::E820Kind;
use crate::vm::loader::{LoadError, Memory, MemoryMap, Part};

/// The usable RAM of a VM below 4 GiB, which is what all boot protocols can name, and what lies in it.
pub struct Room<'m> {
    memory: &'m mut dyn Memory,
    /// Start and end of each range, in ascending order.
    usable: Vec<(u64, u64)>,
    taken: Vec<Taken>,
}

#[derive(Clone, Copy)]
struct Taken {
    start: u64,
    end: u64,
    part: Part,
}

impl Taken {
    const fn meets(&self, start: u64, end: u64) -> bool {
        self.start < end && start < self.end
    }
}

/// No limit: what 32-bit addresses reach.
pub const ANYWHERE: u64 = 4 * GIB;

/// Where a part may be placed.
#[derive(Clone, Copy)]
pub struct Wish {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its address is a multiple of this power of two.
    pub align: u64,
    /// Its address is not below this.
    pub from: u64,
    /// Its end is not above this.
    pub below: u64,
}

impl Wish {
    /// Whole pages below 640 KiB, but for the first: that is the interrupt table's in real-address mode.
    pub const fn low(bytes: u64) -> Self {
        Self { bytes, align: PAGE_SIZE, from: PAGE_SIZE, below: MIB }
    }
}

impl<'m> Room<'m> {
    /// Nothing is taken.
    pub fn new(memory: &'m mut dyn Memory, map: &MemoryMap) -> Self {
        let below_4g = |end: u64| u32::try_from(end).is_ok();
        let lines = map.e820();
        let usable = lines.iter().filter(|line| line.kind == E820Kind::Usable && below_4g(line.end()));
        Self { memory, usable: usable.map(|line| (line.start.raw(), line.end())).collect(), taken: Vec::new() }
    }

    /// Takes `bytes` at `at` for `part`: they must be usable RAM, and nobody else's. `offset` is where the image asks
    /// for that place.
    pub fn take(&mut self, part: Part, at: u64, bytes: u64, offset: u64) -> Result<Gpa, LoadError> {
        let outside = LoadError::NotRam { part, at: Gpa::new(at), bytes, offset };
        let end = at.checked_add(bytes).ok_or(outside)?;
        if !self.usable.iter().any(|range| range.0 <= at && end <= range.1) {
            return Err(outside);
        }
        if let Some(other) = self.taken.iter().find(|taken| taken.meets(at, end)) {
            return Err(LoadError::Overlap { part, at: Gpa::new(at), bytes, other: other.part, offset });
        }
        self.taken.push(Taken { start: at, end, part });
        Ok(Gpa::new(at))
    }

    /// Takes the lowest place that is as wished.
    pub fn lowest(&mut self, part: Part, wish: Wish) -> Result<Gpa, LoadError> {
        // The lowest place begins as low as wished, or directly behind something.
        let starts = self.usable.iter().map(|range| range.0);
        let places = starts.chain(self.taken.iter().map(|taken| taken.end));
        let best = places
            .filter_map(|start| align_up(start.max(wish.from), wish.align))
            .filter(|&start| self.fits(start, wish))
            .min();
        self.put_down(part, wish, best)
    }

    /// Takes the highest place that is as wished.
    pub fn highest(&mut self, part: Part, wish: Wish) -> Result<Gpa, LoadError> {
        let ends = self.usable.iter().map(|range| range.1);
        let places = ends.chain(self.taken.iter().map(|taken| taken.start));
        let best = places
            .filter_map(|end| end.min(wish.below).checked_sub(wish.bytes))
            .map(|start| start & wish.align.wrapping_neg())
            .filter(|&start| self.fits(start, wish))
            .max();
        self.put_down(part, wish, best)
    }

    fn fits(&self, start: u64, wish: Wish) -> bool {
        let Some(end) = start.checked_add(wish.bytes) else { return false };
        start >= wish.from
            && end <= wish.below
            && self.usable.iter().any(|range| range.0 <= start && end <= range.1)
            && !self.taken.iter().any(|taken| taken.meets(start, end))
    }

    fn put_down(&mut self, part: Part, wish: Wish, place: Option<u64>) -> Result<Gpa, LoadError> {
        let Wish { bytes, align, from, below } = wish;
        let start = place.ok_or(LoadError::NoRoom { part, bytes, align, from, below })?;
        // `fits` has proved that this is no overflow.
        self.taken.push(Taken { start, end: start.saturating_add(bytes), part });
        Ok(Gpa::new(start))
    }

    /// Fills a place that was taken.
    pub fn write(&mut self, at: Gpa, bytes: &[u8]) -> Result<(), LoadError> {
        let end = at.raw().checked_add(bytes.len() as u64);
        let own = |taken: &Taken| taken.start <= at.raw() && end.is_some_and(|end| end <= taken.end);
        match bytes {
            [] => Ok(()),
            _ if !self.taken.iter().any(own) => Err(LoadError::Refused { at }),
            _ => self.memory.write(at, bytes).map_err(|outside| LoadError::Refused { at: outside.at }),
        }
    }
}

/// The multiple of `align`, a power of two, at or above `n`.
pub fn align_up(n: u64, align: u64) -> Option<u64> {
    n.checked_next_multiple_of(align)
}
