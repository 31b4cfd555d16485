//! Statistics of exits: how many of each kind, what they cost, and what they are about most often.
//!
//! All of it is in fixed arrays, about 21 KiB: counts and the least, mean and highest cost are exact, the 99th
//! percentile is at most one eighth too high, and of what exits are about the eight most frequent are known.

mod histogram;
mod hottest;
mod narrow;

use core::fmt;

pub use histogram::{Costs, Summary};
pub use hottest::{Hot, Hottest};
pub use narrow::{Narrow, Told, kind_name, narrow, told};

use super::exit::ExitKind;
use super::trace::Record;
use crate::base::PAGE_SIZE;

/// How many of the most frequent ports, MSRs and so on are shown.
pub const SHOWN: usize = 8;

/// What exits are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Ports.
    Ports,
    /// MSRs, read or written.
    Msrs,
    /// Guest-physical pages, by the address of their first byte.
    Pages,
    /// CPUID leaves, all subleaves of one together.
    Leaves,
    /// Hypercalls by number.
    Hypercalls,
}

impl Family {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Ports, Self::Msrs, Self::Pages, Self::Leaves, Self::Hypercalls];

    /// As the table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::Msrs => "MSRs",
            Self::Pages => "pages",
            Self::Leaves => "CPUID leaves",
            Self::Hypercalls => "hypercalls",
        }
    }

    /// The family of a record, and which of its items the record is about. An access by INS or OUTS has no port in
    /// its record.
    pub fn of(record: &Record) -> Option<(Self, u64)> {
        let is = |kind: ExitKind| record.kind == kind as u16;
        let info = record.info;
        if is(ExitKind::Port) {
            (info >> 16 & 0xff != 0).then_some((Self::Ports, info & 0xffff))
        } else if is(ExitKind::MsrRead) || is(ExitKind::MsrWrite) {
            Some((Self::Msrs, info))
        } else if is(ExitKind::Nested) {
            Some((Self::Pages, info & !(PAGE_SIZE - 1)))
        } else if is(ExitKind::Cpuid) {
            Some((Self::Leaves, info & 0xffff_ffff))
        } else if is(ExitKind::Hypercall) {
            Some((Self::Hypercalls, info))
        } else {
            None
        }
    }
}

/// What is known of the exits of one kind.
#[derive(Clone, Debug)]
pub struct OfKind {
    /// How many.
    pub count: u64,
    /// What those cost that were followed by an entry, in cycles of the TSC.
    pub costs: Costs,
}

/// Statistics of the exits that were added.
#[derive(Clone, Debug)]
pub struct Stats {
    kinds: [OfKind; ExitKind::COUNT],
    unknown: u64,
    families: [Hottest; Family::ALL.len()],
}

const _: () = assert!(size_of::<Stats>() < 28 * 1024);

/// What the exit of a record cost, in cycles of the TSC. `None` where no entry followed.
pub fn cost(record: &Record) -> Option<u32> {
    (record.entry != 0).then(|| record.entry.wrapping_sub(record.exit as u32))
}

impl Stats {
    /// Of no exits.
    pub const fn new() -> Self {
        Self {
            kinds: [const { OfKind { count: 0, costs: Costs::new() } }; ExitKind::COUNT],
            unknown: 0,
            families: [const { Hottest::new() }; Family::ALL.len()],
        }
    }

    /// Adds an exit.
    pub fn add(&mut self, record: &Record) {
        match self.kinds.get_mut(usize::from(record.kind)) {
            Some(kind) => {
                kind.count += 1;
                if let Some(cycles) = cost(record) {
                    kind.costs.add(cycles);
                }
            }
            None => self.unknown += 1,
        }
        if let Some((family, item)) = Family::of(record)
            && let Some(hottest) = self.families.get_mut(family as usize)
        {
            hottest.add(item);
        }
    }

    /// All exits.
    pub fn total(&self) -> u64 {
        self.kinds.iter().map(|k| k.count).sum::<u64>() + self.unknown
    }

    /// The exits whose records have a kind that there is not.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// The exits of a kind.
    pub fn of_kind(&self, kind: ExitKind) -> &OfKind {
        // There are as many as kinds.
        &self.kinds[kind as usize]
    }

    /// What of a family exits are about most often.
    pub fn hottest(&self, family: Family) -> &Hottest {
        // There are as many as families.
        &self.families[family as usize]
    }

    /// Hands the lines of the table to `line`, one by one, without line feeds: one for each kind that occurred, then
    /// one for each family.
    pub fn lines(&self, line: &mut dyn FnMut(fmt::Arguments<'_>)) {
        let total = self.total();
        let share = |count: u64| {
            let tenths = (u128::from(count) * 2000 / u128::from(total.max(1))).div_ceil(2);
            // At most 1000: 100.0 %.
            (tenths / 10, tenths % 10)
        };
        let numbered = self.kinds.iter().map(|k| (k.count, k.costs.summary()));
        for ((count, costs), name) in
            numbered.chain([(self.unknown, None)]).zip(ExitKind::NAMES.into_iter().chain(["unknown"]))
        {
            if count == 0 {
                continue;
            }
            let (whole, tenth) = share(count);
            match costs {
                Some(c) => line(format_args!(
                    "{name:<13} count {count}  share {whole}.{tenth}%  cycles min {} mean {} p99 {} max {}",
                    c.min, c.mean, c.p99, c.max
                )),
                None => line(format_args!("{name:<13} count {count}  share {whole}.{tenth}%  cycles unknown")),
            }
        }
        for (family, hottest) in Family::ALL.into_iter().zip(&self.families) {
            if !hottest.is_empty() {
                line(format_args!("hottest {}: {hottest}", family.name()));
            }
        }
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

/// The table, a line feed after each line; `no exits` without any.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.total() == 0 {
            return f.write_str("no exits\n");
        }
        let mut result = Ok(());
        self.lines(&mut |line| result = result.and_then(|()| writeln!(f, "{line}")));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, format, string::ToString, vec::Vec};

    fn record(kind: ExitKind, info: u64, exit: u64, entry: u32) -> Record {
        Record { exit, rip: 0, info, entry, kind: kind as u16, reserved: 0 }
    }

    #[test]
    fn a_table_has_a_line_for_each_kind_and_family() {
        let mut stats = Stats::new();
        assert_eq!(stats.to_string(), "no exits\n");
        for i in 0..1200 {
            stats.add(&record(ExitKind::Port, 0x1_03f8, i << 40, 6));
        }
        stats.add(&record(ExitKind::MsrRead, 0xc000_0080, 0xffff_fff0, 0x10));
        stats.add(&record(ExitKind::Hlt, 0, 5, 0));
        stats.add(&record(ExitKind::Cpuid, 7 << 32 | 0x4000_0001, 1, 11));
        stats.add(&record(ExitKind::Nested, 0xfee0_0300, 1, 21));
        stats.add(&record(ExitKind::Hypercall, 3, 1, 31));
        stats.add(&Record { kind: 77, ..Record::default() });
        let want = "\
hlt           count 1  share 0.1%  cycles unknown
cpuid         count 1  share 0.1%  cycles min 10 mean 10 p99 10 max 10
port          count 1200  share 99.5%  cycles min 6 mean 6 p99 6 max 6
msr-read      count 1  share 0.1%  cycles min 32 mean 32 p99 32 max 32
nested-fault  count 1  share 0.1%  cycles min 20 mean 20 p99 20 max 20
hypercall     count 1  share 0.1%  cycles min 30 mean 30 p99 30 max 30
unknown       count 1  share 0.1%  cycles unknown
hottest ports: 0x3f8 x 1,200
hottest MSRs: 0xc0000080 x 1
hottest pages: 0xfee00000 x 1
hottest CPUID leaves: 0x40000001 x 1
hottest hypercalls: 0x3 x 1
";
        assert_eq!(stats.to_string(), want);
        assert_eq!((stats.total(), stats.unknown(), stats.of_kind(ExitKind::Port).count), (1206, 1, 1200));
    }

    #[test]
    fn ins_and_outs_have_no_port() {
        let mut stats = Stats::new();
        stats.add(&record(ExitKind::Port, 0, 1, 2));
        assert_eq!(stats.hottest(Family::Ports).top().count(), 0);
    }

    proptest! {
        #[test]
        fn as_the_naive_way(
            all in proptest::collection::vec((0u16..24, 0u64..40, any::<u64>(), 0u32..9, 0u32..31), 0..300),
        ) {
            let mut stats = Stats::new();
            let all: Vec<Record> = all.into_iter().map(|(kind, info, exit, low, shift)| {
                let entry = if low == 0 { 0 } else { (exit as u32).wrapping_add(low << shift) };
                Record { exit, rip: 0, info: 1 << 16 | info << 32 | info, entry, kind, reserved: 0 }
            }).collect();
            all.iter().for_each(|r| stats.add(r));
            prop_assert_eq!(stats.total(), all.len() as u64);
            for (i, kind) in stats.kinds.iter().enumerate() {
                let of_kind = all.iter().filter(|r| usize::from(r.kind) == i);
                prop_assert_eq!(kind.count, of_kind.clone().count() as u64);
                let of_kind = of_kind.filter(|r| r.entry != 0);
                let mut cycles: Vec<u32> = of_kind.map(|r| r.entry.wrapping_sub(r.exit as u32)).collect();
                cycles.sort();
                let Some(got) = kind.costs.summary() else {
                    prop_assert!(cycles.is_empty());
                    continue;
                };
                let sum: u64 = cycles.iter().map(|c| u64::from(*c)).sum();
                prop_assert_eq!((got.min, got.max), (cycles[0], cycles[cycles.len() - 1]));
                prop_assert_eq!(u64::from(got.mean), sum / cycles.len() as u64);
                let p99 = cycles[(cycles.len() * 99).div_ceil(100) - 1];
                prop_assert!(p99 <= got.p99 && got.p99 - p99 <= p99 / 8, "{p99} {}", got.p99);
            }
            for family in Family::ALL {
                let mut counts = BTreeMap::new();
                let items = all.iter().filter_map(Family::of).filter(|(f, _)| *f == family);
                items.for_each(|(_, item)| *counts.entry(item).or_insert(0u64) += 1);
                let n: u64 = counts.values().sum();
                let top: Vec<Hot> = stats.hottest(family).top().collect();
                for (item, count) in counts {
                    let found = top.iter().find(|h| h.item == item);
                    prop_assert!(found.is_some() || count * 8 <= n, "{item} {count} of {n}");
                    if let Some(hot) = found {
                        prop_assert!(hot.count - hot.excess <= count && count <= hot.count);
                    }
                }
            }
            let text = format!("{stats}");
            prop_assert!(text.lines().all(|l| l == "no exits" || l.contains("  share ") || l.starts_with("hottest ")));
        }
    }
}
