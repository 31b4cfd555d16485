//! Tests of the traces' text form.

use super::*;
use proptest::prelude::*;
use std::{format, string::String, vec, vec::Vec};

/// Lines that look like those of a dump.
const LIKE_OURS: &str = "(hv: )?trace@[0-9]{1,11}( begin| end| [a-z=-]{1,9}[0-9]{0,21}| .{0,9}){0,7}";

fn records() -> impl Strategy<Value = Vec<Record>> {
    let one = any::<(u64, u64, u64, u32, u16, u16)>();
    let one =
        one.prop_map(|(exit, rip, info, entry, kind, reserved)| Record { exit, rip, info, entry, kind, reserved });
    proptest::collection::vec(one, 0..10)
}

fn lines(core: u32, header: &Header<'_>, records: &[Record]) -> Vec<String> {
    let mut lines = vec![];
    encode(core, header, records.iter().copied(), &mut |line| lines.push(format!("{line}")));
    lines
}

fn header(records: u64) -> Header<'static> {
    Header { guest: "hello", vendor: "vmx", tsc_hz: 2_400_000_000, records, lost: 7 }
}

#[test]
fn the_text_is_as_documented_and_a_line_fits_in_a_piece_of_the_console() {
    let one = Record { exit: 1, rip: 0x7c00, info: 0x3f8, entry: 5, kind: 2, reserved: 0 };
    let got = lines(255, &header(1), &[one]);
    let first = "trace@255 begin guest=hello vendor=vmx tsc-hz=2400000000 records=1 lost=7";
    let data = "trace@255 AQAAAAAAAAAAfAAAAAAAAPgDAAAAAAAABQAAAAIAAAA=";
    let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(data.as_bytes());
    assert_eq!(got, [first.into(), format!("{data} {crc:08x}"), "trace@255 end".into()]);
    let longest = lines(9999, &header(3), &[one; 3]).iter().map(String::len).max().unwrap();
    assert!("hv: ".len() + longest < crate::hw::console::line::PIECE);
}

#[test]
fn other_lines_are_not_ours() {
    for line in
        ["", "hv: hello", "trace@", "trace@home", "my trace@0 end", "hv: trace", "\u{fe}trace@0 end", "x: trace@0 end"]
    {
        assert_eq!(decode(line.as_bytes()), Ok(None), "{line}");
    }
    for line in ["trace@0 end", "hv: trace@0 end\r\n", "login: hv: trace@0 end", "hv: trace@1 hv: trace@0 end"] {
        assert_eq!(decode(line.as_bytes()), Ok(Some((0, Line::End))), "{line}");
    }
}

#[test]
fn guests_cannot_make_a_line_of_ours() {
    for text in
        ["trace@0 end", "hv: trace@0 end", "x: hv: trace@1 begin guest=x", "hv: trace@0 ?", "a@b| hv: trace@0 end"]
    {
        for before in ["hv: hello@0| ", "[ 1.5] host: hv: a-b@12| ", "x@0| "] {
            let line = format!("{before}{text}");
            assert!(is_of_guest(line.as_bytes()));
            assert_eq!(decode(line.as_bytes()), Ok(None), "{line}");
        }
    }
    for line in ["hv: hello@0: exit 1: hlt | f4  hlt", "a@| b", "a@0|b", "trace@0 end", "@1", ""] {
        assert!(!is_of_guest(line.as_bytes()), "{line}");
    }
}

#[test]
fn damage_has_a_name() {
    let good = lines(0, &header(1), &[Record::default()]);
    for (line, damage) in [
        ("trace@99999999999 end", Damage::Core),
        ("trace@0", Damage::Shape),
        ("trace@0 ende", Damage::Shape),
        ("trace@0 begin guest=", Damage::Word("guest")),
        ("trace@0 begin guest=a vendor=via", Damage::Word("vendor")),
        ("trace@0 begin guest=a vendor=svm tsc-hz=+1", Damage::Word("tsc-hz")),
        ("trace@0 begin guest=a vendor=svm tsc-hz=1 records=x", Damage::Word("records")),
        ("trace@0 begin guest=a vendor=svm tsc-hz=1 records=1", Damage::Word("lost")),
        ("trace@0 begin guest=a vendor=svm tsc-hz=1 records=1 lost=0 x", Damage::Shape),
    ] {
        assert_eq!(decode(line.as_bytes()), Err(damage), "{line}");
    }
    assert!(matches!(decode(good[1].replace('A', "B").as_bytes()), Err(Damage::Crc { .. })));
    assert!(matches!(decode(good[1].replace("trace@0", "trace@1").as_bytes()), Err(Damage::Crc { .. })));
    let summed = |data: &str| {
        let line = format!("trace@0 {data}");
        format!("{line} {:08x}", CRC.checksum(line.as_bytes()))
    };
    assert_eq!(decode(summed("A*==").as_bytes()), Err(Damage::Base64));
    assert_eq!(decode(summed("").as_bytes()), Err(Damage::Length));
    assert_eq!(decode(summed("AAAA").as_bytes()), Err(Damage::Length));
    assert_eq!(decode(summed(&"AAAA".repeat(64)).as_bytes()), Err(Damage::Length));
}

proptest! {
    #[test]
    fn there_and_back(core: u32, all in records()) {
        let mut got = vec![];
        let text = lines(core, &header(all.len() as u64), &all);
        for (i, line) in text.iter().enumerate() {
            let line = format!("hv: {line}\r\n");
            let (of, line) = decode(line.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(of, core);
            match line {
                Line::Begin(h) => prop_assert!(i == 0 && h == header(all.len() as u64)),
                Line::Data(some) => got.extend(some),
                Line::End => prop_assert_eq!(i, text.len() - 1),
            }
        }
        prop_assert_eq!(got, all);
    }

    #[test]
    fn any_name_makes_a_line_that_reads_back(guest: String) {
        let text = lines(0, &Header { guest: &guest, ..header(0) }, &[]);
        let read = matches!(decode(text[0].as_bytes()), Ok(Some((0, Line::Begin(_)))));
        prop_assert!(read, "{}", text[0]);
    }

    #[test]
    fn no_line_is_too_bad_to_read(line: Vec<u8>, words in LIKE_OURS) {
        let _ = decode(&line);
        let _ = decode(words.as_bytes());
    }

    #[test]
    fn a_changed_byte_of_data_is_seen(all in records(), line: usize, at: usize, to: u8) {
        let text = lines(3, &header(all.len() as u64), &all);
        prop_assume!(text.len() > 2);
        let good = text[1 + line % (text.len() - 2)].as_bytes();
        let mut bad = good.to_vec();
        let at = at % bad.len();
        bad[at] = to;
        let same = decode(&bad).ok().flatten() == decode(good).unwrap();
        // The CRC's digits may be in upper case.
        prop_assert!(!same || to.eq_ignore_ascii_case(&good[at]));
    }
}
