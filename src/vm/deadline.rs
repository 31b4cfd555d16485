//! A guest's budget of time.

use crate::hw::{lapic, time};

/// When a guest's time is over. While one is armed, the local APIC's timer is its.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// TSC of the host.
    at: u64,
}

impl Deadline {
    /// After `cycles` of the host's TSC; the local APIC's timer interrupts the guest then.
    pub fn after(cycles: u64) -> Self {
        let deadline = Self { at: time::tsc().saturating_add(cycles) };
        deadline.arm();
        deadline
    }

    /// Sets the timer for what is left.
    fn arm(self) {
        lapic::timer_at(self.at);
    }

    /// Whether the time is over; if not (another interrupt, or the timer was early), the timer is set again.
    #[cold]
    pub fn is_over(self) -> bool {
        let over = time::tsc() >= self.at;
        if !over {
            self.arm();
        }
        over
    }

    /// Stops the timer.
    pub fn disarm(self) {
        lapic::timer_stop();
    }
}
