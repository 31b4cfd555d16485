//! Logs with random content and random damage.

use hv::vt::exit::ExitKind;
use hv::vt::trace::{Header, Record, encode};
use proptest::prelude::*;
use serde_json::Value;

use super::{on, well_formed};

/// A change to a log.
#[derive(Clone, Debug)]
enum Change {
    Byte(usize, u8),
    Drop(usize),
    Twice(usize),
    Swap(usize, usize),
    Cut(usize),
    Insert(usize, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<(usize, u8)>().prop_map(|(at, to)| Change::Byte(at, to)),
        any::<usize>().prop_map(Change::Drop),
        any::<usize>().prop_map(Change::Twice),
        any::<(usize, usize)>().prop_map(|(a, b)| Change::Swap(a, b)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(at, what)| Change::Insert(at, what)),
    ]
}

fn changed(mut lines: Vec<Vec<u8>>, change: &Change) -> Vec<Vec<u8>> {
    let n = lines.len().max(1);
    let there = !lines.is_empty();
    match change {
        Change::Byte(at, to) => {
            let mut all = lines.concat();
            let n = all.len().max(1);
            if let Some(byte) = all.get_mut(at % n) {
                *byte = *to;
            }
            return all.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        }
        Change::Cut(at) => {
            let mut all = lines.concat();
            all.truncate(at % (all.len() + 1));
            return all.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        }
        Change::Drop(at) if there => drop(lines.remove(at % n)),
        Change::Twice(at) if there => lines.insert(at % n, lines[at % n].clone()),
        Change::Swap(a, b) if there => lines.swap(a % n, b % n),
        Change::Insert(at, what) => lines.insert(at % n, what.clone()),
        _ => {}
    }
    lines
}

fn any_record() -> impl Strategy<Value = Record> {
    let fields = any::<(u64, u64, u64, u32, u16)>();
    (fields, any::<bool>(), 0u32..64).prop_map(|((exit, rip, info, entry, kind), wild, shift)| {
        let kind = if wild { kind } else { kind % ExitKind::COUNT as u16 };
        Record { exit: exit >> shift, rip, info: info >> shift, entry: entry >> (shift / 2), kind, reserved: 0 }
    })
}

/// A guest, a core, how many records are lost, and those that are there.
fn any_dump() -> impl Strategy<Value = (String, u32, u64, Vec<Record>)> {
    ("[!-~]{1,8}", 0u32..3, 0u64..3, proptest::collection::vec(any_record(), 0..12))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(96),
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x7472_6163_6531),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever the log: no panic, a status that is documented, a message with any but 0, and whole files.
    #[test]
    fn any_log_is_read_or_refused(
        dumps in proptest::collection::vec(any_dump(), 1..4),
        hz in prop_oneof![Just(0u64), Just(1), Just(2_000_000_000), any::<u64>()],
        changes in proptest::collection::vec(change(), 0..4),
        form in 0usize..4,
    ) {
        let mut lines: Vec<Vec<u8>> = vec![];
        for (guest, core, lost, records) in &dumps {
            let header = Header { guest, vendor: "vmx", tsc_hz: hz, records: records.len() as u64, lost: *lost };
            let mut line = |line: std::fmt::Arguments| lines.push(format!("hv: {line}\n").into_bytes());
            encode(*core, &header, records.iter().copied(), &mut line);
        }
        let lines = changes.iter().fold(lines, changed);
        let options: &[&str] = [&["--table"][..], &["--stats"], &["--json", "-"], &["--svg", "-"]][form];
        let ran = on(lines.concat(), options);
        prop_assert!((0..=2).contains(&ran.status), "{} {}", ran.status, ran.err);
        prop_assert!(!ran.err.contains("panicked"), "{}", ran.err);
        prop_assert!(ran.status == 0 || !ran.err.is_empty());
        prop_assert!(ran.status == 0 || !changes.is_empty());
        prop_assert_eq!(ran.status == 2, ran.out.is_empty());
        if ran.status < 2 && form == 2 {
            prop_assert!(serde_json::from_str::<Value>(&ran.out).is_ok());
        }
        if ran.status < 2 && form == 3 {
            prop_assert_eq!(well_formed(&ran.out), Ok(()));
        }
    }
}
