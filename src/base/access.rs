//! What an access to memory wanted to do.

/// The kind of a memory access.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// A data read.
    Read,
    /// A data write (a read-modify-write counts as one).
    Write,
    /// An instruction fetch.
    Fetch,
}

impl Access {
    /// A word for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Fetch => "fetch",
        }
    }
}
