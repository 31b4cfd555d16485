//! A record of accesses that no device answered.

use crate::base::Gpa;
use arrayvec::ArrayVec;

/// How many distinct unclaimed accesses are remembered.
pub const REMEMBERED: usize = 8;

/// Where on the bus.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// An I/O port.
    Port(u16),
    /// A guest-physical address.
    Memory(Gpa),
}

/// Accesses to one place that no device answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unclaimed {
    /// The first byte of the access that no device claims.
    pub place: Place,
    /// Whether it was written or read.
    pub write: bool,
    /// How often.
    pub count: u64,
}

/// All accesses that no device answered: how many, and the first few distinct ones.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct UnclaimedLog {
    total: u64,
    first: ArrayVec<Unclaimed, REMEMBERED>,
}

impl UnclaimedLog {
    /// An empty record.
    pub const fn new() -> Self {
        Self { total: 0, first: ArrayVec::new_const() }
    }

    /// How many accesses had bytes that no device claims.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The first [`REMEMBERED`] distinct ones, in the order of their first occurrence.
    pub fn first(&self) -> &[Unclaimed] {
        &self.first
    }

    /// Counts one access.
    #[cold]
    pub(super) fn note(&mut self, place: Place, write: bool) {
        self.total = self.total.saturating_add(1);
        match self.first.iter_mut().find(|u| u.place == place && u.write == write) {
            Some(known) => known.count = known.count.saturating_add(1),
            None => {
                // Past the first few, the total alone grows.
                let _ = self.first.try_push(Unclaimed { place, write, count: 1 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_writes_and_places_are_told_apart() {
        let mut log = UnclaimedLog::new();
        for (place, write) in [
            (Place::Port(1), false),
            (Place::Port(1), true),
            (Place::Memory(Gpa::new(1)), false),
            (Place::Port(1), false),
        ] {
            log.note(place, write);
        }
        assert_eq!(log.total(), 4);
        assert_eq!(
            log.first(),
            [
                Unclaimed { place: Place::Port(1), write: false, count: 2 },
                Unclaimed { place: Place::Port(1), write: true, count: 1 },
                Unclaimed { place: Place::Memory(Gpa::new(1)), write: false, count: 1 },
            ]
        );
    }

    #[test]
    fn only_the_first_are_remembered_and_all_are_counted() {
        let mut log = UnclaimedLog::new();
        for port in (0..20).chain([0, 19]) {
            log.note(Place::Port(port), true);
        }
        assert_eq!(log.total(), 22);
        assert_eq!(log.first().len(), REMEMBERED);
        assert_eq!(log.first()[0].count, 2);
        assert_eq!(log.first()[7].place, Place::Port(7));
    }
}
