//! All fields of a VMCS, for the entry doctor: by number, with the manual's names and the names of their bits
//! (SDM 3D "Field Encoding in VMCS"). What runs guests uses the typed fields of [`super::field`] instead.

use super::bits;
use crate::vt::doctor::state::{Field, Part, Spec, fields};

/// One row a field: its encoding, from which its width follows, the manual's name, and what its bits mean.
macro_rules! vmcs {
    ($($variant:ident = $encoding:literal, $name:literal $(, $parts:ident)?;)*) => {
        fields! {
            /// A field of a VMCS.
            $($variant = $encoding, width($encoding), $name, parts!($($parts)?);)*
        }
    };
}

macro_rules! parts {
    () => {
        &[] as &[Part]
    };
    ($name:ident) => {
        bits::$name
    };
}

/// How wide a field is, by bits 14:13 of its encoding; natural width is 64 bits.
const fn width(encoding: u32) -> u32 {
    match encoding >> 13 & 3 {
        0 => 16,
        2 => 32,
        _ => 64,
    }
}

vmcs! {
    Vpid = 0x0, "VPID";
    PostedVector = 0x2, "posted-interrupt notification vector";
    EptpIndex = 0x4, "EPTP index";
    EsSelector = 0x800, "guest ES selector", SELECTOR;
    CsSelector = 0x802, "guest CS selector", SELECTOR;
    SsSelector = 0x804, "guest SS selector", SELECTOR;
    DsSelector = 0x806, "guest DS selector", SELECTOR;
    FsSelector = 0x808, "guest FS selector", SELECTOR;
    GsSelector = 0x80a, "guest GS selector", SELECTOR;
    LdtrSelector = 0x80c, "guest LDTR selector", SELECTOR;
    TrSelector = 0x80e, "guest TR selector", SELECTOR;
    InterruptStatus = 0x810, "guest interrupt status", INTERRUPT_STATUS;
    PmlIndex = 0x812, "PML index";
    HostEsSelector = 0xc00, "host ES selector", SELECTOR;
    HostCsSelector = 0xc02, "host CS selector", SELECTOR;
    HostSsSelector = 0xc04, "host SS selector", SELECTOR;
    HostDsSelector = 0xc06, "host DS selector", SELECTOR;
    HostFsSelector = 0xc08, "host FS selector", SELECTOR;
    HostGsSelector = 0xc0a, "host GS selector", SELECTOR;
    HostTrSelector = 0xc0c, "host TR selector", SELECTOR;
    IoBitmapA = 0x2000, "address of I/O bitmap A";
    IoBitmapB = 0x2002, "address of I/O bitmap B";
    MsrBitmaps = 0x2004, "address of MSR bitmaps";
    ExitMsrStoreAddress = 0x2006, "VM-exit MSR-store address";
    ExitMsrLoadAddress = 0x2008, "VM-exit MSR-load address";
    EntryMsrLoadAddress = 0x200a, "VM-entry MSR-load address";
    ExecutiveVmcs = 0x200c, "executive-VMCS pointer";
    PmlAddress = 0x200e, "PML address";
    TscOffset = 0x2010, "TSC offset";
    VirtualApicAddress = 0x2012, "virtual-APIC address";
    ApicAccessAddress = 0x2014, "APIC-access address";
    PostedDescriptor = 0x2016, "posted-interrupt descriptor address";
    VmfuncControls = 0x2018, "VM-function controls", VMFUNC;
    Eptp = 0x201a, "EPT pointer", EPTP;
    EoiExit0 = 0x201c, "EOI-exit bitmap 0";
    EoiExit1 = 0x201e, "EOI-exit bitmap 1";
    EoiExit2 = 0x2020, "EOI-exit bitmap 2";
    EoiExit3 = 0x2022, "EOI-exit bitmap 3";
    EptpListAddress = 0x2024, "EPTP-list address";
    VmreadBitmap = 0x2026, "VMREAD-bitmap address";
    VmwriteBitmap = 0x2028, "VMWRITE-bitmap address";
    VeInfoAddress = 0x202a, "virtualization-exception information address";
    XssExitingBitmap = 0x202c, "XSS-exiting bitmap";
    EnclsExitingBitmap = 0x202e, "ENCLS-exiting bitmap";
    SppTable = 0x2030, "sub-page-permission-table pointer";
    TscMultiplier = 0x2032, "TSC multiplier";
    TertiaryControls = 0x2034, "tertiary processor-based controls", TERTIARY;
    GuestPhysicalAddress = 0x2400, "guest-physical address";
    LinkPointer = 0x2800, "VMCS link pointer";
    Debugctl = 0x2802, "guest IA32_DEBUGCTL", DEBUGCTL;
    Pat = 0x2804, "guest IA32_PAT", PAT;
    Efer = 0x2806, "guest IA32_EFER", EFER;
    PerfGlobalCtrl = 0x2808, "guest IA32_PERF_GLOBAL_CTRL";
    Pdpte0 = 0x280a, "guest PDPTE 0";
    Pdpte1 = 0x280c, "guest PDPTE 1";
    Pdpte2 = 0x280e, "guest PDPTE 2";
    Pdpte3 = 0x2810, "guest PDPTE 3";
    Bndcfgs = 0x2812, "guest IA32_BNDCFGS", BNDCFGS;
    RtitCtl = 0x2814, "guest IA32_RTIT_CTL";
    LbrCtl = 0x2816, "guest IA32_LBR_CTL";
    Pkrs = 0x2818, "guest IA32_PKRS";
    HostPat = 0x2c00, "host IA32_PAT", PAT;
    HostEfer = 0x2c02, "host IA32_EFER", EFER;
    HostPerfGlobalCtrl = 0x2c04, "host IA32_PERF_GLOBAL_CTRL";
    HostPkrs = 0x2c06, "host IA32_PKRS";
    PinBased = 0x4000, "pin-based controls", PIN_BASED;
    Primary = 0x4002, "primary processor-based controls", PRIMARY;
    ExceptionBitmap = 0x4004, "exception bitmap", EXCEPTIONS;
    PfErrorMask = 0x4006, "page-fault error-code mask";
    PfErrorMatch = 0x4008, "page-fault error-code match";
    Cr3TargetCount = 0x400a, "CR3-target count";
    ExitControls = 0x400c, "VM-exit controls", EXIT;
    ExitMsrStoreCount = 0x400e, "VM-exit MSR-store count";
    ExitMsrLoadCount = 0x4010, "VM-exit MSR-load count";
    EntryControls = 0x4012, "VM-entry controls", ENTRY;
    EntryMsrLoadCount = 0x4014, "VM-entry MSR-load count";
    EntryInfo = 0x4016, "VM-entry interruption information", EVENT;
    EntryErrorCode = 0x4018, "VM-entry exception error code";
    EntryInstructionLength = 0x401a, "VM-entry instruction length";
    TprThreshold = 0x401c, "TPR threshold";
    Secondary = 0x401e, "secondary processor-based controls", SECONDARY;
    PleGap = 0x4020, "PLE gap";
    PleWindow = 0x4022, "PLE window";
    InstructionError = 0x4400, "VM-instruction error";
    ExitReason = 0x4402, "exit reason", REASON;
    ExitInfo = 0x4404, "VM-exit interruption information", EVENT;
    ExitErrorCode = 0x4406, "VM-exit interruption error code";
    VectoringInfo = 0x4408, "IDT-vectoring information", EVENT;
    VectoringErrorCode = 0x440a, "IDT-vectoring error code";
    InstructionLength = 0x440c, "VM-exit instruction length";
    InstructionInfo = 0x440e, "VM-exit instruction information";
    EsLimit = 0x4800, "guest ES limit";
    CsLimit = 0x4802, "guest CS limit";
    SsLimit = 0x4804, "guest SS limit";
    DsLimit = 0x4806, "guest DS limit";
    FsLimit = 0x4808, "guest FS limit";
    GsLimit = 0x480a, "guest GS limit";
    LdtrLimit = 0x480c, "guest LDTR limit";
    TrLimit = 0x480e, "guest TR limit";
    GdtrLimit = 0x4810, "guest GDTR limit";
    IdtrLimit = 0x4812, "guest IDTR limit";
    EsRights = 0x4814, "guest ES access rights", RIGHTS;
    CsRights = 0x4816, "guest CS access rights", RIGHTS;
    SsRights = 0x4818, "guest SS access rights", RIGHTS;
    DsRights = 0x481a, "guest DS access rights", RIGHTS;
    FsRights = 0x481c, "guest FS access rights", RIGHTS;
    GsRights = 0x481e, "guest GS access rights", RIGHTS;
    LdtrRights = 0x4820, "guest LDTR access rights", RIGHTS;
    TrRights = 0x4822, "guest TR access rights", RIGHTS;
    Interruptibility = 0x4824, "guest interruptibility state", INTERRUPTIBILITY;
    Activity = 0x4826, "guest activity state";
    Smbase = 0x4828, "guest SMBASE";
    SysenterCs = 0x482a, "guest IA32_SYSENTER_CS";
    PreemptionTimer = 0x482e, "VMX-preemption timer";
    HostSysenterCs = 0x4c00, "host IA32_SYSENTER_CS";
    Cr0Mask = 0x6000, "CR0 guest/host mask", CR0;
    Cr4Mask = 0x6002, "CR4 guest/host mask", CR4;
    Cr0Shadow = 0x6004, "CR0 read shadow", CR0;
    Cr4Shadow = 0x6006, "CR4 read shadow", CR4;
    Cr3Target0 = 0x6008, "CR3-target value 0";
    Cr3Target1 = 0x600a, "CR3-target value 1";
    Cr3Target2 = 0x600c, "CR3-target value 2";
    Cr3Target3 = 0x600e, "CR3-target value 3";
    Qualification = 0x6400, "exit qualification";
    GuestLinearAddress = 0x640a, "guest-linear address";
    Cr0 = 0x6800, "guest CR0", CR0;
    Cr3 = 0x6802, "guest CR3";
    Cr4 = 0x6804, "guest CR4", CR4;
    EsBase = 0x6806, "guest ES base";
    CsBase = 0x6808, "guest CS base";
    SsBase = 0x680a, "guest SS base";
    DsBase = 0x680c, "guest DS base";
    FsBase = 0x680e, "guest FS base";
    GsBase = 0x6810, "guest GS base";
    LdtrBase = 0x6812, "guest LDTR base";
    TrBase = 0x6814, "guest TR base";
    GdtrBase = 0x6816, "guest GDTR base";
    IdtrBase = 0x6818, "guest IDTR base";
    Dr7 = 0x681a, "guest DR7";
    Rsp = 0x681c, "guest RSP";
    Rip = 0x681e, "guest RIP";
    Rflags = 0x6820, "guest RFLAGS", RFLAGS;
    PendingDebug = 0x6822, "guest pending debug exceptions", PENDING_DEBUG;
    SysenterEsp = 0x6824, "guest IA32_SYSENTER_ESP";
    SysenterEip = 0x6826, "guest IA32_SYSENTER_EIP";
    SCet = 0x6828, "guest IA32_S_CET", S_CET;
    Ssp = 0x682a, "guest SSP";
    SspTable = 0x682c, "guest IA32_INTERRUPT_SSP_TABLE_ADDR";
    HostCr0 = 0x6c00, "host CR0", CR0;
    HostCr3 = 0x6c02, "host CR3";
    HostCr4 = 0x6c04, "host CR4", CR4;
    HostFsBase = 0x6c06, "host FS base";
    HostGsBase = 0x6c08, "host GS base";
    HostTrBase = 0x6c0a, "host TR base";
    HostGdtrBase = 0x6c0c, "host GDTR base";
    HostIdtrBase = 0x6c0e, "host IDTR base";
    HostSysenterEsp = 0x6c10, "host IA32_SYSENTER_ESP";
    HostSysenterEip = 0x6c12, "host IA32_SYSENTER_EIP";
    HostRsp = 0x6c14, "host RSP";
    HostRip = 0x6c16, "host RIP";
    HostSCet = 0x6c18, "host IA32_S_CET", S_CET;
    HostSsp = 0x6c1a, "host SSP";
    HostSspTable = 0x6c1c, "host IA32_INTERRUPT_SSP_TABLE_ADDR";
}

impl F {
    /// The encoding that VMREAD and VMWRITE take.
    pub const fn encoding(self) -> u32 {
        self.number()
    }

    /// The field with this encoding.
    pub fn from_encoding(encoding: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.encoding() == encoding)
    }

    /// Whether VMWRITE may be refused: the VM-exit information fields (SDM 3C "VMCS Data").
    pub const fn read_only(self) -> bool {
        self.encoding() >> 10 & 3 == 1
    }

    /// Whether it is of the guest-state area.
    pub const fn is_guest(self) -> bool {
        self.encoding() >> 10 & 3 == 2
    }

    /// Whether it is of the host-state area.
    pub const fn is_host(self) -> bool {
        self.encoding() >> 10 & 3 == 3
    }

    /// The field `n` further on in a run of equal ones: ES, CS, SS, DS, FS, GS, LDTR, TR; or the PDPTEs.
    pub const fn nth(self, n: usize) -> Self {
        Self::ALL[self as usize + n]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_fields_are_in_the_order_of_encodings() {
        let encodings: std::vec::Vec<_> = F::ALL.iter().map(|f| f.encoding()).collect();
        assert!(encodings.is_sorted_by(|a, b| a < b));
        assert_eq!(F::EsRights.nth(2), F::SsRights);
        assert_eq!(F::from_encoding(0x6c16), Some(F::HostRip));
        assert_eq!(F::from_encoding(0x488a), None);
        assert!(F::ExitReason.read_only() && F::Cr0.is_guest() && F::HostCr0.is_host() && !F::Eptp.is_host());
    }

    #[test]
    fn fields_are_numbered_as_they_are_listed() {
        for (i, f) in F::ALL.iter().enumerate() {
            assert_eq!(f.index(), i);
        }
        assert_eq!(F::Vpid.spec().width, 16);
        assert_eq!(F::Eptp.spec().width, 64);
        assert_eq!(F::Cr0.spec().width, 64);
        assert_eq!(F::PinBased.spec().width, 32);
    }
}
