//! Carries the plan out: what happens when a core takes a vCPU, and around its entries.
//!
//! VERW is the run stub's (it must be the last before the entry), all else is here. An entry of a guest for which nothing is
//! due costs a compare.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;

use super::commands::{fill_l1d, flush_l1d, predictor_barrier, set_spec_ctrl, spec_ctrl};
use super::{L1d, Plan};
use crate::base::PAGE_SIZE;
use crate::hw::options::L1dFlush;
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;
use crate::vt::contract::Trouble;

/// Bytes to read for a flush: no CPU that needs it done so has a larger L1 data cache than 48 KiB.
const BUFFER: u64 = 64 << 10;

/// The plan, and when to flush.
static CHOICE: Once<(Plan, L1dFlush)> = Once::new();
/// How many vCPUs there have been.
static VCPUS: AtomicU64 = AtomicU64::new(0);

/// Says what is to be done, once, before virtualization is turned on.
pub fn choose(plan: Plan, when: L1dFlush) {
    CHOICE.call_once(|| (plan, when));
}

/// What was chosen.
fn choice() -> (Plan, L1dFlush) {
    CHOICE.get().copied().unwrap_or((Plan::NOTHING, L1dFlush::Never))
}

/// A core's part.
#[derive(Debug)]
pub struct CoreGuard {
    /// The number of the vCPU that this core had last; 0 where it had none.
    last: u64,
    /// What is read to flush the L1 data cache, where that is the way.
    buffer: Option<Frames>,
    /// IA32_SPEC_CTRL of the host.
    spec_ctrl: u64,
}

impl CoreGuard {
    /// For this core.
    pub fn new() -> Result<Self, Trouble> {
        let (plan, when) = choice();
        let buffer = if plan.l1d == L1d::Software && plan.flushes(when) {
            let mut buffer = frames::alloc_run(BUFFER / PAGE_SIZE, PAGE_SIZE, Owner::Vt).ok_or(Trouble::OutOfMemory)?;
            // No page is like another: a hypervisor below may have one frame for those that are.
            for (number, page) in buffer.as_mut_slice::<u8>().chunks_mut(PAGE_SIZE as usize).enumerate() {
                page.fill(number as u8 + 1);
            }
            Some(buffer)
        } else {
            None
        };
        Ok(Self { last: 0, buffer, spec_ctrl: if plan.spec_ctrl { spec_ctrl() } else { 0 } })
    }

    fn flush_l1d(&self) {
        match &self.buffer {
            Some(buffer) => fill_l1d(buffer.as_slice()),
            None => flush_l1d(),
        }
    }
}

/// The L1 data cache is to be flushed before the next entry.
const FLUSH: u32 = 1 << 0;
/// The guest's IA32_SPEC_CTRL is not the host's.
const SPEC_CTRL: u32 = 1 << 1;

/// A vCPU's part.
#[derive(Debug)]
pub struct Guard {
    /// What there is to do around the next entry.
    due: u32,
    /// What [`Guard::host_ran`] makes due.
    after_host: u32,
    /// What stays due from entry to entry.
    each_entry: u32,
    /// Tells it from all others. A VM has one vCPU, so the number stands for the VM too.
    number: u64,
    /// IA32_SPEC_CTRL of the guest.
    spec_ctrl: u64,
    host_spec_ctrl: u64,
}

impl Guard {
    /// For a new vCPU, whose IA32_SPEC_CTRL is 0.
    pub fn of_new_vcpu() -> Self {
        let (plan, when) = choice();
        let after_host = if plan.flushes(when) { FLUSH } else { 0 };
        Self {
            due: 0,
            after_host,
            each_entry: if when == L1dFlush::Always { after_host } else { 0 },
            number: VCPUS.fetch_add(1, Ordering::Relaxed) + 1,
            spec_ctrl: 0,
            host_spec_ctrl: 0,
        }
    }

    /// Whether VERW must come before each entry.
    pub fn verw() -> bool {
        choice().0.verw()
    }

    /// This core takes the vCPU.
    pub fn load(&mut self, core: &mut CoreGuard) {
        if core.last != self.number {
            core.last = self.number;
            if choice().0.ibpb {
                predictor_barrier();
            }
        }
        self.host_spec_ctrl = core.spec_ctrl;
        self.set_spec_ctrl(self.spec_ctrl);
        self.host_ran();
    }

    /// The host has done something that was not for this guest alone: an interrupt's handler, for one.
    #[inline(always)]
    pub fn host_ran(&mut self) {
        self.due |= self.after_host;
    }

    /// IA32_SPEC_CTRL of the guest.
    pub fn spec_ctrl(&self) -> u64 {
        self.spec_ctrl
    }

    /// Sets it.
    pub fn set_spec_ctrl(&mut self, value: u64) {
        self.spec_ctrl = value;
        let differs = if value != self.host_spec_ctrl { SPEC_CTRL } else { 0 };
        self.due = self.due & !SPEC_CTRL | differs;
    }

    /// Whether [`Guard::before`] and [`Guard::after`] must come around the next entry.
    #[inline(always)]
    pub fn is_due(&self) -> bool {
        self.due != 0
    }

    /// Before an entry.
    pub fn before(&mut self, core: &CoreGuard) {
        if self.due & FLUSH != 0 {
            core.flush_l1d();
            self.due = self.due & !FLUSH | self.each_entry;
        }
        // Last, for what it forbids may slow down the rest.
        if self.due & SPEC_CTRL != 0 {
            set_spec_ctrl(self.spec_ctrl);
        }
    }

    /// After the exit.
    pub fn after(&self) {
        if self.due & SPEC_CTRL != 0 {
            set_spec_ctrl(self.host_spec_ctrl);
        }
    }
}
