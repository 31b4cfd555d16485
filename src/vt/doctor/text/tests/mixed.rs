//! Dumps whose lines are mixed with those of other cores, and with what guests print to look like them.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::{VmxCase, linux_only, read, vmcs, vmx_of, vmx_text};
use crate::vt::vmx::state::F;

fn with_cr3(cr3: u64) -> VmxCase {
    let mut case = vmcs();
    case.state.set(F::Cr3, cr3);
    case
}

/// The lines of a dump as the console has them.
fn lines(case: &VmxCase, guest: &str, core: u32) -> Vec<String> {
    vmx_text(case).lines().map(|line| format!("hv: guest {guest}: core {core}: dump: {line}")).collect()
}

/// One line of each in turn.
fn mixed(a: &[String], b: &[String]) -> String {
    let pairs = (0..a.len().max(b.len())).flat_map(|i| [a.get(i), b.get(i)]);
    pairs.flatten().map(|line| format!("{line}\r\n")).collect()
}

#[test]
fn dumps_of_two_cores_are_told_apart() {
    let (a, b) = (with_cr3(0x5000), with_cr3(0x6000));
    for (name, core) in [("modes", 2), ("hello", 1), ("hello1", 1)] {
        let (one, two) = (lines(&a, "hello", 12), lines(&b, name, core));
        for (first, second, want) in [(&one, &two, &a), (&two, &one, &b)] {
            let (case, report) = vmx_of(&mixed(first, second));
            assert!(case.state == want.state && case.cpu == want.cpu);
            assert!(report.more && report.incomplete == 0 && report.has_cpu);
            assert_eq!(report.foreign, first.len() - 1);
        }
    }
}

#[test]
fn a_dump_that_breaks_off_does_not_hide_that_of_another_core() {
    let (one, two) = (lines(&with_cr3(0x5000), "hello", 0), lines(&with_cr3(0x6000), "modes", 1));
    let (case, report) = vmx_of(&mixed(&one[..30], &two));
    assert_eq!((case.get(F::Cr3), report.incomplete), (0x6000, 1));
    let again = lines(&with_cr3(0x7000), "hello", 0);
    let (case, report) = vmx_of(&format!("{}{}", mixed(&one[..30], &two[..20]), mixed(&again, &[])));
    assert!(case.get(F::Cr3) == 0x7000 && report.incomplete >= 2);
}

#[test]
fn guests_cannot_print_a_dump() {
    let forged: Vec<_> = vmx_text(&with_cr3(0x6000)).lines().map(|line| format!("hv: evil@1| {line}")).collect();
    assert!(read(forged.join("\n").as_bytes()).is_err());
    let nested: Vec<_> =
        lines(&with_cr3(0x6000), "hello", 0).iter().map(|line| format!("hv: evil@1| x: {line}")).collect();
    assert!(read(nested.join("\n").as_bytes()).is_err());
    let ours = lines(&with_cr3(0x5000), "hello", 0);
    for forged in [&forged, &nested] {
        for text in [mixed(&ours, forged), mixed(forged, &ours)] {
            let (case, report) = vmx_of(&text);
            assert!(case.state == with_cr3(0x5000).state && !report.more && report.incomplete == 0);
        }
    }
}

#[test]
fn guests_cannot_write_into_a_dump() {
    let mut case = vmcs();
    case.state.set(F::TprThreshold, 3);
    let linux = linux_only(&vmx_text(&case));
    for before in ["hv: guest hello: core 0: dump: ", "[ 1.0] kvm_intel: ", ""] {
        for forged in
            ["hv: evil@0| : TPR Threshold = 0x0f", "hv: evil: TPR Threshold = 0x0f", "hv: x: CR3 = 0x0000000000000000"]
        {
            if before.is_empty() && !forged.contains('@') {
                continue;
            }
            let text: Vec<_> = linux.lines().map(|line| format!("{before}{line}\n{forged}")).collect();
            let got = vmx_of(&text.join("\n")).0;
            assert!(got.get(F::TprThreshold) == 3 && got.get(F::Cr3) == case.get(F::Cr3), "{before}{forged}");
        }
    }
}

#[test]
fn only_what_linux_continues_is_taken_without_a_prefix() {
    let linux = linux_only(&vmx_text(&vmcs()));
    let without = |start: &str| {
        let prefix = |line: &str| if line.starts_with(start) { "" } else { "kvm_intel: " };
        let text: Vec<_> = linux.lines().map(|line| format!("[ 1.0] {}{line}", prefix(line))).collect();
        vmx_of(&text.join("\n")).0.state
    };
    assert!(without("DebugCtl").get(F::Debugctl) == 0);
    assert!(without("nothing").get(F::Debugctl) == vmcs().get(F::Debugctl));
}
