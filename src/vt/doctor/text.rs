//! Dumps of control blocks as text, in the form of Linux KVM's `dump_vmcs` and `dump_vmcb`: written, and read again from a
//! file, a console, or a piece cut out of a kernel's log.
//!
//! The lines are described once (`vmx::dump`, `svm::dump`); [`write`](write()) and [`read`] both go by that. After the lines
//! of Linux come sections of our own, with which a dump is complete: what the CPU can do, how the entry was made, and the
//! fields that Linux does not show.
//!
//! The reader takes what logs put before each line, and skips the lines of others in between: what guests print, and
//! the dumps of other cores. A line that is a dump's and is damaged, or stands in the wrong place, is an error with its
//! number: a diagnosis of half a dump would be worth nothing.

mod begin;
mod guess;
mod line;
mod prefix;
mod reader;
#[cfg(test)]
mod tests;
mod what;
mod write;

use super::rule::Patient;
use crate::vt::svm::case::SvmCase;
use crate::vt::vmx::case::VmxCase;

pub use line::{Line, Piece, hex, literal};
pub use what::{Trouble, What};
pub use write::{write, write_names};

/// The titles of our own sections.
pub const CAPABILITIES: &str = "*** Capabilities ***";
/// How the entry was made.
pub const ENTRY: &str = "*** Entry ***";
/// Fields that the lines of Linux do not show.
pub const OTHER: &str = "*** Other fields ***";
/// The last line of a dump of ours.
pub const END: &str = "*** End of dump ***";

/// What programs say of a dump without the first of these sections.
pub const ANY_CPU: &str = "the dump says nothing about the CPU: judged for a CPU that has everything, so that what this one \
                           lacks is not found";

/// Something that is known besides the fields: a line `name = 0x...`.
pub struct Fact<P: 'static> {
    /// Its name in the dump.
    pub name: &'static str,
    /// Its width in bits.
    pub bits: u32,
    /// Its value, `None` where it is not known.
    pub get: fn(&P) -> Option<u64>,
    /// Takes its value from a dump.
    pub set: fn(&mut P, u64),
}

impl<P> Clone for Fact<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Fact<P> {}

/// What dumps of a vendor's control blocks consist of.
pub trait Dumped: Patient {
    /// The titles of Linux's sections. A dump may begin with the first of them.
    const SECTIONS: &'static [&'static str];
    /// The lines of all sections, in their order.
    const LINES: &'static [Line<Self::Field, Self>];
    /// A line that Linux always writes, near the end: what begins so completes a dump.
    const LAST: &'static str;
    /// How the lines begin that Linux may log as continuations: without what is before the others.
    const CONTINUED: &'static [&'static str] = &[];
    /// What is known of the CPU.
    const CPU: &'static [Fact<Self>];
    /// How the entry is made.
    const ENTRY: &'static [Fact<Self>];

    /// A case without fields, for the CPU that is assumed where a dump does not say.
    fn blank() -> Self;

    /// Reads a line that is not one of [`Dumped::LINES`]. `area` is the vendor's to remember where it is; it starts as 0.
    fn special(&mut self, _text: &[u8], _area: &mut u8) -> Option<Result<(), What>> {
        None
    }
}

/// A control block of either vendor.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Dump {
    /// A VMCS.
    Vmx(VmxCase),
    /// A VMCB.
    Svm(SvmCase),
}

/// What was read from a text.
#[derive(Clone, Debug)]
pub struct Report {
    /// The first complete dump.
    pub dump: Dump,
    /// Its first and its last line, counted from 1.
    pub lines: (usize, usize),
    /// How many lines between them are not of a dump.
    pub foreign: usize,
    /// How many dumps before it break off where another begins.
    pub incomplete: usize,
    /// Whether there are more dumps: only the first is read.
    pub more: bool,
    /// Whether it says what its CPU can do. If not, [`VmxCase::cpu`](VmxCase) or [`SvmCase::cpu`](SvmCase) is of a CPU that has everything.
    pub has_cpu: bool,
}

/// The first complete dump of a text, which need not be UTF-8.
pub fn read(text: &[u8]) -> Result<Report, Trouble> {
    reader::read(text)
}
