//! Rules about the guest's code and data segment registers: ES, CS, SS, DS, FS and GS.

use super::Found;
use super::VmxRule;
use super::ask::{UNRESTRICTED, cr0, dpl, ia32e, secondary, virtual8086};
use super::segment::{
    CODE_AND_DATA, CS, DATA, DB, L, P, RESERVED, RIGHTS_8086, S, SS, Segment, checked, each, rule, segment,
};
use crate::vt::doctor::Must;
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

/// CS.DPL must fit SS.DPL, if CS is of one of these types.
fn code_dpl(c: &VmxCase, kinds: &[u64], fits: fn(u64, u64) -> bool, found: Found<'_>) {
    let (cs, ss) = (segment(c, CS).rights(), segment(c, SS).rights());
    if !virtual8086(c) && kinds.contains(&(cs & 0xf)) && !fits(dpl(cs), dpl(ss)) {
        found(Must::Agree(F::CsRights, 0b11 << 5, F::SsRights, 0b11 << 5));
    }
}

macro_rules! registers {
    ($($field:ident),*) => {
        &[F::Rflags, $(F::$field),*]
    };
}

const RIGHTS: &[F] = registers!(EsRights, CsRights, SsRights, DsRights, FsRights, GsRights);
const DATA_RIGHTS: &[F] = registers!(EsRights, DsRights, FsRights, GsRights);

/// In the order of the manual: selectors, bases, limits, access rights.
pub const RULES: &[VmxRule] = &[
    rule(
        "guest.ss.rpl",
        &[F::SsSelector, F::CsSelector, F::Rflags, F::Primary],
        "the RPL of SS must equal the RPL of CS without \"unrestricted guest\", but in virtual-8086 mode",
        |c, found| {
            let checked = !virtual8086(c) && !secondary(c, UNRESTRICTED);
            if checked && segment(c, SS).rpl() != segment(c, CS).rpl() {
                found(Must::Agree(F::SsSelector, 3, F::CsSelector, 3));
            }
        },
    ),
    rule(
        "guest.v8086.base",
        registers!(
            EsSelector, CsSelector, SsSelector, DsSelector, FsSelector, GsSelector, EsBase, CsBase, SsBase, DsBase,
            FsBase, GsBase
        ),
        "in virtual-8086 mode the base of each segment must be its selector times 16",
        |c, found| {
            for s in each(c, &CODE_AND_DATA).filter(|_| virtual8086(c)) {
                let base = F::EsBase.nth(s.n);
                if c.get(base) != s.selector() << 4 {
                    found(Must::Be(base, s.selector() << 4));
                }
            }
        },
    ),
    rule(
        "guest.fs-gs.canonical",
        &[F::FsBase, F::GsBase],
        "the bases of FS and GS must be canonical, even where these are unusable",
        |c, found| each(c, &[4, 5]).for_each(|s| s.canonical(found)),
    ),
    rule(
        "guest.segment.base-high",
        &[F::CsBase, F::SsBase, F::DsBase, F::EsBase, F::SsRights, F::DsRights, F::EsRights],
        "bits 63:32 of the base must be 0 for CS, and for SS, DS and ES if usable",
        |c, found| {
            for s in each(c, &[0, CS, SS, 3]).filter(Segment::is_checked) {
                let base = F::EsBase.nth(s.n);
                if c.get(base) >> 32 != 0 {
                    found(Must::AtMost(base, 0xffff_ffff));
                }
            }
        },
    ),
    rule(
        "guest.v8086.limit",
        registers!(EsLimit, CsLimit, SsLimit, DsLimit, FsLimit, GsLimit),
        "in virtual-8086 mode each segment's limit must be 0xffff",
        |c, found| {
            for s in each(c, &CODE_AND_DATA).filter(|_| virtual8086(c)) {
                let limit = F::EsLimit.nth(s.n);
                if c.get(limit) != 0xffff {
                    found(Must::Be(limit, 0xffff));
                }
            }
        },
    ),
    rule("guest.v8086.rights", RIGHTS, "in virtual-8086 mode each segment's access rights must be 0xf3", |c, found| {
        for s in each(c, &CODE_AND_DATA).filter(|_| virtual8086(c)) {
            if s.rights() != RIGHTS_8086 {
                found(Must::Be(F::EsRights.nth(s.n), RIGHTS_8086));
            }
        }
    }),
    rule(
        "guest.cs.type",
        &[F::CsRights, F::Rflags, F::Primary],
        "CS must be accessed code (type 9, 11, 13, 15) or, with \"unrestricted guest\", accessed data (type 3)",
        |c, found| {
            let kind = segment(c, CS).kind();
            let good = matches!(kind, 9 | 11 | 13 | 15) || kind == 3 && secondary(c, UNRESTRICTED);
            if !virtual8086(c) && !good {
                found(Must::Change(F::CsRights));
            }
        },
    ),
    rule(
        "guest.ss.type",
        &[F::SsRights, F::Rflags],
        "SS must be accessed, writable data (type 3 or 7) if usable",
        |c, found| {
            for s in checked(c, &[SS]).filter(|s| !matches!(s.kind(), 3 | 7)) {
                found(Must::Change(F::EsRights.nth(s.n)));
            }
        },
    ),
    rule(
        "guest.segment.accessed",
        DATA_RIGHTS,
        "DS, ES, FS and GS must be accessed (bit 0 of the type) if usable",
        |c, found| checked(c, &DATA).for_each(|s| s.set(1, found)),
    ),
    rule(
        "guest.segment.readable",
        DATA_RIGHTS,
        "DS, ES, FS and GS must be readable (bit 1 of the type) if usable and code",
        |c, found| checked(c, &DATA).filter(|s| s.kind() & 8 != 0).for_each(|s| s.set(2, found)),
    ),
    rule(
        "guest.segment.s",
        RIGHTS,
        "S must be 1 for CS, and for other segments of code and data if usable",
        |c, found| {
            checked(c, &CODE_AND_DATA).for_each(|s| s.set(S, found));
        },
    ),
    rule("guest.cs.dpl-data", &[F::CsRights, F::Rflags], "CS must have DPL 0 if it is data (type 3)", |c, found| {
        for s in checked(c, &[CS]).filter(|s| s.kind() == 3) {
            s.clear(0b11 << 5, found);
        }
    }),
    rule(
        "guest.cs.dpl",
        &[F::CsRights, F::SsRights, F::Rflags],
        "the DPL of CS must equal the DPL of SS if CS is non-conforming code (type 9 or 11)",
        |c, found| code_dpl(c, &[9, 11], |cs, ss| cs == ss, found),
    ),
    rule(
        "guest.cs.dpl-conforming",
        &[F::CsRights, F::SsRights, F::Rflags],
        "the DPL of CS must not be above the DPL of SS if CS is conforming code (type 13 or 15)",
        |c, found| code_dpl(c, &[13, 15], |cs, ss| cs <= ss, found),
    ),
    rule(
        "guest.ss.dpl-rpl",
        &[F::SsRights, F::SsSelector, F::Rflags, F::Primary],
        "the DPL of SS must equal its RPL without \"unrestricted guest\", even if SS is unusable",
        |c, found| {
            let s = segment(c, SS);
            if !virtual8086(c) && !secondary(c, UNRESTRICTED) && dpl(s.rights()) != s.rpl() {
                found(Must::Agree(F::SsRights, 0b11 << 5, F::SsSelector, 3));
            }
        },
    ),
    rule(
        "guest.ss.dpl-zero",
        &[F::SsRights, F::CsRights, F::Cr0, F::Rflags],
        "SS must have DPL 0 if CS is data (type 3) or CR0.PE is 0, even if SS is unusable",
        |c, found| {
            let zero = segment(c, CS).kind() == 3 || !c.all(F::Cr0, cr0::PE);
            if !virtual8086(c) && zero {
                segment(c, SS).clear(0b11 << 5, found);
            }
        },
    ),
    rule(
        "guest.segment.dpl",
        registers!(EsRights, DsRights, FsRights, GsRights, EsSelector, DsSelector, FsSelector, GsSelector, Primary),
        "the DPL of DS, ES, FS and GS must not be below the RPL if usable, data or non-conforming code, and without \
         \"unrestricted guest\"",
        |c, found| {
            for s in checked(c, &DATA).filter(|s| !secondary(c, UNRESTRICTED) && s.kind() <= 11) {
                if dpl(s.rights()) < s.rpl() {
                    found(Must::Agree(F::EsRights.nth(s.n), 0b11 << 5, F::EsSelector.nth(s.n), 3));
                }
            }
        },
    ),
    rule(
        "guest.segment.present",
        RIGHTS,
        "P must be 1 for CS, and for other segments of code and data if usable",
        |c, found| checked(c, &CODE_AND_DATA).for_each(|s| s.set(P, found)),
    ),
    rule(
        "guest.segment.reserved",
        RIGHTS,
        "bits 11:8 and 31:17 of the access rights must be 0 for CS, and for other segments of code and data if \
         usable",
        |c, found| checked(c, &CODE_AND_DATA).for_each(|s| s.clear(RESERVED, found)),
    ),
    rule(
        "guest.cs.d-l",
        &[F::CsRights, F::Rflags, F::EntryControls],
        "D/B and L of CS must not both be 1 in IA-32e mode",
        |c, found| {
            for s in checked(c, &[CS]).filter(|s| ia32e(c) && s.rights() & L != 0) {
                s.clear(DB, found);
            }
        },
    ),
    rule(
        "guest.segment.limit-granularity",
        registers!(
            EsRights, CsRights, SsRights, DsRights, FsRights, GsRights, EsLimit, CsLimit, SsLimit, DsLimit, FsLimit,
            GsLimit
        ),
        "for CS and usable segments, G must be 0 if a bit in 11:0 of the limit is 0, and 1 if a bit in 31:20 is 1",
        |c, found| checked(c, &CODE_AND_DATA).for_each(|s| s.granularity(found)),
    ),
];
