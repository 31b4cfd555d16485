//! Dumps written and read again, whole and damaged.

use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

mod mixed;

use super::*;
use crate::vt::doctor::state::{Field, State};
use crate::vt::svm;
use crate::vt::vmx::{self, case::MsrEntry};

/// A VMCS with every field, each with another value, for which Linux has many lines.
fn vmcs() -> VmxCase {
    let mut case = VmxCase::blank();
    for (i, f) in vmx::state::F::ALL.iter().enumerate() {
        case.state.set(*f, 0x1234_5678_9abc_0001 + i as u64);
    }
    for (f, value) in [(vmx::state::F::EntryMsrLoadCount, 2), (vmx::state::F::EntryControls, 0x11_f3ff)] {
        case.state.set(f, value);
    }
    for index in [0xc000_0080, 0x277] {
        case.entry_msrs.push(MsrEntry { index, reserved: index & 1, value: 0x500 });
    }
    (case.vmcs, case.pointed.link_revision) = (0x12_3000, Some(4));
    case
}

fn vmcb() -> SvmCase {
    let mut case = SvmCase::blank();
    for (i, f) in svm::state::F::ALL.iter().enumerate() {
        case.state.set(*f, 0xf234_5678_9abc_0001 + i as u64);
    }
    case
}

fn vmx_text(case: &VmxCase) -> String {
    let mut text = String::new();
    vmx::dump::write(case, &mut text).unwrap();
    text
}

fn svm_text(case: &SvmCase) -> String {
    let mut text = String::new();
    svm::dump::write(case, &mut text).unwrap();
    text
}

/// What Linux alone would print of it.
fn linux_only(text: &str) -> String {
    text.split(CAPABILITIES).next().unwrap().into()
}

fn vmx_of(text: &str) -> (VmxCase, Report) {
    let report = read(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let Dump::Vmx(case) = report.dump.clone() else { panic!("a VMCB") };
    (case, report)
}

fn fails(text: &str) -> String {
    format!("{}", read(text.as_bytes()).map(|_| text).expect_err("must not be readable"))
}

#[test]
fn lines_are_those_of_linux() {
    let mut case = vmcs();
    for (f, v) in [(vmx::state::F::Rflags, 2), (vmx::state::F::Dr7, 0x400), (vmx::state::F::CsSelector, 8)] {
        case.state.set(f, v);
    }
    for (f, v) in [
        (vmx::state::F::CsRights, 0xa09b),
        (vmx::state::F::CsLimit, 0xffff_ffff),
        (vmx::state::F::CsBase, 0),
        (vmx::state::F::Secondary, 0x8aa),
        (vmx::state::F::Primary, 1 << 21),
        (vmx::state::F::TprThreshold, 0),
        (vmx::state::F::Vpid, 1),
        (vmx::state::F::InstructionError, 7),
    ] {
        case.state.set(f, v);
    }
    let text = vmx_text(&case);
    for line in [
        "VMCS 0000000000123000, last attempted VM-entry on CPU 0\n*** Guest State ***\nCR0: actual=0x",
        "\nRFLAGS=0x00000002         DR7 = 0x0000000000000400\n",
        "\nCS:   sel=0x0008, attr=0x0a09b, limit=0xffffffff, base=0x0000000000000000\n",
        "\nGDTR:                           limit=0x",
        "\nMSR guest autoload:\n   0: msr=0xc0000080 value=0x0000000000000500\n   1: msr=0x00000277",
        "\n*** Host State ***\nRIP = 0x",
        "\n        reason=",
        "\nTPR Threshold = 0x00\nvirt-APIC addr = 0x",
        "\nVirtual processor ID = 0x0001\n*** Capabilities ***\nbasic = 0x5da040000000004\n",
        "\nVM-instruction error = 0x7\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let text = svm_text(&vmcb());
    assert!(text.contains("VMCB Control Area:\ncr_read:            0001\ncr_write:           9abc\n"), "{text}");
    assert!(text.contains("\npause filter threshold:7\n") && text.contains("\nnested_ctl:         -"), "{text}");
    assert!(text.contains("\nes:   s: ") && text.contains("                efer:         f2"), "{text}");
    assert!(text.contains("\ncr0:            ") && text.contains(" cr2:          "), "{text}");
}

#[test]
fn full_dumps_come_back() {
    let case = vmcs();
    let (back, report) = vmx_of(&vmx_text(&case));
    assert_eq!((back.state, back.cpu), (case.state, case.cpu));
    assert_eq!((back.entry_msrs, back.pointed, back.vmcs), (case.entry_msrs, case.pointed, case.vmcs));
    assert!(report.has_cpu && !report.more && report.foreign == 0 && report.lines.0 == 1);
}

#[test]
fn names_of_all_fields_and_facts_are_their_own() {
    fn own<P: Dumped>() {
        let names = P::Field::ALL.iter().map(|f| f.name());
        let sections = [
            names.collect::<Vec<_>>(),
            P::CPU.iter().map(|f| f.name).collect(),
            P::ENTRY.iter().map(|f| f.name).collect(),
        ];
        for mut names in sections {
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all);
            assert!(names.iter().all(|name| !name.contains(" = ")));
        }
    }
    own::<VmxCase>();
    own::<SvmCase>();
}

#[test]
fn what_logs_put_before_lines_is_taken_off() {
    let linux = linux_only(&vmx_text(&vmcs()));
    let plain = vmx_of(&linux).0.state;
    let shapes: [fn(usize, &str) -> String; 5] = [
        |i, line| format!("[  {}.{:06}] kvm_intel: {line}", 120 + i, i * 977),
        |i, line| format!("Nov 21 07:{:02}:10 host7 kernel: [{i:5}.1] kvm_intel: {line}", i % 60),
        |_, line| format!("hv: cpu 1: dump: {line}"),
        |_, line| format!("  {line}"),
        |_, line| format!("<3>kernel: {line}\r"),
    ];
    for shape in shapes {
        let text: Vec<_> = linux.lines().enumerate().map(|(i, line)| shape(i, line)).collect();
        let text = format!("some line before\n{}\nlater: text\n", text.join("\n"));
        let (case, report) = vmx_of(&text);
        assert!(case.state == plain, "{text}");
        assert!(!report.has_cpu && report.foreign == 0);
    }
}

#[test]
fn lines_of_others_are_skipped_and_counted() {
    let linux = linux_only(&svm_text(&vmcb()));
    let text: Vec<_> =
        linux.lines().map(|line| format!("[ 1.5] kvm_amd: {line}\n[ 2.0] usb 1-1: new device, number=0x12")).collect();
    let report = read(text.join("\n").as_bytes()).unwrap();
    assert_eq!(report.foreign, linux.lines().count() - 1);
    let text = linux.replace("\nes:", "\n[ 3.0] e1000 0000:00:03.0: reg=0x12\n\nes:");
    assert_eq!(read(text.as_bytes()).unwrap().foreign, 1);
}

#[test]
fn the_kernel_continues_a_line_on_its_own() {
    let mut case = vmcs();
    case.state.set(vmx::state::F::Secondary, 0);
    case.state.set(vmx::state::F::Primary, 1 << 21);
    case.state.set(vmx::state::F::TprThreshold, 3);
    let linux = linux_only(&vmx_text(&case));
    let text: Vec<_> = linux
        .lines()
        .map(|line| format!("[ 1.0] {}{line}", if line.starts_with("TPR") { "" } else { "kvm_intel: " }))
        .collect();
    assert_eq!(vmx_of(&text.join("\n")).0.get(vmx::state::F::TprThreshold), 3);
}

#[test]
fn damage_is_told_with_its_line() {
    let text = vmx_text(&vmcs());
    for (from, to, wants) in [
        ("CR3 = 0x", "CR3 = 0xg", "line 5: damaged: no number for guest CR3"),
        ("CR3 = 0x", "CR3 = 0x1234567890", "line 5: the number is too large: guest CR3 has 64 bits"),
        ("CR3 = 0x12", "CR3 = 0x", "line 5: damaged: guest CR3 has less than 16 digits"),
        ("CR3 = 0x", "CR3", "line 5: damaged: 'CR3 = 0x' should come next"),
        ("RFLAGS=0x", "RFLXGS=0x", "line 9: neither a line of a dump nor clearly something else"),
        ("CR3 = 0x", "*** Guest State ***\nCR3 = 0x", "this is in the dump twice"),
        ("pin = ", "pin = 0x1\npin = ", "this is in the dump twice"),
        ("pin = ", "pln = ", "no field and no fact has this name"),
        ("phys_bits = 0x34", "phys_bits = 0x134", "the number is too large: phys_bits has 8 bits"),
        ("basic = 0x", "basic = 0x5da040000000004\n*** Host State ***\n", "out of order"),
        ("*** End of dump ***", "", "the dump ends here, before '*** End of dump ***'"),
    ] {
        assert!(text.contains(from), "{from}");
        let message = fails(&text.replacen(from, to, 1));
        assert!(message.starts_with("line ") && message.contains(wants), "{from}: {message}");
    }
    let mut lines: Vec<_> = text.lines().collect();
    lines.swap(4, 7);
    assert!(fails(&lines.join("\n")).contains("out of order"));
    for (some, wants) in [("", "no dump found"), ("hello\nworld\n", "no dump found"), ("\0\u{1}\u{2}", "looked for")] {
        assert!(fails(some).contains(wants));
    }
    assert!(fails("VMCB 0, last attempted VMRUN on CPU 0\n").starts_with("line 1: the dump ends here"));
}

#[test]
fn the_first_complete_dump_is_taken() {
    let (first, mut other) = (vmcs(), vmcs());
    other.state.set(vmx::state::F::Cr3, 0x5000);
    let (first, other) = (vmx_text(&first), vmx_text(&other));
    let (case, report) = vmx_of(&format!("{first}{other}"));
    assert!(report.more && case.get(vmx::state::F::Cr3) != 0x5000);
    let half: String = first.lines().take(20).collect::<Vec<_>>().join("\n");
    let (case, report) = vmx_of(&format!("{half}\n{other}"));
    assert_eq!((report.incomplete, report.more, case.get(vmx::state::F::Cr3)), (1, false, 0x5000));
}

#[test]
fn names_are_shown_for_every_field() {
    let mut text = String::new();
    vmx::dump::write_names(&vmcs(), &mut text).unwrap();
    for f in vmx::state::F::ALL {
        assert!(text.contains(&format!("  {}: 0x", f.name())), "{}", f.name());
    }
}

/// Any of the fields, with any values that they have room for.
fn states<F: Field>() -> impl Strategy<Value = State<F>> {
    let value = prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), any::<u64>().prop_map(|v| v & 0xffff)];
    let all = F::ALL.len();
    (proptest::collection::vec((value, any::<bool>()), all), any::<bool>()).prop_map(|(values, full)| {
        let mut state = State::default();
        for (f, (value, present)) in F::ALL.iter().zip(values) {
            if present || full {
                state.set(*f, value);
            }
        }
        state
    })
}

/// Facts of any value.
fn set_facts<P: Dumped>(case: &mut P, values: &[u64]) {
    for (fact, value) in P::CPU.iter().zip(values) {
        (fact.set)(case, value & line::mask(fact.bits));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..config(24) })]

    #[test]
    fn a_vmcs_comes_back(state in states(), facts in proptest::collection::vec(any::<u64>(), 32), msrs in 0usize..=16) {
        let mut case = VmxCase::blank();
        case.state = state;
        set_facts(&mut case, &facts);
        for (index, fact) in (0..).zip(facts.iter().take(msrs)) {
            case.entry_msrs.push(MsrEntry { index, reserved: *fact as u32, value: *fact });
        }
        let (back, _) = vmx_of(&vmx_text(&case));
        prop_assert_eq!(&back.state, &case.state);
        prop_assert_eq!(back.cpu, case.cpu);
        if case.get(vmx::state::F::EntryMsrLoadCount) > 0 {
            prop_assert_eq!(back.entry_msrs, case.entry_msrs);
        }
    }

    #[test]
    fn a_vmcb_comes_back(state in states(), facts in proptest::collection::vec(any::<u64>(), 32)) {
        let mut case = SvmCase::blank();
        case.state = state;
        set_facts(&mut case, &facts);
        let Dump::Svm(back) = read(svm_text(&case).as_bytes()).unwrap().dump else { panic!("a VMCS") };
        prop_assert_eq!(&back.state, &case.state);
        prop_assert_eq!(back.cpu, case.cpu);
    }
}

/// So many cases, or as many as `PROPTEST_CASES` says.
fn config(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

/// One thing done to a text.
#[derive(Clone, Debug)]
enum Harm {
    Cut(usize),
    Byte(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Swap(usize, usize),
    Double(usize),
}

fn harms() -> impl Strategy<Value = Harm> {
    let at = any::<usize>;
    prop_oneof![
        at().prop_map(Harm::Cut),
        (at(), any::<u8>()).prop_map(|(at, byte)| Harm::Byte(at, byte)),
        (at(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        (at(), 0usize..200).prop_map(|(at, len)| Harm::Remove(at, len)),
        (at(), at()).prop_map(|(a, b)| Harm::Swap(a, b)),
        at().prop_map(Harm::Double),
    ]
}

fn harmed(mut text: Vec<u8>, harm: &Harm) -> Vec<u8> {
    let len = text.len().max(1);
    let mut lines: Vec<Vec<u8>> = text.split(|c| *c == b'\n').map(<[u8]>::to_vec).collect();
    let count = lines.len();
    match harm {
        Harm::Cut(at) => text.truncate(at % len),
        Harm::Byte(at, byte) => {
            if let Some(place) = text.get_mut(at % len) {
                *place = *byte;
            }
        }
        Harm::Insert(at, bytes) => {
            let at = (at % len).min(text.len());
            text.splice(at..at, bytes.iter().copied());
        }
        Harm::Remove(at, n) => {
            let at = (at % len).min(text.len());
            text.drain(at..(at + n).min(text.len()));
        }
        Harm::Swap(a, b) => {
            lines.swap(a % count, b % count);
            return lines.join(&b'\n');
        }
        Harm::Double(at) => {
            let line = lines[at % count].clone();
            lines.insert(at % count, line);
            return lines.join(&b'\n');
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..config(160) })]

    #[test]
    fn no_text_makes_the_reader_panic(which in 0usize..4, harms in proptest::collection::vec(harms(), 1..6)) {
        let whole = [vmx_text(&vmcs()), svm_text(&vmcb()), linux_only(&vmx_text(&vmcs())), linux_only(&svm_text(&vmcb()))];
        let text = harms.iter().fold(whole[which].clone().into_bytes(), harmed);
        if let Err(trouble) = read(&text) {
            let message = format!("{trouble}");
            prop_assert!(!message.is_empty());
            if let Trouble::Line(line, _) = trouble {
                prop_assert!(line >= 1 && line <= text.split(|c| *c == b'\n').count());
            }
        }
    }

    #[test]
    fn no_noise_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read(&bytes).is_err());
        let mut titled = vec![];
        for title in ["*** Guest State ***\n", "VMCB Control Area:\n"] {
            titled.extend_from_slice(title.as_bytes());
            titled.extend_from_slice(&bytes);
            prop_assert!(read(&titled).is_err());
        }
    }
}
