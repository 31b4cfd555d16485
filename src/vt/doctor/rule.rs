//! What a rule is.

use super::state::{Field, State};

/// What a rule belongs to: it decides what the CPU says when the rule is broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// The VMX instruction itself: launch state, current VMCS, blocking (VMfailInvalid, or VM-instruction error 4, 5, 26).
    Launch,
    /// VMX control fields: VM-instruction error 7.
    Control,
    /// The host-state area: VM-instruction error 8.
    Host,
    /// The guest-state area: exit reason 33.
    Guest,
    /// Loading MSRs on VM entry: exit reason 34.
    MsrLoad,
    /// SVM's consistency checks: EXITCODE VMEXIT_INVALID (-1).
    Consistency,
    /// Legal, and most likely not what was meant: the entry succeeds.
    Advice,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Launch, Self::Control, Self::Host, Self::Guest, Self::MsrLoad, Self::Consistency, Self::Advice];

    /// A word for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Control => "control field",
            Self::Host => "host state",
            Self::Guest => "guest state",
            Self::MsrLoad => "MSR loading",
            Self::Consistency => "consistency",
            Self::Advice => "advice",
        }
    }
}

/// What a broken rule asks of one field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Must<F> {
    /// These bits, which are clear, must be set.
    Set(F, u64),
    /// These bits, which are set, must be clear.
    Clear(F, u64),
    /// The field must have this value.
    Be(F, u64),
    /// The field must have one of these values.
    BeOneOf(F, &'static [u64]),
    /// The field must not be above this value.
    AtMost(F, u64),
    /// The field must not be below this value.
    AtLeast(F, u64),
    /// The field must not have the value that it has.
    Change(F),
    /// The address must be canonical for a CPU with so many linear-address bits.
    Canonical(F, u32),
    /// The address must be aligned to so many bytes, a power of two.
    Aligned(F, u64),
    /// The address must have no bit at or above this one: the CPU's physical-address width.
    Physical(F, u32),
    /// These bits must agree with those of the other field: field, its bits, other field, its bits.
    Agree(F, u64, F, u64),
    /// Entry number so many, counted from 1, of the VM-entry MSR-load area: the MSR's number in it.
    Msr(u32, u32),
    /// No field: what is done must change, in these words.
    Do(&'static str),
}

impl<F: Copy> Must<F> {
    /// The field that it is about.
    pub const fn field(&self) -> Option<F> {
        match *self {
            Self::Set(f, _)
            | Self::Clear(f, _)
            | Self::Be(f, _)
            | Self::BeOneOf(f, _)
            | Self::AtMost(f, _)
            | Self::AtLeast(f, _)
            | Self::Change(f)
            | Self::Canonical(f, _)
            | Self::Aligned(f, _)
            | Self::Physical(f, _)
            | Self::Agree(f, _, _, _) => Some(f),
            Self::Msr(..) | Self::Do(_) => None,
        }
    }
}

/// A rule of the manual: data, but for the function that decides it.
#[derive(Debug)]
pub struct Rule<F: 'static, P: 'static> {
    /// What logs, tests and the tables of disagreements call it, like `guest.cs.limit-granularity`.
    pub id: &'static str,
    /// What the CPU says when it is broken.
    pub class: Class,
    /// The manual and the title of the section, like `SDM 3C "Checks on Guest Segment Registers"`.
    pub section: &'static str,
    /// The fields that it reads. It is not judged where one of them is absent.
    pub fields: &'static [F],
    /// One sentence: what must be.
    pub says: &'static str,
    /// Calls its second argument for each thing that must change; never, if the rule is kept.
    pub check: fn(&P, &mut dyn FnMut(Must<F>)),
}

/// A state by name.
pub type Peril<P> = (&'static str, fn(&P) -> bool);

/// A control block with what is known of its CPU: what rules are judged on.
pub trait Patient: Clone + 'static {
    /// Its fields.
    type Field: Field;

    /// `"vmx"` or `"svm"`.
    const VENDOR: &'static str;

    /// The values of its fields.
    fn state(&self) -> &State<Self::Field>;

    /// The same, to be changed.
    fn state_mut(&mut self) -> &mut State<Self::Field>;

    /// All rules, those of one class together, in the order in which a CPU judges the classes.
    fn rules() -> impl Iterator<Item = &'static Rule<Self::Field, Self>>;

    /// Takes over what the CPU has said to an entry: from the control block as it is after that.
    fn take_answer(&mut self, after: &Self);

    /// Whether a run that compares the rules with a CPU leaves the field alone: it is read-only, or nobody judges it.
    fn is_untouched(field: Self::Field) -> bool;

    /// Whether a guest must not be entered with this value, should it be legal: it would reach what is the host's, take the
    /// host along, or not come back.
    fn is_hazard(&self, field: Self::Field, value: u64) -> bool;

    /// States that are legal, but that not every emulator survives, by name: who compares the rules with one may ask to leave
    /// them out.
    fn perils() -> &'static [Peril<Self>];

    /// Writes the control block as Linux KVM dumps it; `core` is the number of the CPU that tried to enter it.
    fn dump(&self, core: u32, out: &mut dyn core::fmt::Write) -> core::fmt::Result;

    /// The fields in groups for people, each with its title.
    fn groups() -> &'static [(&'static str, &'static [Self::Field])];
}

/// Judges all rules: calls `found` for each thing that a broken rule asks for. Rules that read a field which is absent are
/// left out.
pub fn examine<P: Patient>(patient: &P, mut found: impl FnMut(&'static Rule<P::Field, P>, Must<P::Field>)) {
    let state = patient.state();
    for rule in P::rules() {
        if rule.fields.iter().all(|f| state.has(*f)) {
            (rule.check)(patient, &mut |must| found(rule, must));
        }
    }
}

/// How many rules could not be judged, because a field that they read is absent.
pub fn not_judged<P: Patient>(patient: &P) -> usize {
    P::rules().filter(|rule| !rule.fields.iter().all(|f| patient.state().has(*f))).count()
}

/// What the rules say about an entry: which answers of the CPU they allow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Verdict {
    /// One bit for each [`Class`] that has a broken rule, by its place in [`Class::ALL`].
    broken: u8,
}

impl Verdict {
    /// Judges all rules.
    pub fn of<P: Patient>(patient: &P) -> Self {
        let mut verdict = Self::default();
        examine(patient, |rule, _| verdict.broken |= 1 << rule.class as u8);
        verdict
    }

    /// Whether a rule of this class is broken.
    pub const fn has(self, class: Class) -> bool {
        self.broken >> class as u8 & 1 != 0
    }

    /// Whether the entry succeeds: nothing but advice.
    pub const fn enters(self) -> bool {
        self.broken & !(1 << Class::Advice as u8) == 0
    }

    /// Whether a CPU may answer with `class` (`None`: it enters). Launch errors come first; control fields and the host-state
    /// area are checked in any order; then come the guest-state area and at last the MSRs (SDM 3C "VM Entries").
    pub fn allows(self, answer: Option<Class>) -> bool {
        let Some(class) = answer else { return self.enters() };
        let before = match class {
            Class::Launch => &[][..],
            Class::Control | Class::Host | Class::Consistency => &[Class::Launch],
            Class::Guest => &[Class::Launch, Class::Control, Class::Host],
            Class::MsrLoad => &[Class::Launch, Class::Control, Class::Host, Class::Guest],
            Class::Advice => return false,
        };
        self.has(class) && !before.iter().any(|c| self.has(*c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_allows_what_the_order_of_checks_allows() {
        let with = |classes: &[Class]| Verdict { broken: classes.iter().fold(0, |all, c| all | 1 << *c as u8) };
        assert!(with(&[]).allows(None) && !with(&[]).allows(Some(Class::Guest)));
        assert!(with(&[Class::Advice]).allows(None));
        let both = with(&[Class::Control, Class::Host, Class::Guest]);
        assert!(both.allows(Some(Class::Control)) && both.allows(Some(Class::Host)));
        assert!(!both.allows(Some(Class::Guest)) && !both.allows(None));
        assert!(with(&[Class::Guest, Class::MsrLoad]).allows(Some(Class::Guest)));
        assert!(!with(&[Class::Guest, Class::MsrLoad]).allows(Some(Class::MsrLoad)));
    }

    #[test]
    fn classes_are_numbered_as_they_are_listed() {
        for (i, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, i);
        }
    }
}
