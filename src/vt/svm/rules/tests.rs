//! Every rule, broken alone.

use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::broken::{BROKEN, Harm, avic, change, drop2, inject, put};
use super::fixture::{Mode, good};
use super::{ALL, AVIC, SvmRule, X2AVIC, advice_events, advice_guest};
use crate::base::cpu::{cr0, cr4, efer};
use crate::vt::doctor::report::diagnose;
use crate::vt::doctor::rule::{Verdict, examine};
use crate::vt::doctor::{Class, Field, Must};
use crate::vt::svm::caps::SvmCaps;
use crate::vt::svm::case::SvmCase;
use crate::vt::svm::state::F;
use crate::vt::svm::vmcb::misc2;

fn rules() -> impl Iterator<Item = &'static SvmRule> {
    ALL.iter().flat_map(|group| group.iter())
}

/// The broken rules, each once, with their fields checked against what they ask for.
fn broken(case: &SvmCase) -> Vec<&'static str> {
    let mut ids = Vec::new();
    examine(case, |rule, must| {
        if !ids.contains(&rule.id) {
            ids.push(rule.id);
        }
        assert!(must.field().is_none_or(|f| rule.fields.contains(&f)), "{}: {must:?}", rule.id);
        if let Must::Agree(_, _, other, _) = must {
            assert!(rule.fields.contains(&other), "{}: {must:?}", rule.id);
        }
    });
    ids
}

#[test]
fn good_vmcbs_break_no_rule_and_draw_no_advice() {
    for mode in Mode::ALL {
        let case = good(mode);
        assert_eq!(broken(&case), Vec::<&str>::new(), "{mode:?}");
        assert!(Verdict::of(&case).enters());
        assert!(F::ALL.iter().all(|f| case.state.has(*f)));
    }
}

#[test]
fn good_uses_of_features_break_nothing() {
    let uses: &[(Mode, Harm)] = &[
        (Mode::Long, |c| avic(c, AVIC)),
        (Mode::Long, |c| avic(c, AVIC | X2AVIC)),
        // Virtualized instructions need no intercept.
        (Mode::Long, |c| {
            put(c, F::VirtExt, 2);
            drop2(c, misc2::VMLOAD | misc2::VMSAVE);
        }),
        (Mode::Long, |c| {
            change(c, F::VIntr, 0, 1 << 25 | 1 << 9);
            drop2(c, misc2::STGI | misc2::CLGI);
        }),
        (Mode::Long, |c| change(c, F::VIntr, 0, 1 << 26)),
        (Mode::Long, |c| change(c, F::VIntr, 0, 1 << 8 | 0xf << 16 | 0x31 << 32)),
        (Mode::Long, |c| inject(c, 3, 14, 1 << 11 | 7 << 32)),
        (Mode::Real, |c| inject(c, 3, 13, 0)),
        (Mode::Virtual8086, |c| inject(c, 4, 0x21, 0)),
        (Mode::Protected, |c| inject(c, 3, 5, 0)),
        (Mode::Long, |c| inject(c, 2, 0, 0)),
        // EVENTINJ says nothing where V is clear.
        (Mode::Long, |c| put(c, F::EventInj, 0x7fff_ffff)),
        // Shadow stacks.
        (Mode::Long, |c| {
            change(c, F::Cr4, 0, cr4::CET);
            put(c, F::SCet, 3);
        }),
        // The last map that fits.
        (Mode::Long, |c| put(c, F::IopmBase, (1 << 48) - 0x3000)),
        (Mode::Long, |c| put(c, F::MsrpmBase, (1 << 48) - 0x2000)),
        // In 64-bit mode SS may be a null segment.
        (Mode::Long, |c| put(c, F::SsAttrib, 0)),
        // A guest that has just entered protected mode from a segment whose number is odd.
        (Mode::Real, |c| {
            change(c, F::Cr0, 0, cr0::PE);
            put(c, F::CsSelector, 0x1237);
            put(c, F::CsAttrib, 0x93);
        }),
        // The encryption bit is no address bit.
        (Mode::Long, |c| {
            c.cpu.encryption_bit = Some(51);
            for field in [F::Cr3, F::NCr3, F::IopmBase, F::MsrpmBase] {
                change(c, field, 0, 1 << 51);
            }
        }),
        (Mode::Long, |c| {
            c.cpu.encryption_bit = Some(51);
            avic(c, AVIC);
            for field in [F::AvicBackingPage, F::AvicLogicalTable, F::AvicPhysicalTable] {
                change(c, field, 0, 1 << 51);
            }
        }),
        // More virtual CPUs with x2AVIC_EXT, and where it is not known whether the CPU has that.
        (Mode::Long, |c| {
            c.cpu.caps.ecx = 1 << 6;
            avic(c, AVIC | X2AVIC);
            put(c, F::AvicPhysicalTable, 0x30_2fff);
        }),
        (Mode::Long, |c| {
            c.cpu.caps = SvmCaps::default();
            avic(c, AVIC | X2AVIC);
            put(c, F::AvicPhysicalTable, 0x30_2200);
        }),
        // Shadow page tables.
        (Mode::Long, |c| {
            put(c, F::NestedControl, 0);
            change(c, F::InterceptCr, 0, 1 << 19);
        }),
        (Mode::Long, |c| {
            put(c, F::NestedControl, 0);
            change(c, F::InterceptExceptions, 0, 1 << 14);
        }),
        // Indirect-branch tracking has bits in S_CET.
        (Mode::Long, |c| {
            c.cpu.ibt = true;
            put(c, F::SCet, 1 << 2);
        }),
        // Low bits of CR3 are ignored.
        (Mode::Long, |c| put(c, F::Cr3, 0x1fff)),
        // A 64-bit address in CR3 means nothing outside of long mode.
        (Mode::Protected, |c| put(c, F::Cr3, 1 << 63)),
    ];
    for (i, (mode, harm)) in uses.iter().enumerate() {
        let mut case = good(*mode);
        harm(&mut case);
        assert_eq!(broken(&case), Vec::<&str>::new(), "use {i}");
    }
}

#[test]
fn what_the_cpu_does_not_read_breaks_nothing() {
    let mut case = good(Mode::Long);
    put(&mut case, F::NestedControl, 0);
    put(&mut case, F::GPat, 0x0203);
    put(&mut case, F::NCr3, u64::MAX);
    assert_eq!(broken(&case), ["advice.nested-paging-off"]);
}

/// The guest's state is in the VMSA, and what is in the VMCB is nothing.
#[test]
fn the_save_area_of_an_sev_es_guest_is_not_judged() {
    for (id, mode, harm) in BROKEN {
        let mut case = good(*mode);
        harm(&mut case);
        change(&mut case, F::NestedControl, 0, 0b110);
        let found = broken(&case);
        let not_judged = advice_guest::RULES.iter().chain(advice_events::RULES).map(|rule| rule.id);
        for other in not_judged.chain(["event.impossible-in-64-bit-mode"]) {
            assert!(!found.contains(&other), "{other} for {id}");
        }
        assert!(!found.iter().any(|id| id.starts_with("save.")), "{found:?} for {id}");
    }
    let mut case = good(Mode::Long);
    F::ALL.iter().filter(|f| f.offset() >= 0x400).for_each(|f| case.state.set(*f, 0));
    put(&mut case, F::NestedControl, 0b111);
    assert_eq!(broken(&case), ["advice.sev"]);
}

#[test]
fn a_report_tells_the_rule_and_what_to_change() {
    let mut case = good(Mode::Long);
    change(&mut case, F::Efer, efer::SVME, 0);
    drop2(&mut case, misc2::VMMCALL);
    let mut lines = Vec::new();
    assert_eq!(diagnose(&case, &mut |line| lines.push(std::format!("{line}"))), 1);
    for expected in [
        "  EFER.SVME must be set, though the guest need not see it [save.efer.svme]",
        "    EFER is 0xd01 [SCE, LME, LMA, NXE]: must have 0x1000 set, that is SVME",
        "    APM 2 \"Canonicalization and Consistency Checks\"",
        "    APM 2 \"VMMCALL Instruction\"",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:?}");
    }
}

#[test]
fn every_rule_is_broken_alone() {
    let mut seen = BTreeSet::new();
    for (id, mode, harm) in BROKEN {
        let mut case = good(*mode);
        harm(&mut case);
        assert_eq!(broken(&case), [*id], "{mode:?}");
        let rule = rules().find(|r| r.id == *id).unwrap();
        assert_eq!(Verdict::of(&case).enters(), rule.class == Class::Advice, "{}", rule.id);
        assert!(Verdict::of(&case).has(rule.class));
        seen.insert(*id);
    }
    for rule in rules() {
        assert!(seen.contains(rule.id), "no VMCB breaks {}", rule.id);
    }
}

#[test]
fn a_rule_is_left_out_where_a_field_is_absent() {
    for (id, mode, harm) in BROKEN {
        let rule = rules().find(|r| r.id == *id).unwrap();
        for field in rule.fields {
            let mut case = good(*mode);
            harm(&mut case);
            case.state.remove(*field);
            assert!(!broken(&case).contains(id), "{id} without {field:?}");
        }
    }
}

#[test]
fn rules_are_well_formed() {
    let mut ids = BTreeSet::new();
    for rule in rules() {
        assert!(ids.insert(rule.id), "{} twice", rule.id);
        assert!(rule.section.starts_with("APM "), "{}: {}", rule.id, rule.section);
        assert_eq!(rule.id.starts_with("advice."), rule.class == Class::Advice, "{}", rule.id);
        assert_eq!(rule.id.starts_with("launch."), rule.class == Class::Launch, "{}", rule.id);
        assert!(!rule.says.contains("  ") && !rule.says.ends_with('.'), "{}: {}", rule.id, rule.says);
        assert!(
            !rule.fields.is_empty()
                && rule.fields.iter().map(|f| f.index()).collect::<BTreeSet<_>>().len() == rule.fields.len()
        );
    }
    let classes: Vec<_> = rules().map(|rule| rule.class).collect();
    assert!(classes.is_sorted(), "rules of one class are together, advice last");
}

/// A value for a field: anything, or what is there with a bit changed.
fn value() -> impl Strategy<Value = (usize, u64, bool)> {
    let values = prop_oneof![any::<u64>(), (0u32..64).prop_map(|bit| 1 << bit)];
    (0..F::ALL.len(), values, any::<bool>())
}

proptest! {
    #[test]
    fn any_vmcb_is_judged(
        mode in 0..Mode::ALL.len(),
        values in proptest::collection::vec(value(), 0..40),
        absent in proptest::collection::vec(0..F::ALL.len(), 0..4),
        (vmcb, host_cr3, phys_bits, caps) in (any::<u64>(), any::<u64>(), 0u32..80, any::<(u32, u32, u32)>()),
        encryption_bit in any::<Option<u8>>(),
    ) {
        let mut case = good(Mode::ALL[mode]);
        for (field, value, flip) in values {
            let field = F::ALL[field];
            let old = if flip { case.get(field) } else { 0 };
            case.state.set(field, old ^ value);
        }
        absent.into_iter().for_each(|field| case.state.remove(F::ALL[field]));
        case.vmcb = vmcb;
        case.host_cr3 = host_cr3;
        case.cpu.phys_bits = phys_bits;
        case.cpu.encryption_bit = encryption_bit.map(u32::from);
        (case.cpu.caps.asids, case.cpu.caps.ecx, case.cpu.caps.edx) = caps;
        let mut classes = [false; Class::ALL.len()];
        examine(&case, |rule, _| classes[rule.class as usize] = true);
        let verdict = Verdict::of(&case);
        for (class, found) in Class::ALL.into_iter().zip(classes) {
            prop_assert_eq!(verdict.has(class), found);
        }
        let serious = Class::ALL.into_iter().any(|c| c != Class::Advice && verdict.has(c));
        prop_assert_eq!(verdict.enters(), !serious);
        prop_assert_eq!(verdict.allows(None), !serious);
    }
}
