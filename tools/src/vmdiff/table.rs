//! The fields of two dumps in columns.

use std::fmt::Write;

use hv::vt::doctor::state::{Field, Named, Part, Spec};
use hv::vt::doctor::text::Dumped;

use crate::Style;

/// How wide lines may be.
const WIDTH: usize = 100;
/// The columns: names, the first value.
const NAME: usize = 40;
const VALUE: usize = 22;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const BOLD: &str = "\x1b[1m";
const OFF: &str = "\x1b[0m";

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("{code}{text}{OFF}") } else { text.into() }
    }
}

/// The fields, and whether all are the same.
pub fn show<P: Dumped>(a: &P, b: &P, names: [&str; 2], style: Style) -> (String, bool) {
    let differ: Vec<_> = a.state().differences(b.state()).collect();
    let mut text = format!("A: {}\nB: {}\n\n", names[0], names[1]);
    let row = |text: &mut String, field: P::Field| {
        let value = |case: &P| case.state().has(field).then(|| case.state().get(field));
        fields(text, field.spec(), value(a), value(b), style);
    };
    if differ.is_empty() {
        text.push_str("all fields are the same\n");
    } else {
        let title = format!("{:NAME$}{:VALUE$}{}", "fields that differ", "A", "B");
        let _ = writeln!(text, "{}", style.paint(BOLD, &title));
        ordered::<P>().filter(|f| differ.contains(f)).for_each(|f| row(&mut text, f));
    }
    let equal: Vec<_> = ordered::<P>().filter(|f| a.state().has(*f) && !differ.contains(f)).collect();
    if !style.all {
        let _ = writeln!(
            text,
            "{} fields are equal{}",
            equal.len(),
            if equal.is_empty() { "" } else { " (--all shows them)" }
        );
    } else if !equal.is_empty() {
        let _ = writeln!(text, "\n{}", style.paint(BOLD, &format!("{} fields that are equal", equal.len())));
        for field in equal {
            let value = a.state().get(field);
            let _ = writeln!(text, "  {:w$}{value:#x}", field.name(), w = NAME - 2);
            if !style.plain && value != 0 && !field.spec().parts.is_empty() {
                bits(&mut text, "    ", &list(value, field.spec().parts));
            }
        }
    }
    text.push('\n');
    (text, differ.is_empty())
}

/// What differs of what is known of the CPUs.
pub fn cpus<P: Dumped>(a: &P, b: &P, style: Style) -> String {
    let mut text = String::new();
    for fact in P::CPU {
        let (one, two) = ((fact.get)(a), (fact.get)(b));
        if one != two {
            if text.is_empty() {
                let _ = writeln!(text, "{}", style.paint(BOLD, "facts of the CPU that differ"));
            }
            values(&mut text, fact.name, one, two, style);
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// All fields: those in groups for people first.
fn ordered<P: Dumped>() -> impl Iterator<Item = P::Field> {
    let groups = || P::groups().iter().flat_map(|(_, fields)| fields.iter().copied());
    groups().chain(P::Field::ALL.iter().copied().filter(move |f| groups().all(|g| g != *f)))
}

/// A line with two values.
fn values(text: &mut String, name: &str, a: Option<u64>, b: Option<u64>, style: Style) {
    let show = |value: Option<u64>| value.map_or("absent".into(), |value| format!("{value:#x}"));
    let (a, b) = (format!("{:VALUE$}", show(a)), show(b));
    let _ = writeln!(text, "  {name:w$}{}{}", style.paint(RED, &a), style.paint(GREEN, &b), w = NAME - 2);
}

/// A field with two values, and what of its bits differs.
fn fields(text: &mut String, spec: &Spec, a: Option<u64>, b: Option<u64>, style: Style) {
    values(text, spec.name, a, b, style);
    if style.plain || spec.parts.is_empty() {
        return;
    }
    if let (Some(a), Some(b)) = (a, b) {
        bits(text, "    ", &changes(a, b, spec.parts));
    }
    if style.names || a.is_none() || b.is_none() {
        for (letter, value) in [("    A: ", a), ("    B: ", b)] {
            let Some(value) = value.filter(|v| *v != 0) else { continue };
            bits(text, letter, &list(value, spec.parts));
        }
    }
}

/// The names of the bits of a value, one by one.
fn list(value: u64, parts: &[Part]) -> Vec<String> {
    let mut names = String::new();
    let _ = Named { value, parts }.names(&mut names);
    names.split(", ").map(Into::into).collect()
}

/// What B has and A has not, and the other way round.
fn changes(a: u64, b: u64, parts: &[Part]) -> Vec<String> {
    let mut known = 0;
    let mut names = Vec::new();
    for part in parts {
        known |= part.mask();
        let (one, two) = ((a & part.mask()) >> part.at, (b & part.mask()) >> part.at);
        match (one == two, part.len) {
            (true, _) => {}
            (_, 1) => names.push(format!("{}{}", if two != 0 { '+' } else { '-' }, part.name)),
            _ => names.push(format!("{} {one} -> {two}", part.name)),
        }
    }
    for bit in (0..64).filter(|bit| (a ^ b) & !known & (1 << bit) != 0) {
        names.push(format!("{}bit {bit}", if b >> bit & 1 != 0 { '+' } else { '-' }));
    }
    names
}

/// Writes names in as many lines as they take.
fn bits(text: &mut String, indent: &str, names: &[String]) {
    let mut line = String::from(indent);
    for (i, name) in names.iter().enumerate() {
        let comma = if i + 1 < names.len() { "," } else { "" };
        if line.len() + name.len() + 2 > WIDTH && line.trim() != indent.trim() {
            text.extend([line.trim_end(), "\n"]);
            line = " ".repeat(indent.len());
        }
        line.extend([name, comma, " "]);
    }
    text.extend([line.trim_end(), "\n"]);
}
