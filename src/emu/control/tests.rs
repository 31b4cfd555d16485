//! Tests of the control register rules.

use super::*;
use proptest::prelude::*;

const REAL: Regs = Regs { cr0: cr0::ET, cr4: 0, efer: 0 };
const PROTECTED: Regs = Regs { cr0: cr0::ET | cr0::PE, cr4: 0, efer: 0 };
/// On the way to IA-32e mode: all but CR0.PG.
const READY: Regs = Regs { cr0: cr0::ET | cr0::PE, cr4: cr4::PAE, efer: efer::LME };
const LONG: Regs = Regs { cr0: cr0::ET | cr0::PE | cr0::PG, cr4: cr4::PAE, efer: efer::LME | efer::LMA };
const ALLOWED: u64 = cr4::PAE | cr4::PGE | cr4::PSE | cr4::PCIDE | cr4::SMEP | cr4::SMAP;

#[test]
fn paging_makes_and_ends_ia32e_mode() {
    assert_eq!(cr0_write(&READY, LONG.cr0, false), Ok(LONG));
    assert_eq!(cr0_write(&LONG, READY.cr0, false), Ok(READY));
    // SDM 3A "Initializing IA-32e Mode": PAE is needed, CS.L must be clear.
    assert_eq!(cr0_write(&Regs { cr4: 0, ..READY }, LONG.cr0, false), Err(GP));
    assert_eq!(cr0_write(&READY, LONG.cr0, true), Err(GP));
    // Not out of 64-bit mode.
    assert_eq!(cr0_write(&LONG, READY.cr0, true), Err(GP));
    // Other bits change freely there.
    assert_eq!(cr0_write(&LONG, LONG.cr0 | cr0::WP, true), Ok(Regs { cr0: LONG.cr0 | cr0::WP, ..LONG }));
    // Without LME it is legacy paging.
    assert_eq!(cr0_write(&PROTECTED, LONG.cr0, false), Ok(Regs { cr0: LONG.cr0, ..PROTECTED }));
}

#[test]
fn cr0_combinations() {
    assert_eq!(cr0_write(&REAL, cr0::PG, false), Err(GP));
    assert_eq!(cr0_write(&REAL, cr0::NW, false), Err(GP));
    assert!(cr0_write(&REAL, cr0::NW | cr0::CD, false).is_ok());
    assert_eq!(cr0_write(&REAL, 1 << 32, false), Err(GP));
    // Reserved bits in the lower half are ignored, ET is always 1.
    assert_eq!(cr0_write(&REAL, 0x1ffa_ffc0, false).map(|r| r.cr0), Ok(cr0::ET));
    assert_eq!(cr0_write(&REAL, cr0::PE, false), Ok(PROTECTED));
    let pcid = Regs { cr4: cr4::PAE | cr4::PCIDE, ..LONG };
    assert_eq!(cr0_write(&pcid, READY.cr0, false), Err(GP));
}

#[test]
fn lmsw_sets_pe_and_keeps_it() {
    assert_eq!(lmsw(&REAL, 1), PROTECTED);
    assert_eq!(lmsw(&PROTECTED, 0), PROTECTED);
    assert_eq!(lmsw(&PROTECTED, 0xfffe).cr0, cr0::ET | cr0::PE | cr0::MP | cr0::EM | cr0::TS);
    let all = Regs { cr0: LONG.cr0 | 0xe, ..LONG };
    assert_eq!(lmsw(&all, 0), LONG);
    assert_eq!(clts(&all).cr0, LONG.cr0 | 6);
}

#[test]
fn cr4_combinations() {
    let cr4 = |old: &Regs, new, cr3| cr4_write(old, new, cr3, ALLOWED).map(|r| r.cr4);
    assert_eq!(cr4(&REAL, cr4::PGE, 0), Ok(cr4::PGE));
    assert_eq!(cr4(&REAL, cr4::VMXE, 0), Err(GP));
    assert_eq!(cr4(&REAL, 1 << 40, 0), Err(GP));
    assert_eq!(cr4(&LONG, 0, 0), Err(GP));
    assert_eq!(cr4(&READY, 0, 0), Ok(0), "LME alone does not hold PAE");
    assert_eq!(cr4(&LONG, cr4::PAE | cr4::PCIDE, 0x1000), Ok(cr4::PAE | cr4::PCIDE));
    for cr3 in [0x1001, 0x1008, 0x1800] {
        assert_eq!(cr4(&LONG, cr4::PAE | cr4::PCIDE, cr3), Err(GP));
    }
    assert_eq!(cr4(&READY, cr4::PAE | cr4::PCIDE, 0), Err(GP));
    let pcid = Regs { cr4: cr4::PAE | cr4::PCIDE, ..LONG };
    assert_eq!(cr4(&pcid, pcid.cr4 | cr4::PGE, 0x1008), Ok(pcid.cr4 | cr4::PGE), "PCIDE was set before");
}

#[test]
fn xcr0_combinations() {
    let all = 0xe7;
    for fine in [1, 3, 7, 0xe7] {
        assert_eq!(xcr0_write(0, fine, all, 0), Ok(fine));
        assert_eq!(xcr0_write(1, fine, all, 0), Err(GP));
        assert_eq!(xcr0_write(0, fine, all, 3), Err(GP));
    }
    for bad in [0, 2, 5, 6, 0x27, 0x67, 0xe3, 0xe6, 0xf, 0x207, 1 << 63 | 1] {
        assert_eq!(xcr0_write(0, bad, all, 0), Err(GP), "{bad:#x}");
    }
    assert_eq!(xcr0_write(0, 7, 3, 0), Err(GP));
    // MPX as a pair, and protection keys, need nothing but x87.
    let all = 0x2ff;
    for fine in [0x19, 0x1b, 0x1f, 0x201, 0x203, 0x207, 0x21b, 0x2e7, 0x2ff] {
        assert_eq!(xcr0_write(0, fine, all, 0), Ok(fine), "{fine:#x}");
    }
    for bad in [0x9, 0x11, 0x18, 0x200, 0x20b, 0x2ef, 0x2f7, 0x3ff] {
        assert_eq!(xcr0_write(0, bad, all, 0), Err(GP), "{bad:#x}");
    }
}

#[test]
fn pae_paging_is_neither_32_bit_nor_long() {
    let on = PROTECTED.cr0 | cr0::PG;
    assert!(uses_pae_paging(&Regs { cr0: on, cr4: cr4::PAE, efer: 0 }));
    assert!(!uses_pae_paging(&Regs { cr0: on, cr4: cr4::PSE, efer: 0 }));
    assert!(!uses_pae_paging(&LONG));
    assert!(!uses_pae_paging(&READY));
}

/// States a CPU can be in, and values near them.
fn regs() -> impl Strategy<Value = Regs> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(c0, c4, e)| {
        let pe = if c0 & cr0::PG != 0 { cr0::PE } else { 0 };
        let lme = if c4 & cr4::PAE != 0 { e & efer::LME } else { 0 };
        let lma = if c0 & cr0::PG != 0 && lme != 0 { efer::LMA } else { 0 };
        let no = if lma == 0 { cr4::PCIDE } else { 0 };
        Regs { cr0: c0 & CR0_BITS & !cr0::NW | pe | cr0::ET, cr4: c4 & ALLOWED & !no, efer: e & 0x801 | lme | lma }
    })
}

/// Mostly plausible values: `near` with a few bits turned over; else any.
fn value(near: u64, flips: [u8; 3], any: u64) -> u64 {
    if any.is_multiple_of(8) { any } else { flips.iter().fold(near, |v, f| v ^ 1 << (f % 33)) }
}

proptest! {
    #[test]
    fn cr0_is_accepted_as_the_manual_says(old in regs(), lme: bool, flips: [u8; 3], any: u64, base in 0usize..4, cs_long: bool) {
        // With paging off LME may stand without PAE.
        let old = if old.cr0 & cr0::PG == 0 && lme { Regs { efer: old.efer | efer::LME, ..old } } else { old };
        let near = [old.cr0, old.cr0 ^ cr0::PG, old.cr0 | cr0::PG | cr0::PE, old.cr0 & !cr0::PG];
        let new = value(near[base], flips, any);
        let bit = |v: u64, n: u32| v >> n & 1 == 1;
        let (was, is) = (bit(old.cr0, 31), bit(new, 31));
        let rules = [
            new > 0xffff_ffff,
            is && !bit(new, 0),
            bit(new, 29) && !bit(new, 30),
            !was && is && bit(old.efer, 8) && !bit(old.cr4, 5),
            !was && is && bit(old.efer, 8) && cs_long,
            was && !is && bit(old.efer, 10) && cs_long,
            was && !is && bit(old.cr4, 17),
        ];
        match cr0_write(&old, new, cs_long) {
            Err(fault) => {
                prop_assert_eq!(fault, GP);
                prop_assert!(rules.contains(&true));
            }
            Ok(regs) => {
                prop_assert!(!rules.contains(&true));
                for n in 0..64 {
                    let wanted = match n {
                        4 => true,
                        0..=3 | 5 | 16 | 18 | 29..=31 => bit(new, n),
                        _ => false,
                    };
                    prop_assert_eq!(bit(regs.cr0, n), wanted);
                }
                prop_assert_eq!(bit(regs.efer, 10), is && bit(old.efer, 8));
                prop_assert_eq!(regs.efer & !efer::LMA, old.efer & !efer::LMA);
                prop_assert_eq!(regs.cr4, old.cr4);
            }
        }
    }

    #[test]
    fn cr4_is_accepted_as_the_manual_says(old in regs(), flips: [u8; 3], any: u64, clean: bool, cr3: u64, allowed: u64) {
        let new = value(old.cr4 ^ if clean { cr4::PCIDE } else { 0 }, flips, any);
        let allowed = if clean { allowed | ALLOWED } else { allowed };
        let cr3 = if cr3.is_multiple_of(2) { cr3 & !0xfff } else { cr3 };
        let bit = |v: u64, n: u32| v >> n & 1 == 1;
        let bad = (0..64).any(|n| bit(new, n) && !bit(allowed, n))
            || (bit(old.efer, 10) && bit(old.cr4, 5) && !bit(new, 5))
            || (bit(new, 17) && !bit(old.cr4, 17) && !bit(old.efer, 10))
            || (bit(new, 17) && !bit(old.cr4, 17) && cr3 % 4096 != 0);
        let wanted = if bad { Err(GP) } else { Ok(Regs { cr4: new, ..old }) };
        prop_assert_eq!(cr4_write(&old, new, cr3, allowed), wanted);
    }

    #[test]
    fn xcr0_is_accepted_as_the_manual_says(index in 0u32..2, value in 0u64..0x400, high in 0u64..4, some: u64, cpl in 0u8..4) {
        let value = value | high.saturating_sub(2) << 62;
        let allowed = [3, 7, 0xe7, 0x2ff, some][(some % 5) as usize];
        let bit = |n: u32| value >> n & 1 == 1;
        let trio = [bit(5), bit(6), bit(7)];
        let bad = cpl > 0 || index > 0 || (0..64).any(|n| bit(n) && allowed >> n & 1 == 0) || !bit(0)
            || (bit(2) && !bit(1))
            || bit(3) != bit(4)
            || (trio.contains(&true) && (trio.contains(&false) || !bit(2)));
        prop_assert_eq!(xcr0_write(index, value, allowed, cpl), if bad { Err(GP) } else { Ok(value) });
    }

    #[test]
    fn a_write_keeps_the_state_one_that_a_cpu_can_be_in(old in regs(), new: u64, cs_long: bool, value16: u16) {
        let lma_follows = |r: &Regs| (r.efer & efer::LMA != 0) == (r.cr0 & cr0::PG != 0 && r.efer & efer::LME != 0);
        prop_assert!(lma_follows(&old));
        if let Ok(regs) = cr0_write(&old, new & 0xffff_ffff, cs_long) {
            prop_assert!(lma_follows(&regs));
            prop_assert!(regs.efer & efer::LMA == 0 || regs.cr4 & cr4::PAE != 0);
        }
        let l = lmsw(&old, value16);
        prop_assert_eq!(l.cr0 & !0xf, old.cr0 & !0xf);
        prop_assert_eq!(l.cr0 & 0xe, u64::from(value16) & 0xe);
        prop_assert_eq!(l.cr0 & 1, old.cr0 & 1 | u64::from(value16) & 1);
        prop_assert_eq!(clts(&old), Regs { cr0: old.cr0 & !8, ..old });
    }

    #[test]
    fn a_flush_follows_the_paging_bits_alone(old in regs(), new in regs(), at in 0u32..64) {
        prop_assert!(!flush_needed(&old, &old));
        prop_assert_eq!(flush_needed(&old, &new), flush_needed(&new, &old));
        let cr0_flip = Regs { cr0: old.cr0 ^ 1 << at, ..old };
        prop_assert_eq!(flush_needed(&old, &cr0_flip), [16, 31].contains(&at));
        let cr4_flip = Regs { cr4: old.cr4 ^ 1 << at, ..old };
        prop_assert_eq!(flush_needed(&old, &cr4_flip), [4, 5, 7, 17, 20, 21].contains(&at));
    }
}

#[test]
fn pdptes_are_loaded_where_paging_changes_only() {
    let pae = Regs { cr0: cr0::PE | cr0::PG, cr4: cr4::PAE, efer: 0 };
    let unpaged = Regs { cr0: cr0::PE, ..pae };
    assert!(loads_pdptes(&unpaged, &pae));
    assert!(loads_pdptes(&pae, &Regs { cr4: cr4::PAE | cr4::PGE, ..pae }));
    assert!(!loads_pdptes(&pae, &Regs { cr0: pae.cr0 | cr0::TS, ..pae }));
    assert!(!loads_pdptes(&pae, &unpaged));
    let long = Regs { efer: efer::LME | efer::LMA, ..pae };
    assert!(!loads_pdptes(&unpaged, &long));
}
