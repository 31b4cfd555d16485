//! The architectural state of a guest CPU that decides how its instructions are read: neutral between the vendors.

use crate::base::{Segment, SegmentRegister};

/// Bits of CR0 (SDM 3A "Control Registers").
#[allow(missing_docs)]
pub mod cr0 {
    pub const PE: u64 = 1 << 0;
    pub const MP: u64 = 1 << 1;
    pub const EM: u64 = 1 << 2;
    pub const TS: u64 = 1 << 3;
    pub const ET: u64 = 1 << 4;
    pub const NE: u64 = 1 << 5;
    pub const WP: u64 = 1 << 16;
    pub const AM: u64 = 1 << 18;
    pub const NW: u64 = 1 << 29;
    pub const CD: u64 = 1 << 30;
    pub const PG: u64 = 1 << 31;
}

/// Bits of CR4 (SDM 3A "Control Registers").
#[allow(missing_docs)]
pub mod cr4 {
    pub const VME: u64 = 1 << 0;
    pub const PVI: u64 = 1 << 1;
    pub const TSD: u64 = 1 << 2;
    pub const DE: u64 = 1 << 3;
    pub const PSE: u64 = 1 << 4;
    pub const PAE: u64 = 1 << 5;
    pub const MCE: u64 = 1 << 6;
    pub const PGE: u64 = 1 << 7;
    pub const PCE: u64 = 1 << 8;
    pub const OSFXSR: u64 = 1 << 9;
    pub const OSXMMEXCPT: u64 = 1 << 10;
    pub const UMIP: u64 = 1 << 11;
    pub const LA57: u64 = 1 << 12;
    pub const VMXE: u64 = 1 << 13;
    pub const SMXE: u64 = 1 << 14;
    pub const FSGSBASE: u64 = 1 << 16;
    pub const PCIDE: u64 = 1 << 17;
    pub const OSXSAVE: u64 = 1 << 18;
    pub const SMEP: u64 = 1 << 20;
    pub const SMAP: u64 = 1 << 21;
    pub const PKE: u64 = 1 << 22;
    pub const CET: u64 = 1 << 23;
}

/// Bits of IA32_EFER (SDM 4, APM 2 "Extended Feature Enable Register").
#[allow(missing_docs)]
pub mod efer {
    pub const SCE: u64 = 1 << 0;
    pub const LME: u64 = 1 << 8;
    pub const LMA: u64 = 1 << 10;
    pub const NXE: u64 = 1 << 11;
    pub const SVME: u64 = 1 << 12;
}

/// Bits of RFLAGS.
#[allow(missing_docs)]
pub mod rflags {
    pub const CF: u64 = 1 << 0;
    pub const FIXED: u64 = 1 << 1;
    pub const PF: u64 = 1 << 2;
    pub const AF: u64 = 1 << 4;
    pub const ZF: u64 = 1 << 6;
    pub const SF: u64 = 1 << 7;
    pub const TF: u64 = 1 << 8;
    pub const IF: u64 = 1 << 9;
    pub const DF: u64 = 1 << 10;
    pub const OF: u64 = 1 << 11;
    pub const IOPL: u64 = 3 << 12;
    pub const VM: u64 = 1 << 17;
    pub const RF: u64 = 1 << 16;
    pub const AC: u64 = 1 << 18;
}

/// GDTR or IDTR.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DescriptorTable {
    /// Linear address of the table.
    pub base: u64,
    /// Its last byte's offset.
    pub limit: u32,
}

/// How instructions are read: the operating mode with the code segment's default size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Real-address mode.
    Real,
    /// Virtual-8086 mode.
    Virtual8086,
    /// Protected or compatibility mode with a 16-bit code segment.
    Protected16,
    /// Protected or compatibility mode with a 32-bit code segment.
    Protected32,
    /// 64-bit mode.
    Long64,
}

impl Mode {
    /// Bits of the default address size: what a decoder is set to.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Real | Self::Virtual8086 | Self::Protected16 => 16,
            Self::Protected32 => 32,
            Self::Long64 => 64,
        }
    }
}

/// A guest CPU's state, less the general-purpose registers (see [`crate::base::GprFile`]).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CpuState {
    /// The offset of the next instruction in CS.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// CR0 as the guest sees it.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4 as the guest sees it.
    pub cr4: u64,
    /// IA32_EFER as the guest sees it.
    pub efer: u64,
    /// Current privilege level, 0 to 3.
    pub cpl: u8,
    /// ES, CS, SS, DS, FS, GS, indexed by [`Segment`].
    pub segments: [SegmentRegister; 6],
    /// LDTR.
    pub ldtr: SegmentRegister,
    /// TR.
    pub tr: SegmentRegister,
    /// GDTR.
    pub gdtr: DescriptorTable,
    /// IDTR.
    pub idtr: DescriptorTable,
}

impl CpuState {
    /// One segment register.
    #[inline(always)]
    pub const fn segment(&self, s: Segment) -> &SegmentRegister {
        &self.segments[s as usize]
    }

    /// The operating mode.
    pub const fn mode(&self) -> Mode {
        let cs = self.segment(Segment::Cs);
        if self.cr0 & cr0::PE == 0 {
            Mode::Real
        } else if self.rflags & rflags::VM != 0 {
            Mode::Virtual8086
        } else if self.efer & efer::LMA != 0 && cs.long() {
            Mode::Long64
        } else if cs.big() {
            Mode::Protected32
        } else {
            Mode::Protected16
        }
    }

    /// Whether the guest's own paging is on.
    pub const fn paging(&self) -> bool {
        self.cr0 & cr0::PG != 0
    }

    /// A CPU in real-address mode about to execute `cs:ip`, all data segments at `cs` too, the stack at `cs:sp`
    /// (the caller sets SP). Otherwise as after INIT (SDM 3A "Processor State After Reset").
    pub const fn real_mode(cs: u16, ip: u16) -> Self {
        let data = SegmentRegister::real(cs, 0x93);
        Self {
            rip: ip as u64,
            rflags: rflags::FIXED,
            cr0: cr0::ET,
            cr3: 0,
            cr4: 0,
            efer: 0,
            cpl: 0,
            segments: [data, SegmentRegister::real(cs, 0x9b), data, data, data, data],
            ldtr: SegmentRegister { selector: 0, attrib: 0x82, limit: 0xffff, base: 0 },
            tr: SegmentRegister { selector: 0, attrib: 0x8b, limit: 0xffff, base: 0 },
            gdtr: DescriptorTable { base: 0, limit: 0xffff },
            idtr: DescriptorTable { base: 0, limit: 0x3ff },
        }
    }
}
