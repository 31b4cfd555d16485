//! The guests that are built into the kernel, and what each must show.
//!
//! The build script makes the table from `guest/*.S`; `guest/README.md` says how to add one. [`check()`] compares a run with
//! what the guest must show.

mod check;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;

use crate::base::{Gpr, Width};
use crate::hw::options;

pub use check::{Mismatch, Observed, check};

include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// Where every guest is loaded and started: CS = 0, IP = this, also its linear address.
pub const LOAD_ADDRESS: u16 = 0x7c00;

/// A program that runs in a VM, with what it must show.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// What the kernel command line calls it: the file's name without `.S`.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// When it runs.
    pub group: Group,
    /// The bytes that are loaded at [`LOAD_ADDRESS`].
    pub image: &'static [u8],
    /// The program's labels, by address.
    pub labels: &'static [Label],
    /// What it must show.
    pub expect: Expect,
}

/// When a guest runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// By default.
    Default,
    /// When the exits are to be timed.
    Bench,
    /// On demand: guests that do what no sane program does.
    Adversary,
    /// Shows something of the hypervisor; runs when it is named.
    Demo,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Default, Self::Bench, Self::Adversary, Self::Demo];

    /// What the command line and a guest's header call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Bench => "bench",
            Self::Adversary => "adversary",
            Self::Demo => "demo",
        }
    }

    /// The guests of the group, in order.
    pub fn guests(self) -> impl Iterator<Item = &'static Guest> {
        GUESTS.iter().filter(move |g| g.group == self)
    }
}

/// A place in a guest's program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// The label in the source.
    pub name: &'static str,
    /// Its linear address.
    pub address: u64,
}

/// What a guest must show.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// How it ends.
    pub how: How,
    /// The instruction at which it ends, where that is fixed.
    pub place: Option<Label>,
    /// What registers hold at the end.
    pub registers: &'static [Register],
    /// All that it prints; `None`: it may print what it likes.
    pub console: Option<&'static [u8]>,
    /// How often exits happen, by their neutral name (one of [`EXIT_NAMES`]); the others are not counted.
    pub exits: &'static [(&'static str, u64)],
}

/// How a guest must end: the ways of [`crate::base::StopReason`] that can be meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// HLT that nothing will wake.
    Hlt,
    /// This value written to the exit port, 0xF4.
    Exit(u32),
    /// Triple fault.
    TripleFault,
    /// It runs until its budget of time is used up.
    Budget,
    /// An instruction on a device's memory that the hypervisor does not emulate.
    NotEmulated,
    /// Identical exits without progress, as many as the hypervisor bears.
    Stuck,
    /// It switches its machine off.
    PowerOff,
    /// It resets its machine.
    Reset,
}

/// A register that is checked at the end.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// As the header calls it: `ax`, `eax`, `rax`.
    pub name: &'static str,
    /// Which one.
    pub gpr: Gpr,
    /// How much of it.
    pub width: Width,
    /// What it must hold.
    pub value: u64,
}

impl Guest {
    /// The last label at or before the linear address `address`, with the distance in bytes; `None` outside the program.
    pub fn label_at(&self, address: u64) -> Option<(&'static str, u64)> {
        let end = u64::from(LOAD_ADDRESS) + self.image.len() as u64;
        let label = self.labels.iter().rev().find(|l| l.address <= address && address < end)?;
        Some((label.name, address - label.address))
    }
}

/// The guest called `name`.
pub fn find(name: &str) -> Option<&'static Guest> {
    GUESTS.iter().find(|g| g.name == name)
}

/// The guests that `list` names: names of guests and of groups, or `all`, separated by commas. Blank words are ignored.
///
/// # Errors
/// The first word that is none of these.
pub fn select(list: &str) -> Result<Vec<&'static Guest>, UnknownGuest<'_>> {
    let mut chosen = Vec::new();
    for word in list.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        if let Some(group) = Group::ALL.into_iter().find(|g| g.name() == word) {
            chosen.extend(group.guests());
        } else if let Some(guest) = find(word) {
            chosen.push(guest);
        } else if word == "all" {
            chosen.extend(GUESTS);
        } else {
            return Err(UnknownGuest { name: word });
        }
    }
    Ok(chosen)
}

/// A word that names neither a guest nor a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownGuest<'a> {
    /// The word.
    pub name: &'a str,
}

impl UnknownGuest<'_> {
    /// The guest or group whose name is like the word.
    pub fn nearest(&self) -> Option<&'static str> {
        let names = GUESTS.iter().map(|g| g.name).chain(Group::ALL.map(Group::name)).chain(["all"]);
        options::nearest(self.name, names)
    }
}

impl fmt::Display for UnknownGuest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no guest `{}`", self.name)?;
        if let Some(name) = self.nearest() {
            write!(f, "; did you mean `{name}`?")?;
        }
        f.write_str(" (`guest=list` shows them all)")
    }
}
