/// The property test of an MSR map against a naive model: a set of (MSR, write) that are open.
macro_rules! permission_tests {
    ($map:ident, [$($range:expr),*]) => {
        use proptest::prelude::*;
        use std::collections::BTreeSet;

        fn msrs() -> impl Strategy<Value = u32> {
            let ends = [$($range.start, $range.end - 1, $range.end, u32::wrapping_sub($range.start, 1)),*];
            prop_oneof![$($range,)* any::<u32>(), proptest::sample::select(ends.to_vec())]
        }

        proptest! {
            #[test]
            fn as_a_set_of_msrs(
                opened in proptest::collection::vec((msrs(), any::<bool>(), any::<bool>()), 0..40),
                probes in proptest::collection::vec(msrs(), 8),
            ) {
                let mut bytes = std::vec![0; $map::FRAMES * 4096];
                let mut map = $map::new(&mut bytes).unwrap();
                let mut naive = BTreeSet::new();
                for (msr, read, write) in &opened {
                    let has_place = [$($range),*].iter().any(|r| r.contains(msr));
                    prop_assert_eq!(map.open(MsrAccess { msr: *msr, read: *read, write: *write }), has_place);
                    for (allowed, kind) in [(*read, false), (*write, true)] {
                        if has_place && allowed {
                            naive.insert((*msr, kind));
                        }
                    }
                }
                for msr in opened.iter().map(|o| o.0).chain(probes) {
                    for write in [false, true] {
                        prop_assert_eq!(map.denies(msr, write), !naive.contains(&(msr, write)));
                    }
                }
            }
        }
    };
}
pub(crate) use permission_tests;
