//! What the offered features let a guest set in its control registers.

use super::Policy;
use crate::base::cpu::{cr4, efer};

impl Policy {
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
