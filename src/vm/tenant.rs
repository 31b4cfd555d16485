//! The VMs that the user gives, as modules of the boot loader: made, run, and what is said of each.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::base::{Gpa, MIB, StopReason};
use crate::hw::options::{Apic, DumpForm};
use crate::hw::time;
use crate::vm::aftermath::{self, Who};
use crate::vm::firmware;
use crate::vm::loader::description::{Console, Expect};
use crate::vm::loader::{self, GuestKind, LoadError, Memory, MemoryMap, OutsideRam, VmSpec};
use crate::vm::machine::{Build, Ended, Launch, Machine, Said, VmError};
use crate::vm::suite::Wishes;
use crate::vm::terminal::Terminal;
use crate::vt::recorder::Recorder;
use crate::vt::{On, Vendor};

/// A VM to be run.
pub struct Tenant {
    /// What the user says of it.
    pub spec: VmSpec<'static>,
    /// The core that runs it.
    pub core: u32,
    /// Its console is the host's.
    pub foreground: bool,
}

/// Gives every VM its core: the one it asks for, or the next. The first one with a raw console gets the host's.
///
/// # Errors
/// A VM asks for a core that the machine does not have.
pub fn place(specs: Vec<VmSpec<'static>>, cores: u32) -> Result<Vec<Tenant>, NoCore> {
    let mut raw = specs.iter().position(|spec| spec.console == Console::Raw);
    let mut tenants = Vec::new();
    for (i, spec) in specs.into_iter().enumerate() {
        let core = spec.core.unwrap_or(i as u32 % cores.max(1));
        if core >= cores {
            return Err(NoCore { name: Box::leak(spec.name.into_boxed_str()), core, cores });
        }
        let foreground = raw == Some(i);
        raw = raw.filter(|first| *first != i);
        tenants.push(Tenant { spec, core, foreground });
    }
    Ok(tenants)
}

/// A VM asks for a core that there is not.
#[derive(Clone, Copy, Debug)]
pub struct NoCore {
    name: &'static str,
    core: u32,
    cores: u32,
}

impl fmt::Display for NoCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, core, cores } = self;
        write!(f, "VM {name} wants core {core}, and hv has cores 0 to {}: change `core=` in its description", cores - 1)
    }
}

/// Why a VM does not start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// It could not be made.
    Vm(VmError),
    /// Its image could not be loaded.
    Load(LoadError),
    /// Its size is not one that a VM may have.
    Memory(u64),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vm(VmError::OutOfMemory) => {
                f.write_str("not enough free memory: give it less with `memory=`, or the machine more")
            }
            Self::Vm(e) => e.fmt(f),
            Self::Load(e) => e.fmt(f),
            Self::Memory(bytes) => write!(f, "a VM can't have {bytes} bytes of memory"),
        }
    }
}

impl From<VmError> for Trouble {
    fn from(e: VmError) -> Self {
        Self::Vm(e)
    }
}

impl<V: Vendor> Memory for Machine<V> {
    fn write(&mut self, at: Gpa, bytes: &[u8]) -> Result<(), OutsideRam> {
        self.load(at, bytes).map_err(|_| OutsideRam { at })
    }
}

/// Makes the VM, runs it to its end and says how that was; whether it ended as it should.
#[inline(never)]
pub fn run<V: Vendor>(
    tenant: &'static Tenant,
    on: &mut On<V>,
    caps: &V::Caps,
    wishes: &Wishes,
    recorder: &mut Recorder,
) -> bool {
    let who = Who { what: "VM", name: &tenant.spec.name, core: tenant.core };
    match live::<V>(tenant, who, on, caps, wishes, recorder) {
        Ok(ended) => conclude(tenant, who, &ended, wishes, recorder),
        Err(e) => {
            log::error!("{who}: does not start: {e}");
            false
        }
    }
}

fn live<V: Vendor>(
    tenant: &'static Tenant,
    who: Who,
    on: &mut On<V>,
    caps: &V::Caps,
    wishes: &Wishes,
    recorder: &mut Recorder,
) -> Result<Ended<V>, Trouble> {
    let spec = &tenant.spec;
    let map = MemoryMap::new(spec.memory).ok_or(Trouble::Memory(spec.memory))?;
    log::info!("{who}: {}, {} MiB of memory", What(&spec.guest), spec.memory / MIB);
    let build = Build {
        vm: tenant.core as u16,
        ranges: &map.ram(),
        tsc_khz: spec.tsc_khz,
        apic_by_cpu: wishes.apic != Apic::Software,
    };
    let mut machine = Machine::<V>::new(caps, &build)?;
    let firmware = firmware::build(1);
    machine.load(map.firmware().0, &firmware.image)?;
    let entry = loader::load(spec, &mut machine, &map, firmware.rsdp).map_err(Trouble::Load)?;
    machine.map_all()?;
    let terminal = tenant.foreground.then(|| {
        log::info!("{who}: its console is this one; Ctrl-] ? shows what hv understands");
        machine.set_raw_console();
        Terminal::connect()
    });
    let say = |said: Said<'_>| match said {
        Said::Guest(line) => log::info!("{}@{}| {line}", who.name, who.core),
        Said::Narrator(line) => log::info!("{}@{}: {line}", who.name, who.core),
        Said::Statistics(recorder) => aftermath::show_statistics(who, recorder),
    };
    let budget = spec.budget_ms.map(|ms| u64::from(ms.get()) * 1000).or(wishes.budget_us).map(time::cycles);
    let launch = Launch { entry: &entry, budget, care: wishes.care, terminal };
    Ok(machine.run(on, launch, recorder, say)?)
}

/// What a VM runs, in words.
struct What<'a>(&'a GuestKind<'static>);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            GuestKind::Linux { kernel, initrd: Some(initrd), .. } => {
                write!(f, "a Linux kernel of {} KiB with an initrd of {} KiB", kernel.len() / 1024, initrd.len() / 1024)
            }
            GuestKind::Linux { kernel, .. } => write!(f, "a Linux kernel of {} KiB", kernel.len() / 1024),
            GuestKind::Multiboot { image, modules } => {
                write!(f, "a Multiboot kernel of {} KiB with {} modules", image.len() / 1024, modules.len())
            }
            GuestKind::Flat { image, at, .. } => write!(f, "{} bytes at {at}", image.len()),
        }
    }
}

/// Says how the VM ended, with all that may help where it is not how it should.
fn conclude<V: Vendor>(tenant: &Tenant, who: Who, ended: &Ended<V>, wishes: &Wishes, recorder: &Recorder) -> bool {
    let end = aftermath::end_of(ended);
    let good = is_fine(tenant.spec.expect, ended.stop);
    if good {
        log::info!("{who}: ended: {end}, exits: {}", ended.exits);
    } else {
        let wanted = Wanted(tenant.spec.expect);
        log::error!("{who}: FAILED: it should have ended by {wanted}; {end}, exits: {}", ended.exits);
        aftermath::explain(who, ended, recorder, false);
    }
    if ended.unclaimed + ended.unknown_msrs > 0 {
        let (nobody, msrs) = (ended.unclaimed, ended.unknown_msrs);
        log::info!("{who}: {nobody} accesses that no device answered, {msrs} to MSRs that it does not have");
    }
    log::info!(
        "{who}: isolation: {} before its first entry, {} at its end, all its own",
        ended.audit_before,
        ended.audit_after
    );
    if wishes.stats {
        aftermath::show_statistics(who, recorder);
    }
    if let Some(form) = wishes.dump.or((!good).then_some(DumpForm::Kvm)) {
        aftermath::show_dump(who, &ended.last.case, form);
    }
    if wishes.trace || !good {
        recorder.tell(who.core, who.name, V::NAME, &mut |line| log::info!("{line}"));
    }
    good
}

/// Whether a VM may end so.
const fn is_fine(expect: Expect, stop: StopReason) -> bool {
    match (expect, stop) {
        // The user's word is law.
        (_, StopReason::Quit) => true,
        (Expect::Any, stop) => matches!(
            stop,
            StopReason::PowerOff
                | StopReason::Reset(_)
                | StopReason::Exit(_)
                | StopReason::Halt
                | StopReason::TripleFault
                | StopReason::Budget
        ),
        (Expect::PowerOff, StopReason::PowerOff)
        | (Expect::Reset, StopReason::Reset(_))
        | (Expect::Halt, StopReason::Halt)
        | (Expect::TripleFault, StopReason::TripleFault) => true,
        (Expect::Exit(wanted), StopReason::Exit(value)) => wanted == value,
        _ => false,
    }
}

/// An expectation in words.
struct Wanted(Expect);

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expect::Any => f.write_str("a power-off, a reset, a halt, its exit port, a triple fault or its budget"),
            Expect::PowerOff => f.write_str("a power-off"),
            Expect::Reset => f.write_str("a reset"),
            Expect::Exit(value) => write!(f, "exit {value}"),
            Expect::Halt => f.write_str("a halt"),
            Expect::TripleFault => f.write_str("a triple fault"),
        }
    }
}
