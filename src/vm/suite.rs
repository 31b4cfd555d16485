//! Running guests on a core, one after another, and saying how each of them ended.

use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::base::{CpuState, Gpa, GprFile, Segment, StopReason};
use crate::emu::decode;
use crate::hw::time;
use crate::vm::catalog::{Guest, How, LOAD_ADDRESS, Observed, check};
use crate::vm::machine::{Ended, Machine, VmError};
use crate::vt::audit::Audit;
use crate::vt::exit::{Exit, ExitKind};
use crate::vt::{On, Spoil, Vendor};

/// How long a guest may run that must end by itself, in microseconds, unless the command line says otherwise.
const BUDGET_US: u64 = 2_000_000;
/// How long a guest runs that must be stopped by its budget, in microseconds: also on a busy workstation, where an
/// emulated core may stand still for a while, it comes to its loop before.
const SHORT_BUDGET_US: u64 = 200_000;

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
    /// Enter spoiled control blocks instead: the CPU must refuse, and the refusal must come back as a value.
    Spoil,
}

/// What all cores have to do, and what came of it.
pub struct Suite {
    guests: Vec<&'static Guest>,
    task: Task,
    prealloc: bool,
    budget_us: Option<u64>,
    ok: AtomicU32,
    failed: AtomicU32,
    cores_done: AtomicU32,
}

impl Suite {
    /// Nothing has run yet. `guests` are in the order in which each core runs them; `prealloc`: their RAM is mapped before
    /// the first entry; `budget_us` is what each may use, in microseconds, where the default will not do.
    pub fn new(guests: Vec<&'static Guest>, task: Task, prealloc: bool, budget_us: Option<u64>) -> Self {
        // Now, because it takes memory from the heap: no exit shall.
        decode::force_tables();
        Self {
            guests,
            task,
            prealloc,
            budget_us,
            ok: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            cores_done: AtomicU32::new(0),
        }
    }

    /// What is counted.
    pub const fn what(&self) -> &'static str {
        match self.task {
            Task::Run | Task::Bench { .. } => "guest runs",
            Task::Spoil => "refused entries",
        }
    }

    /// Runs that ended as they should, and runs that did not.
    pub fn results(&self) -> (u32, u32) {
        (self.ok.load(Ordering::Acquire), self.failed.load(Ordering::Acquire))
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
    pub fn run<V: Vendor>(&self, caps: &V::Caps, core: u32) {
        match On::<V>::enable(caps) {
            Ok(mut on) => {
                log::debug!("core {core}: {} is on", V::NAME);
                match self.task {
                    Task::Spoil => [Spoil::Control, Spoil::GuestState]
                        .iter()
                        .for_each(|how| self.count(spoil::<V>(&mut on, caps, *how, core))),
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

    fn run_guests<V: Vendor>(&self, on: &mut On<V>, caps: &V::Caps, core: u32) {
        let mut audited = Audit::default();
        let mut guests = 0;
        for guest in &self.guests {
            let who = Who { guest, core };
            match self.run_one::<V>(on, caps, who) {
                Ok(ended) => {
                    guests += 1;
                    audited = audited + ended.audit_before + ended.audit_after;
                    self.count(judge(who, &ended));
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

    fn run_one<V: Vendor>(&self, on: &mut On<V>, caps: &V::Caps, who: Who) -> Result<Ended, VmError> {
        let budget_us = match who.guest.expect.how {
            How::Budget => SHORT_BUDGET_US,
            _ => self.budget_us.unwrap_or(BUDGET_US),
        };
        let at = Gpa::new(u64::from(LOAD_ADDRESS));
        let mut machine = Machine::<V>::new(caps, who.core as u16, who.guest.image, at, self.prealloc)?;
        let ended = machine.run(on, LOAD_ADDRESS, time::cycles(budget_us), |line| match self.task {
            Task::Bench { .. } => log::info!("bench: {} {line}", V::NAME),
            Task::Run | Task::Spoil => log::info!("{}@{}| {line}", who.guest.name, who.core),
        })?;
        if let Task::Bench { booted } = self.task {
            let cycles = ended.entered.wrapping_sub(booted);
            log::info!("bench: {} boot {cycles} {cycles}", V::NAME);
        }
        let (unclaimed, msrs) = (ended.unclaimed, ended.unknown_msrs);
        log::debug!("{who}: {unclaimed} accesses that no device answered, {msrs} to unknown MSRs");
        Ok(ended)
    }
}

/// Enters a control block that was spoiled; whether the CPU refused it and we were told.
fn spoil<V: Vendor>(on: &mut On<V>, caps: &V::Caps, how: Spoil, core: u32) -> bool {
    let exit = Machine::<V>::new(caps, core as u16, &[], Gpa::new(0), false).and_then(|mut m| m.enter_spoiled(on, how));
    match exit {
        Ok(Exit::EntryFailed { what, code }) => {
            log::info!("core {core}: entry with a spoiled {}: refused: {what} ({code:#x})", how.name());
            true
        }
        Ok(exit) => {
            log::error!("core {core}: entry with a spoiled {}: not refused: {exit:?}", how.name());
            false
        }
        Err(e) => {
            log::error!("core {core}: entry with a spoiled {}: no VM: {e}", how.name());
            false
        }
    }
}

/// Which guest on which core: how its lines begin.
#[derive(Clone, Copy)]
struct Who {
    guest: &'static Guest,
    core: u32,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest {}: core {}", self.guest.name, self.core)
    }
}

/// Compares what a guest showed with what it must, and says so in one line; more where it differs.
fn judge(who: Who, ended: &Ended) -> bool {
    let cs = *ended.state.segment(Segment::Cs);
    let exits = ExitKind::NAMES.map(|name| (name, ended.exits.by_name(name).unwrap_or(0)));
    let observed = Observed {
        stop: ended.stop,
        cs,
        ip: ended.state.rip,
        gpr: &ended.gprs,
        console: &ended.console,
        exits: &exits,
    };
    let end = End { stop: ended.stop, cs: cs.selector, ip: ended.state.rip };
    match check(&who.guest.expect, &observed) {
        Ok(()) => {
            log::info!("{who}: ok: {end}, exits: {}", ended.exits);
            true
        }
        Err(mismatch) => {
            log::error!("{who}: FAILED: {mismatch}; {end}, exits: {}", ended.exits);
            show_state(who, &ended.state, &ended.gprs);
            false
        }
    }
}

/// How and where a VM ended, in words.
struct End {
    stop: StopReason,
    cs: u16,
    ip: u64,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stop {
            StopReason::Halt => f.write_str("hlt")?,
            StopReason::Exit(value) => write!(f, "exit {value:#x}")?,
            StopReason::TripleFault => f.write_str("triple fault")?,
            StopReason::Budget => f.write_str("budget used up")?,
            StopReason::Unhandled { name, number } => write!(f, "not handled: {name} ({number:#x})")?,
            StopReason::EntryFailed { what, code } => write!(f, "entry refused: {what} ({code:#x})")?,
            StopReason::NotEmulated { .. } => f.write_str("instruction not emulated")?,
            StopReason::OutOfMemory => f.write_str("out of memory")?,
        }
        write!(f, " at {:04x}:{:04x}", self.cs, self.ip)
    }
}

/// The registers of a guest that did not do what it should.
fn show_state(who: Who, s: &CpuState, gprs: &GprFile) {
    const NAMES: [&str; 16] =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
    for (names, regs) in NAMES.chunks(4).zip(crate::base::Gpr::ALL.chunks(4)) {
        if let ([a, b, c, d], [ra, rb, rc, rd]) = (names, regs) {
            let [va, vb, vc, vd] = [ra, rb, rc, rd].map(|r| gprs.get(*r));
            log::error!("{who}: {a} {va:x} {b} {vb:x} {c} {vc:x} {d} {vd:x}");
        }
    }
    let (cr0, cr3, cr4) = (s.cr0, s.cr3, s.cr4);
    log::error!("{who}: rip {:x} rflags {:x} cpl {}", s.rip, s.rflags, s.cpl);
    log::error!("{who}: cr0 {cr0:x} cr3 {cr3:x} cr4 {cr4:x} efer {:x}", s.efer);
    let segments = Segment::ALL.iter().map(|i| (i.name(), s.segment(*i)));
    for (name, seg) in segments.chain([("ldtr", &s.ldtr), ("tr", &s.tr)]) {
        let (selector, base, limit, attributes) = (seg.selector, seg.base, seg.limit, seg.attrib);
        log::error!("{who}: {name} {selector:04x} base {base:x} limit {limit:x} attributes {attributes:03x}");
    }
    log::error!("{who}: gdtr {:x}/{:x} idtr {:x}/{:x}", s.gdtr.base, s.gdtr.limit, s.idtr.base, s.idtr.limit);
}
