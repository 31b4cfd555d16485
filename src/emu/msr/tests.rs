//! Tests of the MSR policy.

use super::*;
use crate::base::cpu::efer;
use crate::emu::cpuid::{Clock, Terms};
use proptest::prelude::*;

const RULES: Rules =
    Rules { efer_allowed: efer::SCE | efer::LME | efer::LMA | efer::NXE, efer_now: efer::LME, paging: false };
/// MSRs of a VM on a host whose leaf 7 has this EDX, and everything else where `all`.
fn on(vendor: &[u8; 12], edx7: u32, all: bool) -> Msrs {
    let name = |i: usize| u32::from_le_bytes(vendor[i..i + 4].try_into().unwrap());
    let most = if all { u32::MAX } else { 0 };
    let host = |leaf, subleaf| match (leaf, subleaf) {
        (0, _) => [0x16, name(0), name(8), name(4)],
        (7, 0) => [0, most, most, edx7],
        (0xd, 0) => [0x2ff, 0, 0, 0],
        (0x8000_0000, _) => [0x8000_0008, 0, 0, 0],
        (0x8000_0008, _) => [0x302e, most, 0, 0],
        _ => [most; 4],
    };
    let clock = Clock { tsc_khz: 2_400_000 };
    Msrs::new(&Policy::new(host, &Terms { hypercall: 1, clock, xsaves: all, arch_capabilities: u64::MAX }))
}

/// On a host that has everything.
fn rich() -> Msrs {
    on(b"GenuineIntel", u32::MAX, true)
}

/// On a host that has nothing.
fn poor() -> Msrs {
    on(b"AuthenticAMD", 0, false)
}

/// All eight write-back.
const WB: u64 = 0x0606_0606_0606_0606;

#[test]
fn open_ones_are_listed_and_do_not_end_here() {
    let all = [0x174, 0x175, 0x176, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084];
    let bases = [0xc000_0100, 0xc000_0101, 0xc000_0102, 0xc000_0103];
    assert!(OPEN.iter().eq(all.iter().chain(&bases)));
    let mut m = rich();
    for msr in OPEN {
        assert_eq!(m.read(*msr), Read::Gp);
    }
    assert_eq!((m.unknown(), m.last_unknown()), (OPEN.len() as u64, Some(0xc000_0103)));
}

#[test]
fn live_ones_name_what_is_wanted() {
    let mut m = rich();
    assert_eq!([m.read(0xc000_0080), m.read(0x277), m.read(0x10)], [Read::Efer, Read::Pat, Read::Tsc]);
    assert_eq!(m.write(0x10, 77, &RULES), Write::SetTsc(77));
    assert_eq!(m.unknown(), 0);
}

#[test]
fn fixed_ones() {
    let mut m = rich();
    for (msr, value) in [(0x17, 0), (0xfe, 0x508), (0x179, 4), (0x17a, 0), (0x1a0, 0x1801), (0x1d9, 0), (0x198, 0)] {
        assert_eq!(m.read(msr), Read::Value(value), "{msr:#x}");
    }
    let Read::Value(revision) = m.read(0x8b) else { panic!() };
    assert!(revision >> 32 != 0 && revision as u32 != 0);
    let writes = [
        (0x17, 0, Write::Gp),
        (0x1d9, 0, Write::Done),
        (0x1d9, 2, Write::Gp),
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
    let mut m = poor();
    assert_eq!(m.last_unknown(), None);
    // What the poor host's CPUID does not offer: TSC_ADJUST, SPEC_CTRL, FEATURE_CONTROL, PRED_CMD, PLATFORM_INFO,
    // ARCH_CAPABILITIES, FLUSH_CMD, XSS; and what no guest has: SMI_COUNT, PMC0, MCG_CTL, LBR, MC4_CTL, BNDCFGS, OSVW,
    // VM_HSAVE_PA, LS_CFG.
    let optional = [0x3b, 0x48, 0x3a, 0x49, 0xce, 0x10a, 0x10b, 0xda0];
    let never = [0x34, 0xc1, 0x17b, 0x1c9, 0x410, 0xd90, 0xc001_0140, 0xc001_0117, 0xc001_1020];
    for (n, msr) in optional.into_iter().chain(never).enumerate() {
        assert_eq!(m.read(msr), Read::Gp);
        assert_eq!(m.write(msr, 0, &RULES), Write::Gp);
        assert_eq!((m.unknown(), m.last_unknown()), (2 * n as u64 + 2, Some(msr)));
    }
}

#[test]
fn what_cpuid_offers_is_there() {
    let mut m = rich();
    let reads = [
        (0x3a, Read::Value(1)),
        (0x3b, Read::TscAdjust),
        (0x48, Read::SpecCtrl),
        (0x49, Read::Gp),
        (0xce, Read::Value(24 << 8)),
        (0x10b, Read::Gp),
        (0xda0, Read::Value(0)),
        (0x1b, Read::ApicBase),
        (0x6e0, Read::TscDeadline),
        (0x800, Read::Apic),
        (0x8ff, Read::Apic),
    ];
    for (msr, wanted) in reads {
        assert_eq!(m.read(msr), wanted, "{msr:#x}");
    }
    // TSX_CTRL, MCU_CONTROL, DOITM, XAPIC_DISABLE, GDS_CTRL and the like name MSRs.
    let Read::Value(capabilities) = m.read(0x10a) else { panic!() };
    assert_eq!(capabilities & (1 << 7 | 0xf << 9 | 1 << 18 | 7 << 21 | 1 << 25 | 1 << 63), 0);
    assert_eq!(capabilities & 0x17f, 0x17f);
    let writes = [
        (0x3a, 1, Write::Gp),
        (0x3b, 77, Write::SetTscAdjust(77)),
        (0x48, 7, Write::SetSpecCtrl(7)),
        (0x48, 8, Write::Gp),
        (0x49, 0, Write::Done),
        (0x49, 1, Write::PredCmd(1)),
        (0x49, 2, Write::Gp),
        (0xce, 0, Write::Gp),
        (0x10a, 0, Write::Gp),
        (0x10b, 1, Write::FlushCmd),
        (0x10b, 3, Write::Gp),
        (0xda0, 0, Write::Done),
        (0xda0, 1 << 8, Write::Gp),
        (0x1b, 0xfee0_0d00, Write::SetApicBase(0xfee0_0d00)),
        // 46 bits of address; reserved bits below.
        (0x1b, 0x3fff_fee0_0800, Write::SetApicBase(0x3fff_fee0_0800)),
        (0x1b, 0x4000_0000_0800, Write::Gp),
        (0x1b, 0xfee0_0a00, Write::Gp),
        (0x1b, 0xfee0_0801, Write::Gp),
        (0x6e0, u64::MAX, Write::SetTscDeadline(u64::MAX)),
        (0x80b, 0, Write::Apic),
        (0x8ff, u64::MAX, Write::Apic),
    ];
    for (msr, value, wanted) in writes {
        assert_eq!(m.write(msr, value, &RULES), wanted, "{msr:#x} {value:#x}");
    }
    assert_eq!(m.unknown(), 0);
    assert_eq!((m.read(0x7ff), m.read(0x900), m.unknown()), (Read::Gp, Read::Gp, 2));
}

#[test]
fn speculation_controls_by_their_bits() {
    // IBRS brings the STIBP bit; STIBP or SSBD alone brings its own.
    for (edx7, allowed) in [(1 << 26, 3), (1 << 27, 2), (1 << 31, 4), (1 << 26 | 1 << 31, 7)] {
        let mut m = on(b"GenuineIntel", edx7, false);
        for value in 0..16 {
            let wanted = if value & !allowed == 0 { Write::SetSpecCtrl(value) } else { Write::Gp };
            assert_eq!(m.write(0x48, value, &RULES), wanted);
        }
        let wanted = if edx7 >> 26 & 1 != 0 { Write::PredCmd(1) } else { Write::Gp };
        assert_eq!(m.write(0x49, 1, &RULES), wanted);
    }
}

#[test]
fn machine_check_banks_hold_no_error() {
    let mut m = rich();
    for bank in 0..4 {
        let control = 0x400 + 4 * bank;
        assert_eq!(m.write(control, u64::MAX, &RULES), Write::Done);
        assert_eq!(m.read(control), Read::Value(u64::MAX));
        for msr in control + 1..control + 4 {
            assert_eq!(m.read(msr), Read::Value(0));
            assert_eq!([m.write(msr, 0, &RULES), m.write(msr, 1, &RULES)], [Write::Done, Write::Gp]);
        }
    }
}

#[test]
fn mtrrs() {
    let mut m = rich();
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
    let mut m = rich();
    assert_eq!(m.write(0x1a0, 1 << 34, &RULES), Write::Gp);
    assert_eq!(m.write(0x1a0, 1 << 22, &RULES), Write::Gp);
    assert_eq!(m.write(0x1a0, 1 << 18, &RULES), Write::Done);
    assert_eq!(m.read(0x1a0), Read::Value(0x1800));
}

#[test]
fn data_registers_do_not_share_a_slot() {
    let mut m = rich();
    let amd = [0x10, 0x15, 0x1a, 0x1d, 0x1f, 0x55, 0x58, 0x1021, 0x1022, 0x1023, 0x1028, 0x1029, 0x102a];
    let mtrrs = (0x200..0x210).chain([0x250, 0x258, 0x259]).chain(0x268..0x270);
    let banks = [0x400, 0x404, 0x408, 0x40c];
    let all: std::vec::Vec<u32> = mtrrs.chain(banks).chain(amd.map(|msr| 0xc001_0000 + msr)).collect();
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
    let mut m = rich();
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
        match rich().write(EFER, value, &rules) {
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
    fn any_host_any_msr(
        words in prop::array::uniform4(any::<u32>()), intel: bool, xsaves: bool, arch_capabilities: u64,
        msr in prop_oneof![0x17u32..0x50, 0xc0u32..0x110, 0x7f0u32..0x910, 0xda0u32..0xda1, any::<u32>()], value: u64,
    ) {
        let vendor = if intel { [0x16, 0x756e_6547, 0x6c65_746e, 0x4965_6e69] } else { [0x10, 0, 0, 0] };
        let host = |leaf, _| match leaf {
            0 => vendor,
            0x8000_0000 => [0x8000_0008, 0, 0, 0],
            _ => words,
        };
        let policy = Policy::new(host, &Terms { xsaves, arch_capabilities, ..Terms::default() });
        let mut m = Msrs::new(&policy);
        let (read, write) = (m.read(msr), m.write(msr, value, &RULES));
        // Nothing that CPUID does not offer is asked of the hypervisor.
        let [_, ebx7, _, edx7] = policy.lookup(7, 0, &Default::default());
        prop_assert!(read != Read::SpecCtrl || policy.spec_ctrl_allowed() != 0);
        prop_assert!(read != Read::TscAdjust || ebx7 >> 1 & 1 == 1);
        prop_assert!(write != Write::FlushCmd || edx7 >> 28 & 1 == 1);
        prop_assert!(!matches!(write, Write::PredCmd(_)) || policy.has_pred_cmd());
        prop_assert!(msr != 0x10a || (read != Read::Gp) == (edx7 >> 29 & 1 == 1));
        prop_assert_eq!(read == Read::Apic, (0x800..=0x8ff).contains(&msr));
    }

    #[test]
    fn pat_is_accepted_as_the_manual_says(mut bytes in prop::array::uniform8(0u8..8), at in 0usize..8, any: u8) {
        bytes[at] = any;
        let value = u64::from_le_bytes(bytes);
        let fine = bytes.iter().all(|b| [0, 1, 4, 5, 6, 7].contains(b));
        let wanted = if fine { Write::SetPat(value) } else { Write::Gp };
        prop_assert_eq!(rich().write(PAT, value, &RULES), wanted);
    }

    #[test]
    fn a_value_that_was_taken_is_read_back(
        msr in prop_oneof![
            0x1feu32..0x212, 0x24fu32..0x301, 0x3feu32..0x412, 0xc001_0000u32..0xc001_0064, any::<u32>()
        ],
        value in prop_oneof![Just(0), Just(WB), Just(0x806), any::<u64>()],
    ) {
        let mut m = rich();
        let before = m.read(msr);
        match m.write(msr, value, &RULES) {
            Write::Done if ![0x49, 0x10b, 0x79, 0x8b, 0x1a0].contains(&msr) => {
                prop_assert_eq!(m.read(msr), Read::Value(value));
            }
            _ => prop_assert_eq!(m.read(msr), before),
        }
    }
}
