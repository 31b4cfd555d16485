//! Rules about the guest, and advice: each is broken alone by some VMCS, and reads what it says that it reads.

use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::fixture::{Mode, good};
use super::guest_cases::patients;
use super::{VmxRule, advice, advice_guest, guest, guest_other, guest_registers, segments, system_segments};
use crate::vt::doctor::{Class, Field, Must};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

const GROUPS: [&[VmxRule]; 7] = [
    guest_registers::RULES,
    segments::RULES,
    system_segments::RULES,
    guest::RULES,
    guest_other::RULES,
    advice::RULES,
    advice_guest::RULES,
];

fn rules() -> impl Iterator<Item = &'static VmxRule> {
    GROUPS.into_iter().flatten()
}

fn broken(case: &VmxCase) -> Vec<&'static str> {
    let judged = rules().filter(|r| r.fields.iter().all(|f| case.state.has(*f)));
    judged.filter(|r| !musts(r, case).is_empty()).map(|r| r.id).collect()
}

fn musts(rule: &VmxRule, case: &VmxCase) -> Vec<Must<F>> {
    let mut all = Vec::new();
    (rule.check)(case, &mut |must| all.push(must));
    all
}

/// Whether a rule reads the field: it names it, or it is that of the secondary controls, which goes with the primary
/// ones.
fn reads(rule: &VmxRule, field: F) -> bool {
    rule.fields.contains(&field) || field == F::Secondary && rule.fields.contains(&F::Primary)
}

/// What cannot be broken alone: a guest that keeps the CPU in HLT takes its interrupts too.
const TOGETHER: &[(&str, &str)] = &[("advice.exiting.hlt", "advice.exiting.interrupts")];

#[test]
fn a_good_vmcs_breaks_nothing() {
    for mode in Mode::ALL {
        assert_eq!(broken(&good(mode)), [""; 0], "{mode:?}");
    }
}

/// Where the capability MSRs are not known, nothing is judged by them.
#[test]
fn unknown_capabilities_break_nothing() {
    for mode in Mode::ALL {
        let mut case = good(mode);
        case.cpu.caps = Default::default();
        for (field, value) in [(F::Activity, 2), (F::LinkPointer, 0x50_0000), (F::Cr3, 0x5000 | 1 << 61)] {
            case.state.set(field, value);
        }
        case.state.set(F::EntryMsrLoadCount, 513);
        case.state.set(F::EntryMsrLoadAddress, 0x60_0000);
        case.pointed.link_revision = Some(0x13);
        assert_eq!(broken(&case), [""; 0], "{mode:?}");
    }
}

/// A CPU without secondary controls has no such field: that is as if they were all 0.
#[test]
fn rules_hold_where_there_are_no_secondary_controls() {
    for (id, case) in patients() {
        let (mut absent, mut zero) = (case.clone(), case);
        absent.state.remove(F::Secondary);
        zero.state.set(F::Secondary, 0);
        assert_eq!(broken(&absent), broken(&zero), "{id}");
    }
    let mut old = good(Mode::Protected);
    old.state.remove(F::Secondary);
    for (field, value, id) in [
        (F::Cr0, 0x8000_0011, "guest.cr0.fixed"),
        (F::CsSelector, 9, "guest.ss.rpl"),
        (F::DsSelector, 0x13, "guest.segment.dpl"),
    ] {
        let mut case = old.clone();
        case.state.set(field, value);
        assert_eq!(broken(&case), [id, "advice.ept.off"]);
    }
}

/// What an operating system that runs on as a guest should have is no mistake.
#[test]
fn a_guest_with_the_hosts_idt_may_have_the_machine() {
    let mut case = good(Mode::Long);
    let primary = case.get(F::Primary) & !(1 << 7 | 1 << 25);
    for (field, value) in
        [(F::PinBased, 0x16), (F::Primary, primary), (F::Secondary, 0), (F::Cr0Mask, 0), (F::Cr4Mask, 0)]
    {
        case.state.set(field, value);
    }
    let open = [
        "advice.ept.off",
        "advice.exiting.interrupts",
        "advice.exiting.nmis",
        "advice.exiting.hlt",
        "advice.io.open",
        "advice.mask.cr0",
        "advice.mask.cr4",
    ];
    assert_eq!(broken(&case), open);
    case.state.set(F::IdtrBase, case.get(F::HostIdtrBase));
    assert_eq!(broken(&case), [""; 0]);
    // An IDT that was never written is nobody's.
    case.state.set(F::IdtrBase, 0);
    case.state.set(F::HostIdtrBase, 0);
    assert_eq!(broken(&case), open);
}

/// A guest may own a fixed bit that it is shown as it is.
#[test]
fn masks_are_judged_by_what_the_read_shadow_wants() {
    let mut case = good(Mode::Long);
    for (field, value) in [(F::Cr0Mask, 0), (F::Cr4Mask, 0), (F::Cr0Shadow, 0x8000_0031), (F::Cr4Shadow, 0x2020)] {
        case.state.set(field, value);
    }
    assert_eq!(broken(&case), [""; 0]);
    case.state.set(F::Cr4Shadow, 0x20);
    assert_eq!(broken(&case), ["advice.mask.cr4"]);
}

/// Bit 31 of the exit reason: the entry failed, and there was no access.
#[test]
fn a_failed_entry_is_no_ept_misconfiguration() {
    let mut case = good(Mode::Long);
    case.state.set(F::ExitReason, 0x8000_0031);
    assert_eq!(broken(&case), [""; 0]);
}

#[test]
fn each_rule_can_be_broken_alone() {
    let mut seen = BTreeSet::new();
    for (id, case) in patients() {
        let mut found = broken(&case);
        found.retain(|other| !TOGETHER.contains(&(id, other)));
        assert_eq!(found, [id]);
        seen.insert(id);
    }
    for rule in rules() {
        assert!(seen.contains(rule.id), "no VMCS breaks {}", rule.id);
    }
}

#[test]
fn what_a_rule_asks_for_is_of_its_fields() {
    let mut ids = BTreeSet::new();
    for rule in rules() {
        assert!(ids.insert(rule.id), "{} twice", rule.id);
        assert!(
            ["SDM 3A \"", "SDM 3C \"", "SDM 3D \""].iter().any(|s| rule.section.starts_with(s)),
            "{}",
            rule.section
        );
        let advice = rule.class == Class::Advice;
        assert!(advice == rule.id.starts_with("advice.") && (advice || rule.class == Class::Guest), "{}", rule.id);
        assert!(!rule.says.ends_with('.') && !rule.says.contains("  "), "{}", rule.id);
        for (_, case) in patients() {
            for must in musts(rule, &case) {
                assert!(must.field().is_some_and(|f| reads(rule, f)), "{} asks {must:?}", rule.id);
            }
        }
    }
}

#[test]
fn each_message_of_the_table_names_rules_that_exist() {
    let table = include_str!("../../../../tests/doctor/bochs-guest.txt");
    for line in table.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (_, ids) = line.split_once(" => ").unwrap();
        for id in ids.split(", ") {
            assert!(rules().any(|r| r.id == id), "{line}");
        }
    }
}

proptest! {
    #[test]
    fn rules_read_their_fields_alone(
        mode in 0..Mode::ALL.len(),
        changes in prop::collection::vec((0..F::ALL.len(), any::<u64>(), 0..64_u32), 0..40),
        others in prop::collection::vec(any::<u64>(), F::ALL.len()),
        (phys_bits, linear_bits) in (0..300_u32, 0..300_u32),
    ) {
        let mut case = good(Mode::ALL[mode]);
        for (field, value, shift) in changes {
            case.state.set(F::ALL[field], value >> shift);
        }
        for rule in rules() {
            let mut same = case.clone();
            for (field, value) in F::ALL.iter().zip(&others).filter(|(f, _)| !reads(rule, **f)) {
                same.state.set(*field, *value);
            }
            prop_assert_eq!(musts(rule, &case), musts(rule, &same), "{}", rule.id);
        }
        case.cpu.phys_bits = phys_bits;
        case.cpu.linear_bits = linear_bits;
        broken(&case);
    }
}
