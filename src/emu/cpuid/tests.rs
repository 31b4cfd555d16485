//! Tests of the CPUID policy.

mod servers;

use super::*;
use crate::base::cpu::{cr4, efer};
use proptest::prelude::*;

const STILL: Dynamic = Dynamic { cr4_osxsave: false, cr4_pke: false, apic_off: false, xcr0: 1, apic_id: 0 };
const TERMS: Terms =
    Terms { hypercall: 1, clock: Clock { tsc_khz: 2_400_500 }, xsaves: false, arch_capabilities: u64::MAX };

/// A host that has everything; leaf 0xd as on a server with AVX-512.
fn rich(leaf: u32, subleaf: u32) -> Answer {
    match (leaf, subleaf) {
        (0, _) => [0x20, 0x756e_6547, 0x6c65_746e, 0x4965_6e69],
        (4, 0) => [0xfc1f_c121, 0x02c0_003f, 63, 0],
        (4, 1..) => [0, 5, 5, 5],
        (7, 0) => [2, u32::MAX, u32::MAX, u32::MAX],
        (0xd, 0) => [0x0006_02ff, 0, 0x2b00, 0],
        (0xd, 1) => [0x1f, 0x2000, 0x1900, 0],
        (0xd, 2) => [256, 576, 0, 0],
        (0xd, 3) => [64, 960, 0, 0],
        (0xd, 4) => [64, 1024, 0, 0],
        (0xd, 5) => [64, 1088, 0, 0],
        (0xd, 6) => [512, 1152, 0, 0],
        (0xd, 7) => [1024, 1664, 0, 0],
        (0xd, 9) => [8, 2688, 0, 0],
        (0x8000_0000, _) => [0x8000_0021, 1, 2, 3],
        (0x8000_0008, _) => [0x0030_392e, u32::MAX, u32::MAX, u32::MAX],
        _ => [u32::MAX; 4],
    }
}

/// What a guest must never see: leaf, subleaf, register (0 is EAX), bit. Written down apart from the rows.
const HIDDEN: &[(u32, u32, usize, &[u32])] = &[
    // DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, xTPR, PDCM, DCA.
    (1, 0, 2, &[2, 3, 4, 5, 6, 7, 8, 14, 15, 18]),
    // PSN, DS, ACPI, HTT, TM, PBE.
    (1, 0, 3, &[18, 21, 22, 28, 29, 31]),
    // All power management but ARAT.
    (6, 0, 0, &[0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 23]),
    // SGX, HLE, RTM, RDT-M, MPX, RDT-A, PT.
    (7, 0, 1, &[2, 4, 11, 12, 14, 15, 25]),
    // WAITPKG, CET_SS, TME, LA57, KL, bus lock detection, ENQCMD, SGX_LC, PKS.
    (7, 0, 2, &[5, 7, 13, 16, 23, 24, 29, 30, 31]),
    // UINTR, SRBDS_CTRL, RTM_ALWAYS_ABORT, TSX_FORCE_ABORT, HYBRID, TSXLDTRK, PCONFIG, LBR, CET_IBT, AMX,
    // CORE_CAPABILITIES.
    (7, 0, 3, &[5, 9, 11, 13, 15, 16, 18, 19, 20, 22, 24, 25, 30]),
    // LASS, FRED, LKGS, WRMSRNS, AMX-FP16, HRESET, LAM.
    (7, 1, 0, &[6, 17, 18, 19, 21, 22, 26]),
    // UIRET, CET_SSS, AVX10.
    (7, 1, 3, &[17, 18, 19]),
    // PT, PASID, CET, AMX.
    (0xd, 0, 0, &[8, 10, 11, 12, 17, 18]),
    // XFD.
    (0xd, 1, 0, &[4]),
    // CmpLegacy, SVM, ExtApic, OSVW, IBS, SKINIT, WDT, LWP, TCE, NodeId, TopoExt, perf counters, DBX, PTSC, MWAITX.
    (0x8000_0001, 0, 2, &[1, 2, 3, 9, 10, 12, 13, 15, 17, 19, 22, 23, 24, 26, 27, 28, 29]),
    // FFXSR.
    (0x8000_0001, 0, 3, &[25]),
    // IRPERF, INVLPGB, RDPRU, MCOMMIT, "always on" of IBRS and STIBP, VIRT_SSBD, CPPC, PSFD.
    (0x8000_0008, 0, 1, &[1, 3, 4, 8, 16, 17, 18, 19, 25, 27, 28]),
];

fn assert_hidden(p: &Policy, d: &Dynamic) {
    for (leaf, subleaf, register, bits) in HIDDEN {
        let answer = p.lookup(*leaf, *subleaf, d)[*register];
        for bit in *bits {
            assert_eq!(answer >> bit & 1, 0, "{leaf:#x}.{subleaf} register {register} bit {bit}");
        }
    }
    // MONITOR, PMU; RDT, SGX, PT; AMX, V2 topology and the rest above the maximum; SVM and the rest of AMD's.
    for leaf in [5, 0xa].into_iter().chain(0xe..0x15).chain(0x17..0x40).chain(0x8000_0009..0x8000_0030) {
        for subleaf in 0..4 {
            assert_eq!(p.lookup(leaf, subleaf, d), ZERO, "{leaf:#x}");
        }
    }
    for subleaf in [8].into_iter().chain(10..70) {
        assert_eq!(p.lookup(0xd, subleaf, d), ZERO);
    }
}

#[test]
fn a_rich_host() {
    let p = Policy::new(rich, &TERMS);
    assert_hidden(&p, &STILL);
    assert_eq!(p.lookup(0, 0, &STILL), [0x16, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]);
    assert_eq!(p.lookup(0x8000_0000, 0, &STILL), [0x8000_0008, 1, 2, 3]);
    assert_eq!(p.lookup(7, 0, &STILL)[0], 1);
    assert_eq!(p.lookup(7, 2, &STILL), ZERO);
    // Of power management only the invariant TSC.
    assert_eq!(p.lookup(0x8000_0007, 0, &STILL), [0, 0, 0, 0x100]);
    // No LA57: 48 linear bits; 46 physical ones as the host says, one core.
    assert_eq!(p.lookup(0x8000_0008, 0, &STILL)[0], 0x302e);
    assert_eq!(p.lookup(0x8000_0008, 0, &STILL)[2], 0);
    assert_eq!(p.physical_bits(), 46);
    // One core, one thread per cache; the list ends at the cache of type 0.
    assert_eq!(p.lookup(4, 0, &STILL), [0x121, 0x02c0_003f, 63, 0]);
    assert_eq!(p.lookup(4, 1, &STILL), ZERO);
    assert_eq!(p.lookup(4, u32::MAX, &STILL), ZERO);
    assert_eq!(p.efer_allowed(), efer::SCE | efer::LME | efer::LMA | efer::NXE);
    let never = cr4::LA57 | cr4::VMXE | cr4::SMXE | cr4::CET;
    assert_eq!(p.cr4_allowed(), 0x1f_ffff & !never & !(1 << 15) & !(1 << 19) | cr4::SMAP | cr4::PKE);
    assert_eq!((p.spec_ctrl_allowed(), p.has_pred_cmd(), p.has_flush_cmd(), p.has_tsc_adjust()), (7, true, true, true));
    assert_eq!(p.lookup(6, 0, &STILL), [4, 0, 0, 0]);
}

#[test]
fn the_vcpu_shows_in_leaf_1() {
    let p = Policy::new(rich, &TERMS);
    let d = Dynamic { cr4_osxsave: true, cr4_pke: true, apic_off: false, xcr0: 7, apic_id: 0x103 };
    assert_eq!(p.lookup(1, 0, &STILL)[1], 0x0001_ff00);
    assert_eq!(p.lookup(1, 0, &d)[1], 0x0301_ff00);
    assert_eq!(p.lookup(1, 0, &STILL)[2] & OSXSAVE, 0);
    assert_eq!(p.lookup(1, 0, &d)[2] & OSXSAVE, OSXSAVE);
    assert_ne!(p.lookup(1, 0, &d)[2] >> 31, 0, "a hypervisor is present");
    assert_eq!([p.lookup(7, 0, &STILL)[2] & OSPKE, p.lookup(7, 0, &d)[2] & OSPKE], [0, OSPKE]);
    // One thread, one core; the whole ID everywhere.
    assert_eq!(p.lookup(0xb, 0, &d), [0, 1, 0x100, 0x103]);
    assert_eq!(p.lookup(0xb, 1, &d), [0, 1, 0x201, 0x103]);
    assert_eq!(p.lookup(0xb, 2, &d), [0, 0, 2, 0x103]);
    assert_eq!(p.lookup(0xb, 0x1234, &d), [0, 0, 0x34, 0x103]);
}

#[test]
fn the_hypervisor_names_itself() {
    for hypercall in [1, 2] {
        let p = Policy::new(rich, &Terms { hypercall, ..TERMS });
        let [max, b, c, d] = p.lookup(0x4000_0000, 0, &STILL);
        assert_eq!(max, 0x4000_0010);
        assert_eq!([b, c, d].map(u32::to_le_bytes).concat(), b"hvhvhvhvhvhv");
        assert_eq!(p.lookup(0x4000_0001, 0, &STILL), [hypercall, 0, 0, 0]);
        assert_eq!(p.lookup(0x4000_0002, 0, &STILL), ZERO);
        assert_eq!(p.lookup(0x4000_0010, 0, &STILL), [2_400_500, 2_400_500, 0, 0]);
        assert_eq!(p.lookup(0x4000_0011, 0, &STILL), ZERO);
        assert_eq!(p.lookup(0x4000_0100, 0, &STILL), ZERO);
    }
}

#[test]
fn the_clocks_are_told_as_each_vendor_tells_them() {
    let p = Policy::new(rich, &TERMS);
    assert_eq!(p.lookup(0x15, 0, &STILL), [1, 1, 2_400_500_000, 0]);
    assert_eq!(p.lookup(0x16, 0, &STILL), [2401, 2401, 0, 0]);
    // 4.3 GHz do not fit; no clock is known.
    let at = |tsc_khz| Policy::new(rich, &Terms { clock: Clock { tsc_khz }, ..TERMS });
    assert_eq!(at(4_294_967).lookup(0x15, 0, &STILL), [1, 1, 4_294_967_000, 0]);
    assert_eq!(at(4_300_000).lookup(0x15, 0, &STILL), ZERO);
    assert_eq!(at(4_300_000).lookup(0x16, 0, &STILL), [4300, 4300, 0, 0]);
    assert_eq!([at(0).lookup(0x15, 0, &STILL), at(0).lookup(0x16, 0, &STILL)], [ZERO; 2]);
    assert_eq!(at(u32::MAX).lookup(0x16, 0, &STILL)[0], 0xffff);
    // An AMD CPU has neither leaf.
    let amd =
        |leaf, subleaf| if leaf == 0 { [0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65] } else { rich(leaf, subleaf) };
    let p = Policy::new(amd, &TERMS);
    assert_eq!((p.lookup(0, 0, &STILL)[0], p.is_intel()), (0xd, false));
    assert_eq!([p.lookup(0x15, 0, &STILL), p.lookup(0x16, 0, &STILL)], [ZERO; 2]);
}

#[test]
fn the_save_area_follows_xcr0() {
    let p = Policy::new(rich, &TERMS);
    assert_eq!(p.xcr0_allowed(), 0x2ff);
    // XCR0, standard size, compacted size: the SDM's formulas on the host's offsets, without gaps when compacted.
    let sizes = [
        (1, 576, 576),
        (3, 576, 576),
        (7, 832, 832),
        (0x1b, 1088, 704),
        (0xe7, 2688, 2432),
        (0x203, 2696, 584),
        (0x2e7, 2696, 2440),
        (0x2ff, 2696, 2568),
        (u64::MAX, 2696, 2568),
    ];
    for (xcr0, standard, compacted) in sizes {
        let d = Dynamic { xcr0, ..STILL };
        assert_eq!(p.lookup(0xd, 0, &d), [0x2ff, standard, 2696, 0], "{xcr0:#x}");
        assert_eq!(p.lookup(0xd, 1, &d), [7, compacted, 0, 0], "{xcr0:#x}");
    }
    assert_eq!(p.lookup(0xd, 2, &STILL), [256, 576, 0, 0]);
    assert_eq!(p.lookup(0xd, 9, &STILL), [8, 2688, 0, 0]);
    assert!(!p.has_xss());
    let p = Policy::new(rich, &Terms { xsaves: true, ..TERMS });
    assert_eq!(p.lookup(0xd, 1, &STILL), [0xf, 576, 0, 0]);
    assert!(p.has_xss());
}

#[test]
fn compacted_components_align_where_the_host_says() {
    let host = |leaf, subleaf| match (leaf, subleaf) {
        (0xd, 2) => [250, 576, 0, 0],
        (0xd, 6) => [512, 1152, 2, 0],
        _ => rich(leaf, subleaf),
    };
    let p = Policy::new(host, &TERMS);
    // 576 + 250 + 64 = 890, up to 896, + 512 + 1024.
    assert_eq!(p.lookup(0xd, 1, &Dynamic { xcr0: 0xe7, ..STILL })[1], 2432);
}

#[test]
fn without_state_there_is_no_feature() {
    let with =
        |states: u32| Policy::new(move |l, s| if (l, s) == (0xd, 0) { [states, 0, 0, 0] } else { rich(l, s) }, &TERMS);
    let p = with(0x6f);
    assert_eq!(p.xcr0_allowed(), 7, "neither half of MPX nor two thirds of AVX-512");
    assert_eq!((p.lookup(7, 0, &STILL)[2] & PKU, p.cr4_allowed() & cr4::PKE), (0, 0));
    let pke = Dynamic { cr4_pke: true, ..STILL };
    assert_eq!(p.lookup(7, 0, &pke)[2] & OSPKE, 0);
    assert_eq!(p.lookup(7, 0, &STILL)[1] & 1 << 16, 0, "AVX512F");
    assert_ne!(p.lookup(7, 0, &STILL)[1] & 1 << 5, 0, "AVX2");
    assert_eq!(p.lookup(0xd, 5, &STILL), ZERO);
    let p = with(0xe3);
    assert_eq!(p.xcr0_allowed(), 3);
    assert_eq!(p.lookup(1, 0, &STILL)[2] >> 28 & 1, 0, "AVX");
    let p = with(1);
    assert_eq!(p.xcr0_allowed(), 0);
    assert_eq!(p.cr4_allowed() & cr4::OSXSAVE, 0);
    assert_eq!(p.lookup(1, 0, &Dynamic { cr4_osxsave: true, ..STILL })[2] & (XSAVE | OSXSAVE), 0);
    assert_eq!(p.lookup(0xd, 1, &STILL), ZERO);
}

#[test]
fn what_an_old_host_lacks_is_not_read() {
    let old = |leaf, subleaf| match leaf {
        0 => [2, 0, 0, 0],
        0x8000_0000 => [0x8000_0004, 0, 0, 0],
        _ => rich(leaf, subleaf),
    };
    let p = Policy::new(old, &TERMS);
    for leaf in [3, 4, 7, 0xd, 0x8000_0005, 0x8000_0007] {
        assert_eq!(p.lookup(leaf, 0, &STILL), ZERO, "{leaf:#x}");
    }
    // The topology leaf is the hypervisor's own.
    assert_eq!(p.lookup(0, 0, &STILL)[0], 0xb);
    assert_eq!(p.physical_bits(), 36);
    // Leaf 7 without a subleaf 1, whatever stands there.
    let p = Policy::new(|l, s| if (l, s) == (7, 0) { [0, 1, 0, 0] } else { rich(l, s) }, &TERMS);
    assert_eq!([p.lookup(7, 0, &STILL), p.lookup(7, 1, &STILL)], [[0, 1, 0, 0], ZERO]);
    // No extended leaves at all: the host repeats its highest basic leaf.
    let p = Policy::new(|leaf, _| if leaf == 0 { [2, 0, 0, 0] } else { [0x00aa_aaaa, !0, !0, !0] }, &TERMS);
    assert_eq!(p.lookup(0x8000_0000, 0, &STILL), ZERO);
    assert_eq!(p.efer_allowed(), 0);
}

/// What the hypervisor may offer though the host lacks it: leaf, register, bits.
fn emulated(leaf: u32, register: usize, d: &Dynamic) -> u32 {
    match (leaf, register) {
        // Hypervisor, TSC deadline, x2APIC, and OSXSAVE, which mirrors CR4.
        (1, 2) => 1 << 31 | 1 << 24 | 1 << 21 | if d.cr4_osxsave { OSXSAVE } else { 0 },
        // APIC.
        (1, 3) => 1 << 9,
        // ARAT.
        (6, 0) => 1 << 2,
        (7, 2) if d.cr4_pke => OSPKE,
        _ => 0,
    }
}

/// Arbitrary but repeatable answers.
fn noise(seed: u64, leaf: u32, subleaf: u32) -> Answer {
    let mut x = seed ^ (u64::from(leaf) << 32 | u64::from(subleaf)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    core::array::from_fn(|_| {
        x = (x ^ x >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x94d0_49bb);
        (x >> 29) as u32
    })
}

proptest! {
    #[test]
    fn hidden_stays_hidden_on_any_host(
        seed: u64, ones in 0u8..3, low in 0u32..0x40, high in 0x7fff_fff0u32..0x8000_0040,
        osxsave: bool, pke: bool, intel: bool, xsaves: bool, xcr0: u64, apic_id: u32, tsc_khz: u32,
    ) {
        let host = |leaf, subleaf| match leaf {
            0 if intel => [low, 0x756e_6547, 0x6c65_746e, 0x4965_6e69],
            0 => [low, 1, 2, 3],
            0x8000_0000 => [high, 1, 2, 3],
            // All noise; noise that is mostly ones; only ones.
            _ => match ones {
                0 => noise(seed, leaf, subleaf),
                1 => core::array::from_fn(|i| noise(seed, leaf, subleaf)[i] | noise(!seed, leaf, subleaf)[i]),
                _ => [u32::MAX; 4],
            },
        };
        let p = Policy::new(host, &Terms { xsaves, clock: Clock { tsc_khz }, ..TERMS });
        let d = Dynamic { cr4_osxsave: osxsave, cr4_pke: pke, apic_off: false, xcr0, apic_id };
        assert_hidden(&p, &d);
        let most = if intel { 0x16 } else { 0xd };
        prop_assert!((0xb..=most).contains(&p.lookup(0, 0, &d)[0]));
        prop_assert!(p.lookup(0x8000_0000, 0, &d)[0] <= 0x8000_0008);
        prop_assert_eq!(p.xcr0_allowed() & !0x2ff, 0);
        let all = p.xcr0_allowed();
        prop_assert!(all == 0 || crate::emu::control::xcr0_write(0, all, all, 0).is_ok());
        prop_assert!(p.physical_bits() <= 52);
        // No feature is there that the host lacks and the hypervisor does not make.
        let features: [(u32, u32, &[usize]); 9] = [
            (1, 0, &[2, 3]), (6, 0, &[0, 1, 2, 3]), (7, 0, &[1, 2, 3]), (7, 1, &[0, 1, 2, 3]), (0xd, 0, &[0, 3]),
            (0xd, 1, &[0, 2, 3]), (0x8000_0001, 0, &[1, 2, 3]), (0x8000_0007, 0, &[0, 1, 2, 3]),
            (0x8000_0008, 0, &[1, 2, 3]),
        ];
        for (leaf, subleaf, registers) in features {
            let (guest, real) = (p.lookup(leaf, subleaf, &d), host(leaf, subleaf));
            for register in registers {
                let own = emulated(leaf, *register, &d);
                let more = guest[*register] & !real[*register] & !own;
                prop_assert_eq!(more, 0, "{:#x}.{} register {}", leaf, subleaf, register);
            }
        }
        prop_assert!(low == 0 || p.lookup(1, 0, &d)[2] & (1 << 21 | 1 << 24) == 1 << 21 | 1 << 24);
        prop_assert!(xsaves || !p.has_xss());
        prop_assert!(p.lookup(7, 0, &d)[2] & (PKU | OSPKE) == 0 || p.xcr0_allowed() >> 9 & 1 == 1);
        prop_assert_eq!(p.cr4_allowed() & cr4::PKE != 0, p.lookup(7, 0, &d)[2] & PKU != 0);
        prop_assert!(p.lookup(1, 0, &d)[2] & OSXSAVE == 0 || (osxsave && p.xcr0_allowed() & 3 == 3));
        // The control registers permit what is offered.
        prop_assert_eq!(p.cr4_allowed() & cr4::SMEP != 0, p.lookup(7, 0, &d)[1] >> 7 & 1 != 0);
        prop_assert_eq!(p.cr4_allowed() & cr4::OSXSAVE != 0, p.xcr0_allowed() != 0);
        prop_assert_eq!(p.efer_allowed() & !(efer::SCE | efer::LME | efer::LMA | efer::NXE), 0);
    }

    #[test]
    fn any_question_has_an_answer(leaf: u32, subleaf: u32) {
        let p = Policy::new(rich, &TERMS);
        let known = leaf <= 0x16
            || (0x4000_0000..=0x4000_0010).contains(&leaf)
            || (0x8000_0000..=0x8000_0008).contains(&leaf);
        let answer = p.lookup(leaf, subleaf, &STILL);
        prop_assert!(known || answer == ZERO);
    }
}

#[test]
fn the_apic_flag_goes_with_the_apic() {
    let policy = Policy::new(rich, &Terms::default());
    let flag = |apic_off| policy.lookup(1, 0, &Dynamic { apic_off, ..STILL })[3] & APIC;
    assert_eq!((flag(false), flag(true)), (APIC, 0));
}
