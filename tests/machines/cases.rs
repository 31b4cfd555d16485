//! The clinic: every mistake of `case=`, and whether the entry doctor names its true cause. One boot a machine, with all of
//! them; a test for each reads its console.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use crate::{Case, Machine};

/// A mistake by name, and what must be in the lines about it.
type Cause = (&'static str, &'static [&'static str]);

const VMX: &[Cause] = &[
    (
        "entry-controls",
        &[
            "(0x7)",
            "[control.entry.reserved]",
            "VM-entry controls is 0x1e000 [",
            "must have 0x11fb set",
            "SDM 3C \"VM-Entry Control Fields\"",
        ],
    ),
    (
        "eptp-walk-length",
        &[
            "(0x7)",
            "[control.eptp.walk-length]",
            "03e [memory type 6, walk length less 1: 7,",
            "must have 0x20 clear",
            "SDM 3C \"VM-Execution Control Fields\"",
        ],
    ),
    (
        "ept-no-execute",
        &["fetch of GPA 0x8000", "EPT does not give the right to execute: the entry of level 1 is 0x", "that is rw-"],
    ),
    (
        "eptp-host-cr3",
        &["not entered", "[advice.ept.host-cr3]", "EPT pointer is 0x", "SDM 3C \"Extended-Page-Table Pointer (EPTP)\""],
    ),
    (
        "no-such-field",
        &[
            "[advice.instruction-error.field]",
            "(error 12)",
            "VM-instruction error is 0xc",
            "SDM 3C \"VM Instruction Error Numbers\"",
        ],
    ),
    (
        "tr-unusable",
        &[
            "(0x21)",
            "[guest.tr.usable]",
            "guest TR access rights is 0x1008b [type 11, P, unusable]: must have 0x10000 clear, that is unusable",
            "SDM 3C \"Checks on Guest Segment Registers\"",
        ],
    ),
    (
        "rflags-bit-1",
        &[
            "(0x21)",
            "[guest.rflags.fixed]",
            "guest RFLAGS is 0x0: must have 0x2 set",
            "SDM 3C \"Checks on Guest RIP, RFLAGS, and SSP\"",
        ],
    ),
    (
        "cs-l-and-d",
        &[
            "(0x21)",
            "[guest.cs.d-l]",
            "guest CS access rights is 0xe09b [type 11, S, P, L, D/B, G]: must have 0x4000 clear, that is D/B",
            "SDM 3C \"Checks on Guest Segment Registers\"",
        ],
    ),
    (
        "pae-clear",
        &[
            "(0x21)",
            "[guest.ia32e.pae]",
            "guest CR4 is 0x2040 [MCE, VMXE]: must have 0x20 set, that is PAE",
            "SDM 3C \"Checks on Guest Control Registers, Debug Registers, and MSRs\"",
        ],
    ),
    (
        "lma-without-control",
        &[
            "(0x21)",
            "[guest.efer.lma]",
            "guest IA32_EFER is 0xd01 [SCE, LME, LMA, NXE]: LMA must agree with IA-32e mode guest of VM-entry controls",
            "SDM 3C \"Checks on Guest Control Registers, Debug Registers, and MSRs\"",
        ],
    ),
    (
        "host-tr-zero",
        &[
            "(0x8)",
            "[host.tr.null]",
            "host TR selector is 0x0",
            "SDM 3C \"Checks on Host Segment and Descriptor-Table Registers\"",
        ],
    ),
    (
        "msr-load-fs-base",
        &[
            "(0x22)",
            "[msr-load.fs-gs-base]",
            "entry 1 of the VM-entry MSR-load area, for MSR 0xc0000100",
            "SDM 3C \"Loading MSRs\"",
        ],
    ),
    (
        "delivery-loop",
        &[
            "delivering #GP (vector 13)",
            "GPA 0xfffe",
            "RSP is 0x200000 and SS a 16-bit segment",
            "EPT has no page there",
            "[advice.guest.swapped-rights]",
            "[advice.guest.rsp-16]",
        ],
    ),
    (
        "stale-error-28",
        &[
            "[advice.instruction-error.invalidation]",
            "(error 28)",
            "VM-instruction error is 0x1c",
            "SDM 3C \"VM Instruction Error Numbers\"",
        ],
    ),
    ("resume-not-launched", &["VMRESUME with non-launched VMCS (0x5)", "[launch.not-launched]"]),
    ("launch-twice", &["VMLAUNCH with non-clear VMCS (0x4)", "[launch.not-clear]"]),
];

const SVM: &[Cause] = &[
    (
        "svme-clear",
        &[
            "VMEXIT_INVALID",
            "[save.efer.svme]",
            "EFER is 0x0: must have 0x1000 set, that is SVME",
            "APM 2 \"Canonicalization and Consistency Checks\"",
        ],
    ),
    (
        "asid-zero",
        &[
            "VMEXIT_INVALID",
            "[control.asid-zero]",
            "guest ASID is 0x0",
            "APM 2 \"Canonicalization and Consistency Checks\"",
        ],
    ),
    (
        "vmrun-not-intercepted",
        &[
            "VMEXIT_INVALID",
            "[control.vmrun-intercept]",
            "must have 0x1 set, that is VMRUN",
            "APM 2 \"Canonicalization and Consistency Checks\"",
        ],
    ),
    (
        "hlt-not-intercepted",
        &[
            "[advice.hlt-not-intercepted]",
            "must have 0x1000000 set, that is HLT",
            "APM 2 \"Instruction Intercepts\"",
            "it was stopped",
        ],
    ),
    (
        "io-not-intercepted",
        &["[advice.ioio-not-intercepted]", "must have 0x8000000 set, that is IOIO_PROT", "APM 2 \"IOIO Intercepts\""],
    ),
    (
        "intr-not-intercepted",
        &[
            "not entered",
            "[advice.intr-not-intercepted]",
            "must have 0x1 set, that is INTR",
            "APM 2 \"INTR Intercept\"",
        ],
    ),
    (
        "maps-never-written",
        &[
            "[advice.iopm-zero]",
            "IOPM_BASE_PA is 0x0",
            "APM 2 \"I/O Permissions Map\"",
            "[advice.msrpm-zero]",
            "MSRPM_BASE_PA is 0x0",
            "APM 2 \"MSR Intercepts\"",
        ],
    ),
    (
        "npt-no-execute",
        &["fetch of GPA 0x8000", "NPT does not give the right to execute: the entry of level 1 is 0x8", "that is rw-"],
    ),
    (
        "delivery-loop",
        &[
            "delivering #UD (vector 6)",
            "GPA 0xfffe",
            "RSP is 0x200000 and SS a 16-bit segment",
            "NPT has no page there",
        ],
    ),
];

/// What tests call the machine, its platform and CPU; the file that has the mistakes, and their causes.
const MACHINES: [(&str, &str, &str, &str, &[Cause]); 3] = [
    ("vmx", "bochs", "corei7_skylake_x", "src/vt/vmx/mistakes.rs", VMX),
    ("svm", "qemu", "EPYC,+svm", "src/vt/svm/mistakes.rs", SVM),
    ("svm-bochs", "bochs", "ryzen", "src/vt/svm/mistakes.rs", SVM),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, platform, cpu, file, causes) in MACHINES {
        let variables = [("PLATFORM", platform), ("CPU", cpu), ("APPEND", "case=all")];
        let machine = Arc::new(Machine::new(format!("case-{name}"), 1, 120, &variables));
        for cause in causes {
            let machine = machine.clone();
            cases.push(Case::new(format!("case::{name}::{}", cause.0), move || check(&machine, cause)));
        }
        let all = format!("case::{name}::every-mistake-has-a-test");
        cases.push(Case::new(all, move || every_mistake(&machine, file, causes)));
    }
    cases
}

fn check(machine: &Machine, (name, says): &Cause) -> Result<(), String> {
    let boot = machine.boot()?;
    let about = format!("case {name}: core 0: ");
    let lines: Vec<_> = boot.console.lines().filter(|line| line.contains(&about)).collect();
    if !lines.iter().any(|line| line.contains(&format!("{about}ok"))) {
        return Err(machine.failure(format!("no line `{about}ok`")));
    }
    match says.iter().find(|text| !lines.iter().any(|line| line.contains(**text))) {
        None => Ok(()),
        Some(text) => Err(machine.failure(format!("case {name}: not in what is said of it: `{text}`"))),
    }
}

/// The mistakes of the source, those of the console, and those that have a test are the same.
fn every_mistake(machine: &Machine, file: &str, causes: &[Cause]) -> Result<(), String> {
    let tested: BTreeSet<_> = causes.iter().map(|(name, _)| *name).collect();
    let boot = machine.boot()?;
    let said = boot.console.lines().filter_map(|line| line.split_once("case ")?.1.split_once(": core 0: "));
    let said: BTreeSet<_> = said.map(|(name, _)| name).collect();
    let source = fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    let written = names(&source);
    let differ = |what: &str, other: &BTreeSet<&str>| {
        let odd: Vec<_> = tested.symmetric_difference(other).copied().collect();
        if odd.is_empty() {
            Ok(())
        } else {
            Err(machine.failure(format!("not the mistakes of {what}: {}", odd.join(" "))))
        }
    };
    differ(file, &written)?;
    differ("the console", &said)
}

/// The names of mistakes in their source: the first string of each call that makes one.
fn names(source: &str) -> BTreeSet<&str> {
    let calls = ["refused(", "misused(", "wrong("];
    let after = calls.iter().flat_map(|call| source.split(*call).skip(1));
    let quoted = after.filter_map(|text| text.trim_start().strip_prefix('"')?.split_once('"'));
    quoted.map(|(name, _)| name).collect()
}
