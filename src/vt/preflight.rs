//! The preflight: what the CPU offers, and if it is not enough, which one thing is missing and what to do about it.
//!
//! Pure: CPUID and MSRs come in through a [`Probe`], so each cause has a test that needs no such machine.

use core::fmt;

use arrayvec::{ArrayString, ArrayVec};
use raw_cpuid::{CpuId, CpuIdResult, FeatureInfo};
use x86::msr;

use super::speculation::Plan;
use super::svm::caps::SvmCaps;
use super::vmx::caps::{VmxCaps, secondary};
use super::vmx::controls::{Controls, Refused};

/// How the preflight asks the CPU.
pub trait Probe {
    /// CPUID: EAX, EBX, ECX, EDX.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];
    /// RDMSR; `None` where it raises #GP.
    fn rdmsr(&self, msr: u32) -> Option<u64>;
}

/// VM_CR (APM 2 "VM_CR MSR").
const VM_CR: u32 = 0xc001_0114;
/// SVM cannot be enabled while this bit of VM_CR is set.
const VM_CR_SVMDIS: u64 = 1 << 4;
/// VM_CR.SVMDIS can be cleared only with the key, or not at all.
const VM_CR_LOCK: u64 = 1 << 3;

/// IA32_FEATURE_CONTROL: locked until reset.
const FEATURE_CONTROL_LOCK: u64 = 1 << 0;
/// IA32_FEATURE_CONTROL: VMXON is allowed outside SMX operation.
const FEATURE_CONTROL_VMX: u64 = 1 << 2;

/// Why this machine can't run guests. Its `Display` is the sentence for the user: what is missing, and what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Neither VMX nor SVM in CPUID, on bare hardware.
    NoVirtualization,
    /// Neither VMX nor SVM in CPUID, and a hypervisor (with this signature) is below us.
    NotNested(ArrayString<12>),
    /// IA32_FEATURE_CONTROL is locked without VMX.
    VmxLockedOff,
    /// VM_CR.SVMDIS is set.
    SvmDisabled {
        /// Whether VM_CR.LOCK is set too.
        locked: bool,
    },
    /// VMX without EPT (or without what this hypervisor needs of it).
    NoEpt,
    /// SVM without nested paging.
    NoNestedPaging,
    /// VMX with EPT but without "unrestricted guest".
    NoUnrestrictedGuest,
    /// Some control bit that must be settable is not: the word and the bits.
    Controls(Refused),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVirtualization => {
                f.write_str("this CPU has neither Intel VT-x nor AMD-V: use a machine whose CPU has one of them")
            }
            Self::NotNested(name) => write!(
                f,
                "running under a hypervisor ({}) that does not nest, it offers neither VT-x nor AMD-V: \
                 enable nested virtualization there (KVM: `nested=1` and `-cpu host`), or start on the bare machine",
                if name.is_empty() { "unnamed" } else { name.as_str() }
            ),
            Self::VmxLockedOff => f.write_str(
                "VT-x is disabled by the firmware (IA32_FEATURE_CONTROL is locked without VMX): \
                 enable \"Intel Virtualization Technology\" in the firmware setup and power-cycle the machine",
            ),
            Self::SvmDisabled { locked } => write!(
                f,
                "AMD-V is disabled by the firmware (VM_CR.SVMDIS is set{}): \
                 enable \"SVM mode\" in the firmware setup and power-cycle the machine",
                if *locked { " and locked" } else { "" }
            ),
            Self::NoEpt => f.write_str(
                "VT-x is there, but without EPT (extended page tables): use an Intel CPU of 2010 or later (Westmere on)",
            ),
            Self::NoNestedPaging => f.write_str(
                "AMD-V is there, but without nested paging: use an AMD CPU of 2007 or later (Barcelona on), \
                 or let the hypervisor below offer it (QEMU: `-cpu ...,+npt`)",
            ),
            Self::NoUnrestrictedGuest => f.write_str(
                "VT-x and EPT are there, but not \"unrestricted guest\", which real-mode guests need: \
                 use an Intel CPU of 2010 or later (Westmere on)",
            ),
            Self::Controls(r) => write!(f, "this CPU's VMX does not allow {r}: please report the CPU model"),
        }
    }
}

/// Which instruction set the machine runs guests with, and what it can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capable {
    /// Intel VT-x.
    Vmx(VmxCaps),
    /// AMD-V.
    Svm(SvmCaps),
}

/// What IA32_FEATURE_CONTROL allows (SDM 3C "Enabling and Entering VMX Operation").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FeatureControl {
    /// Locked with VMX on, or absent: nothing to do.
    Ready,
    /// Not locked: this value must be written, on every core.
    Write(u64),
    /// Locked with VMX off.
    LockedOff,
}

impl FeatureControl {
    /// Judges the MSR's value.
    pub const fn judge(value: Option<u64>) -> Self {
        match value {
            None => Self::Ready,
            Some(v) if v & FEATURE_CONTROL_LOCK == 0 => Self::Write(v | FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK),
            Some(v) if v & FEATURE_CONTROL_VMX == 0 => Self::LockedOff,
            Some(_) => Self::Ready,
        }
    }
}

/// How a feature matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Without it the hypervisor can't run guests.
    Required,
    /// Used where it is there.
    Used,
    /// Not used yet; shown so that a reader knows what the CPU has.
    Unused,
}

impl Need {
    /// A word for the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "needed",
            Self::Used => "used",
            Self::Unused => "not used yet",
        }
    }
}

/// One row of the feature table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Feature {
    /// Its name in the manual.
    pub name: &'static str,
    /// How it matters.
    pub need: Need,
    /// Whether the CPU has it.
    pub present: bool,
}

/// The feature table of a vendor's CPU.
pub type Features = ArrayVec<Feature, 24>;

/// What the preflight found out about the CPU.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// CPUID's vendor string.
    pub vendor: ArrayString<12>,
    /// CPUID's brand string, empty where there is none.
    pub brand: ArrayString<48>,
    /// Family, model, stepping, extended fields included.
    pub signature: (u8, u8, u8),
    /// The microcode's revision, where the CPU tells.
    pub microcode: Option<u32>,
    /// The signature of the hypervisor below us, if one says that it is there.
    pub below: Option<ArrayString<12>>,
    /// The features that guests run with.
    pub features: Features,
    /// What is done about speculation.
    pub speculation: Plan,
    /// Can it run guests, and with what.
    pub verdict: Result<Capable, Refusal>,
}

/// Examines the CPU that `probe` asks. It changes nothing.
pub fn examine(probe: &impl Probe) -> Cpu {
    let id = CpuId::with_cpuid_fn(|leaf, subleaf| {
        let [eax, ebx, ecx, edx] = probe.cpuid(leaf, subleaf);
        CpuIdResult { eax, ebx, ecx, edx }
    });
    let info = id.get_feature_info();
    let has = |f: fn(&FeatureInfo) -> bool| info.as_ref().is_some_and(f);
    let vmx = has(|f| f.has_vmx());
    let svm = id.get_extended_processor_and_feature_identifiers().is_some_and(|f| f.has_svm());
    let below = has(|f| f.has_hypervisor()).then(|| {
        let [_, b, c, d] = probe.cpuid(0x4000_0000, 0);
        let mut bytes = [0; 12];
        for (to, from) in bytes.chunks_exact_mut(4).zip([b, c, d]) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        text(&bytes)
    });
    let mut features = Features::new();
    let verdict = match (vmx, svm) {
        (true, _) => examine_vmx(probe, &mut features),
        (false, true) => examine_svm(probe, &mut features),
        (false, false) => Err(below.map_or(Refusal::NoVirtualization, Refusal::NotNested)),
    };
    let vendor = id.get_vendor_info().map_or(ArrayString::new(), |v| text(v.as_str().as_bytes()));
    Cpu {
        microcode: microcode(probe, &vendor),
        vendor,
        brand: id.get_processor_brand_string().map_or(ArrayString::new(), |b| text(b.as_str().as_bytes())),
        signature: info.map_or((0, 0, 0), |f| (f.family_id(), f.model_id(), f.stepping_id())),
        below,
        features,
        speculation: Plan::of(probe),
        verdict,
    }
}

/// Printable ASCII only: CPUID strings come from whoever is below us.
fn text<const N: usize>(bytes: &[u8]) -> ArrayString<N> {
    let printable = bytes.iter().filter(|b| b.is_ascii_graphic() || **b == b' ');
    let mut out = ArrayString::new();
    for b in printable.skip_while(|b| **b == b' ') {
        if out.try_push(char::from(*b)).is_err() {
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// IA32_BIOS_SIGN_ID has it in its upper half on Intel (CPUID has put it there), in its lower half on AMD.
fn microcode(probe: &impl Probe, vendor: &str) -> Option<u32> {
    let value = probe.rdmsr(msr::IA32_BIOS_SIGN_ID)?;
    let revision = if vendor == "GenuineIntel" { value >> 32 } else { value } as u32;
    (revision != 0).then_some(revision)
}

fn examine_vmx(probe: &impl Probe, rows: &mut Features) -> Result<Capable, Refusal> {
    let caps = VmxCaps::read(|m| probe.rdmsr(m).unwrap_or(0));
    let primary = |bit: u32| caps.primary >> (32 + bit) & 1 != 0;
    let secondary = |bit: u32| caps.has_secondary(1 << bit);
    rows.extend([
        Feature { name: "EPT, 4 levels, write-back", need: Need::Required, present: caps.ept_usable() },
        Feature { name: "unrestricted guest", need: Need::Required, present: caps.unrestricted_guest() },
        Feature { name: "I/O and MSR bitmaps", need: Need::Required, present: primary(25) && primary(28) },
        Feature { name: "INVEPT", need: Need::Required, present: caps.invept().is_some() },
        Feature { name: "VPID with INVVPID", need: Need::Used, present: caps.invvpid().is_some() },
        Feature { name: "EPT 2 MiB pages", need: Need::Used, present: caps.ept_2m() },
        Feature { name: "EPT 1 GiB pages", need: Need::Unused, present: caps.ept_1g() },
        Feature { name: "EPT accessed and dirty flags", need: Need::Used, present: caps.ept_accessed_dirty() },
        Feature { name: "true controls", need: Need::Used, present: caps.basic >> 55 & 1 != 0 },
        Feature { name: "virtual NMIs", need: Need::Required, present: caps.pin >> 37 & 1 != 0 },
        Feature { name: "XSAVES", need: Need::Used, present: caps.has_secondary(secondary::XSAVES) },
        Feature { name: "RDTSCP", need: Need::Used, present: caps.has_secondary(secondary::RDTSCP) },
        Feature { name: "INVPCID", need: Need::Used, present: secondary(12) },
        Feature { name: "preemption timer", need: Need::Used, present: caps.pin >> 38 & 1 != 0 },
        Feature { name: "TPR shadow", need: Need::Used, present: primary(21) },
        Feature { name: "APIC-access page", need: Need::Used, present: secondary(0) && secondary(4) },
        Feature { name: "APIC-register virtualization", need: Need::Used, present: secondary(8) },
        Feature { name: "virtual-interrupt delivery", need: Need::Used, present: secondary(9) },
        Feature { name: "posted interrupts", need: Need::Unused, present: caps.pin >> 39 & 1 != 0 },
        Feature { name: "page-modification log", need: Need::Unused, present: secondary(17) },
        Feature { name: "TSC scaling", need: Need::Unused, present: secondary(25) },
    ]);
    if FeatureControl::judge(probe.rdmsr(msr::IA32_FEATURE_CONTROL)) == FeatureControl::LockedOff {
        return Err(Refusal::VmxLockedOff);
    }
    if !caps.ept_usable() || caps.invept().is_none() {
        return Err(Refusal::NoEpt);
    }
    if !caps.unrestricted_guest() {
        return Err(Refusal::NoUnrestrictedGuest);
    }
    Controls::new(&caps).map_err(Refusal::Controls)?;
    Ok(Capable::Vmx(caps))
}

fn examine_svm(probe: &impl Probe, rows: &mut Features) -> Result<Capable, Refusal> {
    let caps = SvmCaps::read(|l, s| probe.cpuid(l, s));
    rows.extend([
        Feature { name: "nested paging", need: Need::Required, present: caps.nested_paging() },
        Feature { name: "next-RIP save", need: Need::Used, present: caps.next_rip() },
        Feature { name: "VMCB clean bits", need: Need::Used, present: caps.clean_bits() },
        Feature { name: "flush by ASID", need: Need::Used, present: caps.flush_by_asid() },
        Feature { name: "decode assists", need: Need::Unused, present: caps.decode_assists() },
        Feature { name: "TSC ratio", need: Need::Unused, present: caps.tsc_scaling() },
        Feature { name: "virtual GIF", need: Need::Unused, present: caps.virtual_gif() },
        Feature { name: "AVIC", need: Need::Unused, present: caps.avic() },
    ]);
    let vm_cr = probe.rdmsr(VM_CR).unwrap_or(0);
    if vm_cr & VM_CR_SVMDIS != 0 {
        return Err(Refusal::SvmDisabled { locked: vm_cr & VM_CR_LOCK != 0 });
    }
    if !caps.nested_paging() {
        return Err(Refusal::NoNestedPaging);
    }
    Ok(Capable::Svm(caps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::string::{String, ToString};

    #[derive(Default, Clone)]
    struct Fake {
        cpuid: BTreeMap<u32, [u32; 4]>,
        msrs: BTreeMap<u32, u64>,
    }
    impl Probe for Fake {
        fn cpuid(&self, leaf: u32, _: u32) -> [u32; 4] {
            self.cpuid.get(&leaf).copied().unwrap_or_default()
        }
        fn rdmsr(&self, msr: u32) -> Option<u64> {
            self.msrs.get(&msr).copied()
        }
    }

    fn words(s: &[u8; 12]) -> [u32; 3] {
        [0, 4, 8].map(|i| u32::from_le_bytes([s[i], s[i + 1], s[i + 2], s[i + 3]]))
    }

    fn intel() -> Fake {
        let [b, d, c] = words(b"GenuineIntel");
        let mut f = Fake::default();
        f.cpuid.insert(0, [1, b, c, d]);
        f.cpuid.insert(1, [0x000506e3, 0, 1 << 5, 0]);
        let all = u64::from(u32::MAX) << 32;
        f.msrs.extend([
            (msr::IA32_FEATURE_CONTROL, FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX),
            (msr::IA32_VMX_BASIC, 1 << 55 | 4),
            (msr::IA32_VMX_TRUE_PINBASED_CTLS, all | 0x16),
            (msr::IA32_VMX_TRUE_PROCBASED_CTLS, all | 0x0400_6172),
            (msr::IA32_VMX_PROCBASED_CTLS2, all),
            (msr::IA32_VMX_TRUE_EXIT_CTLS, all | 0x3_6dfb),
            (msr::IA32_VMX_TRUE_ENTRY_CTLS, all | 0x11fb),
            (msr::IA32_VMX_EPT_VPID_CAP, 0x0f01_0673_4141),
            (msr::IA32_BIOS_SIGN_ID, 0xf0 << 32),
        ]);
        f
    }

    fn amd() -> Fake {
        let [b, d, c] = words(b"AuthenticAMD");
        let mut f = Fake::default();
        f.cpuid.insert(0, [1, b, c, d]);
        f.cpuid.insert(1, [0x00800f12, 0, 0, 0]);
        f.cpuid.insert(0x8000_0000, [0x8000_000a, b, c, d]);
        f.cpuid.insert(0x8000_0001, [0, 0, 1 << 2, 0]);
        f.cpuid.insert(0x8000_000a, [1, 16, 0, 0x69]);
        f
    }

    fn refusal(f: &Fake) -> String {
        examine(f).verdict.unwrap_err().to_string()
    }

    #[test]
    fn good_machines_pass() {
        let cpu = examine(&intel());
        assert!(matches!(cpu.verdict, Ok(Capable::Vmx(_))), "{:?}", cpu.verdict);
        assert_eq!((cpu.vendor.as_str(), cpu.microcode, cpu.signature), ("GenuineIntel", Some(0xf0), (6, 0x5e, 3)));
        let cpu = examine(&amd());
        assert!(matches!(cpu.verdict, Ok(Capable::Svm(c)) if c.next_rip() && c.asids == 16));
    }

    #[test]
    fn neither_vendor() {
        let mut f = intel();
        f.cpuid.insert(1, [0x000506e3, 0, 0, 0]);
        assert!(refusal(&f).starts_with("this CPU has neither"));
        let [b, c, d] = words(b"TCGTCGTCGTCG");
        f.cpuid.insert(1, [0x000506e3, 0, 1 << 31, 0]);
        f.cpuid.insert(0x4000_0000, [0x4000_0000, b, c, d]);
        assert!(refusal(&f).starts_with("running under a hypervisor (TCGTCGTCGTCG) that does not nest"));
    }

    #[test]
    fn disabled_in_firmware() {
        let mut f = intel();
        f.msrs.insert(msr::IA32_FEATURE_CONTROL, FEATURE_CONTROL_LOCK);
        assert!(refusal(&f).starts_with("VT-x is disabled by the firmware"));
        let mut f = amd();
        f.msrs.insert(VM_CR, VM_CR_SVMDIS | VM_CR_LOCK);
        assert!(refusal(&f).starts_with("AMD-V is disabled by the firmware (VM_CR.SVMDIS is set and locked)"));
    }

    #[test]
    fn an_unlocked_feature_control_is_set_and_locked() {
        assert_eq!(FeatureControl::judge(Some(0)), FeatureControl::Write(5));
        assert_eq!(FeatureControl::judge(Some(1 << 18)), FeatureControl::Write(1 << 18 | 5));
        assert_eq!(FeatureControl::judge(Some(5)), FeatureControl::Ready);
        assert_eq!(FeatureControl::judge(Some(3)), FeatureControl::LockedOff);
        assert_eq!(FeatureControl::judge(None), FeatureControl::Ready);
        let mut f = intel();
        f.msrs.insert(msr::IA32_FEATURE_CONTROL, 0);
        assert!(examine(&f).verdict.is_ok());
    }

    #[test]
    fn missing_parts_are_told_apart() {
        let secondary = |bits: u64| {
            let mut f = intel();
            f.msrs.insert(msr::IA32_VMX_PROCBASED_CTLS2, bits << 32);
            refusal(&f)
        };
        let all = u64::from(u32::MAX);
        assert!(secondary(0).contains("without EPT"));
        assert!(secondary(all & !2).contains("without EPT"));
        assert!(secondary(all & !(1 << 7)).contains("unrestricted guest"));
        assert!(secondary(all & !(1 << 6)).contains("secondary processor-based controls, bit 6 cannot be 1"));
        let mut f = amd();
        f.cpuid.insert(0x8000_000a, [1, 16, 0, 0x68]);
        assert!(refusal(&f).contains("without nested paging"));
    }
}
