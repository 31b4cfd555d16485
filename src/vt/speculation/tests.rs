use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What CPUs say of themselves, as recorded.
#[derive(Default, Clone, Debug)]
struct Told {
    cpuid: BTreeMap<u32, [u32; 4]>,
    capabilities: Option<u64>,
}

impl Probe for Told {
    fn cpuid(&self, leaf: u32, _: u32) -> [u32; 4] {
        self.cpuid.get(&leaf).copied().unwrap_or_default()
    }
    fn rdmsr(&self, msr: u32) -> Option<u64> {
        (msr == IA32_ARCH_CAPABILITIES).then_some(self.capabilities).flatten()
    }
}

fn cpu(vendor: &[u8; 12], last: u32, signature: u32) -> Told {
    let word = |at: usize| u32::from_le_bytes(vendor[at..at + 4].try_into().unwrap());
    let mut told = Told::default();
    told.cpuid.insert(0, [last, word(0), word(8), word(4)]);
    told.cpuid.insert(1, [signature, 0, 0, 0]);
    told
}

fn intel(signature: u32, ebx7: u32, edx7: u32, capabilities: Option<u64>) -> Told {
    let mut told = cpu(b"GenuineIntel", 0x16, signature);
    told.cpuid.insert(7, [0, ebx7, 0, edx7]);
    told.capabilities = capabilities;
    told
}

fn amd(signature: u32, ebx8: u32) -> Told {
    let mut told = cpu(b"AuthenticAMD", 0xd, signature);
    told.cpuid.insert(0x8000_0000, [0x8000_001f, 0, 0, 0]);
    told.cpuid.insert(0x8000_0008, [0x3030, ebx8, 0, 0]);
    told
}

const RTM: u32 = 1 << 11;
const MD_CLEAR: u32 = 1 << 10;
/// IBRS with IBPB, STIBP, L1D_FLUSH, SSBD.
const MICROCODE_2018: u32 = 1 << 26 | 1 << 27 | 1 << 28 | 1 << 31;
const ARCH_CAPABILITIES: u32 = 1 << 29;

#[test]
fn skylake_with_and_without_microcode() {
    let plan = Plan::of(&intel(0x0005_06e3, RTM, 0, None));
    let expected = Plan { l1d: L1d::Software, mds: Buffers::NoMicrocode, taa: Buffers::NoMicrocode, ..Plan::NOTHING };
    assert_eq!(plan, expected);
    assert!(!plan.verw());

    let plan = Plan::of(&intel(0x0005_06e3, RTM, MICROCODE_2018 | MD_CLEAR, None));
    let expected = Plan {
        l1d: L1d::Command,
        mds: Buffers::Verw,
        taa: Buffers::Verw,
        ibpb: true,
        spec_ctrl: true,
        ..Plan::NOTHING
    };
    assert_eq!(plan, expected);
    assert!(plan.verw());
}

#[test]
fn cascade_lake_has_taa_only() {
    // RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, MDS_NO.
    let plan = Plan::of(&intel(0x0005_0657, RTM, MICROCODE_2018 | MD_CLEAR | ARCH_CAPABILITIES, Some(0x2b)));
    let expected = Plan { taa: Buffers::Verw, ibpb: true, spec_ctrl: true, ..Plan::NOTHING };
    assert_eq!(plan, expected);
    // With TSX off, and where TAA_NO is told, it has nothing.
    assert!(!Plan::of(&intel(0x0005_0657, 0, MICROCODE_2018 | MD_CLEAR | ARCH_CAPABILITIES, Some(0x2b))).verw());
    assert!(!Plan::of(&intel(0x0005_065b, RTM, MICROCODE_2018 | MD_CLEAR | ARCH_CAPABILITIES, Some(0x12b))).verw());
}

#[test]
fn gracemont_has_rfds_only() {
    let plan = Plan::of(&intel(0x000b_06e0, 0, MICROCODE_2018 | MD_CLEAR | ARCH_CAPABILITIES, Some(0x1000_016b)));
    assert_eq!(
        (plan.l1d, plan.mds, plan.rfds, plan.verw()),
        (L1d::NotAffected, Buffers::NotAffected, Buffers::Verw, true)
    );
    assert!(plan.lines(L1dFlush::Auto).contains(&("RFDS", "buffers cleared by VERW before each entry")));
}

#[test]
fn old_atoms_do_not_have_what_they_do_not_deny() {
    let silvermont = Plan::of(&intel(0x0003_0678, 0, MICROCODE_2018 | MD_CLEAR, None));
    assert_eq!((silvermont.l1d, silvermont.mds), (L1d::NotAffected, Buffers::Verw));
    let goldmont = Plan::of(&intel(0x0005_06c9, 0, MICROCODE_2018, None));
    assert_eq!((goldmont.l1d, goldmont.mds), (L1d::NotAffected, Buffers::NotAffected));
}

#[test]
fn penryn_is_asked_nothing_that_it_does_not_know() {
    // A CPU answers leaves that it does not have with those of its last one.
    let mut told = cpu(b"GenuineIntel", 0xa, 0x0001_067a);
    told.cpuid.insert(0xb, [u32::MAX; 4]);
    told.cpuid.insert(0x8000_0000, [0x8000_0004, 0, 0, 0]);
    told.cpuid.insert(0x8000_0008, [u32::MAX; 4]);
    let expected = Plan { l1d: L1d::Software, mds: Buffers::NoMicrocode, ..Plan::NOTHING };
    assert_eq!(Plan::of(&told), expected);
}

#[test]
fn a_hypervisor_below_may_flush() {
    // Skylake in a guest of KVM: SKIP_L1DFL_VMENTRY alone.
    let plan = Plan::of(&intel(0x0005_06e3, 0, MICROCODE_2018 | MD_CLEAR | ARCH_CAPABILITIES, Some(1 << 3)));
    assert_eq!((plan.l1d, plan.mds), (L1d::Below, Buffers::Verw));
    assert!(!plan.flushes(L1dFlush::Always));
    // The bit in CPUID without the MSR: nothing is told.
    let plan = Plan::of(&intel(0x0005_06e3, 0, MICROCODE_2018 | ARCH_CAPABILITIES, None));
    assert_eq!(plan.l1d, L1d::Command);
}

#[test]
fn amd_has_predictors_only() {
    // Zen without and with microcode: IBPB; Zen 2: IBPB, IBRS, STIBP, SSBD.
    assert_eq!(Plan::of(&amd(0x0080_0f12, 0)), Plan::NOTHING);
    assert_eq!(Plan::of(&amd(0x0080_0f12, 1 << 12)), Plan { ibpb: true, ..Plan::NOTHING });
    let zen2 = Plan::of(&amd(0x0083_0f10, 1 << 12 | 1 << 14 | 1 << 15 | 1 << 24));
    assert_eq!(zen2, Plan { ibpb: true, spec_ctrl: true, ..Plan::NOTHING });
    for when in [L1dFlush::Auto, L1dFlush::Always, L1dFlush::Never] {
        assert!(!zen2.flushes(when));
        assert_eq!(zen2.lines(when).first(), Some(&("L1TF", "not affected")));
    }
}

#[test]
fn threads_are_told_where_they_matter() {
    let told = |capabilities| {
        let mut told = intel(0x0005_06e3, 0, MICROCODE_2018 | MD_CLEAR | ARCH_CAPABILITIES, Some(capabilities));
        told.cpuid.insert(0xb, [1, 2, 0x100, 0]);
        Plan::of(&told)
    };
    let names = |plan: Plan| plan.lines(L1dFlush::Auto).iter().any(|(weakness, _)| *weakness == "threads");
    assert!(told(0).siblings && names(told(0)));
    assert!(told(0x2b).siblings && !names(told(0x2b)));
}

#[test]
fn the_option_is_told() {
    let plan = Plan::of(&intel(0x0005_06e3, 0, 0, None));
    let line = |when| plan.lines(when).first().map(|(_, what)| *what).unwrap();
    assert!(line(L1dFlush::Auto).contains("64 KiB when a core takes a guest"));
    assert!(line(L1dFlush::Always).contains("64 KiB before each entry"));
    assert!(line(L1dFlush::Never).contains("not flushed"));
    assert!(plan.flushes(L1dFlush::Auto) && plan.flushes(L1dFlush::Always) && !plan.flushes(L1dFlush::Never));
}

proptest! {
    #[test]
    fn whatever_a_cpu_says_there_is_a_plan_in_words(
        leaves in prop::collection::btree_map(
            prop::sample::select(std::vec![0, 1, 7, 0xb, 0x8000_0000_u32, 0x8000_0008]), any::<[u32; 4]>(), 0..7),
        intel_says in any::<bool>(),
        capabilities in prop::option::of(any::<u64>()),
    ) {
        let mut told = cpu(b"GenuineIntel", 0x20, 0x0005_06e3);
        told.cpuid.extend(leaves.iter().filter(|(leaf, _)| !intel_says || **leaf > 0));
        told.capabilities = capabilities;
        let plan = Plan::of(&told);
        for when in [L1dFlush::Auto, L1dFlush::Always, L1dFlush::Never] {
            prop_assert!(plan.lines(when).iter().all(|(weakness, what)| !weakness.is_empty() && !what.is_empty()));
            prop_assert!(when != L1dFlush::Never || !plan.flushes(when));
        }
    }
}
