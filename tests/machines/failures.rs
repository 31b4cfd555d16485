//! Machines that can't run guests, mistakes on the command line, and a kernel that is broken on purpose: each ends in a
//! sentence that says what is wrong.

use crate::{Case, Machine};

/// How a boot ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its last line is `hv: fail: …` and the machine ends itself.
    Fails,
    /// Its last line is `hv: pass: …` and the machine ends itself.
    Passes,
    /// It stops where it can't end the machine: seconds until we do.
    Stops(u64),
}
use End::{Fails, Passes, Stops};

struct Failure {
    name: &'static str,
    variables: &'static [(&'static str, &'static str)],
    end: End,
    /// What must be on the console.
    says: &'static [&'static str],
}

const fn qemu(cpu: &'static str) -> [(&'static str, &'static str); 2] {
    [("PLATFORM", "qemu"), ("CPU", cpu)]
}
const fn bochs(cpu: &'static str) -> [(&'static str, &'static str); 2] {
    [("PLATFORM", "bochs"), ("CPU", cpu)]
}
const fn options(line: &'static str) -> [(&'static str, &'static str); 3] {
    [("PLATFORM", "qemu"), ("CPU", "EPYC,+svm"), ("APPEND", line)]
}
const fn options_on_vmx(line: &'static str) -> [(&'static str, &'static str); 3] {
    [("PLATFORM", "bochs"), ("CPU", "corei7_skylake_x"), ("APPEND", line)]
}

const FAILURES: &[Failure] = &[
    // --- What the machine lacks ---
    Failure {
        name: "preflight::no-nesting-below",
        variables: &qemu("qemu64,-svm,+hypervisor"),
        end: Fails,
        says: &["under a hypervisor", "does not nest"],
    },
    Failure {
        name: "preflight::no-svm",
        variables: &qemu("EPYC,-svm,-hypervisor"),
        end: Fails,
        says: &["neither Intel VT-x nor AMD-V"],
    },
    Failure {
        name: "preflight::no-nested-paging",
        variables: &qemu("EPYC,+svm,-npt"),
        end: Fails,
        says: &["AMD-V is there, but without nested paging"],
    },
    Failure {
        name: "preflight::no-vmx",
        variables: &bochs("athlon64_venice"),
        end: Fails,
        says: &["neither Intel VT-x nor AMD-V"],
    },
    Failure {
        name: "preflight::no-ept",
        variables: &bochs("core2_penryn_t9600"),
        end: Fails,
        says: &["VT-x is there, but without EPT"],
    },
    Failure {
        name: "preflight::no-unrestricted-guest",
        variables: &bochs("corei5_lynnfield_750"),
        end: Fails,
        says: &["not \"unrestricted guest\""],
    },
    Failure {
        name: "preflight::no-long-mode",
        variables: &bochs("p4_willamette"),
        end: Stops(15),
        says: &["this CPU has no long mode"],
    },
    Failure {
        name: "preflight::not-multiboot2",
        variables: &[("PLATFORM", "qemu"), ("MEDIA", "kernel")],
        end: Stops(8),
        says: &["not booted by multiboot2"],
    },
    Failure {
        name: "preflight::too-little-memory",
        variables: &[("PLATFORM", "qemu"), ("MEM", "12M")],
        end: Fails,
        says: &["memory"],
    },
    // --- Mistakes on the command line ---
    Failure {
        name: "options::unknown",
        variables: &options("guets=hello"),
        end: Fails,
        says: &["unknown option 'guets'", "did you mean 'guest'?"],
    },
    Failure {
        name: "options::wrong-value",
        variables: &options("log=loud"),
        end: Fails,
        says: &["option 'log' can't be 'loud'", "error|warn|info|debug|trace"],
    },
    Failure {
        name: "options::unknown-guest",
        variables: &options("guest=hullo"),
        end: Fails,
        says: &["hullo", "hello"],
    },
    Failure {
        name: "options::unknown-case-on-svm",
        variables: &options("case=nonsense"),
        end: Fails,
        says: &["no case `nonsense` on svm", "svme-clear", "delivery-loop"],
    },
    Failure {
        name: "options::unknown-case-on-vmx",
        variables: &options_on_vmx("case=nonsense"),
        end: Fails,
        says: &["no case `nonsense` on vmx", "entry-controls", "launch-twice"],
    },
    Failure {
        name: "options::no-rounds",
        variables: &options("differ=0"),
        end: Fails,
        says: &["option 'differ' can't be '0'", "<rounds>[,<seed>[,<first>]]"],
    },
    Failure {
        name: "options::no-number-of-rounds",
        variables: &options("differ=x"),
        end: Fails,
        says: &["option 'differ' can't be 'x'", "<rounds>[,<seed>[,<first>]]"],
    },
    Failure { name: "options::help", variables: &options("help"), end: Passes, says: &["selftest=", "budget="] },
    Failure { name: "options::list", variables: &options("guest=list"), end: Passes, says: &["hello", "loads 0x1234"] },
    Failure { name: "options::quiet", variables: &options("log=error"), end: Passes, says: &["hv: pass:"] },
    Failure {
        name: "options::cores",
        variables: &[("PLATFORM", "qemu"), ("SMP", "4"), ("APPEND", "cores=2 guest=hello")],
        end: Passes,
        says: &["guest hello: core 0: ok", "guest hello: core 1: ok"],
    },
    // --- The kernel broken on purpose ---
    Failure {
        name: "selftest::panic-on-svm",
        variables: &options("selftest=panic"),
        end: Fails,
        says: &["hv: panic: asked for by selftest=panic", "cr3", "kernel::main", "boot_high"],
    },
    Failure {
        name: "selftest::fault-on-svm",
        variables: &options("selftest=fault"),
        end: Fails,
        says: &["page fault", "dead0000", "selftest::fault"],
    },
    Failure {
        name: "selftest::fault-on-vmx",
        variables: &options_on_vmx("selftest=fault"),
        end: Fails,
        says: &["page fault", "dead0000", "selftest::fault"],
    },
    Failure {
        name: "selftest::stack-on-svm",
        variables: &options("selftest=stack"),
        end: Fails,
        says: &["stack", "stack_overflow"],
    },
    Failure {
        name: "selftest::stack-on-vmx",
        variables: &options_on_vmx("selftest=stack"),
        end: Fails,
        says: &["stack", "stack_overflow"],
    },
];

pub fn cases() -> impl Iterator<Item = Case> {
    FAILURES.iter().map(|failure| Case::new(failure.name, || check(failure)))
}

fn check(failure: &Failure) -> Result<(), String> {
    let limit = if let Stops(seconds) = failure.end { seconds } else { 120 };
    let cores = failure.variables.iter().find(|(name, _)| *name == "SMP").map_or(1, |(_, n)| n.parse().unwrap_or(1));
    let machine = Machine::new(failure.name, cores, limit, failure.variables);
    let boot = machine.boot()?;
    for text in failure.says {
        if !boot.console.contains(text) {
            return Err(machine.failure(format!("not on the console: `{text}`")));
        }
    }
    let verdict = boot.verdict().unwrap_or("none");
    match failure.end {
        Fails if boot.status == Some(1) && verdict.starts_with("hv: fail:") => Ok(()),
        Passes if boot.status == Some(0) && verdict.starts_with("hv: pass:") => Ok(()),
        Stops(_) if !verdict.starts_with("hv: pass:") => Ok(()),
        _ => Err(machine.failure(format!("it ended otherwise than it should; last line: {verdict}"))),
    }
}
