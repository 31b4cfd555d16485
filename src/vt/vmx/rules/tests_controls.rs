//! Tests of the rules about launching, control fields, the host and MSR loading: each is broken by a small change of a
//! good VMCS that breaks no other.

mod snapshots;

use std::collections::BTreeSet;
use std::vec::Vec;

use arrayvec::ArrayVec;
use proptest::prelude::*;

use self::snapshots::{Change, PAIRS, SNAPSHOTS, only};
use super::fixture::{Mode, good};
use super::{VmxRule, controls, host, host_size, launch, msrs};
use crate::vt::doctor::{Field, Must};
use crate::vt::vmx::case::{MsrEntry, VmxCase};
use crate::vt::vmx::state::F;

const GROUPS: &[&[VmxRule]] = &[
    launch::RULES,
    controls::execution::RULES,
    controls::apic::RULES,
    controls::ept::RULES,
    controls::exit::RULES,
    controls::entry::RULES,
    controls::event::RULES,
    host::RULES,
    host_size::RULES,
    msrs::RULES,
    msrs::ADVICE,
];

fn rules() -> impl Iterator<Item = &'static VmxRule> {
    GROUPS.iter().flat_map(|group| group.iter())
}

/// The rules that the case breaks.
fn broken(c: &VmxCase) -> Vec<&'static str> {
    let judged = rules().filter(|rule| rule.fields.iter().all(|f| c.state.has(*f)));
    judged
        .filter(|rule| {
            let mut asks = 0;
            (rule.check)(c, &mut |must| {
                asks += 1;
                // The secondary controls go with the primary ones.
                let reads = |f| rule.fields.contains(&f) || f == F::Secondary && rule.fields.contains(&F::Primary);
                assert!(must.field().is_none_or(reads), "{}: {must:?}", rule.id);
            });
            asks > 0
        })
        .map(|rule| rule.id)
        .collect()
}

#[test]
fn good_cases_break_nothing() {
    for mode in Mode::ALL {
        assert_eq!(broken(&good(mode)), Vec::<&str>::new(), "{mode:?}");
    }
}

/// Where the capability MSRs are not known, as with a dump, nothing is judged by them.
#[test]
fn unknown_capabilities_break_nothing() {
    for mode in Mode::ALL {
        let mut case = good(mode);
        case.cpu.caps = Default::default();
        assert_eq!(broken(&case), Vec::<&str>::new(), "{mode:?}");
    }
}

/// What the snapshots begin with beyond [`good`] breaks nothing either.
#[test]
fn richer_cases_break_nothing() {
    let enrich: [Change; 7] = [
        |c| only(c.tpr().put(F::TprThreshold, 3)),
        |c| only(c.posted().put(F::PostedVector, 0xff).put(F::TprThreshold, 0xff)),
        |c| only(c.vmfunc()),
        |c| only(c.cet()),
        |c| only(c.host32()),
        |c| only(c.msr(0xc000_0102, 0).msr(0x277, 0x0007_0406_0007_0406)),
        |c| only(c.put(F::EntryInfo, 0x8000_0b0e).put(F::EntryErrorCode, 0xffff)),
    ];
    for change in enrich {
        let mut case = good(Mode::Protected);
        change(&mut case);
        assert_eq!(broken(&case), Vec::<&str>::new(), "{:?}", case.state);
    }
}

/// Entries have the numbers that the exit qualification of exit reason 34 has.
#[test]
fn entries_of_the_msr_area_are_counted_from_1() {
    let mut case = good(Mode::Long);
    case.msr(0xc000_0102, 0).msr(0xc000_0100, 0);
    let mut found = Vec::new();
    for rule in msrs::RULES {
        (rule.check)(&case, &mut |must| found.push(must));
    }
    assert_eq!(found, [Must::Msr(2, 0xc000_0100)]);
}

#[test]
fn posted_interrupts_need_delivery_where_there_are_no_secondary_controls() {
    let mut case = good(Mode::Protected);
    case.posted();
    case.state.remove(F::Secondary);
    assert!(broken(&case).contains(&"control.posted.needs-delivery"));
}

#[test]
fn each_rule_is_broken_alone() {
    for (id, mode, change) in SNAPSHOTS {
        let mut case = good(*mode);
        change(&mut case);
        let expected: BTreeSet<_> =
            [*id].into_iter().chain(PAIRS.iter().filter(|pair| pair.0 == *id).map(|pair| pair.1)).collect();
        assert_eq!(broken(&case).into_iter().collect::<BTreeSet<_>>(), expected, "{id}");
    }
    for rule in rules() {
        assert!(SNAPSHOTS.iter().any(|(id, ..)| *id == rule.id), "no snapshot breaks {}", rule.id);
    }
    assert!(PAIRS.iter().all(|(id, _)| rules().any(|rule| rule.id == *id)));
}

#[test]
fn rules_are_well_formed() {
    let mut ids = BTreeSet::new();
    for rule in rules() {
        assert!(ids.insert(rule.id), "{} twice", rule.id);
        assert!(rule.section.starts_with("SDM 3C \"") && rule.section.ends_with('"'), "{}", rule.id);
        assert!(!rule.fields.is_empty() && !rule.says.is_empty(), "{}", rule.id);
    }
}

#[test]
fn the_table_of_messages_names_rules_that_exist() {
    let table = include_str!("../../../../tests/doctor/bochs-control-host.txt");
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (_, ids) = line.split_once(" => ").unwrap();
        for id in ids.split(", ") {
            assert!(rules().any(|rule| rule.id == id), "{id} of {line}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_panics(
        values in prop::collection::vec((0..F::ALL.len(), any::<u64>()), 0..200),
        absent in prop::collection::vec(0..F::ALL.len(), 0..4),
        caps in any::<[u64; 14]>(),
        (phys_bits, linear_bits) in prop_oneof![(32..64_u32, 48..58_u32), any::<(u32, u32)>()],
        msrs in prop::collection::vec(any::<(u32, u32, u64)>(), 0..16),
        vtpr in any::<Option<u8>>(),
        flags in any::<[bool; 4]>(),
    ) {
        let mut c = good(Mode::Long);
        for (i, value) in values {
            c.put(F::ALL[i], value);
        }
        absent.into_iter().for_each(|i| c.state.remove(F::ALL[i]));
        let all = &mut c.cpu.caps;
        [
            all.basic, all.pin, all.primary, all.secondary, all.exit, all.entry, all.misc, all.cr0_fixed0,
            all.cr0_fixed1, all.cr4_fixed0, all.cr4_fixed1, all.ept_vpid, all.vmfunc, all.tertiary,
        ] = caps;
        (c.cpu.phys_bits, c.cpu.linear_bits, c.pointed.virtual_tpr) = (phys_bits, linear_bits, vtpr);
        let entry = |(index, reserved, value)| MsrEntry { index, reserved, value };
        c.entry_msrs = msrs.into_iter().map(entry).collect::<ArrayVec<_, 16>>();
        [c.launched, c.after_mov_ss, c.in_smm, c.tracing] = flags;
        broken(&c);
        let _ = launch::no_such_field(caps[0]);
        let _ = launch::vmwrite(caps[1], &c.cpu.caps);
        let _ = launch::vmptrld(caps[2], caps[3], caps[4] as u32, &c.cpu);
    }
}
