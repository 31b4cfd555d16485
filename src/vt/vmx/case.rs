//! A VMCS with what is known of its CPU: what the rules of VM entry are judged on.

#[cfg(test)]
mod tests;

use crate::vt::doctor::rule::Peril;
use arrayvec::ArrayVec;
use core::fmt;

use super::caps::VmxCaps;
use super::dump;
use super::lab;
use super::rules;
use super::state::F;
use crate::vt::doctor::{Patient, Rule, State};

/// What an entry depends on besides the VMCS: the capability MSRs and CPUID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VmxCpu {
    /// The VMX capability MSRs.
    pub caps: VmxCaps,
    /// Physical-address bits (MAXPHYADDR; CPUID 8000_0008:EAX\[7:0\]).
    pub phys_bits: u32,
    /// Linear-address bits (CPUID 8000_0008:EAX\[15:8\]): 48, or 57 with 5-level paging.
    pub linear_bits: u32,
    /// EFER bits that the CPU has.
    pub efer: u64,
    /// IA32_DEBUGCTL bits that the CPU has.
    pub debugctl: u64,
    /// IA32_PERF_GLOBAL_CTRL bits that the CPU has (CPUID leaf 0xA).
    pub perf_global: u64,
    /// Whether the CPU is in IA-32e mode outside the guest (IA32_EFER.LMA at the time of VM entry).
    pub ia32e: bool,
    /// Whether the CPU has Intel SGX, whose enclaves the interruptibility state knows.
    pub sgx: bool,
    /// Whether the CPU has RTM, which the pending debug exceptions know.
    pub rtm: bool,
    /// Whether the CPU detects bus locks, which the pending debug exceptions know.
    pub bus_lock: bool,
}

/// EN_PERF_METRICS of IA32_PERF_GLOBAL_CTRL: allowed always, as an MSR (IA32_PERF_CAPABILITIES) says whether the CPU has
/// it.
const PERF_METRICS: u64 = 1 << 48;

impl Default for VmxCpu {
    fn default() -> Self {
        Self {
            caps: VmxCaps::default(),
            phys_bits: 52,
            linear_bits: 48,
            efer: 0xd01,
            debugctl: 0xffc3,
            perf_global: PERF_METRICS | 0x7_0000_00ff,
            ia32e: true,
            sgx: false,
            rtm: false,
            bus_lock: false,
        }
    }
}

impl VmxCpu {
    /// What CPUID says of this CPU, through `cpuid(leaf, subleaf)`, with the capability MSRs read before. It is taken to run
    /// in IA-32e mode.
    pub fn read(caps: &VmxCaps, mut cpuid: impl FnMut(u32, u32) -> [u32; 4]) -> Self {
        let bit = |value: u32, bit: u32| value >> bit & 1 != 0;
        let [most, ..] = cpuid(0, 0);
        let [most_extended, ..] = cpuid(0x8000_0000, 0);
        let [_, _, _, extended_edx] = cpuid(0x8000_0001, 0);
        let sizes = if most_extended >= 0x8000_0008 { cpuid(0x8000_0008, 0)[0] } else { 0x3024 };
        let [_, leaf7_b, leaf7_c, leaf7_d] = if most >= 7 { cpuid(7, 0) } else { [0; 4] };
        let [counters, _, fixed_mask, fixed] = if most >= 0xa { cpuid(0xa, 0) } else { [0; 4] };
        let ones = |n: u32| (1_u64 << n.min(31)) - 1;
        // A fixed counter is there by its number or by its bit; the bits came with version 5. Leaf 0x23 has bits for
        // both kinds.
        let fixed_mask = if counters & 0xff >= 5 { fixed_mask } else { 0 };
        let has_masks = most >= 0x23 && bit(cpuid(0x23, 0)[0], 1);
        let [general_more, fixed_more, ..] = if has_masks { cpuid(0x23, 1) } else { [0; 4] };
        let general = ones(counters >> 8 & 0xff) | u64::from(general_more);
        let fixed = ones(fixed & 0x1f) | u64::from((fixed_mask | fixed_more) & 0xffff);
        let (bus_lock, rtm) = (bit(leaf7_c, 24), bit(leaf7_b, 11));
        // RTM_ALWAYS_ABORT: transactions are off, and the bit for debugging them stays.
        let debug_rtm = rtm || bit(leaf7_d, 11);
        Self {
            caps: *caps,
            phys_bits: sizes & 0xff,
            linear_bits: sizes >> 8 & 0xff,
            efer: 0x500 | u64::from(bit(extended_edx, 11)) | u64::from(bit(extended_edx, 20)) << 11,
            debugctl: 0x7fc3 | u64::from(debug_rtm) << 15 | u64::from(bus_lock) << 2,
            perf_global: general | fixed << 32 | PERF_METRICS,
            ia32e: true,
            sgx: bit(leaf7_b, 2),
            rtm,
            bus_lock,
        }
    }
}

/// An entry of an MSR area (SDM 3C "VM-Entry Controls for MSRs").
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MsrEntry {
    /// The MSR: bits 31:0.
    pub index: u32,
    /// Bits 63:32: must be 0.
    pub reserved: u32,
    /// Its value.
    pub value: u64,
}

/// How the VMCS is entered.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Launch {
    /// It is not known, or does not matter: a dump does not say.
    #[default]
    Unknown,
    /// By VMLAUNCH.
    Vmlaunch,
    /// By VMRESUME.
    Vmresume,
}

/// What the rules look at in memory that fields point to. `None` where it is not known.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pointed {
    /// The first word of the VMCS that the link pointer refers to: the revision identifier in 30:0, the shadow indicator in 31.
    pub link_revision: Option<u32>,
    /// VTPR: the byte at offset 0x80 of the virtual-APIC page.
    pub virtual_tpr: Option<u8>,
    /// The page-directory-pointer-table entries that the guest's CR3 points to, where PAE paging is used without EPT.
    pub pdptes: Option<[u64; 4]>,
}

/// A VMCS with what is known of its CPU.
#[derive(Clone, Debug)]
pub struct VmxCase {
    /// The VMCS.
    pub state: State<F>,
    /// The CPU.
    pub cpu: VmxCpu,
    /// Its VM-entry MSR-load area, as far as it is known.
    pub entry_msrs: ArrayVec<MsrEntry, 16>,
    /// Memory that its fields point to.
    pub pointed: Pointed,
    /// Whether Intel PT traces at the time of VM entry (IA32_RTIT_CTL.TraceEn).
    pub tracing: bool,
    /// How it is entered.
    pub launch: Launch,
    /// Whether it is launched already (VMLAUNCH succeeded since its last VMCLEAR).
    pub launched: bool,
    /// Whether the instruction is in the shadow of a MOV to SS.
    pub after_mov_ss: bool,
    /// Whether the CPU is in system-management mode, as an SMM-transfer monitor is.
    pub in_smm: bool,
    /// HPA of this VMCS, of the VMXON region; 0 where it is not known.
    pub vmcs: u64,
    #[allow(missing_docs)]
    pub vmxon: u64,
}

impl VmxCase {
    /// A case about which nothing is known but the fields and the CPU.
    pub fn new(state: State<F>, cpu: VmxCpu) -> Self {
        Self {
            state,
            cpu,
            entry_msrs: ArrayVec::new(),
            pointed: Pointed::default(),
            tracing: false,
            launch: Launch::Unknown,
            launched: false,
            after_mov_ss: false,
            in_smm: false,
            vmcs: 0,
            vmxon: 0,
        }
    }

    /// A field's value, 0 where it is absent.
    pub fn get(&self, field: F) -> u64 {
        self.state.get(field)
    }

    /// Whether all of these bits of a field are set.
    pub fn all(&self, field: F, bits: u64) -> bool {
        self.get(field) & bits == bits
    }
}

impl Patient for VmxCase {
    type Field = F;
    const VENDOR: &'static str = "vmx";

    fn state(&self) -> &State<F> {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State<F> {
        &mut self.state
    }

    fn rules() -> impl Iterator<Item = &'static Rule<F, Self>> {
        rules::ALL.iter().flat_map(|group| group.iter())
    }

    fn take_answer(&mut self, after: &Self) {
        for field in [F::InstructionError, F::ExitReason, F::Qualification] {
            self.state.set(field, after.get(field));
        }
        (self.launch, self.launched, self.after_mov_ss) = (after.launch, after.launched, after.after_mov_ss);
    }

    fn is_untouched(field: F) -> bool {
        field.read_only() || lab::is_untouched(field)
    }

    fn is_hazard(&self, field: F, value: u64) -> bool {
        lab::is_hazard(field, self.get(field), value)
    }

    fn perils() -> &'static [Peril<Self>] {
        &[]
    }

    fn dump(&self, core: u32, mut out: &mut dyn fmt::Write) -> fmt::Result {
        dump::write_on(self, core, &mut out)
    }

    fn groups() -> &'static [(&'static str, &'static [F])] {
        GROUPS
    }
}

/// The fields in groups for people.
const GROUPS: &[(&str, &[F])] = &[
    ("guest registers", &[F::Cr0, F::Cr3, F::Cr4, F::Efer, F::Rip, F::Rsp, F::Rflags, F::Dr7, F::Debugctl, F::Pat]),
    (
        "guest segments",
        &[
            F::CsSelector,
            F::CsRights,
            F::CsLimit,
            F::CsBase,
            F::SsSelector,
            F::SsRights,
            F::SsLimit,
            F::SsBase,
            F::DsSelector,
            F::DsRights,
            F::DsLimit,
            F::DsBase,
            F::EsSelector,
            F::EsRights,
            F::EsLimit,
            F::EsBase,
            F::FsSelector,
            F::FsRights,
            F::FsLimit,
            F::FsBase,
            F::GsSelector,
            F::GsRights,
            F::GsLimit,
            F::GsBase,
            F::LdtrSelector,
            F::LdtrRights,
            F::LdtrLimit,
            F::LdtrBase,
            F::TrSelector,
            F::TrRights,
            F::TrLimit,
            F::TrBase,
            F::GdtrBase,
            F::GdtrLimit,
            F::IdtrBase,
            F::IdtrLimit,
        ],
    ),
    (
        "guest non-register state",
        &[
            F::Activity,
            F::Interruptibility,
            F::PendingDebug,
            F::LinkPointer,
            F::Pdpte0,
            F::Pdpte1,
            F::Pdpte2,
            F::Pdpte3,
            F::SysenterCs,
            F::SysenterEsp,
            F::SysenterEip,
        ],
    ),
    (
        "controls",
        &[
            F::PinBased,
            F::Primary,
            F::Secondary,
            F::TertiaryControls,
            F::ExitControls,
            F::EntryControls,
            F::ExceptionBitmap,
            F::Cr0Mask,
            F::Cr0Shadow,
            F::Cr4Mask,
            F::Cr4Shadow,
            F::Cr3TargetCount,
            F::IoBitmapA,
            F::IoBitmapB,
            F::MsrBitmaps,
            F::Eptp,
            F::Vpid,
            F::TscOffset,
            F::VirtualApicAddress,
            F::ApicAccessAddress,
            F::TprThreshold,
            F::EntryInfo,
            F::EntryErrorCode,
            F::EntryInstructionLength,
            F::EntryMsrLoadCount,
            F::EntryMsrLoadAddress,
            F::ExitMsrLoadCount,
            F::ExitMsrLoadAddress,
            F::ExitMsrStoreCount,
            F::ExitMsrStoreAddress,
        ],
    ),
    (
        "host",
        &[
            F::HostCr0,
            F::HostCr3,
            F::HostCr4,
            F::HostEfer,
            F::HostPat,
            F::HostRip,
            F::HostRsp,
            F::HostCsSelector,
            F::HostSsSelector,
            F::HostDsSelector,
            F::HostEsSelector,
            F::HostFsSelector,
            F::HostGsSelector,
            F::HostTrSelector,
            F::HostFsBase,
            F::HostGsBase,
            F::HostTrBase,
            F::HostGdtrBase,
            F::HostIdtrBase,
            F::HostSysenterCs,
            F::HostSysenterEsp,
            F::HostSysenterEip,
        ],
    ),
    (
        "last exit",
        &[
            F::ExitReason,
            F::Qualification,
            F::GuestPhysicalAddress,
            F::GuestLinearAddress,
            F::ExitInfo,
            F::ExitErrorCode,
            F::VectoringInfo,
            F::VectoringErrorCode,
            F::InstructionLength,
            F::InstructionInfo,
            F::InstructionError,
        ],
    ),
];
