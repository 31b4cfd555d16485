//! How fast a guest's time-stamp counter runs.

/// Cycles of a guest's TSC in a cycle of the host's, with 32 bits after the binary point (SDM 3C "TSC Multiplier" has 48, APM 2 "TSC
/// Ratio MSR" has these 32 and 8 before).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TscRatio(u64);

/// Bits after the binary point.
const FRACTION: u32 = 32;

impl TscRatio {
    /// As fast as the host's.
    pub const ONE: Self = Self(1 << FRACTION);

    /// For a guest whose TSC is to run with `guest_khz` on a host whose own runs with `host_khz`; `None` where that is more than 255
    /// times as fast, or too slow to be told.
    pub const fn of(guest_khz: u64, host_khz: u64) -> Option<Self> {
        if host_khz == 0 {
            return None;
        }
        let ratio = ((guest_khz as u128) << FRACTION) / host_khz as u128;
        if ratio == 0 || ratio >> (FRACTION + 8) != 0 { None } else { Some(Self(ratio as u64)) }
    }

    /// The number itself.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Cycles of the guest in `host` cycles of the host.
    #[inline(always)]
    pub const fn guest(self, host: u64) -> u64 {
        if self.0 == Self::ONE.0 { host } else { ((host as u128 * self.0 as u128) >> FRACTION) as u64 }
    }

    /// The fewest cycles of the host in which the guest has `guest` cycles.
    #[inline(always)]
    pub const fn host(self, guest: u64) -> u64 {
        if self.0 == Self::ONE.0 { guest } else { self.divide(guest) }
    }

    #[cold]
    const fn divide(self, guest: u64) -> u64 {
        let host = ((guest as u128) << FRACTION).div_ceil(self.0 as u128);
        if host > u64::MAX as u128 { u64::MAX } else { host as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits() {
        assert_eq!(TscRatio::of(1, 0), None);
        assert_eq!(TscRatio::of(0, 1), None);
        assert_eq!(TscRatio::of(256_000, 1000), None);
        assert_eq!(TscRatio::of(3_000_000, 3_000_000), Some(TscRatio::ONE));
        assert_eq!(TscRatio::of(1_500_000, 3_000_000).unwrap().bits(), 1 << 31);
        assert_eq!(TscRatio::of(1, 1 << 40).map(|r| r.host(u64::MAX)), None);
    }

    proptest! {
        #[test]
        fn there_and_back(guest in 1_000..10_000_000u64, host in 1_000_000..10_000_000u64, at in 0..1u64 << 48) {
            let ratio = TscRatio::of(guest, host).unwrap();
            let back = ratio.host(at);
            // An event at a guest's time is not early, nor later than it must be.
            prop_assert!(ratio.guest(back) >= at);
            prop_assert!(back == 0 || ratio.guest(back - 1) < at);
        }
    }
}
