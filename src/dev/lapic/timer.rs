//! The APIC timer (SDM 3A "APIC Timer", "TSC-Deadline Mode"). TSC-deadline mode is always offered.
//!
//! Nothing counts by itself: the timer is the moment of its next expiry, and the current count is worked out from it.

use super::Lapic;
use super::regs::{DIVIDE_BITS, FIRST_VECTOR, lvt, word};

/// Not armed.
const NEVER: u64 = u64::MAX;
/// How many periods the guest may be behind before the rest is dropped.
pub const BEHIND: u64 = 1000;

/// The least time between two ticks of a timer whose interrupts the CPU delivers, in cycles.
const BREATH: u64 = 20_000;

/// What is armed.
#[derive(Clone, Debug)]
pub(super) struct Timer {
    /// The next expiry in the host's time, or [`NEVER`].
    due: u64,
    /// IA32_TSC_DEADLINE, in the guest's time; 0 is not armed.
    deadline: u64,
}

impl Timer {
    pub const fn new() -> Self {
        Self { due: NEVER, deadline: 0 }
    }
}

/// The guest's `time` in the host's, which saturates: `offset` is taken as signed.
#[inline]
const fn host_time(time: u64, offset: u64) -> u64 {
    time.saturating_add_signed((offset as i64).wrapping_neg())
}

/// log2 of the divide value (SDM 3A "APIC Timer", the divide configuration register).
#[inline]
pub(super) const fn shift(divide: u32) -> u32 {
    ((divide & 3 | divide >> 1 & 4) + 1) & 7
}

impl Lapic {
    /// RDMSR of IA32_TSC_DEADLINE: 0 if not armed or in another mode. [`Self::advance`] comes first.
    #[inline]
    pub const fn deadline(&self) -> u64 {
        self.timer.deadline
    }

    /// WRMSR to IA32_TSC_DEADLINE, ignored in other modes. `offset` is what the guest's TSC adds to the host's. 0
    /// disarms; what is past fires at the next [`Self::advance`], which also comes before this if an earlier one
    /// may be due.
    #[inline]
    pub fn set_deadline(&mut self, guest_tsc: u64, offset: u64) {
        if self.page.get(word::TIMER) & lvt::MODE == lvt::DEADLINE {
            self.timer.deadline = guest_tsc;
            self.timer.due = if guest_tsc == 0 { NEVER } else { host_time(guest_tsc, offset) };
        }
    }

    /// The guest's TSC was moved: from now on it adds `offset` to the host's.
    pub fn set_tsc_offset(&mut self, offset: u64) {
        if self.timer.deadline != 0 {
            self.timer.due = host_time(self.timer.deadline, offset);
        }
    }

    /// Whether a write of the register at `offset` of the page may change [`Self::next_event`] to an earlier time: the timer's LVT
    /// entry, its initial count and divide configuration; and the error status, since a timer with an illegal vector stands still
    /// until the error was noticed.
    #[inline(always)]
    pub const fn moves_timer(offset: u16) -> bool {
        matches!(offset as usize >> 4, word::ESR | word::TIMER | word::INITIAL_COUNT | word::DIVIDE)
    }

    /// The host's time when [`Self::advance`] has something to do for the guest; it may be past. `None` if the timer is
    /// not armed or masked, or while a periodic one's last interrupt is still in IRR.
    #[inline]
    pub const fn next_event(&self) -> Option<u64> {
        let entry = self.page.get(word::TIMER);
        let vector = entry as u8;
        if self.timer.due == NEVER || entry & lvt::MASKED != 0 {
            return None;
        }
        let held = entry & lvt::MODE == lvt::PERIODIC && !self.shared && self.page.has(word::IRR, vector);
        // An illegal vector is an error to report once, and no interrupt.
        let idle = vector < FIRST_VECTOR && self.errors != 0;
        if held || idle { None } else { Some(self.timer.due) }
    }

    /// Whether `vector` is a periodic timer's, whose next tick may have waited until the CPU took this one.
    #[inline]
    pub const fn ticks_by(&self, vector: u8) -> bool {
        let entry = self.page.get(word::TIMER);
        entry & lvt::MODE == lvt::PERIODIC && entry as u8 == vector
    }

    /// It is `now`: fires the timer if it is due. A periodic timer gives one interrupt a call; if that of the last tick
    /// is still in IRR the tick waits, and of more than `BEHIND` that wait the oldest are dropped.
    #[inline]
    pub fn advance(&mut self, now: u64) {
        if now >= self.timer.due {
            self.expire(now);
        }
    }

    #[inline(never)]
    fn expire(&mut self, now: u64) {
        if self.timer.due == NEVER {
            return;
        }
        if self.page.get(word::TIMER) & lvt::MODE == lvt::PERIODIC {
            return self.tick(now);
        }
        self.timer = Timer::new();
        self.raise(word::TIMER);
    }

    fn tick(&mut self, now: u64) {
        let entry = self.page.get(word::TIMER);
        let vector = entry as u8;
        let period = self.period();
        let behind = now.saturating_sub(self.timer.due) / period;
        if entry & lvt::MASKED != 0 || vector < FIRST_VECTOR {
            // Whatever passed gives nothing to be made up for.
            self.later(behind.saturating_add(1), period);
            return self.raise(word::TIMER);
        }
        if self.shared {
            // The CPU delivers, and nobody here sees when. Ticks that are late are one, as in hardware, and leave the guest some time.
            self.later(behind.saturating_add(1), period);
            self.timer.due = self.timer.due.max(now.saturating_add(BREATH));
            return self.raise(word::TIMER);
        }
        self.later(behind.saturating_sub(BEHIND), period);
        if !self.page.has(word::IRR, vector) {
            self.later(1, period);
            self.raise(word::TIMER);
        }
    }

    fn later(&mut self, periods: u64, period: u64) {
        self.timer.due = self.timer.due.saturating_add(periods.saturating_mul(period));
    }

    /// One period in cycles, at least one.
    fn period(&self) -> u64 {
        (u64::from(self.page.get(word::INITIAL_COUNT)) << shift(self.page.get(word::DIVIDE))).max(1)
    }

    /// The current-count register.
    pub(super) fn current_count(&self, now: u64) -> u32 {
        let mode = self.page.get(word::TIMER) & lvt::MODE;
        if self.timer.due == NEVER || mode == lvt::DEADLINE {
            return 0;
        }
        let left = match self.timer.due.saturating_sub(now) {
            0 if mode == lvt::PERIODIC => {
                let period = self.period();
                period - now.wrapping_sub(self.timer.due) % period
            }
            left => left,
        };
        let shift = shift(self.page.get(word::DIVIDE));
        let count = (left >> shift) + u64::from(left & ((1 << shift) - 1) != 0);
        // Time that goes backwards must not show more than the whole.
        (count as u32).min(self.page.get(word::INITIAL_COUNT))
    }

    /// A write to the initial-count register: starts anew, or stops with 0. Ignored in TSC-deadline mode.
    #[inline]
    pub(super) fn set_initial_count(&mut self, value: u32, now: u64) {
        let entry = self.page.get(word::TIMER);
        if entry & lvt::DEADLINE != 0 {
            return;
        }
        self.advance(now);
        self.page.set(word::INITIAL_COUNT, value);
        self.timer.due = if value == 0 { NEVER } else { now.saturating_add(self.period()) };
    }

    /// A write to the divide configuration register: the count goes on at the new rate.
    pub(super) fn set_divide(&mut self, value: u32, now: u64) {
        let value = value & DIVIDE_BITS;
        if value == self.page.get(word::DIVIDE) {
            return;
        }
        self.advance(now);
        let count = self.current_count(now);
        self.page.set(word::DIVIDE, value);
        // In TSC-deadline mode, and when ticks wait, the moment stands.
        if self.timer.due != NEVER && self.timer.deadline == 0 && self.timer.due > now {
            self.timer.due = now.saturating_add(u64::from(count) << shift(value));
        }
    }

    /// A write to the timer's LVT entry. Another mode disarms; the reserved mode is one in which nothing can be armed.
    pub(super) fn set_timer_entry(&mut self, value: u32, now: u64) {
        // Under the old entry, so that what passed while it was masked stays unseen.
        self.advance(now);
        let changed = (value ^ self.page.get(word::TIMER)) & lvt::MODE != 0;
        self.page.set(word::TIMER, value);
        if changed {
            self.timer = Timer::new();
            self.page.set(word::INITIAL_COUNT, 0);
        }
    }
}
