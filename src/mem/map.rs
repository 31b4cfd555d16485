//! The firmware's memory map, made sense of: which ranges are RAM, which of it may be used, where something fits.
//!
//! Maps of real machines are unsorted, overlap, contain empty entries and entries that start or end inside a page.
//! The rules here: RAM is what any entry calls usable or ACPI; usable is what an entry calls usable and no other entry
//! calls anything else; part of a usable page is no page; a page that is reserved in part is reserved.

use crate::base::PAGE_SIZE;
use arrayvec::ArrayVec;

/// The most ranges that a [`Ranges`] holds. Firmware gives 10 to 100 entries; what does not fit is not used.
pub const MAX_RANGES: usize = 128;

/// What the firmware says of a range of host-physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// RAM, free for use.
    Usable,
    /// RAM that holds ACPI tables or ACPI's own storage.
    Acpi,
    /// Anything else: reserved, defective, unknown.
    Reserved,
}

/// One entry of the firmware's map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// HPA of the first byte.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// What it is.
    pub kind: EntryKind,
}

impl Entry {
    /// The range of the entry; an entry that runs past the end of the 64-bit space is cut there.
    pub const fn range(&self) -> Range {
        Range { start: self.start, end: self.start.saturating_add(self.len) }
    }
}

/// A range of host-physical addresses in bytes, `end` not included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Range {
    /// The first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Range {
    /// The range of `len` bytes from `start`, cut at the end of the 64-bit space.
    pub const fn new(start: u64, len: u64) -> Self {
        Self { start, end: start.saturating_add(len) }
    }

    /// Whether no byte is in it.
    pub const fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// How many bytes are in it.
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the two have a byte in common.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end && !self.is_empty() && !other.is_empty()
    }

    /// The whole pages in it; perhaps empty.
    pub const fn pages_inside(&self) -> Self {
        let start = match self.start.checked_next_multiple_of(PAGE_SIZE) {
            Some(start) => start,
            None => return Self { start: 0, end: 0 },
        };
        Self { start, end: self.end & !(PAGE_SIZE - 1) }
    }

    /// The pages that it touches. The last page of the 64-bit space is never among them.
    pub const fn pages_touched(&self) -> Self {
        if self.is_empty() {
            return Self { start: 0, end: 0 };
        }
        let end = match self.end.checked_next_multiple_of(PAGE_SIZE) {
            Some(end) => end,
            None => !(PAGE_SIZE - 1),
        };
        Self { start: self.start & !(PAGE_SIZE - 1), end }
    }
}

/// Ranges in ascending order that neither overlap nor touch.
#[derive(Clone, Default, Debug)]
pub struct Ranges(ArrayVec<Range, MAX_RANGES>);

impl Ranges {
    /// No range.
    pub const fn new() -> Self {
        Self(ArrayVec::new_const())
    }

    /// Adds `range`, joining it with those that it overlaps or touches. Returns false if there was no room; the set
    /// is then as before.
    pub fn insert(&mut self, mut range: Range) -> bool {
        if range.is_empty() {
            return true;
        }
        let first = self.0.iter().take_while(|r| r.end < range.start).count();
        let joined = self.0.iter().skip(first).take_while(|r| r.start <= range.end).count();
        if joined == 0 {
            return self.0.try_insert(first, range).is_ok();
        }
        let old = &self.0[first..first + joined];
        range.start = range.start.min(old[0].start);
        range.end = range.end.max(old[joined - 1].end);
        self.0.drain(first + 1..first + joined);
        self.0[first] = range;
        true
    }

    /// The ranges in ascending order.
    pub fn as_slice(&self) -> &[Range] {
        &self.0
    }

    /// All bytes in them.
    pub fn total(&self) -> u64 {
        self.0.iter().map(Range::len).sum()
    }
}

/// The RAM of the machine: whole pages that any entry calls usable or ACPI. The frame allocator has a word for each.
pub fn ram(entries: impl Iterator<Item = Entry>) -> Ranges {
    let mut ram = Ranges::new();
    for entry in entries.filter(|e| e.kind != EntryKind::Reserved) {
        ram.insert(entry.range().pages_touched());
    }
    ram
}

/// What entries call usable, joined, then cut to whole pages. Reserved entries are still to be taken out.
pub fn usable(entries: impl Iterator<Item = Entry>) -> Ranges {
    let mut bytes = Ranges::new();
    for entry in entries.filter(|e| e.kind == EntryKind::Usable) {
        bytes.insert(entry.range());
    }
    let mut pages = Ranges::new();
    for range in bytes.as_slice() {
        pages.insert(range.pages_inside());
    }
    pages
}

/// The lowest page in `from..below` where `len` bytes fit in a usable range without touching any of `avoid`.
pub fn place(
    usable: &Ranges,
    avoid: impl Iterator<Item = Range> + Clone,
    len: u64,
    from: u64,
    below: u64,
) -> Option<u64> {
    for range in usable.as_slice() {
        let mut start = range.start.max(from).checked_next_multiple_of(PAGE_SIZE)?;
        loop {
            let want = Range { start, end: start.checked_add(len)? };
            if want.end > range.end.min(below) {
                break;
            }
            match avoid.clone().filter(|a| a.overlaps(&want)).map(|a| a.end).max() {
                None => return Some(start),
                Some(end) => start = end.checked_next_multiple_of(PAGE_SIZE)?,
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn usable_entry(start: u64, len: u64) -> Entry {
        Entry { start, len, kind: EntryKind::Usable }
    }

    #[test]
    fn halves_of_a_page_from_two_entries_make_a_page() {
        let u = usable([usable_entry(0x1800, 0x1800), usable_entry(0x1000, 0x800)].into_iter());
        assert_eq!(u.as_slice(), [Range { start: 0x1000, end: 0x3000 }]);
        let u = usable([usable_entry(0x1001, 0x1ffe)].into_iter());
        assert_eq!(u.as_slice(), []);
    }

    #[test]
    fn the_end_of_the_space_is_survived() {
        let all = [usable_entry(u64::MAX - 5, u64::MAX), usable_entry(0, u64::MAX)];
        assert_eq!(usable(all.into_iter()).as_slice(), [Range { start: 0, end: !0xfff }]);
        assert_eq!(ram(all.into_iter()).as_slice(), [Range { start: 0, end: !0xfff }]);
    }

    #[test]
    fn placing_steps_over_what_is_taken() {
        let u = usable([usable_entry(0, 0x9_f000), usable_entry(0x10_0000, 0x100_0000)].into_iter());
        let taken = [Range { start: 0x20_0000, end: 0x28_0001 }, Range { start: 0x10_0000, end: 0x10_0001 }];
        assert_eq!(place(&u, taken.into_iter(), 0x1000, 0x10_0000, 1 << 32), Some(0x10_1000));
        assert_eq!(place(&u, taken.into_iter(), 0x10_0000, 0x10_0000, 1 << 32), Some(0x28_1000));
        assert_eq!(place(&u, taken.into_iter(), 0x100_0000, 0x10_0000, 1 << 32), None);
        assert_eq!(place(&u, taken.into_iter(), 0x1000, 0, 0x1000), Some(0));
    }

    proptest! {
        #[test]
        fn ranges_are_the_union(input in prop::collection::vec((0u64..200, 0u64..30), 0..40)) {
            let mut ranges = Ranges::new();
            let mut naive = [false; 256];
            for &(start, len) in &input {
                prop_assert!(ranges.insert(Range::new(start, len)));
                naive[start as usize..(start + len) as usize].fill(true);
            }
            let got: Vec<bool> =
                (0..256).map(|b| ranges.as_slice().iter().any(|r| r.start <= b && b < r.end)).collect();
            prop_assert_eq!(&got[..], &naive[..]);
            for pair in ranges.as_slice().windows(2) {
                prop_assert!(pair[0].end < pair[1].start);
            }
            prop_assert_eq!(ranges.total(), naive.iter().filter(|b| **b).count() as u64);
        }
    }
}
