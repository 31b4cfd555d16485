//! The kernel command line.

use core::fmt;
use core::num::NonZeroU32;

use log::LevelFilter;

use crate::hw::end::Mode;

mod nearest;

pub use nearest::nearest;

/// What the user asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options<'a> {
    /// `guest=`: which guests to run.
    pub guests: Guests<'a>,
    /// `log=`: how much to say. Default: info.
    pub log: LevelFilter,
    /// `prealloc`: map all guest memory before the first entry.
    pub prealloc: bool,
    /// `budget=`: how long a guest may run, in milliseconds.
    pub budget_ms: Option<NonZeroU32>,
    /// `cores=`: use at most so many cores.
    pub cores: Option<NonZeroU32>,
    /// `end=`: what to do after the last line.
    pub end: Mode,
    /// `selftest=`: break something on purpose.
    pub selftest: Option<SelfTest>,
    /// `narrate`: tell every exit in words.
    pub narrate: bool,
    /// `stats`: show the statistics of each guest's exits.
    pub stats: bool,
    /// `trace`: show the last exits of each guest, for `scripts/trace`.
    pub trace: bool,
    /// `dump=`: show each guest's control block at its end.
    pub dump: Option<DumpForm>,
    /// `stuck=`: identical exits that stop a guest, also where it may get on in a handler; 0: never.
    pub stuck: Option<u32>,
    /// `case=`: make mistakes on purpose, and have the entry doctor explain them.
    pub case: Option<&'a str>,
    /// `differ=`: compare the rules of VM entry with the CPU: rounds, seed, number of the first round.
    pub differ: Option<[u32; 3]>,
    /// `spare=`: rules that `differ=` does not break, and states that it leaves out: those that an emulator does not survive.
    pub spare: &'a str,
    /// `lax=`: rules that this CPU does not check.
    pub lax: &'a str,
    /// `chaos=`: run the guest that breaks itself at random: runs, seed, number of the first.
    pub chaos: Option<[u32; 3]>,
    /// `flush=`: when the L1 data cache is flushed before a guest runs, where the CPU needs that. Default: auto.
    pub flush: L1dFlush,
    /// `apic=`: who keeps guests' local APICs.
    pub apic: Apic,
    /// `bench`: run the benchmark guests instead of the others.
    pub bench: bool,
    /// `help`: list the options and stop.
    pub help: bool,
}

impl Options<'_> {
    /// What an empty command line asks for.
    pub const DEFAULT: Self = Self {
        guests: Guests::All,
        log: LevelFilter::Info,
        prealloc: false,
        budget_ms: None,
        cores: None,
        end: Mode::Halt,
        selftest: None,
        narrate: false,
        stats: false,
        trace: false,
        dump: None,
        stuck: None,
        case: None,
        differ: None,
        spare: "",
        lax: "",
        chaos: None,
        flush: L1dFlush::Auto,
        apic: Apic::Auto,
        bench: false,
        help: false,
    };
}

/// Which guests to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guests<'a> {
    /// Every one that is embedded.
    All,
    /// None: list their names.
    List,
    /// These; separated by commas, none empty, not checked for existence.
    Named(&'a str),
}

impl<'a> Guests<'a> {
    /// The names that were given.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        let names = if let Self::Named(names) = self { names } else { "" };
        names.split(',').filter(|name| !name.is_empty())
    }
}

/// How a control block is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DumpForm {
    /// In the lines of Linux KVM's dump.
    Kvm,
    /// Field by field, with the names of bits.
    Names,
}

/// When the L1 data cache is flushed before a guest runs, on CPUs that need it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum L1dFlush {
    /// After the host has done what was not for this guest alone.
    Auto,
    /// Before each entry.
    Always,
    /// Never.
    Never,
}

/// Who keeps guests' local APICs, where the CPU can.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Apic {
    /// The CPU those of VMs; those of the embedded guests are software, so that they show the same on every machine.
    Auto,
    /// The CPU.
    Cpu,
    /// Software.
    Software,
}

/// What to break on purpose, to prove how it is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SelfTest {
    /// Panic.
    Panic,
    /// A page fault in the hypervisor.
    Fault,
    /// A stack overflow into its guard page.
    Stack,
}

/// An option, for the parser and for `help`.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// What may follow `=`; empty if nothing.
    pub values: &'static str,
    /// What it does, half a sentence.
    pub help: &'static str,
    set: Setter,
}

impl fmt::Display for Spec {
    /// A line of the list of options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, values, help, .. } = self;
        if values.is_empty() { write!(f, "{name}: {help}") } else { write!(f, "{name}={values}: {help}") }
    }
}

#[derive(Clone, Copy, Debug)]
enum Setter {
    Flag(for<'o, 'a> fn(&'o mut Options<'a>) -> &'o mut bool),
    /// Gives whether the value is one that is allowed.
    Value(for<'o, 'a> fn(&'o mut Options<'a>, &'a str) -> bool),
}

const fn flag(
    name: &'static str,
    help: &'static str,
    field: for<'o, 'a> fn(&'o mut Options<'a>) -> &'o mut bool,
) -> Spec {
    Spec { name, values: "", help, set: Setter::Flag(field) }
}

const fn value(
    name: &'static str,
    values: &'static str,
    help: &'static str,
    set: for<'o, 'a> fn(&'o mut Options<'a>, &'a str) -> bool,
) -> Spec {
    Spec { name, values, help, set: Setter::Value(set) }
}

/// All options.
pub const OPTIONS: [Spec; 21] = [
    value("guest", "<name>[,<name>...]|list", "guests to run, or show their names", |o, v| {
        o.guests = if v == "list" { Guests::List } else { Guests::Named(v) };
        v.split(',').all(|name| !name.is_empty())
    }),
    value("log", "error|warn|info|debug|trace", "how much to say", |o, v| choose(&mut o.log, v, &LOG_LEVELS)),
    flag("prealloc", "map all guest memory before the first entry, not on demand", |o| &mut o.prealloc),
    value("budget", "<milliseconds>", "how long a guest may run", |o, v| number(&mut o.budget_ms, v)),
    value("cores", "<number>", "use at most so many cores", |o, v| number(&mut o.cores, v)),
    value("end", "halt|qemu|bochs|reboot", "what to do after the last line", |o, v| {
        choose(&mut o.end, v, &Mode::NAMES)
    }),
    value("selftest", "panic|fault|stack", "break something to see it reported", |o, v| {
        let mut test = SelfTest::Panic;
        let known = choose(&mut test, v, &SELF_TESTS);
        o.selftest = known.then_some(test);
        known
    }),
    flag("narrate", "tell every exit in words, as log=trace does", |o| &mut o.narrate),
    flag("stats", "show the statistics of each guest's exits", |o| &mut o.stats),
    flag("trace", "show each guest's last exits, for scripts/trace", |o| &mut o.trace),
    value("dump", "kvm|names", "show each guest's control block", |o, v| {
        let mut form = DumpForm::Kvm;
        let known = choose(&mut form, v, &DUMP_FORMS);
        o.dump = known.then_some(form);
        known
    }),
    value("stuck", "<exits>", "identical exits that stop a guest; 0: never", |o, v| match numbers(v, [0]) {
        Some([exits]) => {
            o.stuck = Some(exits);
            true
        }
        None => false,
    }),
    value("case", "<name>[,<name>...]|all", "make mistakes, see them explained", |o, v| {
        o.case = Some(v);
        v.split(',').all(|name| !name.is_empty())
    }),
    value("differ", "<rounds>[,<seed>[,<first>]]", "compare rules with CPU", |o, v| {
        o.differ = numbers(v, [0, 1, 0]).filter(|[rounds, ..]| *rounds > 0);
        o.differ.is_some()
    }),
    value("spare", "<rule or state>[,...]", "what differ= leaves out", |o, v| {
        o.spare = v;
        true
    }),
    value("lax", "<rule>[,...]", "rules that this CPU does not check", |o, v| {
        o.lax = v;
        true
    }),
    value("chaos", "<runs>[,<seed>[,<first>]]", "run a guest that breaks itself", |o, v| {
        o.chaos = numbers(v, [0, 1, 0]).filter(|[runs, ..]| *runs > 0);
        o.chaos.is_some()
    }),
    value("flush", "auto|always|never", "flush the L1 data cache for CPUs with L1TF", |o, v| {
        choose(&mut o.flush, v, &L1D_FLUSHES)
    }),
    value("apic", "auto|cpu|software", "who keeps guests' local APICs, where the CPU can", |o, v| {
        choose(&mut o.apic, v, &APICS)
    }),
    flag("bench", "run the benchmark guests", |o| &mut o.bench),
    flag("help", "show the options and stop", |o| &mut o.help),
];

const DUMP_FORMS: [(&str, DumpForm); 2] = [("kvm", DumpForm::Kvm), ("names", DumpForm::Names)];

const APICS: [(&str, Apic); 3] = [("auto", Apic::Auto), ("cpu", Apic::Cpu), ("software", Apic::Software)];

const L1D_FLUSHES: [(&str, L1dFlush); 3] =
    [("auto", L1dFlush::Auto), ("always", L1dFlush::Always), ("never", L1dFlush::Never)];

const LOG_LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

const SELF_TESTS: [(&str, SelfTest); 3] =
    [("panic", SelfTest::Panic), ("fault", SelfTest::Fault), ("stack", SelfTest::Stack)];

fn choose<T: Copy>(place: &mut T, value: &str, among: &[(&str, T)]) -> bool {
    let found = among.iter().find(|(name, _)| *name == value);
    if let Some((_, choice)) = found {
        *place = *choice;
    }
    found.is_some()
}

/// Decimal, above 0.
fn number(place: &mut Option<NonZeroU32>, value: &str) -> bool {
    // `parse` would take a sign.
    *place = if value.bytes().all(|b| b.is_ascii_digit()) { value.parse().ok() } else { None };
    place.is_some()
}

/// Up to as many decimal numbers as there are defaults, separated by commas; at least one.
fn numbers<const N: usize>(value: &str, defaults: [u32; N]) -> Option<[u32; N]> {
    let mut numbers = defaults;
    let mut places = numbers.iter_mut();
    for word in value.split(',') {
        let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        *places.next()? = if digits { word.parse().ok()? } else { return None };
    }
    Some(numbers)
}

/// What is wrong with the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OptionError<'a> {
    /// There is no such option.
    Unknown {
        /// As it was written.
        name: &'a str,
        /// The valid one that looks most like it.
        nearest: Option<&'static str>,
    },
    /// It needs a value.
    NoValue {
        /// The option.
        option: &'static str,
        /// What may follow.
        allowed: &'static str,
    },
    /// It takes no value.
    ExtraValue {
        /// The option.
        option: &'static str,
        /// What followed.
        value: &'a str,
    },
    /// It does not take this value.
    WrongValue {
        /// The option.
        option: &'static str,
        /// What followed.
        value: &'a str,
        /// What may follow.
        allowed: &'static str,
    },
    /// It is there twice.
    Twice {
        /// The option.
        option: &'static str,
    },
}

impl fmt::Display for OptionError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "unknown option '{name}' on the command line: did you mean '{nearest}'?")
            }
            Self::Unknown { name, nearest: None } => {
                write!(f, "unknown option '{name}' on the command line: 'help' lists the valid ones")
            }
            Self::NoValue { option, allowed } => write!(f, "option '{option}' needs a value: {option}={allowed}"),
            Self::ExtraValue { option, value } => write!(f, "option '{option}' takes no value, but got '{value}'"),
            Self::WrongValue { option, value, allowed } => {
                write!(f, "option '{option}' can't be '{value}': {option}={allowed}")
            }
            Self::Twice { option } => write!(f, "option '{option}' is on the command line twice"),
        }
    }
}

/// Reads a command line: words separated by blanks. A first word with a slash at its beginning is the file's name, as
/// some loaders pass it, and is left out.
///
/// With the first mistake come the options as far as they are valid, so that the mistake is told in the way and ended in
/// the way that the rest of the line asks for.
pub fn parse(line: &str) -> (Options<'_>, Option<OptionError<'_>>) {
    let (mut options, mut error, mut seen) = (Options::DEFAULT, None, [false; OPTIONS.len()]);
    for (i, word) in line.split_ascii_whitespace().enumerate() {
        if i == 0 && word.starts_with('/') {
            continue;
        }
        if let Err(wrong) = apply(&mut options, &mut seen, word) {
            error = error.or(Some(wrong));
        }
    }
    (options, error)
}

fn apply<'a>(
    options: &mut Options<'a>,
    seen: &mut [bool; OPTIONS.len()],
    word: &'a str,
) -> Result<(), OptionError<'a>> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let Some((spec, seen)) = OPTIONS.iter().zip(seen).find(|(spec, _)| spec.name == name) else {
        return Err(OptionError::Unknown { name, nearest: nearest(name, OPTIONS.iter().map(|spec| spec.name)) });
    };
    let (option, allowed) = (spec.name, spec.values);
    if core::mem::replace(seen, true) {
        return Err(OptionError::Twice { option });
    }
    match (spec.set, value) {
        (Setter::Flag(field), None) => *field(options) = true,
        (Setter::Flag(_), Some(value)) => return Err(OptionError::ExtraValue { option, value }),
        (Setter::Value(_), None | Some("")) => return Err(OptionError::NoValue { option, allowed }),
        (Setter::Value(set), Some(value)) => {
            let mut changed = *options;
            if !set(&mut changed, value) {
                return Err(OptionError::WrongValue { option, value, allowed });
            }
            *options = changed;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
