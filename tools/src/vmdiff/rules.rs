//! Which rules of VM entry a dump breaks.

use hv::vt::doctor::rule::{Class, examine, not_judged};
use hv::vt::doctor::text::{ANY_CPU, Dumped};

/// How many rules are broken, and their names. `knows_cpu`: whether the dump says what its CPU can do.
pub fn show<P: Dumped>(case: &P, name: &str, knows_cpu: bool) -> String {
    let (mut broken, mut advice): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    examine(case, |rule, _| {
        let list = if rule.class == Class::Advice { &mut advice } else { &mut broken };
        if !list.contains(&rule.id) {
            list.push(rule.id);
        }
    });
    let mut text = match broken.len() {
        0 => format!("{name}: no rule of VM entry is broken\n"),
        1 => format!("{name}: 1 rule of VM entry is broken\n"),
        n => format!("{name}: {n} rules of VM entry are broken\n"),
    };
    broken.iter().for_each(|id| text.extend(["  ", id, "\n"]));
    if !advice.is_empty() {
        text.push_str("  legal, but most likely not what was meant:\n");
        advice.iter().for_each(|id| text.extend(["    ", id, "\n"]));
    }
    // A dump that knows its CPU is one of ours: a field that is not in it is not in that CPU's VMCS either.
    if !knows_cpu {
        match not_judged(case) {
            0 => {}
            n => text.extend([format!("  {n} rules could not be judged: fields that they need are not in the dump\n")]),
        }
        text.extend(["  ", ANY_CPU, "\n"]);
    }
    text
}
