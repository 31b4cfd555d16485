//! Control registers, EFER and PAT of a core: what protects the hypervisor from its own mistakes.

use crate::base::cpu::{cr0, cr4, efer};
use crate::hw::msr;
use raw_cpuid::CpuId;
use x86::msr::IA32_EFER;
use x86_64::registers::control::{Cr0, Cr4};

/// PAT entries 0 to 7: WB, WC, UC-, UC, WB, WP, UC-, WT. Entry 1 (PWT alone) is what `mem` uses for framebuffers.
const PAT_VALUE: u64 = 0x0407_0506_0007_0106;

/// What a core has and [`protect`] turned on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Protections {
    /// No-execute pages.
    pub nx: bool,
    /// No execution of user pages.
    pub smep: bool,
    /// No access to user pages.
    pub smap: bool,
    /// No SGDT and the like in user mode.
    pub umip: bool,
    /// 1 GiB pages.
    pub gib_pages: bool,
    /// Bits of a host-physical address.
    pub phys_bits: u8,
}

/// Sets CR0, CR4, EFER and PAT of this core. CR0.NE is what VMX asks for; CR4.OSXSAVE lets XCR0 be switched for guests.
pub fn protect() -> Protections {
    let id = CpuId::new();
    let leaf7 = id.get_extended_feature_info();
    let ext = id.get_extended_processor_and_feature_identifiers();
    let has = Protections {
        nx: ext.as_ref().is_some_and(|e| e.has_execute_disable()),
        smep: leaf7.as_ref().is_some_and(|l| l.has_smep()),
        smap: leaf7.as_ref().is_some_and(|l| l.has_smap()),
        umip: leaf7.as_ref().is_some_and(|l| l.has_umip()),
        gib_pages: ext.as_ref().is_some_and(|e| e.has_1gib_pages()),
        phys_bits: id.get_processor_capacity_feature_info().map_or(36, |c| c.physical_address_bits()),
    };
    let basic = id.get_feature_info();
    let mut wanted = cr4::PAE | cr4::MCE;
    for (there, bit) in [
        (has.smep, cr4::SMEP),
        (has.smap, cr4::SMAP),
        (has.umip, cr4::UMIP),
        (basic.as_ref().is_some_and(|b| b.has_fxsave_fxstor()), cr4::OSFXSR | cr4::OSXMMEXCPT),
        (basic.as_ref().is_some_and(|b| b.has_xsave()), cr4::OSXSAVE),
    ] {
        if there {
            wanted |= bit;
        }
    }
    // SAFETY: NXE only gives meaning to a bit that no table of ours had set before; PAT entries 0 and 3, all that is
    // mapped so far, keep their meaning; paging, PAE and write protection stay on; no user page exists.
    unsafe {
        if has.nx {
            msr::write(IA32_EFER, msr::read(IA32_EFER) | efer::NXE);
        }
        if basic.as_ref().is_some_and(|b| b.has_pat()) {
            msr::write(msr::PAT, PAT_VALUE);
        }
        Cr0::write_raw(cr0::PG | cr0::PE | cr0::WP | cr0::NE | cr0::ET | cr0::MP);
        Cr4::write_raw(wanted);
    }
    has
}
