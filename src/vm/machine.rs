//! A virtual machine with one CPU, and the loop that runs it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::x86_64::__cpuid_count;
use core::fmt;

use crate::base::{CpuState, GIB, Gpa, GprFile, StopReason, TscRatio};
use crate::dev::bus::{Bus, Start};
use crate::dev::console::Console;
use crate::emu::cpuid::{Clock, Policy, Terms};
use crate::emu::msr;
use crate::hw::{rtc, time};
use crate::vm::alarm::Alarm;
use crate::vm::board::Board;
use crate::vm::exits;
use crate::vm::loader::Entry;
use crate::vm::narrator::Line;
use crate::vm::soft::Soft;
use crate::vm::terminal::Terminal;
use crate::vm::turn;
use crate::vm::watch::Watch;
use crate::vt::audit::{Audit, Trespass};
use crate::vt::exit::ExitCounts;
use crate::vt::permission::MsrAccess;
use crate::vt::recorder::Recorder;
use crate::vt::speculation;
use crate::vt::{Loaded, On, Setup, Trouble, Vendor};

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

/// What a VM is made of.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// Its number; no two that are there at the same time have the same.
    pub vm: u16,
    /// Its RAM: start and length in bytes.
    pub ranges: &'a [(Gpa, u64)],
    /// How fast its TSC is to run, if not as the host's.
    pub tsc_khz: Option<u32>,
    /// The CPU keeps its local APIC, if it can.
    pub apic_by_cpu: bool,
}

/// How a VM is run.
pub struct Launch<'a> {
    /// Its CPU at the first instruction.
    pub entry: &'a Entry,
    /// What it may use, in TSC cycles of the host; `None`: no end.
    pub budget: Option<u64>,
    /// How it is looked after.
    pub care: Care,
    /// Its console's connection with the host's; without one it is shown line by line.
    pub terminal: Option<Terminal>,
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
    /// The guest's TSC can't run as fast as it should.
    NoTscScaling,
}

impl fmt::Display for VmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("not enough free memory"),
            Self::Vendor(t) => t.fmt(f),
            Self::Audit(t) => write!(f, "the isolation audit failed: {t}"),
            Self::NoTscScaling => {
                f.write_str("this CPU can't run the guest's TSC so much faster or slower: leave out `tsc=`")
            }
        }
    }
}

impl<V: Vendor> Machine<V> {
    /// A machine, all of its RAM zero.
    pub fn new(caps: &V::Caps, build: &Build<'_>) -> Result<Self, VmError> {
        let Build { vm, ranges, tsc_khz, apic_by_cpu } = *build;
        let host_khz = time::tsc_hz() / 1000;
        let khz = tsc_khz.map_or(host_khz, u64::from);
        let tsc = TscRatio::of(khz, host_khz).ok_or(VmError::NoTscScaling)?;
        if tsc != TscRatio::ONE && !V::tsc_scaling(caps) {
            return Err(VmError::NoTscScaling);
        }
        let ends = ranges.iter().map(|(base, bytes)| base.raw().saturating_add(*bytes));
        let start = Start {
            tsc_hz: time::tsc_hz(),
            now: time::tsc(),
            unix_seconds: rtc::unix_seconds(),
            low_memory: ends.filter(|end| *end <= 4 * GIB).max().unwrap_or(0),
            tsc,
        };
        let board = Board::new(caps, vm, ranges, Bus::pc(&start), apic_by_cpu && V::virtual_apic(caps))?;
        let open_msrs: Vec<_> = msr::OPEN.iter().map(|m| MsrAccess { msr: *m, read: true, write: true }).collect();
        let setup = Setup {
            nested_root: board.nested_root(),
            open_msrs: &open_msrs,
            open_ports: &[],
            pat: RESET_PAT,
            tsc,
            apic_access: board.apic_access(),
        };
        let vcpu = V::create(caps, &setup).map_err(VmError::Vendor)?;
        let host = |leaf, subleaf| {
            let r = __cpuid_count(leaf, subleaf);
            [r.eax, r.ebx, r.ecx, r.edx]
        };
        let terms = Terms {
            hypercall: V::HYPERCALL,
            clock: Clock { tsc_khz: u32::try_from(khz).unwrap_or(0) },
            xsaves: V::guest_xsaves(caps),
            arch_capabilities: speculation::arch_capabilities(),
        };
        Ok(Self { board, vcpu, cpuid: Policy::new(host, &terms) })
    }

    /// Copies `image` into RAM at `at`.
    pub fn load(&mut self, at: Gpa, image: &[u8]) -> Result<(), VmError> {
        self.board.load(at, image)
    }

    /// Has the guest's console show bytes as they are, and take input.
    pub fn set_raw_console(&mut self) {
        self.board.bus.set_raw_console();
    }

    /// Maps all RAM now, so that no access faults it in later.
    pub fn map_all(&mut self) -> Result<(), VmError> {
        self.board.map_all(true)
    }

    fn audit(&self) -> Result<Audit, VmError> {
        self.board.audit().map_err(VmError::Audit)
    }

    /// Runs it on this core until it ends. What it prints, if it has no terminal, and what the narrator says, goes to `say`
    /// line by line.
    #[inline(never)]
    pub fn run(
        &mut self,
        on: &mut On<V>,
        launch: Launch<'_>,
        recorder: &mut Recorder,
        mut say: impl FnMut(Said<'_>),
    ) -> Result<Ended<V>, VmError> {
        let Launch { entry, budget, care, terminal } = launch;
        let audit_before = self.audit()?;
        let mut cpu = on.load(&mut self.vcpu).map_err(VmError::Vendor)?;
        *V::gprs(&mut cpu) = entry.gprs;
        V::set_state(&mut cpu, &entry.state);
        V::set_tsc_offset(&mut cpu, self.board.bus.guest_cycles(time::tsc()).wrapping_neg());
        let alarm = Alarm::new(budget);
        let mut soft = Box::new(Soft::new(self.cpuid.clone(), alarm, Watch::new(care.stuck), terminal));
        recorder.reset();
        let entered = time::tsc();
        let board = &mut self.board;
        let stop = if care.narrate {
            run::<V, true>(&mut soft, &mut cpu, board, recorder, &mut say)
        } else {
            run::<V, false>(&mut soft, &mut cpu, board, recorder, &mut say)
        };
        soft.alarm.disarm();
        let last = Box::new(Last { line: Line::of(&mut cpu, board), case: V::case(&cpu) });
        let state = V::state(&mut cpu);
        let gprs = *V::gprs(&mut cpu);
        drop(cpu);
        match &mut soft.terminal {
            Some(terminal) => terminal.finish(&mut self.board.bus),
            None => {
                let console = self.board.bus.console();
                console.flush_line();
                tell(console, recorder, &mut say);
            }
        }
        let console = self.board.bus.console().kept().to_vec();
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
        if (soft.pending.is_some() || board.bus.attention().any())
            && let Some(stop) = turn::prepare(soft, cpu, board, recorder, say)
        {
            return stop;
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
    }
}

/// Passes on the lines that the guest has printed, and the statistics that it may have asked for.
#[cold]
pub fn tell(console: &mut Console, recorder: &mut Recorder, say: &mut impl FnMut(Said<'_>)) {
    while let Some(line) = console.take_line() {
        say(Said::Guest(&line));
    }
    if recorder.take_demand() {
        say(Said::Statistics(recorder));
    }
}
