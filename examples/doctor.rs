//! What is wrong with a VMCS or VMCB, from a dump as text: `cargo run --example doctor -- dump.txt`.
//!
//! ```text
//! doctor DUMP [--cpu OTHER] [--state]
//! ```
//!
//! DUMP is what hv prints when an entry fails, or what Linux KVM prints with `dump_invalid_vmcs=1`, as it stands in a log;
//! `-` is the standard input. `--cpu` takes what the CPU can do from another dump, `--state` shows the fields with the names
//! of their bits. Exit status: 0 if no rule is broken, 1 if one is, 2 if there was trouble.
//!
//! Another hypervisor does not need the text. It gives the rules the fields of its own VMCS, right after an entry failed:
//!
//! ```ignore
//! use hv::vt::doctor::{Field, State};
//!
//! let mut state = State::default();
//! for field in F::ALL {
//!     // VMREAD refuses fields that this CPU does not have: they stay absent.
//!     if let Ok(value) = vmread(field.encoding()) {
//!         state.set(*field, value);
//!     }
//! }
//! let cpu = VmxCpu::read(&VmxCaps::read(rdmsr), cpuid);
//! let case = VmxCase::new(state, cpu);
//! diagnose(&case, &mut |line| println!("{line}"));
//! ```
//!
//! (That is `failed_entry` below, which the example's test calls.)
//!
//! With SVM it is `svm::state::from_bytes` on the VMCB's 4 KiB, `SvmCaps::read` and `SvmCase::new`.

use std::io::Read;
use std::process::ExitCode;

use hv::vt::doctor::Patient;
use hv::vt::doctor::report::{diagnose, show_state};
use hv::vt::doctor::text::{ANY_CPU, Dump, Report, read};

const USAGE: &str = "usage: doctor DUMP [--cpu OTHER] [--state]";

/// What the command line says.
#[derive(Default)]
struct Options {
    dump: String,
    cpu: Option<String>,
    state: bool,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--state" => options.state = true,
            "--cpu" => options.cpu = Some(words.next().ok_or("--cpu needs a file")?),
            "-" => options.dump = word,
            _ if word.starts_with('-') => return Err(format!("there is no option {word}\n{USAGE}")),
            _ if options.dump.is_empty() => options.dump = word,
            _ => return Err(USAGE.into()),
        }
    }
    if options.dump.is_empty() { Err(USAGE.into()) } else { Ok(options) }
}

/// The first dump in a file.
fn load(path: &str) -> Result<Report, String> {
    let mut text = Vec::new();
    let done = match path {
        "-" => std::io::stdin().lock().read_to_end(&mut text).map(drop),
        _ => std::fs::read(path).map(|bytes| text = bytes),
    };
    done.map_err(|e| format!("{path}: {e}"))?;
    let report = read(&text).map_err(|trouble| format!("{path}: {trouble}"))?;
    if report.foreign > 0 {
        eprintln!("doctor: {path}: lines skipped that are not of the dump: {}", report.foreign);
    }
    if report.more {
        eprintln!("doctor: {path}: there are more dumps: only the first is read");
    }
    Ok(report)
}

/// Prints the diagnosis of a case of either vendor. Whether a rule is broken.
fn tell<P: Patient>(case: &P, state: bool) -> bool {
    if state {
        show_state(case, &mut |line| println!("{line}"));
    }
    diagnose(case, &mut |line| println!("{line}")) > 0
}

fn run() -> Result<bool, String> {
    let options = options(std::env::args().skip(1))?;
    let mut report = load(&options.dump)?;
    if let Some(path) = &options.cpu {
        let other = load(path)?;
        if !other.has_cpu {
            return Err(format!("{path}: this dump does not say what its CPU can do"));
        }
        match (&mut report.dump, other.dump) {
            (Dump::Vmx(case), Dump::Vmx(other)) => case.cpu = other.cpu,
            (Dump::Svm(case), Dump::Svm(other)) => case.cpu = other.cpu,
            _ => return Err(format!("{path}: this dump is of the other vendor's CPU")),
        }
    } else if !report.has_cpu {
        println!("{ANY_CPU}");
    }
    Ok(match &report.dump {
        Dump::Vmx(case) => tell(case, options.state),
        Dump::Svm(case) => tell(case, options.state),
    })
}

fn main() -> ExitCode {
    match run() {
        Ok(broken) => ExitCode::from(u8::from(broken)),
        Err(trouble) => {
            eprintln!("doctor: {trouble}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use hv::vt::doctor::report::diagnose;
    use hv::vt::doctor::{Field, State};
    use hv::vt::vmx::caps::VmxCaps;
    use hv::vt::vmx::case::{VmxCase, VmxCpu};
    use hv::vt::vmx::state::F;

    /// The code of the text at the top. How many rules are broken.
    fn failed_entry(
        vmread: impl Fn(u32) -> Result<u64, ()>,
        rdmsr: impl Fn(u32) -> u64,
        cpuid: impl Fn(u32, u32) -> [u32; 4],
    ) -> usize {
        let mut state = State::default();
        for field in F::ALL {
            // VMREAD refuses fields that this CPU does not have: they stay absent.
            if let Ok(value) = vmread(field.encoding()) {
                state.set(*field, value);
            }
        }
        let cpu = VmxCpu::read(&VmxCaps::read(rdmsr), cpuid);
        let case = VmxCase::new(state, cpu);
        diagnose(&case, &mut |line| println!("{line}"))
    }

    #[test]
    fn the_code_of_the_text_compiles_and_finds_something() {
        let only_rflags = |encoding| if encoding == F::Rflags.encoding() { Ok(0) } else { Err(()) };
        assert_eq!(failed_entry(only_rflags, |_| 0, |_, _| [0; 4]), 1);
    }

    fn broken(dump: &str) -> usize {
        let report = super::read(dump.as_bytes()).expect("a dump");
        assert!(!report.has_cpu);
        match report.dump {
            super::Dump::Vmx(case) => diagnose(&case, &mut |line| println!("{line}")),
            super::Dump::Svm(case) => diagnose(&case, &mut |line| println!("{line}")),
        }
    }

    #[test]
    fn dumps_of_any_cpu_show_their_mistakes_and_no_others() {
        let vmx = include_str!("dumps/kvm-vmx.txt");
        let (bad, good) = ("RFLAGS=0x00000000", "RFLAGS=0x00000002");
        assert_eq!((broken(vmx), broken(&vmx.replace(bad, good))), (1, 0));
        // Bits 0 to 8 and 12 of the VM-entry controls hold the bits that are 1 on every CPU.
        let entry = vmx.replace(bad, good).replace("EntryControls=0000d3ff", "EntryControls=0001e000");
        // And without "IA-32e mode guest", which is among them, LMA is wrong too.
        assert_eq!(broken(&entry), 2);
        // Shadow stacks, protection keys and linear-address masking, which most CPUs do not have.
        let modern = vmx
            .replace(bad, good)
            .replace("CR4: actual=0x00000000000020a0", "CR4: actual=0x00000000138020a0")
            .replace("EntryControls=0000d3ff ExitControls=002befff", "EntryControls=0051d3ff ExitControls=302befff")
            .replace("TertiaryExec=0x0000000000000000", "TertiaryExec=0x0000000000000010");
        assert_eq!(broken(&modern), 0);
        let svm = include_str!("dumps/kvm-svm.txt");
        assert_eq!((broken(svm), broken(&svm.replace("asid:               0", "asid:               1"))), (1, 0));
    }
}
