//! The kernel command line.

use core::fmt;
use core::num::NonZeroU32;

use log::LevelFilter;

use crate::hw::end::Mode;

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

/// What to break on purpose, to prove how it is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SelfTest {
    /// Panic.
    Panic,
    /// A page fault in the hypervisor.
    Fault,
    /// A stack overflow into its guard page.
    Stack,
    /// A guest entry that the CPU must refuse.
    Entry,
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
pub const OPTIONS: [Spec; 9] = [
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
    value("selftest", "panic|fault|stack|entry", "break something to see it reported", |o, v| {
        let mut test = SelfTest::Panic;
        let known = choose(&mut test, v, &SELF_TESTS);
        o.selftest = known.then_some(test);
        known
    }),
    flag("bench", "run the benchmark guests", |o| &mut o.bench),
    flag("help", "show the options and stop", |o| &mut o.help),
];

const LOG_LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

const SELF_TESTS: [(&str, SelfTest); 4] =
    [("panic", SelfTest::Panic), ("fault", SelfTest::Fault), ("stack", SelfTest::Stack), ("entry", SelfTest::Entry)];

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

/// Words longer than this are not compared.
const LONGEST: usize = 32;

/// The candidate that looks most like `word`: it begins with it, or is at most a third of it (but two letters of a short
/// word) away, where a letter too many, too few, a wrong one, or two swapped count one.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = (word.len() / 3).max(2).min(word.len().saturating_sub(1));
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let begins = word.len() >= 2 && candidate.starts_with(word);
            let distance = if begins { 1 } else { distance(word.as_bytes(), candidate.as_bytes())? };
            (distance <= allowed).then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The optimal string alignment distance, in bytes; `None` for long words.
fn distance(a: &[u8], b: &[u8]) -> Option<usize> {
    if a.len() > LONGEST || b.len() > LONGEST {
        return None;
    }
    // Rows of the table for the prefixes of `a` one and two shorter, and for this one.
    let mut before = [0; LONGEST + 1];
    let mut above: [usize; LONGEST + 1] = core::array::from_fn(|j| j);
    for i in 1..=a.len() {
        let mut row = [i; LONGEST + 1];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        (before, above) = (above, row);
    }
    Some(above[b.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{string::ToString, vec::Vec};

    fn good(line: &str) -> Options<'_> {
        let (options, error) = parse(line);
        assert_eq!(error, None);
        options
    }

    fn bad(line: &str) -> std::string::String {
        parse(line).1.expect("a mistake").to_string()
    }

    #[test]
    fn nothing_gives_the_defaults() {
        assert_eq!(good(""), Options::DEFAULT);
        assert_eq!(good(" \t "), Options::DEFAULT);
        assert_eq!(good("/boot/hv.elf"), Options::DEFAULT);
    }

    #[test]
    fn everything_at_once() {
        let line =
            "/boot/hv.elf guest=hello,cpuid  log=trace prealloc budget=250 cores=2 end=qemu selftest=stack bench help";
        let options = good(line);
        assert_eq!(options.guests.names().collect::<Vec<_>>(), ["hello", "cpuid"]);
        let expected = Options {
            guests: Guests::Named("hello,cpuid"),
            log: LevelFilter::Trace,
            prealloc: true,
            budget_ms: NonZeroU32::new(250),
            cores: NonZeroU32::new(2),
            end: Mode::Qemu,
            selftest: Some(SelfTest::Stack),
            bench: true,
            help: true,
        };
        assert_eq!(options, expected);
        assert_eq!(good("guest=list").guests, Guests::List);
    }

    #[test]
    fn every_value_that_the_help_names_is_accepted() {
        for spec in OPTIONS {
            for value in spec.values.split('|').filter(|v| !v.contains('<')) {
                let line = if value.is_empty() { spec.name.into() } else { std::format!("{}={value}", spec.name) };
                assert_eq!(parse(&line).1, None, "{line}");
            }
        }
    }

    #[test]
    fn help_fits_a_text_screen() {
        for spec in OPTIONS {
            assert!("hv:   ".len() + spec.to_string().len() <= 80, "{spec}");
        }
        assert_eq!(OPTIONS[4].to_string(), "cores=<number>: use at most so many cores");
    }

    #[test]
    fn mistakes_are_told_in_one_sentence() {
        let cases = [
            ("geust=a", "unknown option 'geust' on the command line: did you mean 'guest'?"),
            ("pre", "unknown option 'pre' on the command line: did you mean 'prealloc'?"),
            ("LOG=info", "unknown option 'LOG' on the command line: 'help' lists the valid ones"),
            ("xyzzy", "unknown option 'xyzzy' on the command line: 'help' lists the valid ones"),
            ("=", "unknown option '' on the command line: 'help' lists the valid ones"),
            ("log", "option 'log' needs a value: log=error|warn|info|debug|trace"),
            ("log=", "option 'log' needs a value: log=error|warn|info|debug|trace"),
            ("log=loud", "option 'log' can't be 'loud': log=error|warn|info|debug|trace"),
            ("cores=0", "option 'cores' can't be '0': cores=<number>"),
            ("cores=+2", "option 'cores' can't be '+2': cores=<number>"),
            ("budget=99999999999", "option 'budget' can't be '99999999999': budget=<milliseconds>"),
            ("guest=a,,b", "option 'guest' can't be 'a,,b': guest=<name>[,<name>...]|list"),
            ("prealloc=yes", "option 'prealloc' takes no value, but got 'yes'"),
            ("bench bench", "option 'bench' is on the command line twice"),
            ("log=info log=debug", "option 'log' is on the command line twice"),
            ("bench /boot/hv.elf", "unknown option '/boot/hv.elf' on the command line: 'help' lists the valid ones"),
        ];
        for (line, sentence) in cases {
            assert_eq!(bad(line), sentence, "{line}");
        }
    }

    #[test]
    fn what_is_valid_counts_beside_a_mistake() {
        let (options, error) = parse("frob log=loud end=qemu");
        assert_eq!(error, Some(OptionError::Unknown { name: "frob", nearest: None }));
        assert_eq!((options.end, options.log), (Mode::Qemu, LevelFilter::Info));
    }

    #[test]
    fn nearest_word() {
        let words = ["hello", "cpuid", "string-io"];
        assert_eq!(nearest("helo", words), Some("hello"));
        assert_eq!(nearest("cupid", words), Some("cpuid"));
        assert_eq!(nearest("str", words), Some("string-io"));
        assert_eq!(nearest("x", words), None);
        assert_eq!(nearest("", words), None);
        assert_eq!(nearest("mandelbrot", words), None);
    }

    /// The textbook recursion.
    fn naive(a: &[u8], b: &[u8]) -> usize {
        let (Some((x, a1)), Some((y, b1))) = (a.split_last(), b.split_last()) else { return a.len() + b.len() };
        let mut best = (naive(a1, b1) + usize::from(x != y)).min(naive(a1, b) + 1).min(naive(a, b1) + 1);
        if let (Some((x2, a2)), Some((y2, b2))) = (a1.split_last(), b1.split_last())
            && x == y2
            && x2 == y
        {
            best = best.min(naive(a2, b2) + 1);
        }
        best
    }

    proptest! {
        #[test]
        fn distance_is_the_textbook_one(a in "[a-c]{0,5}", b in "[a-c]{0,5}") {
            prop_assert_eq!(distance(a.as_bytes(), b.as_bytes()), Some(naive(a.as_bytes(), b.as_bytes())));
        }

        #[test]
        fn any_line_gives_options_or_a_sentence(line in "\\PC{0,80}") {
            if let Some(error) = parse(&line).1 {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn any_words_give_options_or_a_sentence(
            words in prop::collection::vec("(guest|log|prealloc|budget|cores|end|bench|/x|gu?est)?=?[a-z0-9,]{0,5}", 0..6)
        ) {
            let line = words.join(" ");
            if let Some(error) = parse(&line).1 {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
