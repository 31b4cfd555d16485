//! Mistakes that people make, to be made on purpose: the entry doctor must say what is wrong.

/// A change to a field.
#[derive(Clone, Copy, Debug)]
pub enum Change<F> {
    /// The field gets this value.
    Set(F, u64),
    /// These bits are set.
    Or(F, u64),
    /// These bits are cleared.
    Clear(F, u64),
    /// The first field gets these bits from the second, and keeps its others.
    Copy(F, F, u64),
    /// The two fields change places.
    Swap(F, F),
    /// The field gets the address of a page that nothing uses, with the words of [`Misuse::Words`].
    Spare(F),
}

/// The guest's mode when it is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scene {
    /// Real-address mode.
    Real,
    /// Protected mode without paging.
    Unpaged,
    /// Protected mode with 32-bit paging.
    Protected,
    /// Protected mode with PAE paging.
    Pae,
    /// Virtual-8086 mode.
    Virtual8086,
    /// 64-bit mode.
    Long,
}

impl Scene {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Real, Self::Unpaged, Self::Protected, Self::Pae, Self::Virtual8086, Self::Long];

    /// A word for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real-address mode",
            Self::Unpaged => "protected mode without paging",
            Self::Protected => "protected mode",
            Self::Pae => "PAE paging",
            Self::Virtual8086 => "virtual-8086 mode",
            Self::Long => "64-bit mode",
        }
    }
}

/// A mistake that is not in the control block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misuse {
    /// None.
    Nothing,
    /// VMWRITE of a field that does not exist; its failure is ignored.
    NoSuchField(u32),
    /// INVEPT with a bad operand; its failure is ignored.
    BadInvept,
    /// VMRESUME of a VMCS that was not launched.
    ResumeNotLaunched,
    /// VMLAUNCH of a VMCS that is launched.
    LaunchTwice,
    /// A page that nothing uses gets these words at its beginning.
    Words(&'static [u64]),
    /// The leaves of the nested table lack the right to execute.
    NoExecute,
    /// The guest's memory has a hole at its stack's top: the page at 0xf000.
    StackHole,
}

/// A mistake.
#[derive(Clone, Copy, Debug)]
pub struct Mistake<F: 'static> {
    /// What `case=` calls it.
    pub name: &'static str,
    /// What is wrong, in a sentence.
    pub about: &'static str,
    /// The mode that the guest is in.
    pub scene: Scene,
    /// What it executes.
    pub code: &'static [u8],
    /// What is done to the control block.
    pub changes: &'static [Change<F>],
    /// What else is done.
    pub misuse: Misuse,
    /// Whether the guest is entered. Where that would take the host down, the rules are judged only.
    pub enter: bool,
    /// The rule that must be named; none where a loop must be found instead.
    pub rule: Option<&'static str>,
}
