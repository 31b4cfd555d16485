//! What can be wrong with the text of a dump.

use core::fmt;

/// What is wrong with a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// This text should come next.
    Expected(&'static str),
    /// There is no number where this should have one.
    NoNumber(&'static str),
    /// The number has fewer digits than every dump gives it: name, digits.
    Short(&'static str, usize),
    /// The number has more bits than there can be: name, bits.
    TooLarge(&'static str, u32),
    /// More text than belongs to the line.
    Extra,
    /// Such a line does not belong to a dump.
    Unknown,
    /// A field or a fact with this name is not known.
    UnknownName,
    /// It has been there already.
    Twice,
    /// It belongs to another place of the dump.
    Order,
    /// The dump ends before this.
    Ends(&'static str),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(text) => write!(f, "damaged: '{}' should come next", text.trim_ascii()),
            Self::NoNumber(name) => write!(f, "damaged: no number for {name}"),
            Self::Short(name, digits) => write!(f, "damaged: {name} has less than {digits} digits"),
            Self::TooLarge(name, bits) => write!(f, "the number is too large: {name} has {bits} bits"),
            Self::Extra => f.write_str("damaged: more text than belongs to the line"),
            Self::Unknown => f.write_str("neither a line of a dump nor clearly something else"),
            Self::UnknownName => f.write_str("no field and no fact has this name"),
            Self::Twice => f.write_str("this is in the dump twice"),
            Self::Order => f.write_str("out of order: this belongs to another place of the dump"),
            Self::Ends(wanted) => write!(f, "the dump ends here, before '{}'", wanted.trim_ascii()),
        }
    }
}

/// Why there is no dump to be had from a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No line looks like the beginning of a dump.
    NoDump,
    /// The line, counted from 1, and what is wrong with it.
    Line(usize, What),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDump => f.write_str(
                "no dump found: looked for 'VMCS ..., last attempted VM-entry on CPU' or '*** Guest State ***' (VMX), \
                 'VMCB ..., last attempted VMRUN on CPU' or 'VMCB Control Area:' (SVM)",
            ),
            Self::Line(line, what) => write!(f, "line {line}: {what}"),
        }
    }
}
