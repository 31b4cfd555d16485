//! A diagnosis for people, line by line.

use core::fmt;

use super::rule::{Class, Must, Patient, Rule, examine};
use super::state::{Field, Named, Part, State, named};

/// Where lines go.
pub type Say<'a> = &'a mut dyn FnMut(fmt::Arguments<'_>);

/// What must be, in words.
struct Asks<'a, F> {
    must: Must<F>,
    state: &'a State<F>,
    /// It is advice: a field that need not change in one way is shown only.
    advice: bool,
}

/// The names of bits, without their value.
struct Names<'a>(u64, &'a [Part]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Named { value: self.0, parts: self.1 }.names(f)
    }
}

impl<F: Field> fmt::Display for Asks<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |field: F, bits| Names(bits, field.spec().parts);
        if let Some(field) = self.must.field() {
            write!(f, "{} is {}", field.name(), named(field, self.state.get(field)))?;
            if self.advice && matches!(self.must, Must::Change(_)) {
                return Ok(());
            }
            f.write_str(": ")?;
        }
        match self.must {
            Must::Set(field, mask) => write!(f, "must have {mask:#x} set, that is {}", bits(field, mask)),
            Must::Clear(field, mask) => write!(f, "must have {mask:#x} clear, that is {}", bits(field, mask)),
            Must::Be(field, value) => write!(f, "must be {}", named(field, value)),
            Must::BeOneOf(_, values) => {
                f.write_str("must be one of")?;
                values.iter().try_for_each(|value| write!(f, " {value:#x}"))
            }
            Must::AtMost(_, most) => write!(f, "must be at most {most:#x}"),
            Must::AtLeast(_, least) => write!(f, "must be at least {least:#x}"),
            Must::Change(_) => f.write_str("this value is not allowed"),
            Must::Canonical(_, width) => write!(f, "must be canonical: bits 63:{} all the same", width - 1),
            Must::Aligned(_, bytes) => write!(f, "must be a multiple of {bytes:#x}"),
            Must::Physical(_, width) => {
                write!(f, "must have bits 63:{width} clear: this CPU has {width} physical-address bits")
            }
            Must::Agree(field, mask, other, its) => {
                let theirs = Names(its, other.spec().parts);
                write!(f, "{} must agree with {} of {}", bits(field, mask), theirs, other.name())?;
                write!(f, ", which is {}", named(other, self.state.get(other)))
            }
            Must::Do(what) => f.write_str(what),
            Must::Msr(entry, msr) => write!(f, "entry {entry} of the VM-entry MSR-load area, for MSR {msr:#x}"),
        }
    }
}

/// What to say of one broken rule: two or three lines.
fn say_rule<P: Patient>(patient: &P, rule: &Rule<P::Field, P>, musts: &[Must<P::Field>], more: usize, say: Say<'_>) {
    say(format_args!("  {} [{}]", rule.says, rule.id));
    for must in musts {
        say(format_args!("    {}", Asks { must: *must, state: patient.state(), advice: rule.class == Class::Advice }));
    }
    if more > 0 {
        say(format_args!("    and {more} more of the same"));
    }
    say(format_args!("    {}", rule.section));
}

/// Things of one rule that are told one by one.
const EACH: usize = 8;

/// Tells every broken rule of the class, and how many there are.
fn say_class<P: Patient>(patient: &P, wanted: impl Fn(Class) -> bool, say: Say<'_>) -> usize {
    let state = patient.state();
    let mut rules = 0;
    for rule in P::rules().filter(|rule| wanted(rule.class)) {
        if !rule.fields.iter().all(|f| state.has(*f)) {
            continue;
        }
        let mut musts = arrayvec::ArrayVec::<_, EACH>::new();
        let mut more = 0;
        (rule.check)(patient, &mut |must| more += usize::from(musts.try_push(must).is_err()));
        if !musts.is_empty() {
            rules += 1;
            say_rule(patient, rule, &musts, more, say);
        }
    }
    rules
}

/// Tells each broken rule, then each advice. Returns how many rules are broken, advice not counted.
pub fn diagnose<P: Patient>(patient: &P, say: Say<'_>) -> usize {
    let (mut broken, mut advice) = (0, 0);
    let (mut last_broken, mut last_advice) = (None, None);
    examine(patient, |rule, _| {
        let (count, last) =
            if rule.class == Class::Advice { (&mut advice, &mut last_advice) } else { (&mut broken, &mut last_broken) };
        if *last != Some(rule.id) {
            *count += 1;
            *last = Some(rule.id);
        }
    });
    if broken > 0 {
        say(format_args!(
            "{broken} rule{} of VM entry {} broken:",
            if broken == 1 { "" } else { "s" },
            if broken == 1 { "is" } else { "are" }
        ));
        say_class(patient, |class| class != Class::Advice, say);
    } else {
        say(format_args!("no rule of VM entry is broken"));
    }
    if advice > 0 {
        say(format_args!("legal, but most likely not what was meant:"));
        say_class(patient, |class| class == Class::Advice, say);
    }
    broken
}

/// Tells the state in groups, with the names of bits.
pub fn show_state<P: Patient>(patient: &P, say: Say<'_>) {
    let state = patient.state();
    for (title, fields) in P::groups() {
        say(format_args!("{title}:"));
        for field in fields.iter().filter(|f| state.has(**f)) {
            say(format_args!("  {}: {}", field.name(), named(*field, state.get(*field))));
        }
    }
}

/// Tells which fields differ from those of the last good entry.
pub fn show_changes<F: Field>(good: &State<F>, now: &State<F>, say: Say<'_>) {
    let mut none = true;
    for field in good.differences(now) {
        if none {
            say(format_args!("fields that differ from the last good entry:"));
            none = false;
        }
        say(format_args!(
            "  {}: was {}, is {}",
            field.name(),
            named(field, good.get(field)),
            named(field, now.get(field))
        ));
    }
    if none {
        say(format_args!("no field differs from the last good entry"));
    }
}
