//! Every guest on every machine.

use std::sync::Arc;

use crate::guests::{self, Guest};
use crate::{Case, Machine};

/// Bochs's CPU models that the hypervisor supports: what the tests call them, and what Bochs does.
const BOCHS: [(&str, &str); 8] = [
    ("sandy-bridge", "corei7_sandy_bridge_2600k"),
    ("haswell", "corei7_haswell_4770"),
    ("skylake-x", "corei7_skylake_x"),
    ("icelake", "corei7_icelake_u"),
    ("tigerlake", "tigerlake"),
    ("phenom", "phenom_8650_toliman"),
    ("zambezi", "zambezi"),
    ("ryzen", "ryzen"),
];

/// Seconds that a machine may take, about ten times of what it does take with nothing else going on.
const QEMU_LIMIT: u64 = 60;
const BOCHS_LIMIT: u64 = 240;

fn machines() -> Vec<Machine> {
    let mut machines = Vec::new();
    let qemu = |name: &str, cores, variables: &[(&'static str, &str)]| {
        let variables = [&[("PLATFORM", "qemu"), ("CPU", "EPYC,+svm")], variables].concat();
        Machine::new(format!("qemu-svm-{name}"), cores, QEMU_LIMIT, &variables)
    };
    let bochs = |name: &str, model: &str, cores, variables: &[(&'static str, &str)]| {
        let variables = [&[("PLATFORM", "bochs"), ("CPU", model)], variables].concat();
        Machine::new(format!("bochs-{name}"), cores, BOCHS_LIMIT, &variables)
    };

    // The slow ones first, so that none of them is left alone at the end.
    machines.push(bochs("skylake-x-1core-6g", "corei7_skylake_x", 1, &[("MEM", "6G")]));
    for cores in [4, 1] {
        for (name, model) in BOCHS {
            machines.push(bochs(&format!("{name}-{cores}core"), model, cores, &[]));
        }
    }
    machines.push(bochs("skylake-x-1core-64m", "corei7_skylake_x", 1, &[("MEM", "64M")]));
    machines.push(bochs("skylake-x-1core-disk", "corei7_skylake_x", 1, &[("MEDIA", "usb")]));

    machines.push(qemu("1core", 1, &[]));
    machines.push(qemu("4core", 4, &[]));
    machines.push(qemu("1core-usb", 1, &[("MEDIA", "usb")]));
    machines.push(qemu("1core-uefi-cd", 1, &[("FIRMWARE", "uefi")]));
    machines.push(qemu("4core-uefi-usb", 4, &[("FIRMWARE", "uefi"), ("MEDIA", "usb")]));
    machines.push(qemu("1core-64m", 1, &[("MEM", "64M")]));
    machines.push(qemu("4core-6g", 4, &[("MEM", "6G")]));
    machines.push(qemu("1core-uefi-6g", 1, &[("MEM", "6G"), ("FIRMWARE", "uefi")]));
    machines.push(qemu("1core-prealloc", 1, &[("APPEND", "prealloc")]));
    machines
}

/// A guest that Bochs 2.7 can't end: while a guest runs with interrupts off it does not let an external interrupt end it,
/// neither on VMX nor on SVM, so the timer that ends the budget is never seen.
const ENDLESS_ON_BOCHS: &str = "loop-cli";

/// A guest that fails on Bochs 2.7 where its CPU delivers interrupts itself: a delivery that ends in an exit leaves no
/// IDT-vectoring information, or that of an earlier one.
const CUT_OFF_ON_BOCHS: &str = "windows";

/// Machines that run only some of the guests, each with those that its tests are about.
fn particular_machines(guests: &'static [Guest]) -> Vec<(Machine, Vec<&'static Guest>)> {
    let machine = |name: &str, platform, model, append, guests: Vec<&'static Guest>| {
        let list = guests.iter().map(|guest| guest.name).collect::<Vec<_>>().join(",");
        let variables = [("PLATFORM", platform), ("CPU", model), ("APPEND", append), ("GUEST", list.as_str())];
        let limit = if platform == "bochs" { BOCHS_LIMIT } else { QEMU_LIMIT };
        (Machine::new(name.to_owned(), 1, limit, &variables), guests)
    };
    let group = |group: &'static str, without: &'static str| {
        guests.iter().filter(move |guest| guest.header.group == group && guest.name != without).collect()
    };
    // What no sane program does, on one machine of each kind.
    let adversary = |name: &str, platform, model| {
        let without = if platform == "bochs" { ENDLESS_ON_BOCHS } else { "" };
        machine(&format!("{name}-adversary"), platform, model, "", group("adversary", without))
    };
    vec![
        adversary("bochs-skylake-x-1core", "bochs", "corei7_skylake_x"),
        adversary("bochs-ryzen-1core", "bochs", "ryzen"),
        adversary("bochs-phenom-1core", "bochs", "phenom_8650_toliman"),
        adversary("qemu-svm-1core", "qemu", "EPYC,+svm"),
        machine(
            "bochs-skylake-x-1core-apic",
            "bochs",
            "corei7_skylake_x",
            "apic=cpu",
            group("default", CUT_OFF_ON_BOCHS),
        ),
    ]
}

/// `machine::pass` for the machine as a whole, and `machine::guest` for each guest.
pub fn cases(guests: &'static [Guest]) -> Vec<Case> {
    let default: Vec<_> = guests.iter().filter(|guest| guest.header.group == "default").collect();
    let machines: Vec<_> = machines()
        .into_iter()
        .map(|machine| (machine, default.clone()))
        .chain(particular_machines(guests))
        .map(|(machine, guests)| (Arc::new(machine), guests))
        .collect();
    let mut cases = Vec::new();
    // Guest by guest and not machine by machine: so that tests side by side wait for different machines.
    for (machine, _) in &machines {
        let machine = machine.clone();
        cases.push(Case::new(format!("{}::pass", machine.name), move || passes(&machine)));
    }
    for guest in guests {
        for (machine, _) in machines.iter().filter(|(_, its)| its.iter().any(|one| one.name == guest.name)) {
            let machine = machine.clone();
            let name = format!("{}::{}", machine.name, guest.name);
            cases.push(Case::about(name, guest.name, move || guests::check(&machine, guest)));
        }
    }
    cases
}

/// The machine ran everything and says so, in its last line and by its end.
fn passes(machine: &Machine) -> Result<(), String> {
    let boot = machine.boot()?;
    match (boot.status, boot.verdict()) {
        (Some(0), Some(line)) if line.starts_with("hv: pass:") => Ok(()),
        (_, Some(line)) => Err(machine.failure(format!("last line: `{line}`"))),
        (_, None) => Err(machine.failure("no last line `hv: pass: …` or `hv: fail: …`")),
    }
}
