//! What exits cost: a histogram whose buckets grow with the values (log-linear).

/// Each power of two has this many buckets of one width, as bits.
const SUB_BITS: u32 = 3;
const SUB: u32 = 1 << SUB_BITS;
/// The values below `SUB` each have their own, and each power of two from `SUB` to 2^31 has `SUB`.
const BUCKETS: usize = (SUB + (32 - SUB_BITS) * SUB) as usize;

/// Costs in cycles.
#[derive(Clone, Debug)]
pub struct Costs {
    count: u64,
    sum: u64,
    min: u32,
    max: u32,
    /// They stop at `u32::MAX`.
    buckets: [u32; BUCKETS],
}

/// What a collection of costs comes to, in cycles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The least.
    pub min: u32,
    /// The mean, rounded down.
    pub mean: u32,
    /// At least as much as 99 of 100 cost, and at most one eighth more than the exact 99th percentile (nearest rank).
    pub p99: u32,
    /// The highest.
    pub max: u32,
}

impl Costs {
    /// None yet.
    pub const fn new() -> Self {
        Self { count: 0, sum: 0, min: u32::MAX, max: 0, buckets: [0; BUCKETS] }
    }

    /// Adds one.
    pub fn add(&mut self, cycles: u32) {
        self.count += 1;
        self.sum = self.sum.saturating_add(cycles.into());
        self.min = self.min.min(cycles);
        self.max = self.max.max(cycles);
        if let Some(n) = self.buckets.get_mut(bucket(cycles)) {
            *n = n.saturating_add(1);
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What they come to, if there are any.
    pub fn summary(&self) -> Option<Summary> {
        let mean = self.sum.checked_div(self.count)? as u32;
        Some(Summary { min: self.min, mean, p99: self.p99(), max: self.max })
    }

    fn p99(&self) -> u32 {
        let all: u64 = self.buckets.iter().map(|n| u64::from(*n)).sum();
        let rank = all - all / 100;
        let mut below = 0;
        for (i, n) in self.buckets.iter().enumerate() {
            below += u64::from(*n);
            if below >= rank {
                return highest(i).min(self.max);
            }
        }
        self.max
    }
}

impl Default for Costs {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket of a value.
fn bucket(value: u32) -> usize {
    match value.checked_ilog2() {
        Some(log) if log >= SUB_BITS => {
            let octave = log - SUB_BITS;
            (SUB * octave + (value >> octave)) as usize
        }
        _ => value as usize,
    }
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u32 {
    let bucket = bucket as u32;
    if bucket < 2 * SUB {
        return bucket;
    }
    let octave = bucket / SUB - 1;
    let first = (u64::from(bucket % SUB + SUB)) << octave;
    (first + (1 << octave) - 1).min(u32::MAX.into()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for i in 0..BUCKETS {
            let last = highest(i);
            assert_eq!(bucket(last), i);
            assert_eq!(last.checked_add(1).map_or(BUCKETS, bucket), i + 1);
        }
    }

    #[test]
    fn of_nothing_and_of_the_extremes() {
        let mut costs = Costs::new();
        assert_eq!(costs.summary(), None);
        costs.add(u32::MAX);
        costs.add(0);
        assert_eq!(costs.summary(), Some(Summary { min: 0, mean: u32::MAX / 2, p99: u32::MAX, max: u32::MAX }));
        assert_eq!(costs.count(), 2);
    }

    #[test]
    fn one_in_a_hundred_does_not_count_for_the_percentile() {
        let mut costs = Costs::new();
        (0..99).for_each(|_| costs.add(5));
        costs.add(5000);
        assert_eq!(costs.summary().map(|s| s.p99), Some(5));
        costs.add(6000);
        assert_eq!(costs.summary().map(|s| s.p99), Some(highest(bucket(5000))));
    }

    proptest! {
        #[test]
        fn a_bucket_is_at_most_an_eighth_of_its_values(value: u32, shift in 0u32..32) {
            let value = value >> shift;
            let last = highest(bucket(value));
            prop_assert!(value <= last && last - value <= value / 8);
        }
    }
}
