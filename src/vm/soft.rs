//! What a vCPU has besides the registers that the CPU holds for it.

use crate::base::cpu::cr4;
use crate::base::{Event, Exception, Outcome, StopReason, merge};
use crate::emu::cpuid::{Dynamic, Policy};
use crate::emu::msr::Msrs;
use crate::vm::deadline::Deadline;
use crate::vm::device_memory::Shortcut;
use crate::vm::watch::Watch;
use crate::vt::exit::ExitCounts;
use crate::vt::{Loaded, Vendor};

/// The software part of a vCPU.
pub struct Soft {
    /// The event to deliver on the next entry.
    pub pending: Option<Event>,
    /// How many exits of each kind there were.
    pub exits: ExitCounts,
    /// What CPUID says.
    pub cpuid: Policy,
    /// What CPUID says of the CPU's present state.
    pub dynamic: Dynamic,
    /// MSRs that are data only.
    pub msrs: Msrs,
    /// CR8: the priority threshold of an interrupt controller that the guest does not have.
    pub cr8: u64,
    /// The MOV that accessed a device last.
    pub shortcut: Shortcut,
    /// When the guest must have ended.
    pub deadline: Deadline,
    /// Watches for exits that change nothing.
    pub watch: Watch,
}

impl Soft {
    /// The state after INIT.
    pub fn new(cpuid: Policy, deadline: Deadline, watch: Watch) -> Self {
        Self {
            pending: None,
            exits: ExitCounts::default(),
            cpuid,
            dynamic: Dynamic { cr4_osxsave: false, xcr0: 1, apic_id: 0 },
            msrs: Msrs::new(),
            cr8: 0,
            shortcut: Shortcut::default(),
            deadline,
            watch,
        }
    }

    /// The instruction is done: RIP moves to `next`, and a single-stepping guest gets its #DB.
    #[inline(always)]
    pub fn finish<V: Vendor>(&mut self, cpu: &mut Loaded<'_, V>, next: u64) {
        if V::advance(cpu, next) {
            V::set_dr6_single_step(cpu);
            self.pending = Some(Event::exception(Exception::DB));
        }
    }

    /// What an outcome other than [`Outcome::Skip`] leaves pending, or why the VM ends. `cut_off` is the event whose
    /// delivery the exit interrupted.
    #[inline(always)]
    pub fn settle(&mut self, cut_off: Option<Event>, outcome: Outcome) -> Option<StopReason> {
        match outcome {
            Outcome::Skip => None,
            Outcome::Retry => {
                // A single-step trap that emulation has left pending comes before nothing else: no event was cut off.
                self.pending = self.pending.or(cut_off);
                None
            }
            Outcome::Inject(event) => match cut_off.map_or(Some(event), |first| merge(first, event)) {
                Some(event) => {
                    self.pending = Some(event);
                    None
                }
                None => Some(StopReason::TripleFault),
            },
            Outcome::Stop(reason) => Some(reason),
        }
    }

    /// Notes what CPUID must say now that CR4 is `value`.
    pub fn note_cr4(&mut self, value: u64) {
        self.dynamic.cr4_osxsave = value & cr4::OSXSAVE != 0;
    }
}
