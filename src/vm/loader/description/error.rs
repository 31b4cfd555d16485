//! What is wrong with a module's command line.

use core::fmt;

use super::{KEYS, Kind};

/// What is wrong with a module's command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DescriptionError<'a> {
    /// It says nothing.
    Empty,
    /// There is no such kind.
    Kind {
        /// As it was written.
        word: &'a str,
        /// The kind that looks most like it.
        nearest: Option<&'static str>,
    },
    /// A module of this kind has no such key.
    Key {
        /// The kind.
        kind: Kind,
        /// As it was written.
        word: &'a str,
        /// The key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// It needs a value.
    NoValue {
        /// The key.
        key: &'static str,
        /// What may follow.
        allowed: &'static str,
    },
    /// It does not take this value.
    Value {
        /// The key.
        key: &'static str,
        /// What followed.
        value: &'a str,
        /// What may follow.
        allowed: &'static str,
        /// The value that looks most like it.
        nearest: Option<&'static str>,
    },
    /// It is there twice.
    Twice {
        /// The key.
        key: &'static str,
    },
    /// A module of this kind has no command line of its own.
    CommandLine {
        /// The kind.
        kind: Kind,
    },
    /// What it belongs to is not before it.
    Orphan {
        /// The kind.
        kind: Kind,
        /// What must be before it.
        needs: Kind,
    },
    /// The Linux kernel before it has an initial RAM disk already.
    SecondInitrd,
    /// Another VM has this name.
    NameTaken {
        /// The name.
        name: &'a str,
        /// The number of the module that has it.
        other: usize,
    },
}

impl fmt::Display for DescriptionError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("says nothing: it must begin with ").and_then(|()| kinds(f)),
            Self::Kind { word, nearest } => {
                write!(f, "unknown kind '{word}': ")?;
                suggest(f, nearest)?;
                f.write_str("it can be ")?;
                kinds(f)
            }
            Self::Key { kind, word, nearest } => {
                write!(f, "unknown key '{word}': ")?;
                suggest(f, nearest)?;
                let mut keys = KEYS.iter().filter(|key| key.kinds.contains(&kind)).map(|key| key.name).peekable();
                if keys.peek().is_none() {
                    return write!(f, "'{kind}' takes none");
                }
                write!(f, "'{kind}' takes ")?;
                list(f, keys)
            }
            Self::NoValue { key, allowed } => write!(f, "key '{key}' needs a value: {key}={allowed}"),
            Self::Value { key, value, allowed, nearest } => {
                write!(f, "key '{key}' can't be '{value}': ")?;
                suggest(f, nearest)?;
                write!(f, "{key}={allowed}")
            }
            Self::Twice { key } => write!(f, "key '{key}' is there twice"),
            Self::CommandLine { kind } => write!(f, "'{kind}' has no command line: leave out '--' and what follows"),
            Self::Orphan { kind, needs } => write!(f, "'{kind}' without '{needs}' before it: put it behind its kernel"),
            Self::SecondInitrd => f.write_str("a second 'initrd' for one kernel: join the two files"),
            Self::NameTaken { name, other } => {
                write!(f, "name '{name}' is already that of module {other}: take another")
            }
        }
    }
}

impl core::error::Error for DescriptionError<'_> {}

fn suggest(f: &mut fmt::Formatter<'_>, nearest: Option<&str>) -> fmt::Result {
    nearest.map_or(Ok(()), |nearest| write!(f, "did you mean '{nearest}'? "))
}

fn kinds(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    list(f, Kind::ALL.iter().map(|kind| kind.name()))
}

fn list<'n>(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'n str>) -> fmt::Result {
    for (i, name) in names.enumerate() {
        write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
    }
    Ok(())
}
