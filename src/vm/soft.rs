//! What a vCPU has besides the registers that the CPU holds for it.

use crate::base::cpu::cr4;
use crate::base::{ApicMode, Event, Exception, Outcome, StopReason, merge};
use crate::emu::cpuid::{Dynamic, Policy};
use crate::emu::msr::Msrs;
use crate::vm::alarm::Alarm;
use crate::vm::device_memory::Shortcuts;
use crate::vm::terminal::Terminal;
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
    /// IA32_TSC_ADJUST.
    pub tsc_adjust: u64,
    /// The MOVs that accessed devices last.
    pub shortcuts: Shortcuts,
    /// When the guest must be looked after.
    pub alarm: Alarm,
    /// The guest waits in HLT.
    pub halted: bool,
    /// The guest leaves once it can take an NMI.
    pub nmi_window: bool,
    /// When it is to be asked again whether it can, where no window tells: a TSC of the host.
    pub nmi_again: Option<u64>,
    /// How the guest reaches its local APIC, as far as the CPU knows that keeps it.
    pub apic_mode: (ApicMode, bool),
    /// Its console's connection with the host's, where it is not shown line by line.
    pub terminal: Option<Terminal>,
    /// Watches for exits that change nothing.
    pub watch: Watch,
}

impl Soft {
    /// The state after INIT.
    pub fn new(cpuid: Policy, alarm: Alarm, watch: Watch, terminal: Option<Terminal>) -> Self {
        Self {
            pending: None,
            exits: ExitCounts::default(),
            dynamic: Dynamic { xcr0: 1, ..Dynamic::default() },
            msrs: Msrs::new(&cpuid),
            cpuid,
            tsc_adjust: 0,
            shortcuts: Shortcuts::default(),
            alarm,
            halted: false,
            nmi_window: false,
            nmi_again: None,
            apic_mode: (ApicMode::Memory, true),
            terminal,
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

    /// Notes what CPUID must say now that IA32_APIC_BASE is `value`.
    pub fn note_apic(&mut self, value: u64) {
        const ENABLED: u64 = 1 << 11;
        self.dynamic.apic_off = value & ENABLED == 0;
    }

    /// Notes what CPUID must say now that CR4 is `value`.
    pub fn note_cr4(&mut self, value: u64) {
        self.dynamic.cr4_osxsave = value & cr4::OSXSAVE != 0;
        self.dynamic.cr4_pke = value & cr4::PKE != 0;
    }
}
