//! What the cores do once the machine is up: each runs the guests, each guest in a VM of its own.

use alloc::format;
use alloc::string::String;
use core::fmt;

use hv::hw::options::{Guests, OPTIONS, Options};
use hv::hw::percpu::PerCpu;
use hv::hw::time;
use hv::vm::catalog::{GUESTS, Group, UnknownGuest, select};
use hv::vm::chaos;
use hv::vm::differ::Order;
use hv::vm::loader::description::{GroupError, group};
use hv::vm::machine::Care;
use hv::vm::suite::{Suite, Task, Wishes};
use hv::vm::tenant::{self, NoCore};
use hv::vt::preflight::Capable;
use hv::vt::svm::Svm;
use hv::vt::vmx::Vmx;
use spin::Once;

/// What there is to do, and with what.
struct Plan {
    capable: Capable,
    suite: Suite,
}

/// What all cores look at; made before the others are started.
static PLAN: Once<Plan> = Once::new();

/// How long another core may need when the boot core has done its work, in microseconds, before it is taken for lost.
const PATIENCE_US: u64 = 120_000_000;

/// Makes the plan that the command line asks for; false where it asked for a list, which has been shown. `booted` is the
/// TSC at the kernel's entry.
pub fn plan<'a>(
    options: &Options<'a>,
    capable: Capable,
    booted: u64,
    modules: &[(&'static str, &'static [u8])],
    cores: u32,
) -> Result<bool, Mistake<'a>> {
    if options.help {
        OPTIONS.iter().for_each(|option| log::info!("{option}"));
        return Ok(false);
    }
    let guests = match options.guests {
        Guests::List => {
            for guest in GUESTS {
                log::info!("{:12} {:10} {}", guest.name, guest.group.name(), guest.summary);
            }
            return Ok(false);
        }
        Guests::Named(names) => select(names).map_err(Mistake::Guest)?,
        Guests::All if options.bench => Group::Bench.guests().collect(),
        Guests::All => Group::Default.guests().collect(),
    };
    let specs = group(modules.iter().copied()).map_err(Mistake::Module)?;
    let tenants = tenant::place(specs, cores).map_err(Mistake::Core)?;
    let task = if let Some([rounds, seed, first]) = options.differ {
        Task::Differ(Order { rounds, seed, first, spare: leak(options.spare), lax: leak(options.lax) })
    } else if let Some([runs, seed, first]) = options.chaos {
        Task::Chaos(chaos::Order { runs, seed, first })
    } else if let Some(names) = options.case {
        Task::Clinic(leak(names))
    } else if options.bench {
        Task::Bench { booted }
    } else if !tenants.is_empty() && options.guests == Guests::All {
        Task::Tenants
    } else {
        Task::Run
    };
    let budget_us = options.budget_ms.map(|ms| u64::from(ms.get()) * 1000);
    let narrate = options.narrate || options.log == log::LevelFilter::Trace;
    let wishes = Wishes {
        apic: options.apic,
        prealloc: options.prealloc,
        budget_us,
        care: Care { narrate, stuck: options.stuck },
        stats: options.stats,
        trace: options.trace,
        dump: options.dump,
    };
    PLAN.call_once(|| Plan { capable, suite: Suite::new(guests, tenants, task, wishes) });
    Ok(true)
}

/// What is wrong with what the user asks for.
pub enum Mistake<'a> {
    /// A guest's name.
    Guest(UnknownGuest<'a>),
    /// The description of a module.
    Module(GroupError<'static>),
    /// A VM's core.
    Core(NoCore),
}

impl fmt::Display for Mistake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest(e) => e.fmt(f),
            Self::Module(e) => e.fmt(f),
            Self::Core(e) => e.fmt(f),
        }
    }
}

/// A word of the command line for the plan, which stays.
fn leak(word: &str) -> &'static str {
    String::from(word).leak()
}

/// Does this core's part of the plan. Here, and nowhere else, the vendor is chosen.
pub fn run_core(cpu: &'static PerCpu) {
    if let Some(Plan { capable, suite }) = PLAN.get() {
        match capable {
            Capable::Vmx(caps) => suite.run::<Vmx>(caps, cpu.index()),
            Capable::Svm(caps) => suite.run::<Svm>(caps, cpu.index()),
        }
    }
}

/// Waits for the other cores and sums up: what went well, or what did not.
pub fn finish(cores: u32) -> Result<String, String> {
    let Some(Plan { suite, .. }) = PLAN.get() else { return Err("there was no plan".into()) };
    while !time::wait_until(PATIENCE_US, || suite.cores_done() >= cores) && suite.is_open_ended() {}
    let done = suite.cores_done();
    let (ok, failed) = suite.results();
    let what = suite.what();
    if done < cores {
        Err(format!("{} of {cores} cores did not finish; {ok} {what} were ok, {failed} were not", cores - done))
    } else if failed > 0 || ok == 0 {
        Err(format!("{failed} of {} {what} on {cores} cores did not go as they should", ok + failed))
    } else {
        let plural = if cores == 1 { "" } else { "s" };
        Ok(format!("{ok} {what} on {cores} core{plural} ok"))
    }
}
