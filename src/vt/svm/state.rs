//! All fields of a VMCB, for the entry doctor: by offset, with the manual's names and the names of their bits
//! (APM 2 Appendix B "Layout of VMCB"). What runs guests uses [`super::vmcb`] instead.

use super::bits;
use crate::vt::doctor::state::{Field, Part, Spec, State, fields};

/// One row a field: its offset, its width, the manual's name, and what its bits mean.
macro_rules! vmcb {
    ($($variant:ident = $offset:literal, $width:literal, $name:literal $(, $parts:ident)?;)*) => {
        fields! {
            /// A field of a VMCB.
            $($variant = $offset, $width, $name, parts!($($parts)?);)*
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

vmcb! {
    InterceptCr = 0x0, 32, "CR intercepts", CR_INTERCEPTS;
    InterceptDr = 0x4, 32, "DR intercepts", CR_INTERCEPTS;
    InterceptExceptions = 0x8, 32, "exception intercepts", EXCEPTIONS;
    InterceptMisc1 = 0xc, 32, "intercepts, first word", MISC1;
    InterceptMisc2 = 0x10, 32, "intercepts, second word", MISC2;
    InterceptMisc3 = 0x14, 32, "intercepts, third word", MISC3;
    PauseThreshold = 0x3c, 16, "PAUSE filter threshold";
    PauseCount = 0x3e, 16, "PAUSE filter count";
    IopmBase = 0x40, 64, "IOPM_BASE_PA";
    MsrpmBase = 0x48, 64, "MSRPM_BASE_PA";
    TscOffset = 0x50, 64, "TSC_OFFSET";
    Asid = 0x58, 32, "guest ASID";
    TlbControl = 0x5c, 8, "TLB_CONTROL";
    VIntr = 0x60, 64, "virtual interrupt control", V_INTR;
    InterruptShadow = 0x68, 64, "interrupt shadow", SHADOW;
    ExitCode = 0x70, 64, "EXITCODE";
    ExitInfo1 = 0x78, 64, "EXITINFO1";
    ExitInfo2 = 0x80, 64, "EXITINFO2";
    ExitIntInfo = 0x88, 64, "EXITINTINFO", EVENT;
    NestedControl = 0x90, 64, "nested control", NESTED;
    AvicApicBar = 0x98, 64, "AVIC APIC_BAR";
    Ghcb = 0xa0, 64, "GHCB address";
    EventInj = 0xa8, 64, "EVENTINJ", EVENT;
    NCr3 = 0xb0, 64, "nCR3";
    VirtExt = 0xb8, 64, "LBR virtualization control", VIRT_EXT;
    Clean = 0xc0, 32, "VMCB clean bits", CLEAN;
    NextRip = 0xc8, 64, "nRIP";
    AvicBackingPage = 0xe0, 64, "AVIC_BACKING_PAGE pointer";
    AvicLogicalTable = 0xf0, 64, "AVIC LOGICAL_TABLE pointer";
    AvicPhysicalTable = 0xf8, 64, "AVIC PHYSICAL_TABLE pointer";
    Vmsa = 0x108, 64, "VMSA pointer";
    EsSelector = 0x400, 16, "ES selector", SELECTOR;
    EsAttrib = 0x402, 16, "ES attributes", ATTRIB;
    EsLimit = 0x404, 32, "ES limit";
    EsBase = 0x408, 64, "ES base";
    CsSelector = 0x410, 16, "CS selector", SELECTOR;
    CsAttrib = 0x412, 16, "CS attributes", ATTRIB;
    CsLimit = 0x414, 32, "CS limit";
    CsBase = 0x418, 64, "CS base";
    SsSelector = 0x420, 16, "SS selector", SELECTOR;
    SsAttrib = 0x422, 16, "SS attributes", ATTRIB;
    SsLimit = 0x424, 32, "SS limit";
    SsBase = 0x428, 64, "SS base";
    DsSelector = 0x430, 16, "DS selector", SELECTOR;
    DsAttrib = 0x432, 16, "DS attributes", ATTRIB;
    DsLimit = 0x434, 32, "DS limit";
    DsBase = 0x438, 64, "DS base";
    FsSelector = 0x440, 16, "FS selector", SELECTOR;
    FsAttrib = 0x442, 16, "FS attributes", ATTRIB;
    FsLimit = 0x444, 32, "FS limit";
    FsBase = 0x448, 64, "FS base";
    GsSelector = 0x450, 16, "GS selector", SELECTOR;
    GsAttrib = 0x452, 16, "GS attributes", ATTRIB;
    GsLimit = 0x454, 32, "GS limit";
    GsBase = 0x458, 64, "GS base";
    GdtrSelector = 0x460, 16, "GDTR selector", SELECTOR;
    GdtrAttrib = 0x462, 16, "GDTR attributes", ATTRIB;
    GdtrLimit = 0x464, 32, "GDTR limit";
    GdtrBase = 0x468, 64, "GDTR base";
    LdtrSelector = 0x470, 16, "LDTR selector", SELECTOR;
    LdtrAttrib = 0x472, 16, "LDTR attributes", ATTRIB;
    LdtrLimit = 0x474, 32, "LDTR limit";
    LdtrBase = 0x478, 64, "LDTR base";
    IdtrSelector = 0x480, 16, "IDTR selector", SELECTOR;
    IdtrAttrib = 0x482, 16, "IDTR attributes", ATTRIB;
    IdtrLimit = 0x484, 32, "IDTR limit";
    IdtrBase = 0x488, 64, "IDTR base";
    TrSelector = 0x490, 16, "TR selector", SELECTOR;
    TrAttrib = 0x492, 16, "TR attributes", ATTRIB;
    TrLimit = 0x494, 32, "TR limit";
    TrBase = 0x498, 64, "TR base";
    Cpl = 0x4cb, 8, "CPL";
    Efer = 0x4d0, 64, "EFER", EFER;
    Cr4 = 0x548, 64, "CR4", CR4;
    Cr3 = 0x550, 64, "CR3";
    Cr0 = 0x558, 64, "CR0", CR0;
    Dr7 = 0x560, 64, "DR7";
    Dr6 = 0x568, 64, "DR6";
    Rflags = 0x570, 64, "RFLAGS", RFLAGS;
    Rip = 0x578, 64, "RIP";
    Rsp = 0x5d8, 64, "RSP";
    SCet = 0x5e0, 64, "S_CET";
    Ssp = 0x5e8, 64, "SSP";
    IsstAddr = 0x5f0, 64, "ISST_ADDR";
    Rax = 0x5f8, 64, "RAX";
    Star = 0x600, 64, "STAR";
    Lstar = 0x608, 64, "LSTAR";
    Cstar = 0x610, 64, "CSTAR";
    Sfmask = 0x618, 64, "SFMASK";
    KernelGsBase = 0x620, 64, "KernelGsBase";
    SysenterCs = 0x628, 64, "SYSENTER_CS";
    SysenterEsp = 0x630, 64, "SYSENTER_ESP";
    SysenterEip = 0x638, 64, "SYSENTER_EIP";
    Cr2 = 0x640, 64, "CR2";
    GPat = 0x668, 64, "G_PAT", PAT;
    Dbgctl = 0x670, 64, "DBGCTL";
    BrFrom = 0x678, 64, "BR_FROM";
    BrTo = 0x680, 64, "BR_TO";
    LastExcpFrom = 0x688, 64, "LASTEXCPFROM";
    LastExcpTo = 0x690, 64, "LASTEXCPTO";
}

impl F {
    /// Its offset from the start of the VMCB, in bytes.
    pub const fn offset(self) -> usize {
        self.number() as usize
    }

    /// The fields of the segment register that is `n` further on: ES, CS, SS, DS, FS, GS, GDTR, LDTR, IDTR, TR.
    pub const fn segment(self, n: usize) -> Self {
        Self::ALL[self as usize + 4 * n]
    }

    /// Reads the field from the bytes of a VMCB; `None` where they do not reach so far.
    pub fn read(self, vmcb: &[u8]) -> Option<u64> {
        let bytes = vmcb.get(self.offset()..)?.get(..self.spec().width as usize / 8)?;
        let mut value = [0; 8];
        value.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(value))
    }

    /// Writes the field into the bytes of a VMCB, as far as they reach.
    pub fn write(self, vmcb: &mut [u8], value: u64) {
        let bytes = value.to_le_bytes();
        if let Some(place) = vmcb.get_mut(self.offset()..).and_then(|b| b.get_mut(..self.spec().width as usize / 8)) {
            place.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
    }
}

/// All fields from the bytes of a VMCB.
pub fn from_bytes(vmcb: &[u8]) -> State<F> {
    let mut state = State::default();
    for field in F::ALL {
        if let Some(value) = field.read(vmcb) {
            state.set(*field, value);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vt::svm::vmcb::{Control, Save, Vmcb};
    use core::mem::offset_of;

    #[test]
    fn offsets_are_those_of_the_structure() {
        assert_eq!(F::EventInj.offset(), offset_of!(Vmcb, control) + offset_of!(Control, event_inj));
        assert_eq!(F::GPat.offset(), offset_of!(Vmcb, save) + offset_of!(Save, g_pat));
        assert_eq!(F::Cpl.offset(), offset_of!(Vmcb, save) + offset_of!(Save, cpl));
        assert_eq!(F::EsAttrib.segment(9), F::TrAttrib);
        assert_eq!(F::EsBase.segment(1), F::CsBase);
        assert!(F::ALL.iter().map(|f| f.offset()).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn bytes_there_and_back() {
        let mut bytes = [0u8; 4096];
        for (i, f) in F::ALL.iter().enumerate() {
            assert_eq!(f.index(), i);
            f.write(&mut bytes, 0x0102_0304_0506_0708 + i as u64);
        }
        let state = from_bytes(&bytes);
        for (i, f) in F::ALL.iter().enumerate() {
            assert_eq!(state.get(*f), (0x0102_0304_0506_0708 + i as u64) & f.spec().mask());
        }
        assert!(!from_bytes(&bytes[..0x400]).has(F::Rip));
    }
}
