//! Whether a run of a guest showed what it must.

use core::fmt;

use super::{Expect, How, Label};
use crate::base::{GprFile, SegmentRegister, StopReason};

/// How many bytes of the console a [`Mismatch`] shows of each side.
const EXCERPT: usize = 100;

/// What a run of a guest showed.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Why it ended.
    pub stop: StopReason,
    /// CS at the end.
    pub cs: SegmentRegister,
    /// RIP at the end: of the HLT or OUT itself where one of these ended it.
    pub ip: u64,
    /// The general-purpose registers at the end.
    pub gpr: &'a GprFile,
    /// All that it printed, through port 0xE9 and through its UART, in order.
    pub console: &'a [u8],
    /// How often which exit happened, by neutral name; one that is not there did not happen.
    pub exits: &'a [(&'a str, u64)],
}

/// The first thing in which a run differs from what it must show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mismatch<'a> {
    /// The guest itself found something wrong: its `FAIL:` line.
    Reported(&'a [u8]),
    /// It ended in another way.
    End {
        /// As it must.
        expected: How,
        /// As it did.
        got: StopReason,
        /// CS:IP, where it did.
        at: (u16, u64),
    },
    /// It ended somewhere else.
    Place {
        /// Where it must.
        expected: Label,
        /// CS:IP, where it did.
        got: (u16, u64),
    },
    /// A register holds something else.
    Register {
        /// The register as the header calls it.
        name: &'static str,
        /// What it must hold.
        expected: u64,
        /// What it holds.
        got: u64,
    },
    /// It printed something else.
    Console {
        /// What it must print, from the first difference on.
        expected: &'static [u8],
        /// What it printed, from the first difference on.
        got: &'a [u8],
        /// How many bytes agree before that.
        at: usize,
    },
    /// An exit happened more or less often.
    Exits {
        /// The exit's neutral name.
        name: &'static str,
        /// How often it must happen.
        expected: u64,
        /// How often it happened.
        got: u64,
    },
}

/// Whether a run showed what it must.
///
/// # Errors
/// The first difference; a `FAIL:` line of the guest's own comes before all others, because it says most.
pub fn check<'a>(expect: &Expect, observed: &Observed<'a>) -> Result<(), Mismatch<'a>> {
    if let Some(line) = observed.console.split(|b| *b == b'\n').find(|line| line.starts_with(b"FAIL:")) {
        return Err(Mismatch::Reported(line));
    }
    let at = (observed.cs.selector, observed.ip);
    if !expect.how.is(observed.stop) {
        return Err(Mismatch::End { expected: expect.how, got: observed.stop, at });
    }
    if let Some(expected) = expect.place
        && observed.cs.base.wrapping_add(observed.ip) != expected.address
    {
        return Err(Mismatch::Place { expected, got: at });
    }
    for r in expect.registers {
        let got = observed.gpr.read(r.gpr, r.width);
        if got != r.value {
            return Err(Mismatch::Register { name: r.name, expected: r.value, got });
        }
    }
    if let Some(expected) = expect.console
        && expected != observed.console
    {
        let at = expected.iter().zip(observed.console).take_while(|(a, b)| a == b).count();
        let (expected, got) = (expected.get(at..).unwrap_or(&[]), observed.console.get(at..).unwrap_or(&[]));
        return Err(Mismatch::Console { expected, got, at });
    }
    for &(name, expected) in expect.exits {
        let got = observed.exits.iter().find(|(n, _)| *n == name).map_or(0, |(_, count)| *count);
        if got != expected {
            return Err(Mismatch::Exits { name, expected, got });
        }
    }
    Ok(())
}

impl How {
    /// Whether `stop` is this way of ending.
    pub(super) fn is(self, stop: StopReason) -> bool {
        match (self, stop) {
            (Self::Hlt, StopReason::Halt)
            | (Self::TripleFault, StopReason::TripleFault)
            | (Self::Budget, StopReason::Budget)
            | (Self::NotEmulated, StopReason::NotEmulated { .. })
            | (Self::PowerOff, StopReason::PowerOff)
            | (Self::Reset, StopReason::Reset(_))
            | (Self::Stuck, StopReason::Stuck { .. }) => true,
            (Self::Exit(expected), StopReason::Exit(value)) => expected == value,
            _ => false,
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hlt => f.write_str("hlt"),
            Self::Exit(value) => write!(f, "exit {value:#x}"),
            Self::TripleFault => f.write_str("triple fault"),
            Self::Budget => f.write_str("budget used up"),
            Self::NotEmulated => f.write_str("instruction not emulated"),
            Self::Stuck => f.write_str("identical exits without progress"),
            Self::PowerOff => f.write_str("power-off"),
            Self::Reset => f.write_str("reset"),
        }
    }
}

/// A [`StopReason`] in the words of [`How`].
struct Stopped(StopReason);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            StopReason::Halt => How::Hlt.fmt(f),
            StopReason::Exit(value) => How::Exit(value).fmt(f),
            StopReason::TripleFault => How::TripleFault.fmt(f),
            StopReason::Budget => How::Budget.fmt(f),
            StopReason::NotEmulated { .. } => How::NotEmulated.fmt(f),
            StopReason::Unhandled { name, number } => write!(f, "unhandled exit {name} ({number:#x})"),
            StopReason::EntryFailed { what, code } => write!(f, "failed entry, {what} ({code:#x})"),
            StopReason::Stuck { .. } => How::Stuck.fmt(f),
            StopReason::PowerOff => How::PowerOff.fmt(f),
            StopReason::Reset(_) => How::Reset.fmt(f),
            StopReason::Quit => f.write_str("ended from the console"),
            StopReason::OutOfMemory => f.write_str("out of memory"),
        }
    }
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Reported(line) => write!(f, "the guest says {}", Excerpt(line)),
            Self::End { expected, got, at: (cs, ip) } => {
                write!(f, "end: expected {expected}, got {} at {cs:04x}:{ip:04x}", Stopped(got))
            }
            Self::Place { expected: Label { name, address }, got: (cs, ip) } => {
                write!(f, "place: expected {name} at {address:#x}, got {cs:04x}:{ip:04x}")
            }
            Self::Register { name, expected, got } => write!(f, "{name}: expected {expected:#x}, got {got:#x}"),
            Self::Console { expected, got, at } => {
                write!(f, "console after {at} bytes: expected {}, got {}", Excerpt(expected), Excerpt(got))
            }
            Self::Exits { name, expected, got } => write!(f, "{name} exits: expected {expected}, got {got}"),
        }
    }
}

/// The beginning of what was printed, in quotes; a guest's bytes are escaped.
struct Excerpt<'a>(&'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_at_checked(EXCERPT) {
            Some((head, rest)) if !rest.is_empty() => write!(f, "\"{}\"...", head.escape_ascii()),
            _ => write!(f, "\"{}\"", self.0.escape_ascii()),
        }
    }
}
