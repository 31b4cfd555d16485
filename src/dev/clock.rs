//! The clocks of devices, in cycles of the host's TSC.

/// The ratio of a device's clock to the host's TSC.
///
/// The results are exact, not approximations that add up: a count of cycles is split into whole seconds and a rest, and
/// only the rest is multiplied and divided, in 128 bits. A device converts the time since a fixed point, never a sum of
/// rounded steps, so its clock does not drift against the TSC however often it is looked at. Results past `u64::MAX`
/// are `u64::MAX`, after centuries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    tsc_hz: u64,
    hz: u64,
}

impl Rate {
    /// A clock of `hz` on a host whose TSC runs at `tsc_hz`. A TSC of 0 Hz counts as one of 1 Hz; a clock of 0 Hz
    /// never ticks.
    pub const fn new(tsc_hz: u64, hz: u64) -> Self {
        Self { tsc_hz: if tsc_hz == 0 { 1 } else { tsc_hz }, hz }
    }

    /// How many ticks are complete after `cycles`.
    #[inline]
    pub const fn ticks(&self, cycles: u64) -> u64 {
        scale(cycles, self.hz, self.tsc_hz, 0)
    }

    /// The smallest number of cycles after which [`Self::ticks`] has reached `ticks`, or `u64::MAX` if none is enough.
    #[inline]
    pub const fn cycles(&self, ticks: u64) -> u64 {
        match self.hz {
            0 if ticks == 0 => 0,
            0 => u64::MAX,
            hz => scale(ticks, self.tsc_hz, hz, hz - 1),
        }
    }
}

/// `(value * by + round) / of`, saturated. `of` is not 0 and `round` is less than it.
const fn scale(value: u64, by: u64, of: u64, round: u64) -> u64 {
    let (whole, rest) = (value / of, value % of);
    let part = match rest.checked_mul(by) {
        Some(product) => match product.checked_add(round) {
            Some(sum) => sum / of,
            None => wide_part(rest, by, of, round),
        },
        None => wide_part(rest, by, of, round),
    };
    whole.saturating_mul(by).saturating_add(part)
}

/// As `rest < of`, the quotient is at most `by`.
#[cold]
const fn wide_part(rest: u64, by: u64, of: u64, round: u64) -> u64 {
    ((rest as u128 * by as u128 + round as u128) / of as u128) as u64
}
