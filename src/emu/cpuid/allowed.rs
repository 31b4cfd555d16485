//! What the offered features let a guest set in its control registers.

use super::{ARCH_CAPABILITIES, Clock, Policy};
use crate::base::cpu::{cr4, efer};

/// IA32_ARCH_CAPABILITIES (SDM 4): what the CPU is immune to, what it still needs, and how its predictors behave. No
/// bit that enumerates another MSR, such as TSX_CTRL.
///
/// RDCL_NO, IBRS_ALL, RSBA, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, PSCHANGE_MC_NO; TAA_NO; SBDR_SSDP_NO, FBSDP_NO,
/// PSDP_NO; FB_CLEAR; RRSBA, BHI_NO; PBRSB_NO; GDS_NO, RFDS_NO, RFDS_CLEAR; ITS_NO.
const TELLING: u64 = 0x7f | 1 << 8 | 0b111 << 13 | 1 << 17 | 0b11 << 19 | 1 << 24 | 0b111 << 26 | 1 << 62;

/// IA32_SPEC_CTRL (SDM 4).
const IBRS: u64 = 1 << 0;
const STIBP: u64 = 1 << 1;
const SSBD: u64 = 1 << 2;

impl Policy {
    /// Whether the CPU is GenuineIntel.
    pub fn is_intel(&self) -> bool {
        let [_, b, c, d] = self.basic[0];
        [b, d, c].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
    }

    /// The guest's clocks.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// The bits of IA32_SPEC_CTRL that the guest may set; 0 where there is no such MSR.
    ///
    /// STIBP may be set wherever IBRS may, and then does nothing (SDM 3A "Speculation Controls").
    pub fn spec_ctrl_allowed(&self) -> u64 {
        let ([_, _, _, edx7], [_, amd, _, _]) = (self.features[0], self.extended[8]);
        [
            (edx7, 26, IBRS | STIBP),
            (edx7, 27, STIBP),
            (edx7, 31, SSBD),
            (amd, 14, IBRS),
            (amd, 15, STIBP),
            (amd, 24, SSBD),
        ]
        .into_iter()
        .filter(|(register, bit, _)| register >> bit & 1 != 0)
        .fold(0, |sum, (_, _, bits)| sum | bits)
    }

    /// Whether IBPB can be ordered by IA32_PRED_CMD.
    pub const fn has_pred_cmd(&self) -> bool {
        let ([[_, _, _, edx7], _], [_, amd, _, _]) = (self.features, self.extended[8]);
        edx7 >> 26 & 1 != 0 || amd >> 12 & 1 != 0
    }

    /// Whether the L1 data cache can be flushed by IA32_FLUSH_CMD.
    pub const fn has_flush_cmd(&self) -> bool {
        let [[_, _, _, edx7], _] = self.features;
        edx7 >> 28 & 1 != 0
    }

    /// Whether there is IA32_TSC_ADJUST.
    pub const fn has_tsc_adjust(&self) -> bool {
        let [[_, ebx7, _, _], _] = self.features;
        ebx7 >> 1 & 1 != 0
    }

    /// Whether there is IA32_XSS. It takes only 0: no supervisor state is offered.
    pub const fn has_xss(&self) -> bool {
        self.xsave.has_xsaves()
    }

    /// What IA32_ARCH_CAPABILITIES reads as, where CPUID offers it.
    pub const fn arch_capabilities(&self) -> Option<u64> {
        let [[_, _, _, edx7], _] = self.features;
        if edx7 & ARCH_CAPABILITIES != 0 { Some(self.arch_capabilities & TELLING) } else { None }
    }

    /// The bits of CR4 that the guest may set (SDM 3A "Control Registers").
    ///
    /// CR4.PCE has no feature bit and is always there; it opens nothing, as RDPMC is for the hypervisor to intercept.
    pub fn cr4_allowed(&self) -> u64 {
        let [_, _, ecx, edx] = self.basic[1];
        let [_, ebx7, ecx7, _] = self.features[0];
        [
            (edx, 1, cr4::VME | cr4::PVI),
            (edx, 4, cr4::TSD),
            (edx, 2, cr4::DE),
            (edx, 3, cr4::PSE),
            (edx, 6, cr4::PAE),
            (edx, 7, cr4::MCE),
            (edx, 13, cr4::PGE),
            (edx, 24, cr4::OSFXSR),
            (edx, 25, cr4::OSXMMEXCPT),
            (ecx, 17, cr4::PCIDE),
            (ecx, 26, cr4::OSXSAVE),
            (ebx7, 0, cr4::FSGSBASE),
            (ebx7, 7, cr4::SMEP),
            (ebx7, 20, cr4::SMAP),
            (ecx7, 2, cr4::UMIP),
            (ecx7, 3, cr4::PKE),
        ]
        .into_iter()
        .filter(|(register, bit, _)| register >> bit & 1 != 0)
        .fold(cr4::PCE, |sum, (_, _, bits)| sum | bits)
    }

    /// The bits of IA32_EFER that the guest may have set (APM 2 "Extended Feature Enable Register").
    pub fn efer_allowed(&self) -> u64 {
        let [_, _, _, edx] = self.extended[1];
        [(11, efer::SCE), (20, efer::NXE), (29, efer::LME | efer::LMA)]
            .into_iter()
            .filter(|(bit, _)| edx >> bit & 1 != 0)
            .fold(0, |sum, (_, bits)| sum | bits)
    }

    /// The bits of XCR0 that the guest may set; 0 where XSAVE is not offered.
    pub const fn xcr0_allowed(&self) -> u64 {
        self.xsave.allowed()
    }

    /// The width of a guest-physical address in bits: 36 where the host does not say (SDM 3A "Enumeration of Paging
    /// Features by CPUID"), at most 52.
    pub const fn physical_bits(&self) -> u32 {
        match self.extended[8][0] & 0xff {
            0 => 36,
            bits if bits > 52 => 52,
            bits => bits,
        }
    }
}
