//! What a kernel says in a VM against what it says on the same emulated CPU without hv: `tests/linux/bare/*.txt`. What
//! differs is explained in `tests/linux/known.txt`, or fails.

use std::collections::BTreeSet;
use std::fs;

use super::Booted;
use crate::Machine;

const KNOWN: &str = "tests/linux/known.txt";

/// A message that is said only under hv, for a reason.
struct Known {
    machine: String,
    message: String,
}

/// Fails with the messages that a bare machine does not have, and that are not known.
pub fn known(booted: &Booted, machine: &Machine) -> Result<(), String> {
    let boot = machine.boot()?;
    let Some(said) = between(&boot.console) else {
        return Err(machine.failure("no messages between `messages: begin` and `messages: end`"));
    };
    let mut bare = BTreeSet::new();
    for list in booted.bare.unwrap_or_default().split(' ') {
        bare.extend(read(&format!("tests/linux/bare/{list}.txt"))?.lines().map(general));
    }
    let known = parse(&read(KNOWN)?)?;
    let new = unexplained(booted.name, said, &bare, &known);
    if new.is_empty() {
        return Ok(());
    }
    Err(machine.failure(format!(
        "not said without hv ({}), nor in {KNOWN}:\n{}",
        booted.bare.unwrap_or_default(),
        new.join("\n")
    )))
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

/// The kernel's messages of a console.
fn between(console: &str) -> Option<&str> {
    let (_, rest) = console.split_once("messages: begin\n")?;
    Some(rest.split_once("messages: end")?.0)
}

fn unexplained<'a>(machine: &str, said: &'a str, bare: &BTreeSet<String>, known: &[Known]) -> Vec<&'a str> {
    let explained = |message: &str| {
        known.iter().any(|k| (k.machine == "*" || k.machine == machine) && matches(&k.message, message))
    };
    said.lines().filter(|line| Some(general(line)).is_some_and(|m| !bare.contains(&m) && !explained(&m))).collect()
}

fn parse(text: &str) -> Result<Vec<Known>, String> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(line, number)| {
            let mut words = line.splitn(3, " | ");
            match (words.next(), words.next(), words.next()) {
                (Some(machine), Some(message), Some(reason)) if !reason.is_empty() => {
                    Ok(Known { machine: machine.into(), message: general(message) })
                }
                _ => Err(format!("{KNOWN}:{number}: not `machine | message | reason`")),
            }
        })
        .collect()
}

/// The message with `#` for each number: what begins with a digit, and addresses.
fn general(message: &str) -> String {
    let mut general = String::new();
    let mut rest = message.trim();
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length.max(first.len_utf8()));
        let address = || word.len() >= 8 && word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        if word.starts_with(|c: char| c.is_ascii_digit()) || address() {
            // A sign is part of the number.
            if general.ends_with(" -") {
                general.pop();
            }
            general.push('#');
        } else {
            general.push_str(word);
        }
        rest = after;
    }
    general
}

/// Whether a pattern with `*` for anything is all of a message.
fn matches(pattern: &str, message: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == message };
    let Some(message) = message.strip_prefix(start) else { return false };
    (0..=message.len()).filter(|&i| message.is_char_boundary(i)).any(|i| matches(rest, &message[i..]))
}

/// The comparison itself: it must not let everything through.
pub fn compares() -> Result<(), String> {
    let bare = ["tsc: Detected 999.993 MHz processor", "Marking stable (31, 84)->(35, -44)"].map(general).into();
    let known = parse("# a comment\n\n* | ACPI: * HVHV * | its own\nryzen | DMI 7 present | none\n")?;
    let said = "tsc: Detected 1000.000 MHz processor\nMarking stable (3, -8)->(3, 4)\n\
        ACPI: APIC 0x00F HVHV 01\nDMI 8 present\nWARNING: CPU: 0\nACPI: DSDT 0x00F BXPC";
    let judge = |machine| unexplained(machine, said, &bare, &known);
    let always = ["WARNING: CPU: 0", "ACPI: DSDT 0x00F BXPC"];
    if judge("ryzen") == always && judge("qemu") == [&["DMI 8 present"][..], &always].concat() {
        Ok(())
    } else {
        Err(format!("{:?}, {:?}", judge("ryzen"), judge("qemu")))
    }
}
