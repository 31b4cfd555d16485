//! What is said of a guest when its VM has ended: whether it did what it should, and if not, all that may help.

use core::fmt::{self, Write};

use arrayvec::ArrayString;
use log::Level;

use crate::base::{CpuState, GprFile, Segment, StopReason};
use crate::hw::options::DumpForm;
use crate::vm::catalog::{Guest, Observed, check};
use crate::vm::machine::{Ended, Last};
use crate::vt::Vendor;
use crate::vt::doctor::{Patient, report};
use crate::vt::exit::ExitKind;
use crate::vt::recorder::Recorder;
use crate::vt::stats;

/// Which guest on which core: how its lines begin.
#[derive(Clone, Copy)]
pub struct Who {
    /// What it is: a guest of the catalog, or a VM.
    pub what: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The core.
    pub core: u32,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: core {}", self.what, self.name, self.core)
    }
}

/// Compares what a guest showed with what it must, and says so in one line; more where it differs.
pub fn judge<V: Vendor>(who: Who, guest: &Guest, ended: &Ended<V>) -> bool {
    let cs = *ended.state.segment(Segment::Cs);
    let exits = ExitKind::NAMES.map(|name| (name, ended.exits.by_name(name).unwrap_or(0)));
    let observed = Observed {
        stop: ended.stop,
        cs,
        ip: ended.state.rip,
        gpr: &ended.gprs,
        console: &ended.console,
        exits: &exits,
    };
    let end = end_of(ended);
    match check(&guest.expect, &observed) {
        Ok(()) => {
            log::info!("{who}: ok: {end}, exits: {}", ended.exits);
            true
        }
        Err(mismatch) => {
            log::error!("{who}: FAILED: {mismatch}; {end}, exits: {}", ended.exits);
            false
        }
    }
}

/// How and where a VM ended, in words.
pub fn end_of<V: Vendor>(ended: &Ended<V>) -> impl fmt::Display {
    End { stop: ended.stop, cs: ended.state.segment(Segment::Cs).selector, ip: ended.state.rip }
}

struct End {
    stop: StopReason,
    cs: u16,
    ip: u64,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stop {
            StopReason::Halt => f.write_str("hlt")?,
            StopReason::Exit(value) => write!(f, "exit {value:#x}")?,
            StopReason::PowerOff => f.write_str("power-off")?,
            StopReason::Reset(by) => write!(f, "reset by {by}")?,
            StopReason::Quit => f.write_str("ended from the console")?,
            StopReason::TripleFault => f.write_str("triple fault")?,
            StopReason::Budget => f.write_str("budget used up")?,
            StopReason::Unhandled { name, number } => write!(f, "not handled: {name} ({number:#x})")?,
            StopReason::EntryFailed { what, code } => write!(f, "entry refused: {what} ({code:#x})")?,
            StopReason::NotEmulated { .. } => f.write_str("instruction not emulated")?,
            StopReason::Stuck { exits } => write!(f, "stuck: {exits} identical exits without progress")?,
            StopReason::OutOfMemory => f.write_str("out of memory")?,
        }
        write!(f, " at {:04x}:{:04x}", self.cs, self.ip)
    }
}

/// The registers of a guest that did not do what it should.
fn show_state(s: &CpuState, gprs: &GprFile, say: report::Say<'_>) {
    const NAMES: [&str; 16] =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
    for (names, regs) in NAMES.chunks(4).zip(crate::base::Gpr::ALL.chunks(4)) {
        if let ([a, b, c, d], [ra, rb, rc, rd]) = (names, regs) {
            let [va, vb, vc, vd] = [ra, rb, rc, rd].map(|r| gprs.get(*r));
            say(format_args!("{a} {va:x} {b} {vb:x} {c} {vc:x} {d} {vd:x}"));
        }
    }
    let (cr0, cr3, cr4) = (s.cr0, s.cr3, s.cr4);
    say(format_args!("rip {:x} rflags {:x} cpl {}", s.rip, s.rflags, s.cpl));
    say(format_args!("cr0 {cr0:x} cr3 {cr3:x} cr4 {cr4:x} efer {:x}", s.efer));
    let segments = Segment::ALL.iter().map(|i| (i.name(), s.segment(*i)));
    for (name, seg) in segments.chain([("ldtr", &s.ldtr), ("tr", &s.tr)]) {
        let (selector, base, limit, attributes) = (seg.selector, seg.base, seg.limit, seg.attrib);
        say(format_args!("{name} {selector:04x} base {base:x} limit {limit:x} attributes {attributes:03x}"));
    }
    say(format_args!("gdtr {:x}/{:x} idtr {:x}/{:x}", s.gdtr.base, s.gdtr.limit, s.idtr.base, s.idtr.limit));
}

/// What is said of a guest that has used up its time.
const WAITS: &str = "only the host's own interrupts end its run: it waits, or computes, without an exit";
const BUSY: &str = "it was still busy: its last exits are above";

/// How many of the last exits are told.
const LAST: usize = 10;

/// Tells all that may help to find out why a guest did what it did: its last exits, what was wrong in a sentence, the rules that
/// are broken, its registers. As errors, unless it was meant to do that.
#[inline(never)]
pub fn explain<V: Vendor>(who: Who, ended: &Ended<V>, recorder: &Recorder, good: bool) {
    let level = if good { Level::Info } else { Level::Error };
    let say: report::Say<'_> = &mut |line| log::log!(level, "{who}: {line}");
    let known = recorder.records().count();
    let before = recorder.total() - known as u64;
    for (record, number) in recorder.records().zip(before + 1..).skip(known.saturating_sub(LAST)) {
        say(format_args!("exit {number}: {}", stats::told(&record)));
    }
    let Last { line, case } = &*ended.last;
    if !is_quiet(ended.stop) {
        say(format_args!("last exit: {line}"));
    }
    match ended.stop {
        StopReason::Stuck { .. } => say(format_args!("{}", line.reason())),
        StopReason::Budget => {
            let waits =
                recorder.records().skip(known.saturating_sub(LAST)).all(|r| r.kind == ExitKind::Interrupt as u16);
            say(format_args!("{}", if waits { WAITS } else { BUSY }));
        }
        _ => {}
    }
    if !(is_quiet(ended.stop) || matches!(ended.stop, StopReason::EntryFailed { .. })) {
        say(format_args!("the control block, as the last exit left it:"));
    }
    if !is_quiet(ended.stop) {
        report::diagnose(case, say);
    }
    show_state(&ended.state, &ended.gprs, say);
}

/// Whether the guest itself wanted the end, so that its control block has nothing to say.
const fn is_quiet(stop: StopReason) -> bool {
    matches!(
        stop,
        StopReason::Halt | StopReason::Exit(_) | StopReason::PowerOff | StopReason::Reset(_) | StopReason::Quit
    )
}

/// Shows the statistics of a guest's exits.
#[inline(never)]
pub fn show_statistics(who: Who, recorder: &Recorder) {
    let (stats, counted) = recorder.statistics();
    let total = recorder.total();
    if counted < total {
        log::info!("{who}: statistics of the last {counted} of {total} exits (`stats` counts all)");
    } else {
        log::info!("{who}: statistics of {total} exits");
    }
    stats.lines(&mut |line| log::info!("{who}: {line}"));
}

/// Shows a control block.
pub fn show_dump<P: Patient>(who: Who, case: &P, form: DumpForm) {
    match form {
        DumpForm::Names => report::show_state(case, &mut |line| log::info!("{who}: {line}")),
        DumpForm::Kvm => {
            let mut lines = Lines { who, line: ArrayString::new() };
            // What is longer than a line is cut, which no line is.
            let _ = case.dump(who.core, &mut lines);
        }
    }
}

/// Logs what is written to it, line by line.
struct Lines {
    who: Who,
    line: ArrayString<256>,
}

impl Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == '\n' {
                log::info!("{}: dump: {}", self.who, self.line);
                self.line.clear();
            } else {
                let _ = self.line.try_push(c);
            }
        }
        Ok(())
    }
}
