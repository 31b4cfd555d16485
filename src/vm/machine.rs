//! A virtual machine with one CPU, and the loop that runs it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::x86_64::__cpuid_count;
use core::fmt;

use crate::base::{CpuState, Gpa, Gpr, GprFile, KIB, StopReason};
use crate::dev::{bus::Bus, console::Console};
use crate::emu::{cpuid::Policy, msr};
use crate::hw::time;
use crate::vm::board::Board;
use crate::vm::deadline::Deadline;
use crate::vm::exits;
use crate::vm::narrator::Line;
use crate::vm::soft::Soft;
use crate::vm::watch::Watch;
use crate::vt::audit::{Audit, Trespass};
use crate::vt::exit::ExitCounts;
use crate::vt::permission::MsrAccess;
use crate::vt::recorder::Recorder;
use crate::vt::{Loaded, On, Setup, Trouble, Vendor};

/// RAM of a real-mode guest, from 0 up, in bytes: what a PC has below the video memory.
const REAL_MODE_RAM: u64 = 640 * KIB;
/// The PAT after reset (SDM 3A "IA32_PAT MSR").
pub const RESET_PAT: u64 = 0x0007_0406_0007_0406;

/// A virtual machine.
pub struct Machine<V: Vendor> {
    board: Board<V>,
    vcpu: V::Vcpu,
    cpuid: Policy,
}

/// How a VM is looked after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Care {
    /// Tell every exit in words.
    pub narrate: bool,
    /// After how many identical exits without progress the VM is stopped, see [`Watch::new`].
    pub stuck: Option<u32>,
}

/// What is said of a VM while it runs.
pub enum Said<'a> {
    /// A line that the guest printed.
    Guest(&'a str),
    /// An exit in words.
    Narrator(fmt::Arguments<'a>),
    /// The guest asks for the statistics of its exits and the trace ring.
    Statistics(&'a Recorder),
}

/// The last exit of a VM, as the entry doctor and the narrator see it.
pub struct Last<V: Vendor> {
    /// In words.
    pub line: Line<V>,
    /// The control block.
    pub case: V::Case,
}

/// How a VM ended.
pub struct Ended<V: Vendor> {
    /// Why.
    pub stop: StopReason,
    /// The CPU then.
    pub state: CpuState,
    /// Its general-purpose registers.
    pub gprs: GprFile,
    /// What it printed, as far as that was kept.
    pub console: Vec<u8>,
    /// Its exits.
    pub exits: ExitCounts,
    /// Accesses to ports and memory that no device answered.
    pub unclaimed: u64,
    /// Accesses to MSRs that the guest's machine does not have.
    pub unknown_msrs: u64,
    /// The host's TSC right before the first entry.
    pub entered: u64,
    /// What the isolation audit walked over before the first entry.
    pub audit_before: Audit,
    /// And after the last exit.
    pub audit_after: Audit,
    /// The last exit.
    pub last: Box<Last<V>>,
}

/// Why a VM could not be made or run. It is the host's trouble, not the guest's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VmError {
    /// No frames for RAM or tables.
    OutOfMemory,
    /// The vendor's room says what.
    Vendor(Trouble),
    /// The isolation audit found a frame that is not the guest's.
    Audit(Trespass),
}

impl fmt::Display for VmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("not enough free memory"),
            Self::Vendor(t) => t.fmt(f),
            Self::Audit(t) => write!(f, "the isolation audit failed: {t}"),
        }
    }
}

impl<V: Vendor> Machine<V> {
    /// Machine number `vm`, with `image` in RAM at `at`. `prealloc`: all RAM is mapped before the first entry.
    pub fn new(caps: &V::Caps, vm: u16, image: &[u8], at: Gpa, prealloc: bool) -> Result<Self, VmError> {
        let mut board = Board::new(vm, &[(Gpa::new(0), REAL_MODE_RAM)], Bus::pc())?;
        board.load(at, image)?;
        if prealloc {
            board.map_all(true)?;
        }
        let open_msrs: Vec<_> = msr::OPEN.iter().map(|m| MsrAccess { msr: *m, read: true, write: true }).collect();
        let setup = Setup { nested_root: board.nested_root(), open_msrs: &open_msrs, open_ports: &[], pat: RESET_PAT };
        let vcpu = V::create(caps, &setup).map_err(VmError::Vendor)?;
        let host = |leaf, subleaf| {
            let r = __cpuid_count(leaf, subleaf);
            [r.eax, r.ebx, r.ecx, r.edx]
        };
        Ok(Self { board, vcpu, cpuid: Policy::new(host, V::HYPERCALL) })
    }

    fn audit(&self) -> Result<Audit, VmError> {
        self.board.audit().map_err(VmError::Audit)
    }

    /// Runs it on this core, in real-address mode from 0:`ip` on, until it ends, for at most `budget` TSC cycles. What it
    /// prints, and what the narrator says, goes to `say` line by line.
    #[inline(never)]
    pub fn run(
        &mut self,
        on: &mut On<V>,
        ip: u16,
        budget: u64,
        care: Care,
        recorder: &mut Recorder,
        mut say: impl FnMut(Said<'_>),
    ) -> Result<Ended<V>, VmError> {
        let audit_before = self.audit()?;
        let mut cpu = on.load(&mut self.vcpu).map_err(VmError::Vendor)?;
        V::gprs(&mut cpu).set(Gpr::Rsp, u64::from(ip));
        V::set_state(&mut cpu, &CpuState::real_mode(0, ip));
        V::set_tsc_offset(&mut cpu, time::tsc().wrapping_neg());
        let deadline = Deadline::after(budget);
        let mut soft = Box::new(Soft::new(self.cpuid.clone(), deadline, Watch::new(care.stuck)));
        recorder.reset();
        let entered = time::tsc();
        let board = &mut self.board;
        let stop = if care.narrate {
            run::<V, true>(&mut soft, &mut cpu, board, recorder, &mut say)
        } else {
            run::<V, false>(&mut soft, &mut cpu, board, recorder, &mut say)
        };
        deadline.disarm();
        let last = Box::new(Last { line: Line::of(&mut cpu, board), case: V::case(&cpu) });
        let state = V::state(&mut cpu);
        let gprs = *V::gprs(&mut cpu);
        drop(cpu);
        let console = self.board.bus.console();
        console.flush_line();
        tell(console, recorder, &mut say);
        let console = console.kept().to_vec();
        let (unclaimed, unknown_msrs) = (self.board.bus.unclaimed().total(), soft.msrs.unknown());
        Ok(Ended {
            stop,
            state,
            gprs,
            console,
            exits: soft.exits,
            unclaimed,
            unknown_msrs,
            entered,
            audit_before,
            audit_after: self.audit()?,
            last,
        })
    }
}

/// The exit loop. A function of its own, so that the compiler keeps its registers for it.
#[inline(never)]
fn run<V: Vendor, const NARRATE: bool>(
    soft: &mut Soft,
    cpu: &mut Loaded<'_, V>,
    board: &mut Board<V>,
    recorder: &mut Recorder,
    say: &mut impl FnMut(Said<'_>),
) -> StopReason {
    loop {
        if soft.pending.is_some() {
            deliver(soft, cpu);
        }
        V::enter(cpu);
        if NARRATE {
            let line = Line::of(cpu, board);
            say(Said::Narrator(format_args!("exit {}: {line}", recorder.total() + 1)));
        }
        if let Some(stop) = exits::handle(soft, cpu, board, recorder) {
            recorder.stop();
            return stop;
        }
        recorder.end_record();
        // After the record: what the console takes is not the exit's cost.
        if board.bus.has_line() {
            tell(board.bus.console(), recorder, say);
        }
    }
}

/// Has the pending event delivered on the next entry.
#[cold]
fn deliver<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>) {
    if let Some(event) = soft.pending.take() {
        V::inject(cpu, event);
    }
}

/// Passes on the lines that the guest has printed, and the statistics that it may have asked for.
#[cold]
fn tell(console: &mut Console, recorder: &mut Recorder, say: &mut impl FnMut(Said<'_>)) {
    while let Some(line) = console.take_line() {
        say(Said::Guest(&line));
    }
    if recorder.take_demand() {
        say(Said::Statistics(recorder));
    }
}
