//! Watches for exits that come again and again and change nothing.

use crate::base::GprFile;

/// What makes two exits identical.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sign {
    /// RIP.
    pub rip: u64,
    /// The kind of exit.
    pub kind: u16,
    /// What it is about: a GPA, a vector.
    pub info: u64,
    /// The general-purpose registers, see [`Sign::of_registers`].
    pub registers: u64,
}

impl Sign {
    /// The registers in one number: different ones give different numbers but by chance.
    pub fn of_registers(gprs: &GprFile) -> u64 {
        crate::base::Gpr::ALL
            .iter()
            .fold(0, |sum: u64, r| sum.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ gprs.get(*r))
    }
}

/// What the guest does between two identical exits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Between {
    /// Nothing: the same instruction is tried again at once.
    Nothing,
    /// Its handler for an exception runs, and may well change what no register shows.
    Handler,
}

/// Counts identical exits in a row.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// The last exit that was noted, and its number.
    last: Option<(Sign, u64)>,
    same: u32,
    /// For exits with nothing in between, and for those with a handler: 0 is never.
    limits: [u32; 2],
}

/// How many identical exits are borne, unless the command line says otherwise: only where it is certain that nothing changes.
const DEFAULT: [u32; 2] = [1000, 0];

impl Watch {
    /// Stops after `limit` identical exits, also if a handler of the guest runs in between; never for 0. Without a limit it stops
    /// where the guest certainly does not get on.
    pub const fn new(limit: Option<u32>) -> Self {
        let limits = match limit {
            Some(limit) => [limit, limit],
            None => DEFAULT,
        };
        Self { last: None, same: 0, limits }
    }

    /// Notes exit number `number` of those that the guest causes, after which it executes the same instruction again. Returns
    /// whether it has been one too many. An exit of another kind in between is progress.
    pub fn note(&mut self, sign: Sign, number: u64, between: Between) -> bool {
        let again = self.last.is_some_and(|(last, at)| last == sign && number == at.wrapping_add(1));
        self.same = if again { self.same.saturating_add(1) } else { 1 };
        self.last = Some((sign, number));
        let [certain, with_handler] = self.limits;
        let limit = if between == Between::Nothing { certain } else { with_handler };
        limit != 0 && self.same >= limit
    }

    /// How many identical exits there have been in a row.
    pub const fn same(&self) -> u32 {
        self.same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGN: Sign = Sign { rip: 0x7c00, kind: 5, info: 0xfffe, registers: 0 };

    #[test]
    fn only_identical_exits_in_a_row_count() {
        let mut watch = Watch::new(Some(3));
        let mut note = |sign, number| watch.note(sign, number, Between::Nothing);
        assert!(!note(SIGN, 1) && !note(SIGN, 2) && !note(Sign { info: 0xfffc, ..SIGN }, 3));
        assert!(!note(SIGN, 4) && !note(SIGN, 5));
        // Exit 6 was another one.
        assert!(!note(SIGN, 7) && !note(SIGN, 8) && note(SIGN, 9));
        assert_eq!(watch.same(), 3);
    }

    #[test]
    fn a_handler_in_between_counts_on_demand_only() {
        let mut watch = Watch::new(None);
        assert!((1..3000).all(|n| !watch.note(SIGN, n, Between::Handler)));
        assert!(Watch { same: 999, last: Some((SIGN, 9)), ..watch }.note(SIGN, 10, Between::Nothing));
        let mut strict = Watch::new(Some(2));
        assert!(!strict.note(SIGN, 1, Between::Handler) && strict.note(SIGN, 2, Between::Handler));
    }

    #[test]
    fn it_can_be_switched_off() {
        let mut off = Watch::new(Some(0));
        assert!((0..10_000).all(|n| !off.note(SIGN, n, Between::Nothing)));
    }

    #[test]
    fn registers_make_a_difference() {
        let mut a = GprFile::default();
        let before = Sign::of_registers(&a);
        a.set(crate::base::Gpr::Rsi, 1);
        assert_ne!(before, Sign::of_registers(&a));
    }
}
