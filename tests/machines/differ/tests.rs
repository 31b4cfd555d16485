//! The judge of differential runs, tested on made-up runs.

use super::judge::{Judgement, judge, rounds, told};
use super::known::{Known, Used, matches};

type Test = fn() -> Result<(), String>;

pub const ALL: &[(&str, Test)] = &[
    ("patterns", patterns),
    ("console", console),
    ("stream", stream),
    ("listed", listed),
    ("unexplained", unexplained),
    ("order", the_order_of_checks),
    ("messages", messages),
    ("stricter", stricter),
    ("wrong-list", wrong_list),
];

fn check(that: bool, what: impl std::fmt::Debug) -> Result<(), String> {
    if that { Ok(()) } else { Err(format!("{what:?}")) }
}

const MESSAGES: &str = "\
# A comment.
VMFAIL: * 1 => host.z
VMFAIL: bad * => control.a, control.b
VMENTER FAIL: bad CR0 => guest.cr0.fixed
";
const LIST: &str = "\
bochs/* | unchecked guest.x | why
bochs/ryzen | stricter VMRUN: odd * | why
bochs/* | message VMENTER FAIL: bad CR0 may mean guest.y | why
qemu/* | stricter consistency with CR3 | why
bochs/ryzen | spare one | why
bochs/* | spare two | why
";

fn known(model: &str) -> Result<Known, String> {
    Known::parse(MESSAGES, LIST, Some(model))
}

/// A console with these disagreements.
fn console_of(kinds: &[(u32, &str)], entered: u32, refused: u32) -> String {
    let lines = kinds
        .iter()
        .map(|(count, kind)| format!("hv: differ: vmx: {count} x {kind}; first in round 7: CR3 0x0 -> 0x1; \n"));
    let disagreed: u32 = kinds.iter().map(|(count, _)| count).sum();
    format!(
        "hv: differ: vmx: 9 rounds from 0, seed 1\n{}hv: differ: vmx: seed 1: 9 rounds, entered {entered}, refused \
         {refused}, MSR loading 1, control field 2, judged only 0, disagreed {disagreed}\nhv: pass: 1 comparisons on 1 core ok\n",
        lines.collect::<String>()
    )
}

fn judged(
    model: &str,
    kinds: &[(u32, &str)],
    entered: u32,
    refused: u32,
    stream: Option<&str>,
) -> Result<Judgement, String> {
    let told = told(&console_of(kinds, entered, refused)).ok_or("no summary")?;
    Ok(judge(&known(model)?, &told, &rounds(stream.unwrap_or_default()), stream.is_some()))
}

fn patterns() -> Result<(), String> {
    for (pattern, text, is) in [
        ("a * b", "a 12 b", true),
        ("a [0x*]", "a [0x1f]", true),
        ("CR* x", "CR0 x", true),
        ("a * b", "a 1 2 b", false),
        ("a", "a b", false),
        ("*", "", true),
        ("bochs/*", "bochs/ryzen", true),
        ("*/*(*)", "a/b(c)", true),
    ] {
        check(matches(pattern, text) == is, (pattern, text))?;
    }
    Ok(())
}

fn console() -> Result<(), String> {
    let told = told(&console_of(&[(3, "the CPU enters, the rules: guest.x"), (1, "guest state, the rules:")], 4, 5))
        .ok_or("none")?;
    let [first, second] = &told.kinds[..] else { return Err(format!("{told:?}")) };
    check((first.count, first.first, &first.broken[..]) == (3, 7, &["guest.x".to_string()]), first)?;
    check(second.answer == "guest state" && second.broken.is_empty() && second.changes.starts_with("CR3"), second)?;
    check((told.rounds, told.entered, told.refused, told.disagreed) == (9, 4, 5, 4), &told)?;
    check(told.by_class == "control field 2, MSR loading 1", &told.by_class)?;
    check(super::judge::told("hv: differ: vmx: 500 rounds\n").is_none(), "a run without an end")
}

fn stream() -> Result<(), String> {
    let text = "00000000001e[CPU0  ] VMFAIL: before\n@3 control.a guest.x\nhv: noise\n\
                00104871630e[CPU0  ] VMFAIL: bad 1\n\
                00104871631e[CPU0  ] VMREAD: not supported field\n@4\n@";
    let rounds = rounds(text);
    check(rounds.len() == 2 && rounds[0].number == 3 && rounds[1].number == 4, &rounds)?;
    check(rounds[0].broken == ["control.a", "guest.x"] && rounds[0].messages == ["VMFAIL: bad 1"], &rounds)?;
    check(rounds[1].broken.is_empty() && rounds[1].messages.is_empty(), &rounds)
}

fn listed() -> Result<(), String> {
    let kinds = [(2, "the CPU enters, the rules: guest.x"), (1, "MSR loading, the rules: guest.x msr-load.z")];
    let judgement = judged("qemu/EPYC", &kinds, 9, 0, None)?;
    check(judgement.unexplained.len() == 2, &judgement)?;
    let judgement = judged("bochs/tigerlake", &kinds, 9, 0, None)?;
    check(judgement.unexplained.is_empty() && judgement.listed == 3, &judgement)?;
    check(judgement.used == Used::from([0]), &judgement.used)
}

fn unexplained() -> Result<(), String> {
    for kind in [
        "the CPU enters, the rules: guest.x guest.other",
        "guest state, the rules: control.a guest.other",
        "MSR loading, the rules: guest.x",
        "guest state, the rules:",
    ] {
        let judgement = judged("bochs/tigerlake", &[(1, kind)], 9, 0, None)?;
        check(judgement.unexplained.len() == 1 && judgement.listed == 0, kind)?;
    }
    Ok(())
}

fn the_order_of_checks() -> Result<(), String> {
    let text = "@1 control.a host.c\n1e[CPU0  ] VMFAIL: bad 1\n\
                @2 control.a guest.cr0.fixed\n2e[CPU0  ] VMENTER FAIL: bad CR0\n";
    let judgement = judged("bochs/tigerlake", &[], 7, 2, Some(text))?;
    check(judgement.unexplained.len() == 1 && judgement.unexplained[0].0 == 2, &judgement)
}

fn messages() -> Result<(), String> {
    let text = "@1 control.b\n1e[CPU0  ] VMFAIL: bad 1\n@2 guest.y\n1e[CPU0  ] VMENTER FAIL: bad CR0\n@3 guest.other\n\
                1e[CPU0  ] VMENTER FAIL: bad CR0\n@4 guest.other\n1e[CPU0  ] VMENTER FAIL: new\n\
                @5 guest.x\n@6 guest.other\n@7\n";
    let judgement = judged("bochs/tigerlake", &[], 3, 4, Some(text))?;
    let rounds: Vec<_> = judgement.unexplained.iter().map(|(round, _)| *round).collect();
    check(rounds == [3, 4, 6], &judgement)?;
    check((judgement.compared, judgement.same) == (4, 1), &judgement)?;
    let judgement = judged("bochs/tigerlake", &[], 3, 5, Some(text))?;
    check(judgement.unexplained.len() == 4, "a refusal without a reason")
}

fn stricter() -> Result<(), String> {
    let kinds = [(1, "consistency, the rules:")];
    check(judged("qemu/EPYC", &kinds, 9, 0, None)?.unexplained.is_empty(), "an answer with its field")?;
    for (changes, is) in
        [("CR3 0x0 -> 0x1; ", true), ("nCR3 0x0 -> 0x1; ", false), ("EFER 0x0 -> 0x1; CR3 0x0 -> 0x1; ", true)]
    {
        let text = format!("@1\n!1 consistency: {changes}\n");
        let told = told(&console_of(&kinds, 9, 0)).ok_or("no summary")?;
        let judgement = judge(&known("qemu/EPYC")?, &told, &rounds(&text), false);
        check(judgement.unexplained.is_empty() == is, changes)?;
    }
    let text = "@7\n1e[CPU0  ] VMRUN: odd 5\n";
    check(judged("bochs/ryzen", &kinds, 8, 1, Some(text))?.unexplained.is_empty(), "a message")?;
    check(judged("bochs/tigerlake", &kinds, 8, 1, Some(text))?.unexplained.len() == 2, "another model")?;
    check(known("bochs/ryzen")?.options() == " spare=one,two lax=guest.x", "what is left out")?;
    check(known("bochs/ryzen")?.unused(&Used::from([0, 1])).count() == 1, "what is not needed")
}

fn wrong_list() -> Result<(), String> {
    for line in [
        "bochs/* | unchecked guest.x",
        "bochs/* | frob guest.x | why",
        "bochs/* | message a | why",
        "a | unchecked b | ",
    ] {
        check(Known::parse("", line, None).is_err(), line)?;
    }
    check(Known::parse("VMFAIL: bad", "", None).is_err(), "a message without rules")
}
