//! What the boot loader's modules are: each module's command line says it.
//!
//! ```text
//! <kind> [key=value ...] [-- the guest's own command line]
//! ```
//!
//! `linux`, `multiboot` and `flat` begin a VM. `initrd` belongs to the `linux` before it, each `module` to the
//! `multiboot` before it. A first word with a slash at its beginning is the file's name, as some loaders pass it, and
//! is left out.

mod error;
mod group;
mod keys;
#[cfg(test)]
mod tests;

use core::fmt;
use core::num::NonZeroU32;

use crate::hw::options::nearest;

pub use error::DescriptionError;
pub use group::{GroupError, GuestKind, Module, VmSpec, group};
pub use keys::{KEYS, Key};

/// What a module is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A Linux kernel, a bzImage.
    Linux,
    /// The initial RAM disk of the Linux kernel before it.
    Initrd,
    /// A Multiboot kernel.
    Multiboot,
    /// A module for the Multiboot kernel before it.
    Module,
    /// Bytes that start in real-address mode.
    Flat,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Linux, Self::Initrd, Self::Multiboot, Self::Module, Self::Flat];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Initrd => "initrd",
            Self::Multiboot => "multiboot",
            Self::Module => "module",
            Self::Flat => "flat",
        }
    }

    /// Whether a string may follow `--`.
    const fn has_command_line(self) -> bool {
        matches!(self, Self::Linux | Self::Multiboot | Self::Module)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the VM's serial console is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Console {
    /// Byte for byte.
    Raw,
    /// Line by line, with the VM's name before each.
    Lines,
}

/// How a VM should end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// It does not matter.
    Any,
    /// By ACPI, switched off.
    PowerOff,
    /// By a reset.
    Reset,
    /// With this number at the port for it.
    Exit(u32),
    /// Halted, with nothing that could wake it.
    Halt,
    /// By a triple fault.
    TripleFault,
}

/// By which entry a Linux kernel is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// In 64-bit mode.
    Bits64,
    /// In 32-bit protected mode.
    Bits32,
}

/// A module's command line, read. What was not said is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Description<'a> {
    /// What the module is.
    pub kind: Kind,
    /// `name=`: the VM's name.
    pub name: Option<&'a str>,
    /// `memory=`: its memory in bytes.
    pub memory: Option<u64>,
    /// `core=`: the host's core that runs it.
    pub core: Option<u32>,
    /// `budget=`: how long it may run, in milliseconds.
    pub budget_ms: Option<NonZeroU32>,
    /// `tsc=`: how fast its time-stamp counter runs, in kHz.
    pub tsc_khz: Option<u32>,
    /// `console=`: how its serial console is shown.
    pub console: Option<Console>,
    /// `expect=`: how it should end.
    pub expect: Option<Expect>,
    /// `protocol=`: how a Linux kernel is started.
    pub protocol: Option<Protocol>,
    /// `at=`: where a flat image is loaded.
    pub at: Option<u64>,
    /// `entry=`: where it is started.
    pub entry: Option<u64>,
    /// What follows `--`, without blanks around it.
    pub command_line: &'a str,
}

/// Reads a module's command line, up to the first mistake.
pub fn parse(line: &str) -> Result<Description<'_>, DescriptionError<'_>> {
    let (mut rest, mut skipped) = (line, false);
    let kind = loop {
        let (word, behind) = next_word(rest).ok_or(DescriptionError::Empty)?;
        rest = behind;
        if !word.starts_with('/') || skipped {
            let names = Kind::ALL.iter().map(|kind| kind.name());
            let unknown = DescriptionError::Kind { word, nearest: nearest(word, names) };
            break Kind::ALL.into_iter().find(|kind| kind.name() == word).ok_or(unknown)?;
        }
        skipped = true;
    };
    let mut description = Description {
        kind,
        name: None,
        memory: None,
        core: None,
        budget_ms: None,
        tsc_khz: None,
        console: None,
        expect: None,
        protocol: None,
        at: None,
        entry: None,
        command_line: "",
    };
    let mut seen = [false; KEYS.len()];
    while let Some((word, behind)) = next_word(rest) {
        rest = behind;
        if word != "--" {
            keys::apply(&mut description, &mut seen, word)?;
            continue;
        }
        if !kind.has_command_line() {
            return Err(DescriptionError::CommandLine { kind });
        }
        description.command_line = rest.trim_ascii();
        break;
    }
    Ok(description)
}

/// The first word, and what follows it.
fn next_word(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_ascii_start();
    let (word, rest) = line.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((line, ""));
    (!word.is_empty()).then_some((word, rest))
}
