//! When a guest must be looked after: at the end of its budget of time, and when one of its devices has something to do.

use crate::hw::{lapic, time};
use crate::vt::{Loaded, Vendor};

/// No time at all.
const NEVER: u64 = u64::MAX;

/// A guest's two times, in TSC of the host. The local APIC's timer is its while it runs; devices' events go to a timer of the
/// CPU's virtualization where there is one.
#[derive(Clone, Copy, Debug)]
pub struct Alarm {
    budget: u64,
    /// What the local APIC's timer is set to.
    armed: u64,
}

impl Alarm {
    /// The guest may run for `budget` cycles; without one, for ever.
    pub fn new(budget: Option<u64>) -> Self {
        let mut alarm =
            Self { budget: budget.map_or(NEVER, |cycles| time::tsc().saturating_add(cycles)), armed: NEVER };
        alarm.arm(alarm.budget);
        alarm
    }

    #[inline(always)]
    fn arm(&mut self, at: u64) {
        if at != self.armed {
            self.armed = at;
            if at == NEVER { lapic::timer_stop() } else { lapic::timer_at(at) }
        }
    }

    /// The guest's devices have something to do at `event`: it leaves then.
    #[inline(always)]
    pub fn set<V: Vendor>(&mut self, cpu: &mut Loaded<'_, V>, event: Option<u64>) {
        if V::set_timer(cpu, event) {
            self.arm(self.budget);
        } else {
            self.sleep(event);
        }
    }

    /// The same for a guest that is not entered until then: this core is interrupted.
    #[inline(always)]
    pub fn sleep(&mut self, event: Option<u64>) {
        self.arm(event.unwrap_or(NEVER).min(self.budget));
    }

    /// An interrupt has come, maybe this timer's: it needs to be set again. Whether the budget is used up.
    #[cold]
    pub fn is_over(&mut self) -> bool {
        let over = time::tsc() >= self.budget;
        if !over {
            self.armed = NEVER;
            self.arm(self.budget);
        }
        over
    }

    /// Whether the budget is used up, where the timer is not asked.
    #[cold]
    pub fn is_late(&self) -> bool {
        time::tsc() >= self.budget
    }

    /// Stops the timer.
    pub fn disarm(&mut self) {
        lapic::timer_stop();
    }
}
