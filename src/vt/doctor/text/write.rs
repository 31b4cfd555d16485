//! Writing a dump.

use core::fmt;

use super::line::mask;
use super::{CAPABILITIES, Dumped, END, ENTRY, Fact, OTHER};
use crate::vt::doctor::rule::Patient;
use crate::vt::doctor::state::{Field, named};

/// Writes the sections that Linux has, then ours: a dump that is complete in itself. The header is the caller's.
pub fn write<P: Dumped>(case: &P, out: &mut impl fmt::Write) -> fmt::Result {
    for (section, title) in P::SECTIONS.iter().enumerate() {
        writeln!(out, "{title}")?;
        for line in P::LINES.iter().filter(|line| line.section == section && line.shows(case)) {
            line.write(case, out)?;
        }
    }
    writeln!(out, "{CAPABILITIES}")?;
    write_facts(case, P::CPU, out)?;
    writeln!(out, "{ENTRY}")?;
    write_facts(case, P::ENTRY, out)?;
    writeln!(out, "{OTHER}")?;
    write_others(case, out)?;
    writeln!(out, "{END}")
}

fn write_facts<P>(case: &P, facts: &[Fact<P>], out: &mut impl fmt::Write) -> fmt::Result {
    for fact in facts {
        if let Some(value) = (fact.get)(case) {
            writeln!(out, "{} = {value:#x}", fact.name)?;
        }
    }
    Ok(())
}

/// The fields that the lines of Linux do not show, or not with all their bits.
fn write_others<P: Dumped>(case: &P, out: &mut impl fmt::Write) -> fmt::Result {
    let state = case.state();
    for field in <P::Field as Field>::ALL {
        let lines = || P::LINES.iter().filter(|line| line.shows(case));
        if state.has(*field) {
            let shown = lines().fold(0, |bits, line| bits | line.covers(*field));
            if shown == 0 || state.get(*field) & !shown & mask(field.spec().width) != 0 {
                writeln!(out, "{} = {:#x}", field.name(), state.get(*field))?;
            }
        } else if lines().any(|line| line.pretends(*field)) {
            writeln!(out, "{} = absent", field.name())?;
        }
    }
    Ok(())
}

/// Writes every field that is there with the names of its bits, in groups for people.
pub fn write_names<P: Patient>(case: &P, out: &mut impl fmt::Write) -> fmt::Result {
    let state = case.state();
    let mut show = |title: &str, fields: &mut dyn Iterator<Item = P::Field>| {
        let mut fields = fields.filter(|f| state.has(*f)).peekable();
        if fields.peek().is_some() {
            writeln!(out, "{title}:")?;
        }
        fields.try_for_each(|f| writeln!(out, "  {}: {}", f.name(), named(f, state.get(f))))
    };
    for (title, fields) in P::groups() {
        show(title, &mut fields.iter().copied())?;
    }
    let grouped = |field: &P::Field| P::groups().iter().any(|(_, fields)| fields.contains(field));
    show("other", &mut <P::Field as Field>::ALL.iter().copied().filter(|f| !grouped(f)))
}
