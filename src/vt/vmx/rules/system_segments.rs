//! Rules about the guest's TR and LDTR.

use super::VmxRule;
use super::ask::ia32e;
use super::segment::{LDTR, P, RESERVED, S, Segment, TR, UNUSABLE, rule, segment};
use crate::vt::doctor::Must;
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

/// LDTR, if it is usable.
fn ldtr(c: &VmxCase) -> Option<Segment<'_>> {
    Some(segment(c, LDTR)).filter(Segment::is_checked)
}

/// In the order of the manual: selectors, bases, access rights.
pub const RULES: &[VmxRule] = &[
    rule("guest.tr.ti", &[F::TrSelector], "the TI flag of TR's selector must be 0", |c, found| {
        segment(c, TR).no_ti(found);
    }),
    rule(
        "guest.ldtr.ti",
        &[F::LdtrSelector, F::LdtrRights],
        "the TI flag of LDTR's selector must be 0 if LDTR is usable",
        |c, found| {
            if let Some(s) = ldtr(c) {
                s.no_ti(found);
            }
        },
    ),
    rule("guest.tr.canonical", &[F::TrBase], "the base of TR must be canonical", |c, found| {
        segment(c, TR).canonical(found);
    }),
    rule(
        "guest.ldtr.canonical",
        &[F::LdtrBase, F::LdtrRights],
        "the base of LDTR must be canonical if LDTR is usable",
        |c, found| {
            if let Some(s) = ldtr(c) {
                s.canonical(found);
            }
        },
    ),
    rule(
        "guest.tr.type",
        &[F::TrRights, F::EntryControls],
        "TR must be a busy TSS: type 11 or, outside IA-32e mode, type 3",
        |c, found| {
            let kind = segment(c, TR).kind();
            if kind != 11 && (ia32e(c) || kind != 3) {
                found(Must::Change(F::TrRights));
            }
        },
    ),
    rule("guest.tr.s", &[F::TrRights], "S of TR must be 0", |c, found| segment(c, TR).clear(S, found)),
    rule("guest.tr.present", &[F::TrRights], "P of TR must be 1", |c, found| segment(c, TR).set(P, found)),
    rule("guest.tr.reserved", &[F::TrRights], "bits 11:8 and 31:17 of TR's access rights must be 0", |c, found| {
        segment(c, TR).clear(RESERVED, found);
    }),
    rule(
        "guest.tr.limit-granularity",
        &[F::TrRights, F::TrLimit],
        "G of TR must be 0 if a bit in 11:0 of the limit is 0, and 1 if a bit in 31:20 is 1",
        |c, found| segment(c, TR).granularity(found),
    ),
    rule("guest.tr.usable", &[F::TrRights], "TR must be usable", |c, found| segment(c, TR).clear(UNUSABLE, found)),
    rule("guest.ldtr.type", &[F::LdtrRights], "LDTR must be of type 2 (LDT) if usable", |c, found| {
        if ldtr(c).is_some_and(|s| s.kind() != 2) {
            found(Must::Change(F::LdtrRights));
        }
    }),
    rule("guest.ldtr.s", &[F::LdtrRights], "S of LDTR must be 0 if usable", |c, found| {
        ldtr(c).into_iter().for_each(|s| s.clear(S, found));
    }),
    rule("guest.ldtr.present", &[F::LdtrRights], "P of LDTR must be 1 if usable", |c, found| {
        ldtr(c).into_iter().for_each(|s| s.set(P, found));
    }),
    rule(
        "guest.ldtr.reserved",
        &[F::LdtrRights],
        "bits 11:8 and 31:17 of LDTR's access rights must be 0 if usable",
        |c, found| ldtr(c).into_iter().for_each(|s| s.clear(RESERVED, found)),
    ),
    rule(
        "guest.ldtr.limit-granularity",
        &[F::LdtrRights, F::LdtrLimit],
        "for a usable LDTR, G must be 0 if a bit in 11:0 of the limit is 0, and 1 if a bit in 31:20 is 1",
        |c, found| ldtr(c).into_iter().for_each(|s| s.granularity(found)),
    ),
];
