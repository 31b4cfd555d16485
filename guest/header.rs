//! Reads the `#:` lines at the top of a guest program: what it is and what it must show.
//!
//! The build script uses this; the kernel only sees the table that comes out. The tests of `vm::catalog` include this
//! file too, so that it runs under `cargo test`. The syntax is described in `guest/README.md`.

// Spelled out, because the tests that include this file are part of a crate without the standard prelude.
use std::string::{String, ToString};
use std::vec::Vec;
use std::{fmt, format};

/// The neutral names of VM exits that an `exits` line can count.
pub const EXIT_NAMES: [&str; 23] = [
    "hlt",
    "cpuid",
    "port",
    "msr-read",
    "msr-write",
    "nested-fault",
    "hypercall",
    "cr",
    "xsetbv",
    "cache-flush",
    "exception",
    "undefined",
    "forbidden",
    "interrupt",
    "nmi",
    "machine-check",
    "triple-fault",
    "entry-failed",
    "other",
    "interrupt-window",
    "nmi-window",
    "timer",
    "apic",
];

/// The groups that a `group` line can name.
pub const GROUPS: [&str; 4] = ["default", "bench", "adversary", "demo"];

/// The keys of header lines, each with what follows it.
const KEYS: &str = "summary, ends, gpr, console, exits, group, order";
const ENDS: &str = "hlt, exit <value>, triple-fault, budget, not-emulated, stuck, power-off, reset, each with an optional \
                    `at <label>`";
const REGISTERS: [&str; 16] =
    ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
const ORDER_IF_ABSENT: u32 = 50;

/// How a guest must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Hlt,
    Exit(u32),
    TripleFault,
    Budget,
    NotEmulated,
    /// Identical exits without progress, as many as the hypervisor bears.
    Stuck,
    /// It switches its machine off.
    PowerOff,
    /// It resets its machine.
    Reset,
}

/// A register that is checked at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// As written in the header: `ax`, `eax`, `rax`, `r8`.
    pub name: String,
    /// Its number in instruction encodings, 0 to 15.
    pub number: usize,
    /// How many bytes of it are checked: 2, 4 or 8.
    pub bytes: u32,
    pub value: u64,
}

/// All that a header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub summary: String,
    pub how: How,
    /// The label that the guest must end at, with the header line that names it.
    pub label: Option<(String, usize)>,
    pub registers: Vec<Register>,
    /// All that the guest must print; `None`: it may print what it likes.
    pub console: Option<Vec<u8>>,
    pub exits: Vec<(&'static str, u64)>,
    pub group: &'static str,
    pub order: u32,
}

/// What is wrong with a header, and in which line (from 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeaderError {
    pub line: usize,
    pub message: String,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Reads the header of the program `text`.
pub fn parse(text: &str) -> Result<Header, HeaderError> {
    let mut summary = None;
    let mut ends = None;
    let mut group = None;
    let mut order = None;
    let mut registers: Vec<Register> = Vec::new();
    let mut console: Option<Console> = None;
    let mut exits: Vec<(&'static str, u64)> = Vec::new();
    let mut in_code = false;

    for (index, line) in text.lines().enumerate() {
        let at = |message: String| HeaderError { line: index + 1, message };
        let Some(rest) = line.trim_start().strip_prefix("#:") else {
            let line = line.trim();
            in_code |= !line.is_empty() && !line.starts_with('#');
            continue;
        };
        if in_code {
            return Err(at("header lines (`#:`) belong at the top of the file, before the first instruction".into()));
        }
        let (key, value) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let value = value.trim();
        let twice = || at(format!("`{key}` is given twice"));
        match key {
            "summary" if value.is_empty() => return Err(at("`summary` needs a sentence".into())),
            "summary" => set(&mut summary, value.to_string()).map_err(|()| twice())?,
            "ends" => set(&mut ends, ending(value, index + 1).map_err(at)?).map_err(|()| twice())?,
            "group" => {
                let known = one_of(value, &GROUPS).map_err(|all| at(format!("no group `{value}`; allowed: {all}")))?;
                set(&mut group, known).map_err(|()| twice())?;
            }
            "order" => {
                let n = number(value).and_then(|n| u32::try_from(n).ok());
                let n = n.ok_or_else(|| at(format!("`{value}` is not a number; allowed: `order <number>`")))?;
                set(&mut order, n).map_err(|()| twice())?;
            }
            "gpr" => {
                let new = register(value).map_err(at)?;
                if registers.iter().any(|r| r.number == new.number) {
                    return Err(at(format!("register `{}` is given twice", new.name)));
                }
                registers.push(new);
            }
            "console" => match (&mut console, value) {
                (None, "any") => console = Some(Console::Any),
                (Some(_), "any") | (Some(Console::Any), _) => {
                    return Err(at(
                        "`console any` stands alone; allowed: `console any`, or `console \"text\"` lines".into()
                    ));
                }
                (text, _) => {
                    let bytes = string(value).map_err(at)?;
                    match text {
                        Some(Console::Text(text)) => text.extend(bytes),
                        none => *none = Some(Console::Text(bytes)),
                    }
                }
            },
            "exits" => {
                let (name, count) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
                let known = one_of(name, &EXIT_NAMES).map_err(|all| at(format!("no exit `{name}`; allowed: {all}")))?;
                let count = number(count.trim())
                    .ok_or_else(|| at(format!("`{count}` is not a number; allowed: `exits <name> <count>`")))?;
                if exits.iter().any(|(name, _)| *name == known) {
                    return Err(at(format!("exit `{known}` is given twice")));
                }
                exits.push((known, count));
            }
            _ => return Err(at(format!("no header `{key}`; allowed: {KEYS}"))),
        }
    }

    let missing = |key: &str| HeaderError { line: 1, message: format!("the header `#: {key} ...` is missing") };
    let (how, label) = ends.ok_or_else(|| missing("ends"))?;
    Ok(Header {
        summary: summary.ok_or_else(|| missing("summary"))?,
        how,
        label,
        registers,
        console: match console {
            Some(Console::Any) => None,
            Some(Console::Text(bytes)) => Some(bytes),
            None => Some(Vec::new()),
        },
        exits,
        group: group.unwrap_or(GROUPS[0]),
        order: order.unwrap_or(ORDER_IF_ABSENT),
    })
}

enum Console {
    Any,
    Text(Vec<u8>),
}

fn set<T>(slot: &mut Option<T>, value: T) -> Result<(), ()> {
    if slot.replace(value).is_some() { Err(()) } else { Ok(()) }
}

/// The member of `all` that is `word`, or all of them in one string.
fn one_of(word: &str, all: &[&'static str]) -> Result<&'static str, String> {
    all.iter().copied().find(|a| *a == word).ok_or_else(|| all.join(", "))
}

fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

/// `hlt at done`, `exit 0x10`, ...
fn ending(value: &str, line: usize) -> Result<(How, Option<(String, usize)>), String> {
    let wrong = || format!("`ends {value}` is not understood; allowed: {ENDS}");
    let mut words = value.split_whitespace();
    let how = match words.next() {
        Some("hlt") => How::Hlt,
        Some("triple-fault") => How::TripleFault,
        Some("budget") => How::Budget,
        Some("not-emulated") => How::NotEmulated,
        Some("stuck") => How::Stuck,
        Some("power-off") => How::PowerOff,
        Some("reset") => How::Reset,
        Some("exit") => How::Exit(words.next().and_then(number).and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong)?),
        _ => return Err(wrong()),
    };
    match (words.next(), words.next(), words.next()) {
        (None, _, _) => Ok((how, None)),
        (Some("at"), Some(label), None) => Ok((how, Some((label.to_string(), line)))),
        _ => Err(wrong()),
    }
}

/// `ax 0x1234`: the name says how much of the register is checked.
fn register(value: &str) -> Result<Register, String> {
    let wrong = || {
        format!(
            "`gpr {value}` is not understood; allowed: `gpr <register> <value>` with ax, eax or rax (and so on) or r8 to r15"
        )
    };
    let (name, given) = value.split_once(char::is_whitespace).ok_or_else(wrong)?;
    let given = number(given.trim()).ok_or_else(wrong)?;
    let position = |n: &str| REGISTERS.iter().position(|r| *r == n);
    let (number, bytes) = if let Some(n) = position(name) {
        (n, if n < 8 { 2 } else { 8 })
    } else if let Some(n) = name.strip_prefix('e').and_then(position).filter(|n| *n < 8) {
        (n, 4)
    } else if let Some(n) = name.strip_prefix('r').and_then(position).filter(|n| *n < 8) {
        (n, 8)
    } else {
        return Err(wrong());
    };
    if given > u64::MAX >> (64 - 8 * bytes) {
        return Err(format!("{given:#x} does not fit into `{name}`, which has {} bits", 8 * bytes));
    }
    Ok(Register { name: name.to_string(), number, bytes, value: given })
}

/// A text in double quotes with `\n \t \r \\ \" \xNN`.
fn string(value: &str) -> Result<Vec<u8>, String> {
    let wrong = || {
        format!(
            "`console {value}` is not understood; allowed: `console any`, or text in double quotes with \\n \\r \\t \\\\ \\\" \\xNN"
        )
    };
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).ok_or_else(wrong)?;
    let mut bytes = Vec::new();
    let mut rest = inner.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'"' => return Err(wrong()),
            b'\\' => match rest.next().ok_or_else(wrong)? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                quoted @ (b'\\' | b'"') => quoted,
                b'x' => {
                    let mut digit = || rest.next().and_then(|d| char::from(d).to_digit(16)).ok_or_else(wrong);
                    (digit()? * 16 + digit()?) as u8
                }
                _ => return Err(wrong()),
            },
            plain => plain,
        });
    }
    Ok(bytes)
}
