use super::nearest::distance;
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
    let line = "/boot/hv.elf guest=hello,cpuid  log=trace prealloc budget=250 cores=2 end=qemu selftest=stack \
                flush=always bench help";
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
        flush: L1dFlush::Always,
        bench: true,
        help: true,
        ..Options::DEFAULT
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
fn runs_have_a_seed_and_a_first_number() {
    assert_eq!(good("chaos=500").chaos, Some([500, 1, 0]));
    assert_eq!(good("chaos=1,7,499").chaos, Some([1, 7, 499]));
    assert_eq!(bad("chaos=0"), "option 'chaos' can't be '0': chaos=<runs>[,<seed>[,<first>]]");
    assert_eq!(bad("chaos=1,,2"), "option 'chaos' can't be '1,,2': chaos=<runs>[,<seed>[,<first>]]");
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
        ("flush=sometimes", "option 'flush' can't be 'sometimes': flush=auto|always|never"),
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
