//! Tests of the MSR policy.

use super::*;
use crate::base::cpu::efer;
use proptest::prelude::*;

const RULES: Rules =
    Rules { efer_allowed: efer::SCE | efer::LME | efer::LMA | efer::NXE, efer_now: efer::LME, paging: false };
/// All eight write-back.
const WB: u64 = 0x0606_0606_0606_0606;

#[test]
fn open_ones_are_listed_and_do_not_end_here() {
    let all = [0x174, 0x175, 0x176, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084];
    let bases = [0xc000_0100, 0xc000_0101, 0xc000_0102, 0xc000_0103];
    assert!(OPEN.iter().eq(all.iter().chain(&bases)));
    let mut m = Msrs::new();
    for msr in OPEN {
        assert_eq!(m.read(*msr), Read::Gp);
    }
    assert_eq!((m.unknown(), m.last_unknown()), (OPEN.len() as u64, Some(0xc000_0103)));
}

#[test]
fn live_ones_name_what_is_wanted() {
    let mut m = Msrs::new();
    assert_eq!([m.read(0xc000_0080), m.read(0x277), m.read(0x10)], [Read::Efer, Read::Pat, Read::Tsc]);
    assert_eq!(m.write(0x10, 77, &RULES), Write::SetTsc(77));
    assert_eq!(m.unknown(), 0);
}

#[test]
fn fixed_ones() {
    let mut m = Msrs::new();
    for (msr, value) in [(0x17, 0), (0x1b, 0xfee0_0900), (0xfe, 0x508), (0x179, 0), (0x17a, 0), (0x1a0, 0x1801)] {
        assert_eq!(m.read(msr), Read::Value(value), "{msr:#x}");
    }
    let Read::Value(revision) = m.read(0x8b) else { panic!() };
    assert!(revision >> 32 != 0 && revision as u32 != 0);
    let writes = [
        (0x17, 0, Write::Gp),
        (0x1b, 0xfee0_0900, Write::Done),
        (0x1b, 0xfee0_0100, Write::Gp),
        (0x8b, 0, Write::Done),
        (0x8b, 1, Write::Gp),
        (0xfe, 0x508, Write::Gp),
        (0x179, 0, Write::Gp),
        (0x17a, 0, Write::Done),
        (0x17a, 1, Write::Gp),
        (0x79, 0x1234, Write::Done),
    ];
    for (msr, value, wanted) in writes {
        assert_eq!(m.write(msr, value, &RULES), wanted, "{msr:#x} {value:#x}");
    }
    assert_eq!(m.read(0x79), Read::Gp);
    assert_eq!(m.read(0x8b), Read::Value(revision));
    assert_eq!(m.unknown(), 0);
}

#[test]
fn unknown_ones_are_counted() {
    let mut m = Msrs::new();
    assert_eq!(m.last_unknown(), None);
    // TSC_ADJUST, SPEC_CTRL, FEATURE_CONTROL, PMC0, TSC_DEADLINE, x2APIC ID, XSS, VM_HSAVE_PA.
    for (n, msr) in [0x3b, 0x48, 0x3a, 0xc1, 0x6e0, 0x802, 0xda0, 0xc001_0117].into_iter().enumerate() {
        assert_eq!(m.read(msr), Read::Gp);
        assert_eq!(m.write(msr, 0, &RULES), Write::Gp);
        assert_eq!((m.unknown(), m.last_unknown()), (2 * n as u64 + 2, Some(msr)));
    }
}

#[test]
fn mtrrs() {
    let mut m = Msrs::new();
    let cases = [
        (0x200, 0x8000_0006, true),
        (0x200, 0x8000_0002, false),
        (0x200, 0x8000_0106, false),
        (0x200, 1 << 52, false),
        (0x20f, 0xf_ffff_8000_0800, true),
        (0x20f, 0xf_ffff_8000_0801, false),
        (0x250, WB, true),
        (0x259, 0x0605_0401_0006_0606, true),
        (0x26f, 0x0606_0606_0606_0607, false),
        (0x268, 0x0206_0606_0606_0606, false),
        (0x2ff, 0xc06, true),
        (0x2ff, 0xc03, false),
        (0x2ff, 0x1c06, false),
    ];
    assert_eq!(m.read(0x2ff), Read::Value(0x806));
    for (msr, value, fine) in cases {
        let before = m.read(msr);
        assert_eq!(m.write(msr, value, &RULES), if fine { Write::Done } else { Write::Gp }, "{msr:#x} {value:#x}");
        assert_eq!(m.read(msr), if fine { Read::Value(value) } else { before });
    }
    for msr in [0x1ff, 0x210, 0x24f, 0x251, 0x257, 0x25a, 0x267, 0x270, 0x2fe, 0x300] {
        assert_eq!(m.read(msr), Read::Gp, "{msr:#x}");
    }
}

#[test]
fn misc_enable_keeps_execute_disable() {
    let mut m = Msrs::new();
    assert_eq!(m.write(0x1a0, 1 << 34, &RULES), Write::Gp);
    assert_eq!(m.write(0x1a0, 1 << 22, &RULES), Write::Gp);
    assert_eq!(m.write(0x1a0, 1 << 18, &RULES), Write::Done);
    assert_eq!(m.read(0x1a0), Read::Value(0x1800));
}

#[test]
fn data_registers_do_not_share_a_slot() {
    let mut m = Msrs::new();
    let amd = [0xc001_0010, 0xc001_0015, 0xc001_001f, 0xc001_1029];
    let mtrrs = (0x200..0x210).chain([0x250, 0x258, 0x259]).chain(0x268..0x270);
    let all: std::vec::Vec<u32> = mtrrs.chain(amd).collect();
    // Different ones that each register takes: an address, or a memory type of 0 or 1 in each byte.
    let value = |i: usize| match i {
        0..16 => (i as u64 + 1) << 12,
        _ => u64::from_le_bytes(core::array::from_fn(|byte| (i >> byte & 1) as u8)),
    };
    for (i, msr) in all.iter().enumerate() {
        assert_eq!(m.write(*msr, value(i), &RULES), Write::Done, "{msr:#x} {:#x}", value(i));
    }
    for (i, msr) in all.iter().enumerate() {
        assert_eq!(m.read(*msr), Read::Value(value(i)), "{msr:#x}");
    }
    assert_eq!([m.read(0x2ff), m.read(0x1a0)], [Read::Value(0x806), Read::Value(0x1801)]);
}

#[test]
fn efer_as_linux_writes_it() {
    let mut m = Msrs::new();
    let long = efer::LME | efer::LMA;
    let on = Rules { efer_now: long, paging: true, ..RULES };
    // Written back with SCE and NXE, LMA as read.
    assert_eq!(m.write(EFER, long | efer::SCE, &on), Write::SetEfer(long | efer::SCE));
    // LMA is the CPU's.
    assert_eq!(m.write(EFER, efer::LME | efer::NXE, &on), Write::SetEfer(long | efer::NXE));
    assert_eq!(m.write(EFER, long, &RULES), Write::SetEfer(efer::LME));
    // LME is stuck while paging.
    assert_eq!(m.write(EFER, efer::LMA, &on), Write::Gp);
    assert_eq!(m.write(EFER, 0, &RULES), Write::SetEfer(0));
    assert_eq!(m.write(EFER, efer::LME | efer::SVME, &RULES), Write::Gp);
}

proptest! {
    #[test]
    fn efer_is_accepted_as_the_manual_says(value: u64, dense: u64, allowed: u64, lme: bool, paging: bool, others: u64) {
        // Mostly bits that exist, sometimes any.
        let value = if dense % 4 == 0 { value } else { value & 0x1d01 };
        let allowed = allowed & 0xd01;
        let now = others & 0x801 | if lme { efer::LME } else { 0 } | if lme && paging { efer::LMA } else { 0 };
        let rules = Rules { efer_allowed: allowed, efer_now: now, paging };
        let mut bad = false;
        for bit in 0..64 {
            bad |= value >> bit & 1 == 1 && allowed >> bit & 1 == 0;
        }
        bad |= paging && (value & 0x100 == 0x100) != lme;
        match Msrs::new().write(EFER, value, &rules) {
            Write::Gp => prop_assert!(bad),
            Write::SetEfer(new) => {
                prop_assert!(!bad);
                prop_assert_eq!(new & !efer::LMA, value & !efer::LMA);
                prop_assert_eq!(new & efer::LMA, now & efer::LMA);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn pat_is_accepted_as_the_manual_says(mut bytes in prop::array::uniform8(0u8..8), at in 0usize..8, any: u8) {
        bytes[at] = any;
        let value = u64::from_le_bytes(bytes);
        let fine = bytes.iter().all(|b| [0, 1, 4, 5, 6, 7].contains(b));
        let wanted = if fine { Write::SetPat(value) } else { Write::Gp };
        prop_assert_eq!(Msrs::new().write(PAT, value, &RULES), wanted);
    }

    #[test]
    fn a_value_that_was_taken_is_read_back(msr in prop_oneof![0x1feu32..0x212, 0x24fu32..0x301, any::<u32>()], value in prop_oneof![Just(0), Just(WB), Just(0x806), any::<u64>()]) {
        let mut m = Msrs::new();
        let before = m.read(msr);
        match m.write(msr, value, &RULES) {
            Write::Done if msr != 0x79 && msr != 0x8b && msr != 0x1a0 => prop_assert_eq!(m.read(msr), Read::Value(value)),
            _ => prop_assert_eq!(m.read(msr), before),
        }
    }
}
