//! Conversions against plain 128-bit arithmetic.

use super::clock::Rate;
use proptest::prelude::*;

#[test]
fn a_second_and_a_century() {
    let (tsc, pit) = (2_893_202_431, 1_193_182);
    let rate = Rate::new(tsc, pit);
    let century = 100 * 366 * 86400;
    for seconds in [0, 1, 2, 86400, century] {
        assert_eq!(rate.ticks(seconds * tsc), seconds * pit);
        assert_eq!(rate.cycles(seconds * pit), seconds * tsc);
    }
    assert_eq!(rate.ticks(century * tsc - 1), century * pit - 1);
}

#[test]
fn degenerate_rates() {
    assert_eq!(Rate::new(0, 5), Rate::new(1, 5));
    assert_eq!(Rate::new(0, 5).ticks(3), 15);
    let never = Rate::new(1000, 0);
    assert_eq!((never.ticks(u64::MAX), never.cycles(0), never.cycles(1)), (0, 0, u64::MAX));
    assert_eq!(Rate::new(1, u64::MAX).ticks(u64::MAX), u64::MAX);
    assert_eq!(Rate::new(u64::MAX, 1).cycles(u64::MAX), u64::MAX);
    assert_eq!(Rate::new(u64::MAX, u64::MAX).ticks(u64::MAX), u64::MAX);
    assert_eq!(Rate::new(u64::MAX, u64::MAX - 1).ticks(u64::MAX - 1), u64::MAX - 2);
}

fn some() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0u64..10_000_000_000, 0u64..100]
}

proptest! {
    #[test]
    fn exact(tsc in some(), hz in some(), value in some()) {
        let rate = Rate::new(tsc, hz);
        let tsc = u128::from(tsc.max(1));
        let saturated = |v: u128| u64::try_from(v).unwrap_or(u64::MAX);
        prop_assert_eq!(rate.ticks(value), saturated(u128::from(value) * u128::from(hz) / tsc));
        if hz != 0 {
            prop_assert_eq!(rate.cycles(value), saturated((u128::from(value) * tsc).div_ceil(u128::from(hz))));
        }
        let cycles = rate.cycles(value);
        if cycles != u64::MAX && cycles != 0 {
            prop_assert!(rate.ticks(cycles) >= value);
            prop_assert!(rate.ticks(cycles - 1) < value);
        }
    }
}
