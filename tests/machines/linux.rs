//! Linux as a guest: Debian's kernel boots in a VM on machines of both vendors, and a program in it, `tests/linux/init`,
//! checks its machine and says so, a line each. See `scripts/linux`.

mod console;
mod messages;
mod modules;

use std::path::Path;
use std::sync::Arc;

use libtest_mimic::Completion;

use crate::{Case, Machine};

/// What `tests/linux/init` checks, a test each.
const CHECKS: [&str; 9] =
    ["hypervisor", "flags", "cpus", "timer-cpu0", "registers", "memory", "sleep", "clocksource", "messages"];

/// QEMU's time-stamp counter advances by one an instruction, so that the checks' times do not depend on what else this
/// machine does.
const ICOUNT: &str = "-serial stdio -icount shift=0,sleep=off";
pub const QEMU: [(&str, &str); 3] = [("PLATFORM", "qemu"), ("CPU", "EPYC,+svm"), ("QEMU_ARGS", ICOUNT)];

/// What the tests need, and where it comes from.
const KERNEL_32: &str = "build/linux/vmlinuz-i386";

/// A machine with Linux as its guest.
struct Booted {
    name: &'static str,
    guest: &'static str,
    cpu: [(&'static str, &'static str); 3],
    options: &'static str,
    /// Seconds that it may take, about ten times of what it takes with nothing else going on.
    limit: u64,
    /// What the kernel says on this CPU without a hypervisor; where no such list can be had, it is that of another CPU.
    bare: Option<&'static str>,
    /// At most so many accesses that no device answers, and so many to MSRs that the VM does not have: the kernel looks
    /// for serial ports, and for what its CPU's family has.
    strays: (u32, u32),
}

const fn bochs(cpu: &'static str) -> [(&'static str, &'static str); 3] {
    // The clock is no part of the models: the same for all, and the one that scripts/run takes for Linux.
    [("PLATFORM", "bochs"), ("CPU", cpu), ("IPS", "1000000000")]
}

/// All messages on QEMU. On Bochs, whose serial port takes its time, the warnings and errors: with `hv=check`.
const BOOTED: [Booted; 4] = [
    Booted {
        name: "bochs-ryzen",
        guest: "linux",
        cpu: bochs("ryzen"),
        options: "quiet hv=check",
        limit: 480,
        // Bochs hangs when this CPU runs Linux without hv.
        bare: Some("qemu-epyc bochs-skylake-x"),
        strays: (19, 4),
    },
    Booted {
        name: "bochs-skylake-x",
        guest: "linux",
        cpu: bochs("corei7_skylake_x"),
        options: "quiet hv=check",
        limit: 480,
        bare: Some("bochs-skylake-x"),
        strays: (19, 4),
    },
    Booted {
        name: "qemu-svm",
        guest: "linux",
        cpu: QEMU,
        options: "quiet hv=check-all",
        limit: 200,
        bare: Some("qemu-epyc"),
        strays: (19, 4),
    },
    // Another kernel, which says other things.
    Booted {
        name: "i386",
        guest: "linux-i386",
        cpu: QEMU,
        options: "quiet hv=check",
        limit: 200,
        bare: None,
        strays: (2500, 4),
    },
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let machines: Vec<_> = BOOTED
        .iter()
        .map(|booted| {
            let variables = [&booted.cpu[..], &[("GUEST", booted.guest), ("LINUX_APPEND", booted.options)]].concat();
            (booted, Arc::new(Machine::new(format!("linux::{}", booted.name), 1, booted.limit, &variables)))
        })
        .collect();
    // Test by test and not machine by machine: so that tests side by side wait for different machines.
    let mut add = |(booted, machine): &(&'static Booted, Arc<Machine>), name: &str, test: Test| {
        let (booted, machine) = (*booted, machine.clone());
        cases.push(Case::skippable(format!("linux::{}::{name}", booted.name), move || {
            if booted.guest == "linux-i386" && !Path::new(KERNEL_32).exists() {
                return Ok(Completion::ignored_with(format!(
                    "skipped: no {KERNEL_32}: scripts/linux --arch i386 makes it"
                )));
            }
            test(booted, &machine).map(|()| Completion::Completed)
        }));
    };
    for machine in &machines {
        add(machine, "pass", Box::new(ended_well));
    }
    for check in CHECKS {
        for machine in &machines {
            add(machine, check, Box::new(move |_, machine| checked(machine, check)));
        }
    }
    for machine in machines.iter().filter(|(booted, _)| booted.bare.is_some()) {
        add(machine, "messages-are-known", Box::new(messages::known));
    }
    cases.extend(console::cases());
    cases.extend(modules::cases());
    cases.push(Case::new("linux::messages-compare", messages::compares));
    cases
}

type Test = Box<dyn FnOnce(&Booted, &Machine) -> Result<(), String> + Send>;

/// One of the guest's own checks.
fn checked(machine: &Machine, check: &str) -> Result<(), String> {
    let boot = machine.boot()?;
    let start = format!("check: {check}: ");
    match boot.console.lines().find_map(|line| line.split_once(&start)) {
        Some((_, result)) if result.starts_with("ok ") => Ok(()),
        Some((_, result)) => Err(machine.failure(format!("`{start}{result}`"))),
        None => Err(machine.failure(format!("no line `{start}…`"))),
    }
}

/// The guest did all of its checks and switched itself off by ACPI; hv found that it was and is alone with its memory.
fn ended_well(booted: &Booted, machine: &Machine) -> Result<(), String> {
    let boot = machine.boot()?;
    let says = [
        "reboot: Power down",
        "hv: VM linux: core 0: ended: power-off at ",
        "hv: VM linux: core 0: isolation: ",
        "hv: pass: 1 VMs on 1 core ok",
    ];
    if let Some(text) = says.iter().find(|text| !boot.console.contains(**text)) {
        return Err(machine.failure(format!("not on the console: `{text}`")));
    }
    let done = boot.console.lines().find_map(|line| line.split_once("check: done ")?.1.split_once(" ok"));
    match done.map(|(number, _)| number.parse::<usize>()) {
        Some(Ok(number)) if number <= CHECKS.len() => {}
        _ => return Err(machine.failure("no line `check: done … ok`, or with more checks than have a test")),
    }
    let strays = boot.console.lines().find_map(strays).unwrap_or_default();
    if strays.0 > booted.strays.0 || strays.1 > booted.strays.1 {
        return Err(
            machine.failure(format!("accesses to what the VM does not have: {strays:?}, known: {:?}", booted.strays))
        );
    }
    if boot.status == Some(0) { Ok(()) } else { Err(machine.failure("it ended otherwise than it should")) }
}

/// The numbers of `hv: VM linux: core 0: 19 accesses that no device answered, 2 to MSRs that it does not have`.
fn strays(line: &str) -> Option<(u32, u32)> {
    let (before, after) = line.split_once(" accesses that no device answered, ")?;
    Some((before.rsplit(' ').next()?.parse().ok()?, after.split(' ').next()?.parse().ok()?))
}
