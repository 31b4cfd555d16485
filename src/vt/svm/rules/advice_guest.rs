//! Guest state that VMRUN takes as it is and no guest runs well with.

use super::{SvmRule, code64, long, need_clear, need_set, nested, protected};
use crate::base::cpu::{cr0, cr4, efer, rflags};
use crate::vt::doctor::Must;
use crate::vt::svm::case::SvmCase;
use crate::vt::svm::state::F;

const VMRUN: &str = "APM 2 \"VMRUN Instruction\"";
const CHECKS: &str = "APM 2 \"Canonicalization and Consistency Checks\"";
/// P and S of a segment's attributes. CS may still be a data segment right after CR0.PE was set.
const PRESENT: u64 = 1 << 7 | 1 << 4;
/// P, S and W of a data segment's attributes.
const PRESENT_STACK: u64 = PRESENT | 1 << 1;
/// The code bit of a segment's type.
const CODE: u64 = 1 << 3;
/// Bits 15:12 of attributes, which are 12 bits wide.
const UNPACKED: u64 = 0xf << 12;
/// Bits of RFLAGS that are always clear.
const RFLAGS_CLEAR: u64 = !0x003f_7fd7;
/// #PF as an intercepted exception.
const PAGE_FAULT: u64 = 1 << 14;

/// The linear-address bits that the guest has: canonical addresses are sign-extended from the last of them.
fn linear_bits(case: &SvmCase) -> u32 {
    if case.all(F::Cr4, cr4::LA57) { 57 } else { 48 }
}

/// Asks for a canonical address.
fn canonical(case: &SvmCase, field: F, found: super::Found<'_>) {
    let bits = linear_bits(case);
    let value = case.get(field);
    let unused = 64 - bits;
    if ((value << unused) as i64 >> unused) as u64 != value {
        found(Must::Canonical(field, bits));
    }
}

/// The type of a segment and S, P: what tells a TSS.
fn is_tss(attrib: u64) -> bool {
    attrib >> 7 & 1 != 0 && matches!(attrib & 0x1f, 1 | 3 | 9 | 11)
}

pub const RULES: &[SvmRule] = &[
    of_save_area!(
        advice,
        "advice.rip-canonical",
        VMRUN,
        &[F::Rip, F::Cr0, F::Cr4, F::Efer, F::CsAttrib],
        "RIP should be canonical in 64-bit mode, or the guest begins with #GP",
        |case, found| {
            if code64(case) {
                canonical(case, F::Rip, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.rip-beyond-limit",
        VMRUN,
        &[F::Rip, F::Cr0, F::Efer, F::CsAttrib, F::CsLimit],
        "RIP should be within the limit of CS outside of 64-bit mode, or the guest begins with #GP; the limit is in \
         bytes, whatever G is",
        |case, found| {
            if !code64(case) && case.get(F::Rip) > case.get(F::CsLimit) {
                found(Must::AtMost(F::Rip, case.get(F::CsLimit)));
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.base-canonical",
        CHECKS,
        &[F::CsBase, F::SsBase, F::DsBase, F::EsBase, F::GdtrBase, F::IdtrBase, F::Cr4],
        "segment and table bases should be canonical: VMRUN does not refuse others, it sign-extends them",
        |case, found| {
            for field in [F::CsBase, F::SsBase, F::DsBase, F::EsBase, F::GdtrBase, F::IdtrBase] {
                canonical(case, field, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.rflags-reserved",
        "APM 2 \"RFLAGS Register\"",
        &[F::Rflags],
        "bit 1 of RFLAGS should be set and its reserved bits clear: VMRUN does not look, but no CPU has them \
         otherwise, and the field was most likely never written",
        |case, found| {
            need_set(case, F::Rflags, rflags::FIXED, found);
            need_clear(case, F::Rflags, RFLAGS_CLEAR, found);
        },
    ),
    of_save_area!(
        advice,
        "advice.virtual-8086",
        "APM 2 \"Virtual-8086 Mode\"",
        &[F::Rflags, F::Cr0, F::Efer],
        "RFLAGS.VM should be clear in long mode and in real-address mode: virtual-8086 mode is a part of legacy \
         protected mode",
        |case, found| {
            if long(case) || !case.all(F::Cr0, cr0::PE) {
                need_clear(case, F::Rflags, rflags::VM, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.efer-lma",
        "APM 2 \"Extended Feature Enable Register (EFER)\"",
        &[F::Efer, F::Cr0],
        "EFER.LMA should be set just where EFER.LME and CR0.PG are: VMRUN does not check it, and a guest that sets \
         LMA by a write of its own EFER gets #GP",
        |case, found| match (long(case), case.all(F::Efer, efer::LMA)) {
            (true, false) => found(Must::Set(F::Efer, efer::LMA)),
            (false, true) => found(Must::Clear(F::Efer, efer::LMA)),
            _ => {}
        },
    ),
    of_save_area!(
        advice,
        "advice.paged-real-mode",
        "APM 2 \"Paged Real Mode\"",
        &[F::Cr0, F::Efer, F::InterceptExceptions],
        "#PF should be intercepted where CR0.PE is clear and CR0.PG is set (paged real mode): what happens \
         otherwise is undefined",
        |case, found| {
            if case.all(F::Cr0, cr0::PG) && !case.all(F::Cr0, cr0::PE) && !long(case) {
                need_set(case, F::InterceptExceptions, PAGE_FAULT, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.cache-disabled",
        "APM 2 \"Combining Memory Types, MTRRs\"",
        &[F::Cr0],
        "CR0.CD should be clear, or no access of the guest is cached and it seems to hang; hide CD from the CPU and \
         show it to the guest by the intercept of CR0 reads",
        |case, found| need_clear(case, F::Cr0, cr0::CD, found),
    ),
    of_save_area!(
        advice,
        "advice.g-pat-zero",
        "APM 2 \"Nested Paging and VMRUN/#VMEXIT\"",
        &[F::GPat, F::NestedControl],
        "G_PAT should not be 0 under nested paging, or no access of the guest is cached and it seems to hang; the \
         value after reset is 0x0007040600070406",
        |case, found| {
            if nested(case) && case.get(F::GPat) == 0 {
                found(Must::Be(F::GPat, 0x0007_0406_0007_0406));
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.attributes-unpacked",
        VMRUN,
        &[F::EsAttrib, F::CsAttrib, F::SsAttrib, F::DsAttrib, F::FsAttrib, F::GsAttrib, F::LdtrAttrib, F::TrAttrib],
        "segment attributes should be 12 bits: bits 55:52 of the descriptor go to bits 11:8, not to 15:12, where \
         VMX has them, or AVL, L, D/B and G are lost",
        |case, found| {
            for field in [
                F::EsAttrib,
                F::CsAttrib,
                F::SsAttrib,
                F::DsAttrib,
                F::FsAttrib,
                F::GsAttrib,
                F::LdtrAttrib,
                F::TrAttrib,
            ] {
                need_clear(case, field, UNPACKED, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.cs-attributes",
        VMRUN,
        &[F::CsAttrib, F::Cr0, F::Rflags],
        "P and S of CS should be set in protected mode: the attributes were most likely never written, and the guest \
         goes wrong at its first far transfer or interrupt",
        |case, found| {
            if protected(case) {
                need_set(case, F::CsAttrib, PRESENT, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.ss-attributes",
        VMRUN,
        &[F::SsAttrib, F::Cr0, F::Rflags, F::Efer, F::CsAttrib],
        "SS should be a present, writable data segment in protected mode, outside of 64-bit mode, or the first push \
         raises #SS",
        |case, found| {
            if protected(case) && !code64(case) {
                need_set(case, F::SsAttrib, PRESENT_STACK, found);
                need_clear(case, F::SsAttrib, CODE, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.cpl-range",
        VMRUN,
        &[F::Cpl, F::Cr0, F::Rflags],
        "CPL should be 0 to 3 in protected mode",
        |case, found| {
            if protected(case) && case.get(F::Cpl) > 3 {
                found(Must::AtMost(F::Cpl, 3));
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.cpl-agrees",
        VMRUN,
        &[F::Cpl, F::CsSelector, F::SsAttrib, F::Cr0, F::Rflags],
        "CPL should be what CS.RPL or SS.DPL says in protected mode: VMRUN takes the privilege level from CPL \
         alone, and the guest runs with one that is not its own",
        |case, found| {
            let (cpl, rpl, dpl) = (case.get(F::Cpl), case.get(F::CsSelector) & 3, case.get(F::SsAttrib) >> 5 & 3);
            if protected(case) && cpl <= 3 && cpl != rpl && cpl != dpl {
                found(Must::Be(F::Cpl, rpl));
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.tr-not-tss",
        "APM 2 \"VMSAVE and VMLOAD Instructions\"",
        &[F::TrAttrib, F::Cr0, F::Rflags],
        "TR should be a present TSS in protected mode, type 1, 3, 9 or 11: VMLOAD takes what is there, and the \
         first interrupt from user mode ends in a shutdown",
        |case, found| {
            if protected(case) && !is_tss(case.get(F::TrAttrib)) {
                found(Must::Change(F::TrAttrib));
            }
        },
    ),
];
