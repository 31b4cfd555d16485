//! What the entry doctor, the narrator, the statistics and the trace ring show of guests, and that the programs for the
//! workstation read it.

use std::process::Command;
use std::sync::Arc;

use crate::{Case, Machine};

/// On both vendors: which machines.
const MACHINES: [(&str, &str, &str); 2] = [("svm", "qemu", "EPYC,+svm"), ("vmx", "bochs", "corei7_skylake_x")];

struct View {
    name: &'static str,
    options: &'static str,
    /// Whether the kernel says that all went well.
    passes: bool,
    /// What must be on the console, on both vendors.
    says: &'static [&'static str],
}

const VIEWS: &[View] = &[
    View {
        name: "narrator",
        options: "guest=hello,print narrate",
        passes: true,
        says: &[
            "hello@0: exit 1: nested-fault at 0000:7c00: fetch of GPA 0x7c00 | b8 34 12  mov ax,1234h | ",
            ": level 4 not present",
            "hello@0: exit 2: hlt at 0000:7c03 | f4  hlt",
            "0x68 in 1 bytes to port 0xe9 | e6 e9  out 0E9h,al",
        ],
    },
    View {
        name: "statistics",
        options: "guest=modes stats",
        passes: true,
        says: &[
            "statistics of 2",
            "cpuid         count 4  share 1.",
            "cycles min ",
            " p99 ",
            "hottest ports: 0xe9 x 161, ",
        ],
    },
    View {
        name: "statistics-on-demand",
        options: "guest=report",
        passes: true,
        says: &[
            "(exits until now)",
            "guest report: core 0: statistics of ",
            "trace@0 begin guest=report ",
            "trace@0 end",
        ],
    },
    View {
        name: "dump-with-names",
        options: "guest=hello dump=names",
        passes: true,
        says: &["guest registers:", "RFLAGS: 0x2 [fixed 1]", "last exit:"],
    },
    View {
        name: "stuck",
        options: "guest=stuck stuck=50",
        passes: true,
        says: &[
            "ok: stuck: 50 identical exits without progress",
            "last exit: exception at 0000:7c36: #DB (vector 1) | 90  nop",
            "raises #DB (vector 1) each time, and the guest comes back to it",
            "no rule of VM entry is broken",
        ],
    },
    View {
        name: "a-guest-that-fails-is-explained",
        options: "guest=stuck stuck=0 budget=300",
        passes: false,
        says: &[
            "FAILED: end: expected identical exits without progress, got budget used up",
            "last exit: ",
            "the control block, as the last exit left it:",
            "dump: ",
            "trace@0 begin guest=stuck ",
        ],
    },
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for view in VIEWS {
        for (vendor, platform, cpu) in MACHINES {
            let name = format!("view::{}-on-{vendor}", view.name);
            let variables = [("PLATFORM", platform), ("CPU", cpu), ("APPEND", view.options)];
            let machine = Machine::new(name.clone(), 1, 120, &variables);
            cases.push(Case::new(name, move || check(view, &machine)));
        }
    }
    // The consoles of two machines, read by the programs for the workstation.
    let machines = MACHINES.map(|(vendor, platform, cpu)| {
        let options = "guest=hello,modes dump=kvm trace";
        let variables = [("PLATFORM", platform), ("CPU", cpu), ("APPEND", options)];
        Arc::new(Machine::new(format!("view::dump-on-{vendor}"), 1, 120, &variables))
    });
    for machine in &machines {
        let machine = machine.clone();
        cases.push(Case::new(format!("{}-is-read-by-vmdiff", machine.name), move || vmdiff(&machine)));
    }
    for machine in machines {
        cases.push(Case::new(format!("{}-is-read-by-trace", machine.name), move || trace(&machine)));
    }
    cases
}

fn check(view: &View, machine: &Machine) -> Result<(), String> {
    let boot = machine.boot()?;
    for text in view.says {
        if !boot.console.contains(text) {
            return Err(machine.failure(format!("not on the console: `{text}`")));
        }
    }
    let passed = boot.status == Some(0) && boot.verdict().is_some_and(|line| line.starts_with("hv: pass:"));
    if passed == view.passes { Ok(()) } else { Err(machine.failure("it ended otherwise than it should")) }
}

/// A dump compared with itself is equal; with the next guest's it is not.
fn vmdiff(machine: &Machine) -> Result<(), String> {
    let boot = machine.boot()?;
    let (mut first, mut second) = (String::new(), String::new());
    for line in boot.console.lines() {
        match line {
            l if l.contains("guest hello:") => first += &format!("{l}\n"),
            l if l.contains("guest modes:") => second += &format!("{l}\n"),
            _ => {}
        }
    }
    let files = ["hello", "modes"].map(|guest| {
        std::env::temp_dir().join(format!("hv-{}-{}-{guest}", std::process::id(), machine.name.replace(':', "-")))
    });
    for (file, text) in files.iter().zip([first, second]) {
        std::fs::write(file, text).map_err(|error| error.to_string())?;
    }
    let run = |a: &std::path::Path, b: &std::path::Path| {
        let output = Command::new("scripts/vmdiff").args([a, b]).output().map_err(|error| error.to_string())?;
        Ok::<_, String>((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    let [hello, modes] = &files;
    let (same, different) = (run(hello, hello)?, run(hello, modes)?);
    for file in &files {
        let _ = std::fs::remove_file(file);
    }
    if same.0 != Some(0) {
        return Err(machine.failure(format!("a dump differs from itself: {same:?}")));
    }
    let says = ["fields that differ", "RAX", "no rule of VM entry is broken"];
    let wanted = if machine.name.ends_with("vmx") { &says[..1] } else { &says[..] };
    match wanted.iter().find(|text| !different.1.contains(**text)) {
        None if different.0 == Some(1) => Ok(()),
        missing => Err(machine.failure(format!("vmdiff: {missing:?} is not in {different:?}"))),
    }
}

/// The trace rings become a table with every exit of both guests.
fn trace(machine: &Machine) -> Result<(), String> {
    let boot = machine.boot()?;
    let file = std::env::temp_dir().join(format!("hv-{}-{}", std::process::id(), machine.name.replace(':', "-")));
    std::fs::write(&file, &boot.console).map_err(|error| error.to_string())?;
    let output = Command::new("scripts/trace").arg("--table").arg(&file).output().map_err(|error| error.to_string())?;
    let _ = std::fs::remove_file(&file);
    let table = String::from_utf8_lossy(&output.stdout);
    let says = ["guest hello", "guest modes", "GPA 0x7c00", "leaf 0x4000_0000", "MSR 0xc0000080"];
    match says.iter().find(|text| !table.contains(**text)) {
        None if output.status.code() == Some(0) => Ok(()),
        missing => {
            Err(machine.failure(format!("trace: {:?}, {missing:?} is not in its table:\n{table}", output.status)))
        }
    }
}
