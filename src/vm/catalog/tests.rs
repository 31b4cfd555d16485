use std::collections::BTreeSet;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::base::{GprFile, SegmentRegister, StopReason};

/// The parser of the headers, which the build script uses.
#[path = "../../../guest/header.rs"]
#[allow(dead_code)]
mod header;

fn names(guests: &[&Guest]) -> Vec<&'static str> {
    guests.iter().map(|g| g.name).collect()
}

// The table.

#[test]
fn hello_is_the_classic_and_comes_first() {
    let hello = GUESTS.first().unwrap();
    assert_eq!(hello.name, "hello");
    assert_eq!(hello.image, [0xb8, 0x34, 0x12, 0xf4]); // mov ax, 0x1234; hlt
    assert_eq!(hello.expect.how, How::Hlt);
    assert_eq!(hello.expect.place, Some(Label { name: "done", address: 0x7c03 }));
    assert_eq!(hello.expect.console, Some(&b""[..]));
    let ax = hello.expect.registers[0];
    assert_eq!((ax.gpr, ax.width, ax.value), (Gpr::Rax, Width::B2, 0x1234));
}

#[test]
fn every_file_is_in_the_table_once() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/guest");
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        files.extend(name.strip_suffix(".S").map(str::to_string));
    }
    let table: BTreeSet<String> = GUESTS.iter().map(|g| g.name.to_string()).collect();
    assert_eq!(files, table);
    assert_eq!(table.len(), GUESTS.len());
}

#[test]
fn the_table_makes_sense() {
    assert_eq!(Group::ALL.map(Group::name), header::GROUPS);
    for guest in GUESTS {
        assert!(!guest.image.is_empty() && !guest.summary.is_empty(), "{}", guest.name);
        assert!(guest.labels.is_sorted_by_key(|l| l.address), "{}", guest.name);
        if let Some(place) = guest.expect.place {
            assert!(guest.labels.contains(&place), "{}", guest.name);
            let offset = (place.address - u64::from(LOAD_ADDRESS)) as usize;
            match guest.expect.how {
                How::Hlt => assert_eq!(guest.image[offset], 0xf4, "{}: no HLT at {}", guest.name, place.name),
                How::Exit(_) => assert!(matches!(guest.image[offset], 0xe6 | 0xe7 | 0xee | 0xef), "{}", guest.name),
                _ => {}
            }
        }
        assert!(guest.expect.exits.iter().all(|(name, _)| EXIT_NAMES.contains(name)));
    }
}

#[test]
fn labels_name_places() {
    let hello = find("hello").unwrap();
    assert_eq!(hello.label_at(0x7c03), Some(("done", 0)));
    assert_eq!(hello.label_at(0x7c02), None);
    assert_eq!(hello.label_at(0x7c04), None);
    let spin = find("loop").unwrap();
    let place = spin.expect.place.unwrap();
    assert_eq!(spin.label_at(place.address + 1), Some(("spin", 1)));
}

#[test]
fn lists_select() {
    assert_eq!(names(&select("loop, hello").unwrap()), ["loop", "hello"]);
    assert_eq!(select("").unwrap().len(), 0);
    assert_eq!(select("all").unwrap().len(), GUESTS.len());
    let groups: usize = Group::ALL.iter().map(|g| select(g.name()).unwrap().len()).sum();
    assert_eq!(groups, GUESTS.len());
    assert!(select("bench").unwrap().iter().all(|g| g.group == Group::Bench));
    assert!(select("default").unwrap().len() >= 25);
}

#[test]
fn unknown_names_get_the_nearest() {
    let error = select("hello,helo").unwrap_err();
    assert_eq!(error, UnknownGuest { name: "helo" });
    assert_eq!(error.to_string(), "no guest `helo`; did you mean `hello`? (`guest=list` shows them all)");
    assert_eq!(UnknownGuest { name: "cupid" }.nearest(), Some("cpuid"));
    assert_eq!(UnknownGuest { name: "msr-unkown" }.nearest(), Some("msr-unknown"));
    assert_eq!(UnknownGuest { name: "defualt" }.nearest(), Some("default"));
    assert_eq!(select("xyzzy").unwrap_err().to_string(), "no guest `xyzzy` (`guest=list` shows them all)");
}

proptest! {
    #[test]
    fn any_list_is_answered(list in ".{0,80}") {
        if let Err(error) = select(&list) {
            prop_assert!(list.contains(error.name));
            prop_assert!(error.to_string().contains(error.name));
        }
    }
}

// The check.

const EXPECT: Expect = Expect {
    how: How::Hlt,
    place: Some(Label { name: "done", address: 0x7c10 }),
    registers: &[
        Register { name: "ax", gpr: Gpr::Rax, width: Width::B2, value: 0x1234 },
        Register { name: "r9", gpr: Gpr::R9, width: Width::B8, value: 7 },
    ],
    console: Some(b"one\ntwo\n"),
    exits: &[("hlt", 1), ("cpuid", 0)],
};

/// Checks a run that is right but for what `change` does to it, and gives the complaint.
fn complaint(change: impl FnOnce(&mut Observed<'_>, &mut GprFile)) -> Option<String> {
    let mut gpr = GprFile::default();
    gpr.set(Gpr::Rax, 0xffff_1234);
    gpr.set(Gpr::R9, 7);
    let unused = GprFile::default();
    let mut observed = Observed {
        stop: StopReason::Halt,
        cs: SegmentRegister::real(0, 0x9b),
        ip: 0x7c10,
        gpr: &unused,
        console: b"one\ntwo\n",
        exits: &[("port", 9), ("hlt", 1)],
    };
    change(&mut observed, &mut gpr);
    check(&EXPECT, &Observed { gpr: &gpr, ..observed }).err().map(|m| m.to_string())
}

#[test]
fn a_run_as_it_should_be_passes() {
    assert_eq!(complaint(|_, _| {}), None);
    // The same place by another segment.
    assert_eq!(complaint(|o, _| (o.cs, o.ip) = (SegmentRegister::real(0x7c0, 0x9b), 0x10)), None);
}

#[test]
fn every_difference_is_named() {
    let end = complaint(|o, _| o.stop = StopReason::Exit(1));
    assert_eq!(end.as_deref(), Some("end: expected hlt, got exit 0x1 at 0000:7c10"));
    let end = complaint(|o, _| o.stop = StopReason::Unhandled { name: "GETSEC", number: 11 });
    assert_eq!(end.as_deref(), Some("end: expected hlt, got unhandled exit GETSEC (0xb) at 0000:7c10"));
    let place = complaint(|o, _| o.ip = 0x7c11);
    assert_eq!(place.as_deref(), Some("place: expected done at 0x7c10, got 0000:7c11"));
    let register = complaint(|_, g| g.set(Gpr::Rax, 0x1235));
    assert_eq!(register.as_deref(), Some("ax: expected 0x1234, got 0x1235"));
    let register = complaint(|_, g| g.set(Gpr::R9, 1 << 63 | 7));
    assert_eq!(register.as_deref(), Some("r9: expected 0x7, got 0x8000000000000007"));
    let exits = complaint(|o, _| o.exits = &[("hlt", 2)]);
    assert_eq!(exits.as_deref(), Some("hlt exits: expected 1, got 2"));
    let exits = complaint(|o, _| o.exits = &[("hlt", 1), ("cpuid", 3)]);
    assert_eq!(exits.as_deref(), Some("cpuid exits: expected 0, got 3"));
    let exits = complaint(|o, _| o.exits = &[]);
    assert_eq!(exits.as_deref(), Some("hlt exits: expected 1, got 0"));
}

#[test]
fn the_console_is_compared_in_whole() {
    let console = complaint(|o, _| o.console = b"one\ntwo");
    assert_eq!(console.as_deref(), Some(r#"console after 7 bytes: expected "\n", got """#));
    let console = complaint(|o, _| o.console = b"one\ntwo\n\x1b[2J");
    assert_eq!(console.as_deref(), Some(r#"console after 8 bytes: expected "", got "\x1b[2J""#));
    let console = complaint(|o, _| o.console = b"");
    assert_eq!(console.as_deref(), Some(r#"console after 0 bytes: expected "one\ntwo\n", got """#));
    let console = complaint(|o, _| o.console = &[b'x'; 300]).unwrap();
    assert!(console.ends_with(r#"xxx"..."#) && console.len() < 200, "{console}");
}

#[test]
fn a_console_that_does_not_matter_is_not_compared() {
    let expect = Expect { console: None, registers: &[], ..EXPECT };
    let observed = Observed {
        stop: StopReason::Halt,
        cs: SegmentRegister::real(0, 0x9b),
        ip: 0x7c10,
        gpr: &GprFile::default(),
        console: b"anything",
        exits: &[("hlt", 1)],
    };
    assert_eq!(check(&expect, &observed), Ok(()));
}

#[test]
fn a_line_of_the_guests_own_comes_first() {
    let report = complaint(|o, _| {
        o.console = b"one\nFAIL: ebx: expected 1, got 2\n";
        o.stop = StopReason::Exit(1);
    });
    assert_eq!(report.as_deref(), Some(r#"the guest says "FAIL: ebx: expected 1, got 2""#));
}

#[test]
fn ends_are_told_apart() {
    let stops = [
        (How::Hlt, StopReason::Halt),
        (How::Exit(5), StopReason::Exit(5)),
        (How::TripleFault, StopReason::TripleFault),
        (How::Budget, StopReason::Budget),
        (How::NotEmulated, StopReason::NotEmulated { rip: 0 }),
        (How::Stuck, StopReason::Stuck { exits: 7 }),
        (How::Exit(6), StopReason::Exit(6)),
    ];
    for (i, (how, _)) in stops.iter().enumerate() {
        for (j, (_, stop)) in stops.iter().enumerate() {
            assert_eq!(how.is(*stop), i == j, "{how:?} {stop:?}");
        }
        assert!(!how.is(StopReason::OutOfMemory));
    }
}

// The headers.

const GOOD: &str = "#: summary  does it\n#: ends hlt at done\n";

fn parse_with(line: &str) -> Result<header::Header, String> {
    header::parse(&format!("{GOOD}{line}\n\n# words\n.code16\ndone: hlt\n")).map_err(|e| e.to_string())
}

#[test]
fn a_header_says_all() {
    let text = "# words\n#: summary  a  b\n#:ends exit 0x10 at out\n#: gpr eax 0x12\n#: gpr r15 7\n#: console \"a\\n\"\n\
                #: console \"\\\\\\\"\\x41\\t\"\n#: exits msr-read 3\n#: group bench\n#: order 7\n nop\n# later\n";
    let h = header::parse(text).unwrap();
    assert_eq!((h.summary.as_str(), h.how, h.label), ("a  b", header::How::Exit(0x10), Some(("out".to_string(), 3))));
    let registers: Vec<_> = h.registers.iter().map(|r| (r.number, r.bytes, r.value)).collect();
    assert_eq!(registers, [(0, 4, 0x12), (15, 8, 7)]);
    assert_eq!(h.console.as_deref(), Some(&b"a\n\\\"A\t"[..]));
    assert_eq!((h.exits.as_slice(), h.group, h.order), (&[("msr-read", 3)][..], "bench", 7));
}

#[test]
fn what_a_header_leaves_out() {
    let h = parse_with("").unwrap();
    assert_eq!((h.how, h.group, h.order), (header::How::Hlt, "default", 50));
    assert_eq!(h.console, Some(Vec::new()));
    assert_eq!(parse_with("#: console any").unwrap().console, None);
}

#[test]
fn mistakes_are_named_with_line_and_choice() {
    let cases = [
        ("#: colour red", "line 3: no header `colour`; allowed: summary, ends, gpr, console, exits, group, order"),
        ("#: group extra", "line 3: no group `extra`; allowed: default, bench, adversary, demo"),
        ("#: summary again", "line 3: `summary` is given twice"),
        ("#: ends hlt", "line 3: `ends` is given twice"),
        ("#: gpr eax 0x123456789", "line 3: 0x123456789 does not fit into `eax`, which has 32 bits"),
        ("#: gpr ax 1\n#: gpr eax 1", "line 4: register `eax` is given twice"),
        ("#: order last", "line 3: `last` is not a number; allowed: `order <number>`"),
        ("#: exits hlt", "line 3: `` is not a number; allowed: `exits <name> <count>`"),
        ("#: exits hlt 1\n#: exits hlt 1", "line 4: exit `hlt` is given twice"),
        ("#: console any\n#: console \"x\"", "line 4: `console any` stands alone; "),
        ("#: console \"x\"\n#: console any", "line 4: `console any` stands alone; "),
        ("#: exits vmexit 1", "line 3: no exit `vmexit`; allowed: hlt, cpuid, port, "),
        ("#: gpr al 1", "line 3: `gpr al 1` is not understood; allowed: "),
        ("#: gpr r7 1", "line 3: `gpr r7 1` is not understood; allowed: "),
        ("#: gpr er8 1", "line 3: `gpr er8 1` is not understood; allowed: "),
        ("#: gpr ax -1", "line 3: `gpr ax -1` is not understood; allowed: "),
        ("#: console text", "line 3: `console text` is not understood; allowed: "),
        ("#: console \"a\"b\"", "line 3: `console \"a\"b\"` is not understood; allowed: "),
        ("#: console \"\\q\"", "line 3: `console \"\\q\"` is not understood; allowed: "),
        ("#: console \"\\x4\"", "line 3: `console \"\\x4\"` is not understood; allowed: "),
        ("nop\n#: order 1", "line 4: header lines (`#:`) belong at the top of the file"),
    ];
    for (line, says) in cases {
        let error = parse_with(line).expect_err(line);
        assert!(error.starts_with(says), "{line}: {error}");
    }
    for ends in ["", "halt", "exit", "exit x", "hlt done", "hlt at", "hlt at a b", "exit 0x100000000"] {
        let error = header::parse(&format!("#: summary x\n#: ends {ends}\n")).unwrap_err();
        assert!(error.message.starts_with(&format!("`ends {ends}` is not understood; allowed: hlt, exit ")), "{error}");
    }
    assert_eq!(header::parse("#: summary x").unwrap_err().to_string(), "line 1: the header `#: ends ...` is missing");
    assert_eq!(header::parse("#: ends hlt").unwrap_err().to_string(), "line 1: the header `#: summary ...` is missing");
}

proptest! {
    #[test]
    fn any_header_is_answered(text in "(#: ?(ends|gpr|console|exits|group|order|summary)? ?[ -~]{0,20}\n){0,4}") {
        let _ = header::parse(&text);
    }

    #[test]
    fn consoles_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let escaped: String = bytes.iter().map(|b| format!("\\x{b:02x}")).collect();
        prop_assert_eq!(parse_with(&format!("#: console \"{escaped}\"")).unwrap().console, Some(bytes));
    }
}

#[test]
fn guests_can_name_every_kind_of_exit() {
    assert_eq!(EXIT_NAMES, crate::vt::exit::ExitKind::NAMES);
}
