//! The most frequent of many things, in little memory: the space-saving algorithm (Metwally, Agrawal and El Abbadi,
//! "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005).

use core::fmt;

use arrayvec::ArrayVec;

use super::SHOWN;

/// How many are counted at a time. More than are shown, so that those shown are counted better.
const SLOTS: usize = 2 * SHOWN;

/// A frequent item.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Hot {
    /// Which.
    pub item: u64,
    /// How often it came, at most.
    pub count: u64,
    /// By how much `count` may be too high: 0 where it is exact.
    pub excess: u64,
}

/// Counts items. What came in more than one of [`SHOWN`] cases is among the [`top`](Self::top).
#[derive(Clone, Default, Debug)]
pub struct Hottest {
    slots: ArrayVec<Hot, SLOTS>,
}

impl Hottest {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self { slots: ArrayVec::new_const() }
    }

    /// Counts one.
    pub fn add(&mut self, item: u64) {
        if let Some(slot) = self.slots.iter_mut().find(|s| s.item == item) {
            slot.count += 1;
        } else if self.slots.try_push(Hot { item, count: 1, excess: 0 }).is_err()
            // The rarest makes room. The new one may have come as often unseen.
            && let Some(rarest) = self.slots.iter_mut().min_by_key(|s| s.count)
        {
            *rarest = Hot { item, count: rarest.count + 1, excess: rarest.count };
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The most frequent, at most [`SHOWN`], from the most frequent on; of equally frequent ones the lower first.
    pub fn top(&self) -> impl Iterator<Item = Hot> {
        let mut all = self.slots.clone();
        all.sort_unstable_by_key(|s| (core::cmp::Reverse(s.count), s.item));
        all.into_iter().take(SHOWN)
    }
}

/// `0x3f8 x 1,200, 0x60 x <=3`: the second count is an upper bound.
impl fmt::Display for Hottest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, hot) in self.top().enumerate() {
            let (comma, most) = (if i == 0 { "" } else { ", " }, if hot.excess == 0 { "" } else { "<=" });
            write!(f, "{comma}{:#x} x {most}{}", hot.item, Grouped(hot.count))?;
        }
        Ok(())
    }
}

/// A number with a comma between groups of three digits.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n @ ..1000 => write!(f, "{n}"),
            n => write!(f, "{},{:03}", Grouped(n / 1000), n % 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn a_newcomer_takes_the_rarests_place_and_its_count_is_a_bound() {
        let mut hottest = Hottest::new();
        (0..SLOTS as u64).for_each(|i| (0..=i + 1).for_each(|_| hottest.add(i)));
        assert_eq!(hottest.top().next(), Some(Hot { item: 15, count: 17, excess: 0 }));
        (0..20).for_each(|_| hottest.add(99));
        assert_eq!(hottest.top().next(), Some(Hot { item: 99, count: 22, excess: 2 }));
        assert_eq!(hottest.top().count(), SHOWN);
        assert!(hottest.to_string().starts_with("0x63 x <=22, 0xf x 17, 0xe x 16, "));
        assert!(!hottest.is_empty() && Hottest::default().is_empty());
    }

    #[test]
    fn digits_stand_in_groups() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_002_003, "1,002,003")] {
            assert_eq!(Grouped(n).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_came_in_more_than_one_of_eight_cases_is_shown(
            items in proptest::collection::vec(prop_oneof![2 => 0u64..4, 3 => 0u64..200], 0..600),
        ) {
            let mut hottest = Hottest::new();
            items.iter().for_each(|i| hottest.add(*i));
            for item in 0..200 {
                let count = items.iter().filter(|i| **i == item).count();
                let found = hottest.top().find(|h| h.item == item);
                prop_assert!(found.is_some() || count * SHOWN <= items.len(), "{item}");
                if let Some(hot) = found {
                    prop_assert!(hot.count - hot.excess <= count as u64 && count as u64 <= hot.count);
                }
            }
        }
    }
}
