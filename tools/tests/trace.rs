//! `trace` as people run it: what it prints and its exit status, on good and on bad logs.

#[path = "trace/fuzz.rs"]
mod fuzz;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use hv::vt::exit::ExitKind;
use hv::vt::trace::{Header, Record, encode};
use serde_json::Value;

/// A directory of this test run's own, removed with it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("trace-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&at).unwrap();
        Self(at)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn log(&self, content: impl AsRef<[u8]>) -> String {
        let name = self.file("console.log");
        std::fs::write(&name, content).unwrap();
        name
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        // A signal or a panic's abort has no code.
        Self { status: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

fn trace(arguments: &[&str]) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_trace")).args(arguments).stdin(Stdio::null()).output().unwrap().into()
}

/// Runs it on a log.
fn on(log: impl AsRef<[u8]>, options: &[&str]) -> Ran {
    let place = Place::new();
    let log = place.log(log);
    let mut arguments = options.to_vec();
    arguments.push(&log);
    trace(&arguments)
}

fn record(exit: u64, kind: ExitKind, info: u64, cost: u32) -> Record {
    let entry = if cost == 0 { 0 } else { (exit as u32).wrapping_add(cost) };
    Record { exit, rip: 0x7c00 + exit % 16, info, entry, kind: kind as u16, reserved: 0 }
}

/// The lines of a dump as the console has them.
fn dump(guest: &str, core: u32, lost: u64, records: &[Record]) -> Vec<String> {
    let mut lines = vec![];
    let header = Header { guest, vendor: "svm", tsc_hz: 2_000_000_000, records: records.len() as u64, lost };
    encode(core, &header, records.iter().copied(), &mut |line| lines.push(format!("hv: {line}\r\n")));
    lines
}

fn sample() -> Vec<Record> {
    vec![
        record(1_000_000, ExitKind::Port, 0x1_03f8, 2400),
        record(1_004_000, ExitKind::Cpuid, 0x4000_0001, 1200),
        record(1_008_000, ExitKind::MsrRead, 0xc000_0080, 1300),
        record(1_012_000, ExitKind::Nested, 0xfee0_0300, 9000),
        record(1_040_000, ExitKind::Hlt, 0, 0),
    ]
}

fn good() -> String {
    dump("hello", 0, 0, &sample()).concat()
}

#[test]
fn a_table_is_the_default() {
    let ran = on(good(), &[]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let want = "\
guest hello, core 0, svm, TSC 2000000000 Hz: 5 exits, times from the first
     no         time/us       time/cycles                 RIP  kind           cost/cycles  what
      1           0.000                 0              0x7c00  port                  2400  port 0x3f8, out, 1 byte
      2           2.000              4000              0x7c00  cpuid                 1200  leaf 0x4000_0001 subleaf 0x0
      3           4.000              8000              0x7c00  msr-read              1300  MSR 0xc0000080
      4           6.000             12000              0x7c00  nested-fault          9000  GPA 0xfee00300
      5          20.000             40000              0x7c00  hlt                      -
";
    assert_eq!(ran.out, want);
    assert_eq!(on(good(), &["--table"]).out, want);
}

#[test]
fn stdin_is_a_log_too_and_nobody_need_read_the_table() {
    let run = |log: &str, listen: bool| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trace"));
        let child = child.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        if !listen {
            drop(child.stdout.take());
        }
        child.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
        Ran::from(child.wait_with_output().unwrap())
    };
    let long: Vec<Record> = (0..5000).map(|i| record(i * 1000, ExitKind::Hlt, 0, 7)).collect();
    let ran = run(&dump("hello", 0, 0, &long).concat(), false);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let ran = run(&good(), true);
    assert_eq!((ran.status, ran.err.as_str(), ran.out.lines().count()), (0, "", 7));
}

#[test]
fn foreign_lines_and_other_cores_may_stand_between() {
    let others = dump("other", 3, 9, &sample());
    let mut log = String::from("SeaBIOS\nhv: booting\n");
    for (i, line) in dump("hello", 0, 0, &sample()).into_iter().enumerate() {
        log += &format!("\x1b[0mlogin: {line}hv: trace of something else: trace@home\n{}", others[i]);
    }
    let ran = on(&log, &["--guest", "hello"]);
    assert_eq!((ran.status, ran.out), (0, on(good(), &[]).out));
    let ran = on(&log, &["--core", "3"]);
    assert!(ran.out.starts_with(
        "guest other, core 3, svm, TSC 2000000000 Hz: 5 exits, 9 older ones lost, times from the first\n"
    ));
    assert!(ran.err.contains(":5: 9 older exits were lost before the dump (other on core 3)"), "{}", ran.err);
    let ran = on(&log, &["--core", "3", "--guest", "hello"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("there are: hello on core 0; other on core 3"), "{}", ran.err);
}

#[test]
fn records_out_of_order_and_dumped_twice_come_in_order_and_once() {
    let lines = dump("hello", 0, 0, &sample());
    let mixed = [&lines[0], &lines[2], &lines[1], &lines[3]].map(String::as_str).concat();
    let ran = on(mixed + &good(), &[]);
    assert_eq!((ran.status, ran.out), (0, on(good(), &[]).out));
}

#[test]
fn guests_cannot_forge_or_damage_a_trace() {
    let forged = dump("evil", 0, 0, &sample()[..2]);
    let mut log = String::new();
    for (i, line) in dump("hello", 0, 0, &sample()).into_iter().enumerate() {
        log += &format!("hv: evil@0| x: {}hv: evil@1| hv: trace@0 end?\n{line}", forged[i.min(2)]);
    }
    let ran = on(&log, &[]);
    assert_eq!((ran.status, ran.out), (0, on(good(), &[]).out), "{}", ran.err);
}

#[test]
fn lost_exits_of_a_ring_that_was_dumped_twice_count_once() {
    let all: Vec<Record> = (0..20).map(|i| record(1000 + i * 100, ExitKind::Hlt, 0, 7)).collect();
    let dumped = |from: usize, to: usize| dump("hello", 0, from as u64, &all[from..to]).concat();
    let lost = |log: String| {
        let ran = on(log, &["--stats"]);
        let first = ran.out.lines().next().unwrap().to_string();
        first.split_once("exits").unwrap().1.to_string()
    };
    // The rings share records, adjoin, leave a gap.
    assert_eq!(lost(dumped(2, 10) + &dumped(6, 16)), ", 2 older ones lost");
    assert_eq!(lost(dumped(0, 10) + &dumped(2, 12)), "");
    assert_eq!(lost(dumped(0, 4) + &dumped(4, 12)), "");
    assert_eq!(lost(dumped(2, 4) + &dumped(10, 12)), ", 8 older ones lost");
    // Two runs, each of which lost two.
    let second = dump("hello", 0, 2, &all[12..18]).concat();
    assert_eq!(lost(dumped(2, 10) + &second), ", 4 older ones lost");
}

#[test]
fn times_of_each_guest_count_from_its_own_first_exit() {
    let later: Vec<Record> = sample().into_iter().map(|r| Record { exit: r.exit + (1 << 40), ..r }).collect();
    let ran = on(good() + &dump("later", 1, 0, &later).concat(), &["--table"]);
    let (one, two) = ran.out.split_once("\n\n").unwrap();
    assert!(one.contains("times from the first") && two.contains("times from the first"), "{}", ran.out);
    let times = |table: &str| table.lines().skip(2).map(|l| l[..41].to_string()).collect::<Vec<_>>();
    assert_eq!(times(one), times(two));
}

#[test]
fn a_truncated_dump_is_shown_with_a_warning() {
    let log = good();
    let begin = log.find('\n').unwrap() + 1;
    // The last byte that is cut off is a line feed.
    for cut in begin..log.len() - 2 {
        if cut % 17 != 0 && log.as_bytes()[cut - 1] != b'\n' {
            continue;
        }
        let ran = on(&log[..cut], &[]);
        if ran.status != 0 {
            assert_eq!(ran.status, 1, "{cut}: {}", ran.err);
            assert!(ran.err.contains("log:1: the trace has no end: "), "{}", ran.err);
            assert!(ran.out.starts_with("guest hello, core 0"));
        }
    }
    let lines = dump("hello", 0, 0, &sample());
    let ran = on([&lines[0], &lines[2], &lines[3]].map(String::as_str).concat(), &["--stats"]);
    assert_eq!((ran.status, ran.out.lines().count()), (1, 4));
    assert!(ran.err.contains("log:1: the trace has only 2 of its 5 records (hello on core 0)"), "{}", ran.err);
}

#[test]
fn what_is_damaged_is_named_by_its_line_and_nothing_is_written() {
    let lines = dump("hello", 0, 0, &sample());
    let crc = lines[1].replacen('A', "B", 1);
    let more = dump("hello", 0, 0, &sample()[..3]).remove(1);
    for (log, want) in [
        ([&lines[0], &crc, &lines[2], &lines[3]], "log:2: damaged line of a trace: the CRC is "),
        ([&lines[0], &lines[1], &lines[2].replace("= ", "=? "), &lines[3]], "log:3: damaged line of a trace: "),
        (
            [&lines[0].replace("lost=0", "lost="), &lines[1], &lines[2], &lines[3]],
            "log:1: damaged line of a trace: `lost`",
        ),
        ([&lines[1], &lines[2], &lines[3], &lines[0]], "log:1: a trace of core 0 goes on here, but no line says where"),
        ([&lines[0], &lines[1], &more, &lines[3]], "log:4: the trace of core 0 has 6 records instead of 5"),
        ([&lines[0], &lines[1], &lines[3], &lines[3]], "log:4: a trace of core 0 goes on here, but no line says where"),
    ] {
        let ran = on(log.map(String::as_str).concat(), &[]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.contains(want), "{want}: {}", ran.err);
    }
    let many = on("trace@0 ?\n".repeat(50), &[]);
    assert_eq!((many.status, many.err.lines().count()), (2, 11));
    assert!(many.err.ends_with("console.log: 40 more like these\n"), "{}", many.err);
}

#[test]
fn what_is_no_log_is_said() {
    let binary: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for log in [b"".as_slice(), b"hello\nworld\n", &binary, b"\n", b"\xff\xfe\0"] {
        let ran = on(log, &[]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains("console.log: no trace in it: none of its "), "{}", ran.err);
    }
    let place = Place::new();
    let gone = trace(&[&place.file("gone.log")]);
    assert!(gone.status == 2 && gone.err.contains("gone.log: cannot be read: "), "{}", gone.err);
    let directory = trace(&[&place.file("")]);
    assert!(directory.status == 2 && directory.err.contains(": cannot be read: "), "{}", directory.err);
    let log = place.log(good());
    for form in ["--json", "--svg"] {
        let ran = trace(&[form, &place.file("no/such/place"), &log]);
        assert!(ran.status == 2 && ran.err.contains("no/such/place: cannot be written: "), "{}", ran.err);
    }
    for wrong in [&[][..], &["--core", "x", &log], &["--what", &log], &[&log, &log]] {
        assert_eq!(trace(wrong).status, 2);
    }
    let help = trace(&["--help"]);
    assert!(help.status == 0 && help.out.contains("Exit status:"), "{}", help.out);
}

#[test]
fn stats_are_of_each_guest() {
    let log = good() + &dump("hello", 1, 4, &sample()).concat() + &dump("zero", 0, 0, &[]).concat();
    let ran = on(log, &["--stats"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    for line in [
        "guest hello, core 1, svm, TSC 2000000000 Hz: 5 exits, 4 older ones lost",
        "msr-read      count 2  share 20.0%  cycles min 1300 mean 1300 p99 1300 max 1300",
        "hottest ports: 0x3f8 x 2",
        "no exits",
    ] {
        assert!(ran.out.lines().any(|l| l == line), "{line}:\n{}", ran.out);
    }
}

#[test]
fn json_has_a_process_a_thread_and_an_event_for_each() {
    let log = good() + &dump("other", 2, 4, &sample()[..1]).concat();
    let place = Place::new();
    let file = place.file("trace.json");
    let ran = trace(&["--json", &file, &place.log(log)]);
    assert_eq!((ran.status, ran.out.as_str()), (0, ""));
    let json: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let events = json["traceEvents"].as_array().unwrap();
    let names: Vec<_> = events.iter().filter(|e| e["ph"] == "M").map(|e| e["args"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["hello", "core 0", "other", "core 2"]);
    let exits: Vec<_> = events.iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!(exits.len(), 6);
    let second = exits[1];
    assert_eq!(
        (second["name"].as_str(), second["pid"].as_u64(), second["tid"].as_u64()),
        (Some("cpuid"), Some(1), Some(0))
    );
    assert_eq!((second["ts"].as_f64(), second["dur"].as_f64()), (Some(2.0), Some(0.6)));
    assert_eq!(second["args"]["rip"], "0x7c00");
    assert_eq!(second["args"]["info"], "0x40000001");
    assert_eq!(exits[4]["args"]["cycles"], Value::Null);
    assert_eq!(exits[5]["tid"], 2);
    assert_eq!(json["otherData"]["traces"][1]["lost"], 4);
}

/// That the tags of an SVG open and close, and that nothing is outside of one.
fn well_formed(svg: &str) -> Result<(), String> {
    let mut open = vec![];
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        if rest[..at].contains('>') || open.is_empty() && !rest[..at].trim().is_empty() {
            return Err(format!("text where none is: {}", &rest[..at]));
        }
        let end = rest.find('>').ok_or("a tag without an end")?;
        let tag = &rest[at + 1..end];
        let name = |tag: &str| tag.split_whitespace().next().unwrap_or_default().to_string();
        match tag.strip_prefix('/') {
            Some(closed) if open.pop() != Some(name(closed)) => return Err(format!("{tag} closes another")),
            Some(_) => {}
            None if !tag.matches('"').count().is_multiple_of(2) => return Err(format!("{tag}: quotes")),
            None if tag.ends_with('/') || tag.starts_with('?') => {}
            None => open.push(name(tag)),
        }
        rest = &rest[end + 1..];
    }
    if open.is_empty() && rest.trim().is_empty() { Ok(()) } else { Err(format!("open at the end: {open:?}")) }
}

#[test]
fn svg_is_well_formed_and_names_every_kind() {
    let exits = (0..ExitKind::COUNT as u16 + 3).map(|kind| Record {
        kind,
        ..record(u64::from(kind) * 1000, ExitKind::Hlt, 0, if kind % 5 == 0 { 0 } else { 1 << (kind % 20 + 10) })
    });
    let exits: Vec<Record> = exits.collect();
    let log = dump("a<b>&\"c", 0, 0, &exits).concat() + &dump("a<b>&\"c", 1, 0, &exits).concat();
    let ran = on(log, &["--svg", "-"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("<svg width=\"1200\" height=\"") && ran.out.ends_with("</svg>\n"));
    assert_eq!(well_formed(&ran.out), Ok(()));
    for name in ExitKind::NAMES.into_iter().chain(["unknown", "time since the first exit", "cost, TSC cycles"]) {
        assert!(ran.out.contains(name), "{name}");
    }
    let none = on(dump("hello", 0, 0, &[]).concat(), &["--svg", "-"]);
    assert!(none.status == 0 && none.out.contains("no exits") && well_formed(&none.out).is_ok());
    let one = on(dump("hello", 0, 0, &sample()[4..]).concat(), &["--svg", "-"]);
    assert!(one.status == 0 && well_formed(&one.out).is_ok());
}

#[test]
fn svg_is_as_high_as_its_rows_need() {
    let height = |ran: Ran| -> u32 {
        assert!(!ran.out.contains("></text>") && !ran.out.contains(">\n</text>"), "an empty text");
        let (_, after) = ran.out.split_once("height=\"").unwrap();
        after.split('"').next().unwrap().parse().unwrap()
    };
    let one = height(on(dump("hello", 0, 0, &sample()[4..]).concat(), &["--svg", "-"]));
    let five = height(on(good(), &["--svg", "-"]));
    let lanes = (0..9).map(|core| dump("hello", core, 0, &sample()).concat()).collect::<String>();
    let nine_lanes = height(on(lanes, &["--svg", "-"]));
    assert!(one < 300 && one + 4 * 40 <= five && five < nine_lanes, "{one} {five} {nine_lanes}");
}
