//! What VMRUN checks of the guest's registers.

use super::{ATTRIB_D, ATTRIB_L, SvmRule, beyond, encryption, long, need_clear, need_set, nested};
use crate::base::cpu::{cr0, cr4, efer};
use crate::vt::doctor::Must;
use crate::vt::svm::case::SvmCase;
use crate::vt::svm::state::F;

const CHECKS: &str = "APM 2 \"Canonicalization and Consistency Checks\"";
const NESTED: &str = "APM 2 \"Nested Paging and VMRUN/#VMEXIT\"";
/// Bits 63:32.
const HIGH: u64 = 0xffff_ffff << 32;
/// Bits that CR3 never has in long mode.
const CR3_MBZ: u64 = 0xfff << 52;
/// The shadow-stack bits of S_CET.
const S_CET_BITS: u64 = 3;
/// Bits 7:3 of each byte of a PAT.
const PAT_RESERVED: u64 = 0xf8f8_f8f8_f8f8_f8f8;

/// Whether a byte's low three bits are a memory type: 2 and 3 are not.
const fn is_type(byte: u8) -> bool {
    byte & 6 != 2
}

fn has_cet(case: &SvmCase) -> bool {
    case.cpu.cr4 & cr4::CET != 0
}

pub const RULES: &[SvmRule] = &[
    of_save_area!(
        consistency,
        "save.efer.svme",
        CHECKS,
        &[F::Efer],
        "EFER.SVME must be set, though the guest need not see it",
        |case, found| need_set(case, F::Efer, efer::SVME, found),
    ),
    of_save_area!(
        consistency,
        "save.efer.reserved",
        CHECKS,
        &[F::Efer],
        "bits of EFER that the CPU does not have must be clear",
        |case, found| {
            // LME and LMA have a rule of their own.
            let mask = !case.cpu.efer & !HIGH & !(efer::SVME | efer::LME | efer::LMA);
            need_clear(case, F::Efer, mask, found);
        },
    ),
    of_save_area!(consistency, "save.efer.high", CHECKS, &[F::Efer], "EFER[63:32] must be clear", |case, found| {
        need_clear(case, F::Efer, HIGH & !case.cpu.efer, found)
    }),
    of_save_area!(
        consistency,
        "save.efer.long-mode-absent",
        CHECKS,
        &[F::Efer],
        "EFER.LME and EFER.LMA must be clear on a CPU without long mode",
        |case, found| {
            if !case.cpu.long_mode {
                need_clear(case, F::Efer, efer::LME | efer::LMA, found);
            }
        },
    ),
    of_save_area!(
        consistency,
        "save.cr0.cd-nw",
        CHECKS,
        &[F::Cr0],
        "CR0.NW must be clear where CR0.CD is clear",
        |case, found| {
            if !case.all(F::Cr0, cr0::CD) {
                need_clear(case, F::Cr0, cr0::NW, found);
            }
        }
    ),
    of_save_area!(consistency, "save.cr0.high", CHECKS, &[F::Cr0], "CR0[63:32] must be clear", |case, found| {
        need_clear(case, F::Cr0, HIGH, found)
    }),
    of_save_area!(
        consistency,
        "save.cr3.high",
        CHECKS,
        &[F::Cr3, F::Cr0, F::Efer],
        "CR3[63:52] must be clear for a guest in long mode",
        |case, found| {
            if long(case) {
                need_clear(case, F::Cr3, CR3_MBZ & !encryption(case), found);
            }
        },
    ),
    of_save_area!(
        consistency,
        "save.cr3.physical",
        CHECKS,
        &[F::Cr3, F::Cr0, F::Efer, F::NestedControl],
        "CR3 must have no address bit that the CPU does not have, for a guest in long mode",
        |case, found| {
            // The encryption bit of an SEV guest is no address bit, and where it is, is not always known.
            let sev = case.get(F::NestedControl) & super::SEV != 0;
            if long(case) && !sev && case.get(F::Cr3) & beyond(case) & !CR3_MBZ != 0 {
                found(Must::Physical(F::Cr3, case.cpu.phys_bits));
            }
        },
    ),
    of_save_area!(
        consistency,
        "save.cr4.reserved",
        CHECKS,
        &[F::Cr4],
        "bits of CR4 that the CPU does not have must be clear",
        |case, found| need_clear(case, F::Cr4, !case.cpu.cr4 & !HIGH, found),
    ),
    of_save_area!(consistency, "save.cr4.high", CHECKS, &[F::Cr4], "CR4[63:32] must be clear", |case, found| {
        need_clear(case, F::Cr4, HIGH & !case.cpu.cr4, found)
    }),
    of_save_area!(consistency, "save.dr6.high", CHECKS, &[F::Dr6], "DR6[63:32] must be clear", |case, found| {
        need_clear(case, F::Dr6, HIGH, found)
    }),
    of_save_area!(consistency, "save.dr7.high", CHECKS, &[F::Dr7], "DR7[63:32] must be clear", |case, found| {
        need_clear(case, F::Dr7, HIGH, found)
    }),
    of_save_area!(
        consistency,
        "save.long.pae",
        CHECKS,
        &[F::Efer, F::Cr0, F::Cr4],
        "CR4.PAE must be set where EFER.LME and CR0.PG are",
        |case, found| {
            if long(case) {
                need_set(case, F::Cr4, cr4::PAE, found);
            }
        },
    ),
    of_save_area!(
        consistency,
        "save.long.pe",
        CHECKS,
        &[F::Efer, F::Cr0],
        "CR0.PE must be set where EFER.LME and CR0.PG are",
        |case, found| {
            if long(case) {
                need_set(case, F::Cr0, cr0::PE, found);
            }
        },
    ),
    of_save_area!(
        consistency,
        "save.long.cs-l-d",
        CHECKS,
        &[F::Efer, F::Cr0, F::Cr4, F::CsAttrib],
        "L and D of CS must not both be set in long mode (EFER.LME, CR0.PG and CR4.PAE set)",
        |case, found| {
            if long(case) && case.all(F::Cr4, cr4::PAE) && case.all(F::CsAttrib, ATTRIB_L | ATTRIB_D) {
                found(Must::Clear(F::CsAttrib, ATTRIB_D));
            }
        },
    ),
    of_save_area!(
        consistency,
        "save.s-cet.reserved",
        CHECKS,
        &[F::SCet],
        "S_CET[63:2] must be clear on a CPU with shadow stacks and without indirect-branch tracking",
        |case, found| {
            if has_cet(case) && !case.cpu.ibt {
                need_clear(case, F::SCet, !S_CET_BITS, found);
            }
        },
    ),
    of_save_area!(
        consistency,
        "save.cr4.cet-wp",
        CHECKS,
        &[F::Cr4, F::Cr0],
        "CR0.WP must be set where CR4.CET is",
        |case, found| {
            if has_cet(case) && case.all(F::Cr4, cr4::CET) {
                need_set(case, F::Cr0, cr0::WP, found);
            }
        }
    ),
    of_save_area!(
        consistency,
        "save.g-pat.reserved",
        NESTED,
        &[F::GPat, F::NestedControl],
        "bits 7:3 of each byte of G_PAT must be clear under nested paging",
        |case, found| {
            if nested(case) {
                need_clear(case, F::GPat, PAT_RESERVED, found);
            }
        },
    ),
    of_save_area!(
        consistency,
        "save.g-pat.type",
        NESTED,
        &[F::GPat, F::NestedControl],
        "each byte of G_PAT must be a memory type under nested paging: 0, 1, 4, 5, 6 or 7",
        |case, found| {
            if nested(case) && !case.get(F::GPat).to_le_bytes().into_iter().all(is_type) {
                found(Must::Change(F::GPat));
            }
        },
    ),
];
