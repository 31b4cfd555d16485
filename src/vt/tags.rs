//! Tags for guests' translations in the TLB: VPIDs on VMX, ASIDs on SVM, one pool for each core.

/// A tag that a vCPU holds, valid while its pool's generation is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tag {
    /// The VPID or ASID; 0 is the host's and means none yet.
    pub number: u32,
    generation: u64,
}

/// What must be flushed before a tag is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flush {
    /// Nothing: the vCPU comes back to the core and the tag that it had.
    Nothing,
    /// Translations with this tag.
    Tag,
    /// All guests' translations: the numbers start again.
    All,
}

/// Hands out tag numbers 1 to `last`; when they are used up, a new generation begins and all old tags are void.
#[derive(Debug)]
pub struct TagPool {
    next: u32,
    last: u32,
    generation: u64,
}

impl TagPool {
    /// A pool of the numbers 1 to `last`. A `last` of 0 counts as 1: every use then flushes.
    pub const fn new(last: u32) -> Self {
        let last = if last == 0 { 1 } else { last };
        // The first tag begins generation 1 with a flush of all: nobody knows who used the numbers before us.
        Self { next: last + 1, last, generation: 0 }
    }

    /// Makes sure that `tag` may be used on this core, renewing it if its generation is over.
    pub const fn renew(&mut self, tag: &mut Tag) -> Flush {
        if tag.number != 0 && tag.generation == self.generation {
            return Flush::Nothing;
        }
        let flush = if self.next > self.last {
            self.next = 1;
            self.generation += 1;
            Flush::All
        } else {
            Flush::Tag
        };
        *tag = Tag { number: self.next, generation: self.generation };
        self.next += 1;
        flush
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// Between two flushes of everything, no two holders have the same number.
        #[test]
        fn no_two_live_tags_are_equal(last in 0..6u32, turns in proptest::collection::vec(0..9usize, 0..80)) {
            let mut pool = TagPool::new(last);
            let mut tags = [Tag::default(); 9];
            let mut live: Vec<usize> = Vec::new();
            for who in turns {
                match pool.renew(&mut tags[who]) {
                    Flush::Nothing => prop_assert!(live.contains(&who)),
                    Flush::Tag => live.push(who),
                    Flush::All => live = std::vec![who],
                }
                let mut numbers: Vec<_> = live.iter().map(|w| tags[*w].number).collect();
                numbers.sort();
                numbers.dedup();
                prop_assert_eq!(numbers.len(), live.len());
                prop_assert!(tags[who].number >= 1 && tags[who].number <= last.max(1));
            }
        }
    }
}
