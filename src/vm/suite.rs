//! Running guests on a core, one after another, and saying how each of them ended.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::base::{CpuState, Gpa, Gpr, GprFile, KIB, StopReason};
use crate::emu::decode;
use crate::hw::options::{Apic, DumpForm};
use crate::hw::time;
use crate::vm::aftermath::{self, Who};
use crate::vm::catalog::{Guest, How, LOAD_ADDRESS};
use crate::vm::chaos;
use crate::vm::clinic;
use crate::vm::differ::{self, Order};
use crate::vm::loader::Entry;
use crate::vm::machine::{Build, Care, Ended, Launch, Machine, Said, VmError};
use crate::vm::tenant::{self, Tenant};
use crate::vt::audit::Audit;
use crate::vt::doctor::report;
use crate::vt::recorder::Recorder;
use crate::vt::{On, Vendor};

/// How long a guest may run that must end by itself, in microseconds, unless the command line says otherwise.
const BUDGET_US: u64 = 2_000_000;
/// How long a guest runs that must be stopped by its budget, in microseconds: also on a busy workstation, where an
/// emulated core may stand still for a while, it comes to its loop before.
const SHORT_BUDGET_US: u64 = 200_000;

/// RAM of a real-mode guest, from 0 up, in bytes: what a PC has below the video memory.
const REAL_MODE_RAM: u64 = 640 * KIB;

/// What is done with the guests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Run them, and compare what they show with what they must.
    Run,
    /// Run them, and pass on what they print as measurements.
    Bench {
        /// The TSC at the kernel's entry: the time to the first guest's first instruction is measured too.
        booted: u64,
    },
    /// Make mistakes instead: those with these names, or all; the entry doctor must name each one's cause.
    Clinic(&'static str),
    /// Run the VMs that the boot loader's modules describe.
    Tenants,
    /// Compare the rules of VM entry with the CPU, on the boot core.
    Differ(Order),
    /// Run the guest that breaks itself at random; the cores share the runs.
    Chaos(chaos::Order),
}

/// How guests are run, and what is shown of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wishes {
    /// Who keeps their local APICs.
    pub apic: Apic,
    /// Their RAM is mapped before the first entry.
    pub prealloc: bool,
    /// What each may use, in microseconds, where the default will not do.
    pub budget_us: Option<u64>,
    /// How each is looked after.
    pub care: Care,
    /// Show the statistics of each one's exits.
    pub stats: bool,
    /// Show each one's trace ring.
    pub trace: bool,
    /// Show each one's control block at its end.
    pub dump: Option<DumpForm>,
}

/// What all cores have to do, and what came of it.
pub struct Suite {
    guests: Vec<&'static Guest>,
    tenants: Vec<Tenant>,
    task: Task,
    wishes: Wishes,
    ok: AtomicU32,
    failed: AtomicU32,
    cores_done: AtomicU32,
    /// Runs of chaos that a core has begun.
    begun: AtomicU32,
}

impl Suite {
    /// Nothing has run yet. `guests` are in the order in which each core runs them; `tenants` know their cores.
    pub fn new(guests: Vec<&'static Guest>, tenants: Vec<Tenant>, task: Task, wishes: Wishes) -> Self {
        // Now, because it takes memory from the heap: no exit shall.
        decode::force_tables();
        let [ok, failed, cores_done, begun] = [const { AtomicU32::new(0) }; 4];
        Self { guests, tenants, task, wishes, ok, failed, cores_done, begun }
    }

    /// What is counted.
    pub const fn what(&self) -> &'static str {
        match self.task {
            Task::Run | Task::Bench { .. } => "guest runs",
            Task::Tenants => "VMs",
            Task::Clinic(_) => "cases",
            Task::Differ(_) => "comparisons",
            Task::Chaos(_) => "chaos runs",
        }
    }

    /// Runs that ended as they should, and runs that did not.
    pub fn results(&self) -> (u32, u32) {
        (self.ok.load(Ordering::Acquire), self.failed.load(Ordering::Acquire))
    }

    /// Whether it may take as long as the user likes.
    pub const fn is_open_ended(&self) -> bool {
        matches!(self.task, Task::Tenants | Task::Chaos(_))
    }

    /// How many cores have run all they had to.
    pub fn cores_done(&self) -> u32 {
        self.cores_done.load(Ordering::Acquire)
    }

    fn count(&self, good: bool) {
        let counter = if good { &self.ok } else { &self.failed };
        counter.fetch_add(1, Ordering::AcqRel);
    }

    /// Does this core's part, as core number `core`: turns virtualization on, runs all guests, each in a VM of its own,
    /// and turns it off again.
    pub fn run<V: Vendor>(&'static self, caps: &V::Caps, core: u32) {
        match On::<V>::enable(caps) {
            Ok(mut on) => {
                log::debug!("core {core}: {} is on", V::NAME);
                match self.task {
                    Task::Differ(order) if core == 0 => {
                        let begun = differ::run::<V>(&mut on, caps, core, order);
                        if let Err(e) = &begun {
                            log::error!("differ: no VM: {e}");
                        }
                        self.count(begun == Ok(true));
                    }
                    Task::Differ(_) => {}
                    Task::Chaos(order) => self.run_chaos::<V>(&mut on, caps, core, order),
                    Task::Tenants => self.run_tenants::<V>(&mut on, caps, core),
                    Task::Clinic(names) => self.run_cases::<V>(&mut on, caps, core, names),
                    Task::Run | Task::Bench { .. } => self.run_guests::<V>(&mut on, caps, core),
                }
                drop(on);
                log::debug!("core {core}: {} is off", V::NAME);
            }
            Err(e) => {
                log::error!("core {core}: {} does not come on: {e}", V::NAME);
                self.count(false);
            }
        }
        self.cores_done.fetch_add(1, Ordering::AcqRel);
    }

    #[inline(never)]
    fn run_guests<V: Vendor>(&self, on: &mut On<V>, caps: &V::Caps, core: u32) {
        let Some(mut recorder) = Recorder::new(self.wishes.stats) else {
            log::error!("core {core}: no memory for the trace ring");
            return self.count(false);
        };
        let mut audited = Audit::default();
        let mut guests = 0;
        for guest in &self.guests {
            let who = Who { what: "guest", name: guest.name, core };
            match self.run_one::<V>(on, caps, who, guest, &mut recorder) {
                Ok(ended) => {
                    guests += 1;
                    audited = audited + ended.audit_before + ended.audit_after;
                    let good = aftermath::judge(who, guest, &ended);
                    self.show(who, &ended, &recorder, good);
                    self.count(good);
                }
                Err(e) => {
                    log::error!("{who}: FAILED: no VM: {e}");
                    self.count(false);
                }
            }
        }
        log::info!(
            "core {core}: isolation: {guests} guests audited before their first entry and after their last exit: \
             {audited}, all their own"
        );
    }

    /// Runs this core's share of the runs of chaos.
    #[inline(never)]
    fn run_chaos<V: Vendor>(&self, on: &mut On<V>, caps: &V::Caps, core: u32, order: chaos::Order) {
        let Some(mut recorder) = Recorder::new(self.wishes.stats) else {
            log::error!("core {core}: no memory for the trace ring");
            return self.count(false);
        };
        let (ok, failed) = chaos::run::<V>(on, caps, core, order, &self.begun, &self.wishes, &mut recorder);
        self.ok.fetch_add(ok, Ordering::AcqRel);
        self.failed.fetch_add(failed, Ordering::AcqRel);
    }

    /// Runs this core's VMs, one after another.
    #[inline(never)]
    fn run_tenants<V: Vendor>(&'static self, on: &mut On<V>, caps: &V::Caps, core: u32) {
        let mut recorder = None;
        for tenant in self.tenants.iter().filter(|tenant| tenant.core == core) {
            if recorder.is_none() {
                recorder = Recorder::new(self.wishes.stats);
            }
            let Some(recorder) = &mut recorder else {
                log::error!("core {core}: no memory for the trace ring");
                return self.count(false);
            };
            self.count(tenant::run::<V>(tenant, on, caps, &self.wishes, recorder));
        }
    }

    /// Shows what was asked for, and of a guest that did not do what it should all that may help.
    fn show<V: Vendor>(&self, who: Who, ended: &Ended<V>, recorder: &Recorder, good: bool) {
        // Also where it was meant to be stuck: to see it explained.
        if !good || matches!(ended.stop, StopReason::Stuck { .. }) {
            aftermath::explain(who, ended, recorder, good);
        }
        if self.wishes.stats {
            aftermath::show_statistics(who, recorder);
        }
        if let Some(form) = self.wishes.dump {
            aftermath::show_dump(who, &ended.last.case, form);
        } else if !good {
            aftermath::show_dump(who, &ended.last.case, DumpForm::Kvm);
        }
        if self.wishes.trace || !good {
            recorder.tell(who.core, who.name, V::NAME, &mut |line| log::info!("{line}"));
        }
    }

    /// Has the entry doctor look at the cases of these names, or at all.
    #[inline(never)]
    fn run_cases<V: Vendor>(&self, on: &mut On<V>, caps: &V::Caps, core: u32, names: &str) {
        let wanted = |name: &str| names == "all" || names.split(',').any(|n| n == name);
        for name in names.split(',').filter(|n| *n != "all") {
            if !V::MISTAKES.iter().any(|m| m.name == name) {
                log::error!("no case `{name}` on {}: there are {}", V::NAME, clinic::Names(V::MISTAKES));
                self.count(false);
            }
        }
        for mistake in V::MISTAKES.iter().filter(|m| wanted(m.name)) {
            let name = mistake.name;
            let say: report::Say<'_> = &mut |line| log::info!("case {name}: core {core}: {line}");
            let good = match clinic::treat::<V>(on, caps, core as u16, mistake, say) {
                Ok(true) => {
                    log::info!("case {name}: core {core}: ok: the cause is named");
                    true
                }
                Ok(false) => {
                    log::error!("case {name}: core {core}: FAILED: the cause is not named");
                    false
                }
                Err(e) => {
                    log::error!("case {name}: core {core}: FAILED: no VM: {e}");
                    false
                }
            };
            self.count(good);
        }
    }

    fn run_one<V: Vendor>(
        &self,
        on: &mut On<V>,
        caps: &V::Caps,
        who: Who,
        guest: &Guest,
        recorder: &mut Recorder,
    ) -> Result<Ended<V>, VmError> {
        let budget_us = match guest.expect.how {
            How::Budget => SHORT_BUDGET_US,
            _ => self.wishes.budget_us.unwrap_or(BUDGET_US),
        };
        let build = Build {
            vm: who.core as u16,
            ranges: &[(Gpa::new(0), REAL_MODE_RAM)],
            tsc_khz: None,
            apic_by_cpu: self.wishes.apic == Apic::Cpu,
        };
        let mut machine = Machine::<V>::new(caps, &build)?;
        machine.load(Gpa::new(u64::from(LOAD_ADDRESS)), guest.image)?;
        if self.wishes.prealloc {
            machine.map_all()?;
        }
        let say = |said: Said<'_>| match (said, self.task) {
            (Said::Guest(line), Task::Bench { .. }) => log::info!("bench: {} {line}", V::NAME),
            (Said::Guest(line), _) => log::info!("{}@{}| {line}", who.name, who.core),
            (Said::Narrator(line), _) => log::info!("{}@{}: {line}", who.name, who.core),
            (Said::Statistics(recorder), _) => {
                aftermath::show_statistics(who, recorder);
                recorder.tell(who.core, who.name, V::NAME, &mut |line| log::info!("{line}"));
            }
        };
        let budget = Some(time::cycles(budget_us));
        let mut gprs = GprFile::default();
        gprs.set(Gpr::Rsp, u64::from(LOAD_ADDRESS));
        let entry = Entry { state: CpuState::real_mode(0, LOAD_ADDRESS), gprs };
        let launch = Launch { entry: &entry, budget, care: self.wishes.care, terminal: None };
        let ended = machine.run(on, launch, recorder, say)?;
        if let Task::Bench { booted } = self.task
            && self.guests.first().is_some_and(|first| first.name == guest.name)
        {
            let cycles = ended.entered.wrapping_sub(booted);
            log::info!("bench: {} boot {cycles} {cycles}", V::NAME);
        }
        let (unclaimed, msrs) = (ended.unclaimed, ended.unknown_msrs);
        log::debug!("{who}: {unclaimed} accesses that no device answered, {msrs} to unknown MSRs");
        Ok(ended)
    }
}
