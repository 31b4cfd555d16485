//! A guest that breaks itself at random, in one VM after another: whatever it does, its VM ends and the host goes on.
//! `chaos=` on the command line.
//!
//! What the guest does is a function of the seed and the run's number (`guest/chaos.S`), so that a run can be repeated alone. Its
//! timers interrupt it whenever their time comes: a repeated run may take another way from there.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::base::{CpuState, Gpa, Gpr, GprFile, KIB, StopReason};
use crate::hw::options::{Apic, DumpForm};
use crate::hw::{oracle, time};
use crate::mem::frames;
use crate::vm::aftermath::{self, Who};
use crate::vm::catalog::{self, Guest, LOAD_ADDRESS};
use crate::vm::loader::Entry;
use crate::vm::machine::{Build, Ended, Launch, Machine, Said, VmError};
use crate::vm::suite::Wishes;
use crate::vt::audit::Audit;
use crate::vt::recorder::Recorder;
use crate::vt::{On, Vendor};

/// The guest.
const GUEST: &str = "chaos";
/// Its RAM, from 0 up, in bytes.
const RAM: u64 = 640 * KIB;
/// How long a run may take, in microseconds, unless the command line says otherwise.
const BUDGET_US: u64 = 20_000;
/// How often the core says how far it is, in microseconds.
const PROGRESS_US: u64 = 2_000_000;

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// How many runs, on all cores together.
    pub runs: u32,
    /// What decides them.
    pub seed: u32,
    /// The number of the first.
    pub first: u32,
}

/// How many runs ended how, with the number of the first of each kind.
#[derive(Default)]
struct Tally(BTreeMap<String, (u32, u32)>);

impl Tally {
    fn note(&mut self, kind: String, number: u32) {
        self.0.entry(kind).or_insert((0, number)).0 += 1;
    }

    /// `hlt 50 (first 12), triple fault 700 (first 3)`.
    fn text(&self) -> String {
        let mut text = String::new();
        for (kind, (count, first)) in &self.0 {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{kind} {count} (first {first})");
        }
        text
    }
}

/// Does runs until all of the `order` are `begun`, and tells how they ended. Returns how many ended as a guest's may, and how
/// many did not.
#[inline(never)]
pub fn run<V: Vendor>(
    on: &mut On<V>,
    caps: &V::Caps,
    core: u32,
    order: Order,
    begun: &AtomicU32,
    wishes: &Wishes,
    recorder: &mut Recorder,
) -> (u32, u32) {
    let Some(guest) = catalog::find(GUEST) else {
        log::error!("core {core}: there is no guest `{GUEST}`");
        return (0, 1);
    };
    let Order { runs, seed, first } = order;
    log::info!("chaos: core {core}: {}: runs from {first}, seed {seed}", V::NAME);
    let (mut tally, mut ok, mut failed, mut audited) = (Tally::default(), 0, 0, Audit::default());
    let who = Who { what: "guest", name: GUEST, core };
    // The numbers of a core say that nothing leaks only where it is alone: another's VM comes and goes.
    let free = frames::free_bytes();
    let mut told = time::tsc();
    loop {
        let n = begun.fetch_add(1, Ordering::AcqRel);
        if n >= runs {
            // So that it never comes round to 0.
            begun.store(runs, Ordering::Release);
            break;
        }
        let number = first.wrapping_add(n);
        // If the host does not survive it, this is the last word.
        oracle::tell(format!("@{number} core {core}\n").as_bytes());
        log::debug!("chaos: core {core}: run {number}");
        match one::<V>(on, caps, core, guest, [seed, number], wishes, recorder) {
            Ok(ended) => {
                audited = audited + ended.audit_before + ended.audit_after;
                let good = is_borne(ended.stop);
                log::debug!("chaos: core {core}: run {number}: {}", aftermath::end_of(&ended));
                if !good {
                    failed += 1;
                    log::error!("chaos: core {core}: run {number}: FAILED: {}", aftermath::end_of(&ended));
                    aftermath::explain(who, &ended, recorder, false);
                    aftermath::show_dump(who, &ended.last.case, DumpForm::Kvm);
                } else {
                    ok += 1;
                    if runs == 1 {
                        aftermath::explain(who, &ended, recorder, true);
                    }
                }
                tally.note(kind(&ended), number);
            }
            Err(e) => {
                failed += 1;
                log::error!("chaos: core {core}: run {number}: FAILED: no VM: {e}");
                tally.note(String::from("no VM"), number);
            }
        }
        if time::tsc().wrapping_sub(told) >= time::cycles(PROGRESS_US) {
            told = time::tsc();
            log::info!("chaos: core {core}: run {number}, {ok} of its own have ended, {failed} not as they should");
        }
    }
    log::info!("chaos: core {core}: {} runs: {}", ok + failed, tally.text());
    log::info!("chaos: core {core}: isolation: audited before each and after: {audited}, all their own");
    let now = frames::free_bytes();
    log::info!("chaos: core {core}: free memory {} KiB before, {} KiB now", free / KIB, now / KIB);
    (ok, failed)
}

/// Whether a guest may bring its VM to this end. What is not so is a mistake of ours.
const fn is_borne(stop: StopReason) -> bool {
    !matches!(stop, StopReason::EntryFailed { .. } | StopReason::OutOfMemory | StopReason::Quit)
}

/// The end in a few words.
fn kind<V: Vendor>(ended: &Ended<V>) -> String {
    match ended.stop {
        StopReason::Halt => "hlt".into(),
        StopReason::Exit(_) => "exit".into(),
        StopReason::PowerOff => "power-off".into(),
        StopReason::Reset(by) => format!("reset by {by}"),
        StopReason::Quit => "quit".into(),
        StopReason::TripleFault => "triple fault".into(),
        StopReason::Budget => "budget".into(),
        StopReason::Unhandled { name, .. } => format!("not handled: {name}"),
        StopReason::EntryFailed { what, .. } => format!("entry refused: {what}"),
        StopReason::NotEmulated { .. } => "not emulated".into(),
        StopReason::Stuck { .. } => "stuck".into(),
        StopReason::OutOfMemory => "out of memory".into(),
    }
}

fn one<V: Vendor>(
    on: &mut On<V>,
    caps: &V::Caps,
    core: u32,
    guest: &Guest,
    [seed, number]: [u32; 2],
    wishes: &Wishes,
    recorder: &mut Recorder,
) -> Result<Ended<V>, VmError> {
    let apic_by_cpu = wishes.apic != Apic::Software;
    let build = Build { vm: core as u16, ranges: &[(Gpa::new(0), RAM)], tsc_khz: None, apic_by_cpu };
    let mut machine = Machine::<V>::new(caps, &build)?;
    machine.load(Gpa::new(u64::from(LOAD_ADDRESS)), guest.image)?;
    let mut gprs = GprFile::default();
    gprs.set(Gpr::Rsp, u64::from(LOAD_ADDRESS));
    gprs.set(Gpr::Rbx, u64::from(number));
    gprs.set(Gpr::Rcx, u64::from(seed));
    gprs.set(Gpr::Rdx, 1);
    let entry = Entry { state: CpuState::real_mode(0, LOAD_ADDRESS), gprs };
    let budget = Some(time::cycles(wishes.budget_us.unwrap_or(BUDGET_US)));
    let launch = Launch { entry: &entry, budget, care: wishes.care, terminal: None };
    machine.run(on, launch, recorder, |said| {
        // What it prints is as random as the rest.
        if let Said::Narrator(line) = said {
            log::info!("{GUEST}@{core}: {line}");
        }
    })
}
