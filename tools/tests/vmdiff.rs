//! vmdiff as a process: what it says, and its exit status.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use hv::vt::doctor::text::Dumped;
use hv::vt::doctor::{Field, State};
use hv::vt::svm::case::SvmCase;
use hv::vt::vmx::case::VmxCase;
use hv::vt::{svm, vmx};

/// A file of its own for each test.
fn file(name: &str, text: impl AsRef<[u8]>) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("vmdiff-{}-{name}", std::process::id()));
    fs::write(&path, text).expect("a file in the build folder");
    path.to_str().expect("a plain path").into()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmdiff")).args(arguments).output().expect("vmdiff runs")
}

/// Exit status, standard output, standard error. Never a panic's message.
fn told(output: Output) -> (i32, String, String) {
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(!err.contains("panicked") && !err.contains("RUST_BACKTRACE"), "{err}");
    (output.status.code().expect("an exit status, not a signal"), out, err)
}

fn diff(a: &str, b: &str) -> (i32, String, String) {
    told(run(&[a, b]))
}

fn case_with(cr0: u64) -> VmxCase {
    let mut state = State::default();
    for f in vmx::state::F::ALL {
        state.set(*f, 0);
    }
    state.set(vmx::state::F::Cr0, cr0);
    VmxCase { state, ..VmxCase::blank() }
}

fn vmx_dump(cr0: u64) -> String {
    let mut text = String::new();
    vmx::dump::write(&case_with(cr0), &mut text).unwrap();
    text
}

fn svm_dump() -> String {
    let mut case = SvmCase::blank();
    for f in svm::state::F::ALL {
        case.state.set(*f, 1);
    }
    let mut text = String::new();
    svm::dump::write(&case, &mut text).unwrap();
    text
}

#[test]
fn equal_dumps_are_0() {
    let (a, b) = (file("equal-a", vmx_dump(1)), file("equal-b", vmx_dump(1)));
    let (status, out, err) = diff(&a, &b);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("all fields are the same") && out.contains("fields are equal (--all shows them)"), "{out}");
    assert_eq!(out.matches("of VM entry ").count(), 2, "{out}");
    let (_, all, _) = told(run(&["--all", &a, &b]));
    assert!(all.contains("  guest RIP ") && !out.contains("  guest RIP "), "{all}");
}

#[test]
fn what_differs_comes_first_with_its_bits() {
    let mut other = case_with(0x8000_0021);
    other.state.remove(vmx::state::F::Vpid);
    other.state.set(vmx::state::F::CsRights, 0x9b);
    let mut text = String::new();
    vmx::dump::write(&other, &mut text).unwrap();
    let (a, b) = (file("differ-a", vmx_dump(0x8000_0011)), file("differ-b", text));
    let (status, out, err) = diff(&a, &b);
    assert_eq!((status, err.as_str()), (1, ""), "{out}");
    for wants in ["guest CR0", "0x80000011", "0x80000021", "-ET, +NE", "absent", "type 0 -> 11", "+P"] {
        assert!(out.contains(wants), "{wants}\n{out}");
    }
    assert!(out.find("guest CR0") < out.find("fields are equal"), "{out}");
    assert!(out.lines().filter(|l| !l.starts_with(['A', 'B', '/'])).all(|line| line.len() <= 100), "{out}");
    let (_, plain, _) = told(run(&["--plain", &a, &b]));
    assert!(!plain.contains("+NE") && plain.contains("0x80000021"), "{plain}");
    let (_, names, _) = told(run(&["--names", &a, &b]));
    assert!(names.contains("A: PE, ET, PG") && names.contains("B: PE, NE, PG"), "{names}");
}

#[test]
fn colours_are_for_terminals() {
    let (a, b) = (file("colour-a", vmx_dump(1)), file("colour-b", vmx_dump(2)));
    assert!(!diff(&a, &b).1.contains('\x1b'));
    assert!(told(run(&["--color", "always", &a, &b])).1.contains("\x1b[31m"));
    assert!(!told(run(&["--color=never", &a, &b])).1.contains('\x1b'));
}

#[test]
fn a_dash_is_the_standard_input() {
    let a = file("stdin-a", vmx_dump(1));
    let mut child = Command::new(env!("CARGO_BIN_EXE_vmdiff"))
        .args(["-", &a])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(vmx_dump(1).as_bytes()).unwrap();
    assert_eq!(told(child.wait_with_output().unwrap()).0, 0);
    assert_eq!(told(run(&["-", "-"])).0, 2);
}

#[test]
fn what_is_not_a_dump_is_2_with_a_reason() {
    let good = file("bad-good", vmx_dump(1));
    let text = vmx_dump(1);
    let lines: Vec<_> = text.lines().collect();
    let mut swapped = lines.clone();
    swapped.swap(4, 8);
    let noise: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("empty", vec![], "no dump found"),
        ("noise", noise, "no dump found"),
        ("foreign", b"Dear reader,\nthis is not a dump.\n".to_vec(), "looked for 'VMCS"),
        ("truncated", lines[..30].join("\n").into_bytes(), "line 30: the dump ends here"),
        ("cut", text.as_bytes()[..text.find("RFLAGS=").unwrap() + 12].to_vec(), "line 9: damaged"),
        ("swapped", swapped.join("\n").into_bytes(), "line 6: out of order"),
        ("digit", text.replacen("CR3 = 0x0", "CR3 = 0xz", 1).into_bytes(), "line 5: damaged: no number for guest CR3"),
        ("wide", text.replacen("attr=0x0", "attr=0x1230000000", 1).into_bytes(), "too large"),
    ];
    for (name, bytes, wants) in cases {
        let bad = file(name, bytes);
        for (a, b) in [(&good, &bad), (&bad, &good)] {
            let (status, out, err) = diff(a, b);
            assert_eq!((status, out.as_str()), (2, ""), "{name}: {err}");
            assert!(err.contains(wants) && err.contains(&bad), "{name}: {err}");
        }
    }
}

#[test]
fn files_that_cannot_be_compared_are_2() {
    let (vmx, svm) = (file("mixed-vmx", vmx_dump(1)), file("mixed-svm", svm_dump()));
    let (status, _, err) = diff(&vmx, &svm);
    assert!(status == 2 && err.contains("VMX") && err.contains("SVM"), "{err}");
    for path in ["/nowhere/at/all", env!("CARGO_TARGET_TMPDIR")] {
        let (status, _, err) = diff(&vmx, path);
        assert!(status == 2 && err.contains(path), "{err}");
    }
    assert_eq!(told(run(&[])).0, 2);
    assert_eq!(told(run(&["--help"])).0, 0);
}

#[test]
fn what_our_dumps_lack_the_cpu_lacks() {
    let mut case = case_with(1);
    case.state.remove(vmx::state::F::Vpid);
    let mut text = String::new();
    vmx::dump::write(&case, &mut text).unwrap();
    let ours = file("complete", text);
    let (_, out, _) = diff(&ours, &ours);
    assert!(!out.contains("could not be judged") && !out.contains("says nothing"), "{out}");
    let help = told(run(&["--help"])).1;
    assert!(!help.contains("watch key"), "{help}");
}

#[test]
fn an_assumed_cpu_is_told() {
    let linux: String = vmx_dump(1).split("*** Capabilities").next().unwrap().into();
    let a = file("assumed", format!("{linux}\n{linux}"));
    let (status, out, err) = diff(&a, &a);
    assert_eq!(status, 0);
    assert!(
        out.contains("judged for a CPU that has everything")
            && out.contains("could not be judged")
            && err.contains("there are more dumps: only the first is read"),
        "{out}{err}"
    );
}
