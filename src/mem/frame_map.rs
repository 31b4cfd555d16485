//! The frame allocator's core: an owner for every frame of RAM, and the search for free ones. Plain data over a slice.

use super::map::{self, Entry, EntryKind, MAX_RANGES, Range, Ranges};
use super::owner::Owner;
use crate::base::{MIB, PAGE_SIZE};
use arrayvec::ArrayVec;

/// Frames below this one are handed out only on request: AP start needs one of them.
const FIRST_ORDINARY: u64 = MIB / PAGE_SIZE;

/// A run of RAM: consecutive frames with consecutive words.
#[derive(Clone, Copy, Debug)]
struct Bank {
    /// Number of the first frame.
    first: u64,
    /// How many frames.
    count: u64,
    /// Index of the first frame's word.
    word: usize,
}

impl Bank {
    const fn end(&self) -> u64 {
        self.first + self.count
    }
}

/// Owners of all frames of RAM. Frames are named by their number: HPA / 4096.
#[derive(Debug)]
pub struct FrameMap<'a> {
    banks: ArrayVec<Bank, MAX_RANGES>,
    words: &'a mut [u16],
    counts: [u64; Owner::KINDS],
    /// No ordinary frame below this number is free.
    hint: u64,
}

impl<'a> FrameMap<'a> {
    /// How many words are needed for `ram`.
    pub fn words_for(ram: &Ranges) -> usize {
        (ram.total() / PAGE_SIZE) as usize
    }

    /// Owners by the firmware's map: usable frames are free, the rest of RAM and frame 0 are the firmware's.
    /// `words` has [`FrameMap::words_for`] elements of any content; RAM beyond them is left out.
    pub fn new(entries: impl Iterator<Item = Entry> + Clone, words: &'a mut [u16]) -> Self {
        let mut banks = ArrayVec::new();
        let mut word = 0;
        for range in map::ram(entries.clone()).as_slice() {
            let count = (range.len() / PAGE_SIZE).min((words.len() - word) as u64);
            banks.push(Bank { first: range.start / PAGE_SIZE, count, word });
            word += count as usize;
        }
        words.fill(Owner::Firmware.to_word());
        let mut counts = [0; Owner::KINDS];
        counts[Owner::Firmware.kind()] = word as u64;
        let mut this = Self { banks, words, counts, hint: FIRST_ORDINARY };

        for range in map::usable(entries.clone()).as_slice() {
            this.claim(*range, Owner::Free);
        }
        for entry in entries.filter(|e| e.kind != EntryKind::Usable) {
            this.claim(entry.range(), Owner::Firmware);
        }
        this.claim(Range::new(0, PAGE_SIZE), Owner::Firmware);
        this
    }

    /// Gives every frame that `range` touches to `owner`, whoever had it. Holes stay holes.
    pub fn claim(&mut self, range: Range, owner: Owner) {
        let pages = range.pages_touched();
        self.set(pages.start / PAGE_SIZE, pages.len() / PAGE_SIZE, owner);
        if owner == Owner::Free {
            self.hint = self.hint.min((pages.start / PAGE_SIZE).max(FIRST_ORDINARY));
        }
    }

    /// The owner of a frame.
    pub fn owner(&self, frame: u64) -> Owner {
        match self.word_index(frame) {
            Some(i) => Owner::from_word(self.words[i]),
            None => Owner::Hole,
        }
    }

    /// How many frames each kind of owner has, in the order of [`Owner::kind`].
    pub const fn counts(&self) -> [u64; Owner::KINDS] {
        self.counts
    }

    /// The lowest free frame not below 1 MiB, now `owner`'s. Short, for guests' first touches come here.
    #[inline]
    pub fn alloc(&mut self, owner: Owner) -> Option<u64> {
        for bank in &self.banks {
            let skip = self.hint.saturating_sub(bank.first);
            if skip >= bank.count {
                continue;
            }
            let words = &mut self.words[bank.word + skip as usize..bank.word + bank.count as usize];
            if let Some(at) = words.iter().position(|w| *w == Owner::Free.to_word()) {
                words[at] = owner.to_word();
                self.counts[Owner::Free.kind()] -= 1;
                self.counts[owner.kind()] += 1;
                let frame = bank.first + skip + at as u64;
                self.hint = frame + 1;
                return Some(frame);
            }
        }
        None
    }

    /// The lowest `count` consecutive free frames, the first a multiple of `align` (a power of two, in frames), not
    /// below 1 MiB; now `owner`'s.
    pub fn alloc_run(&mut self, count: u64, align: u64, owner: Owner) -> Option<u64> {
        let first = self.find(self.hint, u64::MAX, count, align)?;
        self.set(first, count, owner);
        Some(first)
    }

    /// The lowest `count` consecutive free frames that end at or below frame `below`; from below 1 MiB, too.
    pub fn alloc_below(&mut self, count: u64, below: u64, owner: Owner) -> Option<u64> {
        let first = self.find(0, below, count, 1)?;
        self.set(first, count, owner);
        Some(first)
    }

    /// Takes frames back from `owner`. Returns false, and changes nothing, if one of them is not `owner`'s.
    pub fn free(&mut self, first: u64, count: u64, owner: Owner) -> bool {
        // A run lies in one bank, or it was never handed out.
        let Some(at) = self.word_index(first) else { return false };
        let in_bank = self.banks.iter().any(|b| b.first <= first && first < b.end() && count <= b.end() - first);
        if owner == Owner::Free || owner == Owner::Hole || !in_bank {
            return false;
        }
        let words = &mut self.words[at..at + count as usize];
        if words.iter().any(|w| *w != owner.to_word()) {
            return false;
        }
        words.fill(Owner::Free.to_word());
        self.counts[owner.kind()] -= count;
        self.counts[Owner::Free.kind()] += count;
        self.hint = self.hint.min(first.max(FIRST_ORDINARY));
        true
    }

    /// The ranges of RAM with a word each, in ascending order.
    pub fn ram(&self) -> impl Iterator<Item = Range> {
        self.banks.iter().map(|b| Range { start: b.first * PAGE_SIZE, end: b.end() * PAGE_SIZE })
    }

    fn word_index(&self, frame: u64) -> Option<usize> {
        let bank = self.banks.iter().find(|b| frame < b.end())?;
        Some(bank.word + frame.checked_sub(bank.first)? as usize)
    }

    fn set(&mut self, first: u64, count: u64, owner: Owner) {
        let end = first.saturating_add(count);
        for bank in &self.banks {
            let (from, to) = (first.max(bank.first), end.min(bank.end()));
            if from >= to {
                continue;
            }
            let start = bank.word + (from - bank.first) as usize;
            let words = &mut self.words[start..start + (to - from) as usize];
            // Runs of one owner are the rule: count them at once.
            for run in words.chunk_by_mut(|a, b| a == b) {
                self.counts[Owner::from_word(run[0]).kind()] -= run.len() as u64;
                run.fill(owner.to_word());
            }
            self.counts[owner.kind()] += to - from;
        }
    }

    fn find(&self, from: u64, below: u64, count: u64, align: u64) -> Option<u64> {
        if count == 0 || !align.is_power_of_two() {
            return None;
        }
        for bank in &self.banks {
            let end = bank.end().min(below);
            let Some(mut start) = bank.first.max(from).checked_next_multiple_of(align) else { continue };
            while start < end && end - start >= count {
                let at = bank.word + (start - bank.first) as usize;
                // The last taken frame in the window decides where the next window can start.
                match self.words[at..at + count as usize].iter().rposition(|w| *w != Owner::Free.to_word()) {
                    None => return Some(start),
                    Some(taken) => start = (start + taken as u64 + 1).next_multiple_of(align),
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;
    use std::{assert, assert_eq, vec};

    fn entry(start: u64, len: u64, kind: EntryKind) -> Entry {
        Entry { start, len, kind }
    }

    /// The map of a small PC, out of order, with an empty entry and a hole that cuts RAM in two.
    fn pc() -> [Entry; 7] {
        use EntryKind::*;
        [
            entry(0x10_0000, 0x700_0000, Usable),
            entry(0, 0x9_fc00, Usable),
            entry(0x9_fc00, 0x400, Reserved),
            entry(0xf_0000, 0x1_0000, Reserved),
            entry(0x6ff_0800, 0x1000, Acpi),
            entry(0x300_0000, 0, Reserved),
            entry(0x1_0000_0000, 0x20_0000, Usable),
        ]
    }

    fn words(entries: &[Entry]) -> Vec<u16> {
        vec![0xaaaa; FrameMap::words_for(&map::ram(entries.iter().copied()))]
    }

    #[test]
    fn a_pc() {
        let entries = pc();
        let mut words = words(&entries);
        let mut map = FrameMap::new(entries.into_iter(), &mut words);
        assert_eq!(map.owner(0), Owner::Firmware);
        assert_eq!(map.owner(1), Owner::Free);
        assert_eq!(map.owner(0x9f), Owner::Firmware, "a part of a page is no page");
        assert_eq!(map.owner(0xa0), Owner::Hole);
        assert_eq!(map.owner(0xf0), Owner::Hole);
        assert_eq!(map.owner(0x100), Owner::Free);
        assert_eq!(map.owner(0x6fef), Owner::Free);
        assert_eq!(map.owner(0x6ff0), Owner::Firmware);
        assert_eq!(map.owner(0x6ff1), Owner::Firmware);
        assert_eq!(map.owner(0x6ff2), Owner::Free);
        assert_eq!(map.owner(0x7100), Owner::Hole);
        assert_eq!(map.owner(0x10_0000), Owner::Free);
        assert_eq!(map.owner(u64::MAX), Owner::Hole);

        assert_eq!(map.alloc(Owner::Heap), Some(0x100));
        assert_eq!(map.alloc_run(512, 512, Owner::Guest(3)), Some(0x200));
        assert_eq!(map.alloc_below(1, 0x100, Owner::Kernel), Some(1));
        assert_eq!(map.alloc(Owner::Heap), Some(0x101));
        assert!(!map.free(0x200, 512, Owner::Guest(4)), "not that VM's");
        assert!(!map.free(0x200, 513, Owner::Guest(3)));
        assert!(map.free(0x200, 512, Owner::Guest(3)));
        assert_eq!(map.alloc_run(0x200, 0x200, Owner::Guest(3)), Some(0x200));
        assert_eq!(map.alloc_run(0x7000, 1, Owner::Guest(3)), None);
        assert_eq!(map.counts()[Owner::Guest(0).kind()], 512);
        assert_eq!(map.counts().iter().sum::<u64>(), 0xa0 + 0x7000 + 0x200);
    }

    #[test]
    fn all_frames_go_out_once_and_come_back() {
        let entries = [entry(0, 0x18_0000, EntryKind::Usable)];
        let mut words = words(&entries);
        let mut map = FrameMap::new(entries.into_iter(), &mut words);
        let mut got = Vec::new();
        while let Some(frame) = map.alloc(Owner::Guest(1)) {
            got.push(frame);
        }
        assert_eq!(got, (0x100..0x180).collect::<Vec<_>>());
        assert!(map.free(0x120, 2, Owner::Guest(1)));
        assert!(!map.free(0x120, 1, Owner::Guest(1)), "twice");
        assert_eq!(map.alloc_run(3, 1, Owner::Heap), None);
        assert_eq!(map.alloc_run(2, 2, Owner::Heap), Some(0x120));
        assert_eq!(map.alloc(Owner::Heap), None);
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let kind = prop_oneof![Just(EntryKind::Usable), Just(EntryKind::Acpi), Just(EntryKind::Reserved)];
        // Units of half a page, so that entries start and end inside pages.
        (0u64..1200, 0u64..600, kind).prop_map(|(s, l, kind)| entry(s * 0x800, l * 0x800, kind))
    }

    #[derive(Clone, Debug)]
    enum Step {
        One(u16),
        Run(u64, u32, u16),
        Below(u64, u64),
        Free(usize),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1u64..20, 0u32..4, 0u16..3).prop_map(|(n, a, vm)| Step::Run(n, a, vm)),
            1 => (1u64..3, 0u64..600).prop_map(|(n, b)| Step::Below(n, b)),
            2 => (0u16..3).prop_map(Step::One),
            2 => any::<usize>().prop_map(Step::Free),
        ]
    }

    proptest! {
        /// Against a naive map: one flag per half page and kind.
        #[test]
        fn odd_maps(entries in prop::collection::vec(any_entry(), 0..20)) {
            let mut words = words(&entries);
            let map = FrameMap::new(entries.iter().copied(), &mut words);
            for frame in 0..1000u64 {
                let halves = [frame * 2, frame * 2 + 1];
                let says = |half: u64, kind| {
                    entries.iter().any(|e| e.kind == kind && e.start <= half * 0x800 && half * 0x800 < e.start + e.len)
                };
                let ram = halves.iter().any(|h| says(*h, EntryKind::Usable) || says(*h, EntryKind::Acpi));
                let free = frame != 0 && halves.iter().all(|h| {
                    says(*h, EntryKind::Usable) && !says(*h, EntryKind::Reserved) && !says(*h, EntryKind::Acpi)
                });
                let want = match (ram, free) {
                    (false, _) => Owner::Hole,
                    (true, true) => Owner::Free,
                    (true, false) => Owner::Firmware,
                };
                prop_assert_eq!(map.owner(frame), want, "frame {:#x}", frame);
            }
        }

        /// No frame has two owners, runs are aligned and were free, counts are right.
        #[test]
        fn allocations(entries in prop::collection::vec(any_entry(), 1..6), steps in prop::collection::vec(any_step(), 0..60)) {
            let mut words = words(&entries);
            let mut map = FrameMap::new(entries.iter().copied(), &mut words);
            let mut naive: Vec<Owner> = (0..1000).map(|f| map.owner(f)).collect();
            let mut runs: Vec<(u64, u64, Owner)> = Vec::new();
            for step in steps {
                match step {
                    Step::Run(count, align, vm) => {
                        let (align, owner) = (1 << align, Owner::Guest(vm));
                        let fits = (256..1000u64).step_by(1).find(|f| {
                            f % align == 0 && (*f..*f + count).all(|f| naive.get(f as usize) == Some(&Owner::Free))
                        });
                        let got = map.alloc_run(count, align, owner);
                        prop_assert_eq!(got, fits);
                        if let Some(first) = got {
                            naive[first as usize..(first + count) as usize].fill(owner);
                            runs.push((first, count, owner));
                        }
                    }
                    Step::One(vm) => {
                        let owner = Owner::Guest(vm);
                        let lowest = (256..1000).find(|f| naive[*f as usize] == Owner::Free);
                        prop_assert_eq!(map.alloc(owner), lowest);
                        if let Some(first) = lowest {
                            naive[first as usize] = owner;
                            runs.push((first, 1, owner));
                        }
                    }
                    Step::Below(count, below) => {
                        if let Some(first) = map.alloc_below(count, below, Owner::Kernel) {
                            prop_assert!(first + count <= below);
                            let frames = &mut naive[first as usize..(first + count) as usize];
                            prop_assert!(frames.iter().all(|o| *o == Owner::Free));
                            frames.fill(Owner::Kernel);
                            runs.push((first, count, Owner::Kernel));
                        }
                    }
                    Step::Free(which) if !runs.is_empty() => {
                        let (first, count, owner) = runs.swap_remove(which % runs.len());
                        prop_assert!(map.free(first, count, owner));
                        naive[first as usize..(first + count) as usize].fill(Owner::Free);
                    }
                    Step::Free(_) => {}
                }
            }
            let mut counts = [0; Owner::KINDS];
            for (frame, owner) in naive.iter().enumerate() {
                prop_assert_eq!(map.owner(frame as u64), *owner);
                if *owner != Owner::Hole {
                    counts[owner.kind()] += 1;
                }
            }
            prop_assert_eq!(map.counts(), counts);
        }
    }
}
