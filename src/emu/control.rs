//! Writes to CR0, CR4 and XCR0: what the CPU checks, done before a value reaches the vendor's control structure.

#[cfg(test)]
mod tests;

use crate::base::CpuState;
use crate::base::cpu::{cr0, cr4, efer};
use crate::emu::Fault;

/// The registers that decide the operating mode.
///
/// The functions here keep what the CPU keeps: EFER.LMA is CR0.PG and EFER.LME.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Regs {
    /// CR0.
    pub cr0: u64,
    /// CR4.
    pub cr4: u64,
    /// IA32_EFER.
    pub efer: u64,
}

impl Regs {
    /// Those of `cpu`.
    pub const fn of(cpu: &CpuState) -> Self {
        Self { cr0: cpu.cr0, cr4: cpu.cr4, efer: cpu.efer }
    }
}

const GP: Fault = Fault::gp(0);

/// The bits of CR0 that exist.
const CR0_BITS: u64 =
    cr0::PE | cr0::MP | cr0::EM | cr0::TS | cr0::ET | cr0::NE | cr0::WP | cr0::AM | cr0::NW | cr0::CD | cr0::PG;
/// What LMSW loads.
const LMSW_BITS: u64 = cr0::PE | cr0::MP | cr0::EM | cr0::TS;

/// CR0, CR4 and EFER after MOV to CR0 of `new`. `cs_long` is CS.L (SDM 2B "MOV—Move to/from Control Registers", SDM 3A
/// "Initializing IA-32e Mode" and "Control Registers").
///
/// Reserved bits in the lower half are ignored and stay 0, ET stays 1. The caller loads the PDPTEs where
/// [`uses_pae_paging`], and flushes where [`flush_needed`].
pub const fn cr0_write(old: &Regs, new: u64, cs_long: bool) -> Result<Regs, Fault> {
    let paging = new & cr0::PG != 0;
    let malformed = new >> 32 != 0 || (paging && new & cr0::PE == 0) || (new & cr0::NW != 0 && new & cr0::CD == 0);
    let lme = old.efer & efer::LME != 0;
    let refused = if !paging {
        // Leaving: not from 64-bit mode, not with PCIDs.
        (old.efer & efer::LMA != 0 && cs_long) || old.cr4 & cr4::PCIDE != 0
    } else {
        // Entering IA-32e mode: only with PAE, and not into 64-bit mode at once.
        old.cr0 & cr0::PG == 0 && lme && (old.cr4 & cr4::PAE == 0 || cs_long)
    };
    if malformed || refused {
        return Err(GP);
    }
    let lma = if paging && lme { efer::LMA } else { 0 };
    Ok(Regs { cr0: new & CR0_BITS | cr0::ET, cr4: old.cr4, efer: old.efer & !efer::LMA | lma })
}

/// CR0, CR4 and EFER after LMSW of `value`: it sets PE but does not clear it (SDM 2A "LMSW—Load Machine Status Word").
pub const fn lmsw(old: &Regs, value: u16) -> Regs {
    let kept = old.cr0 & !(LMSW_BITS & !cr0::PE);
    Regs { cr0: kept | value as u64 & LMSW_BITS, ..*old }
}

/// CR0, CR4 and EFER after CLTS (SDM 2A "CLTS—Clear Task-Switched Flag in CR0").
pub const fn clts(old: &Regs) -> Regs {
    Regs { cr0: old.cr0 & !cr0::TS, ..*old }
}

/// CR0, CR4 and EFER after MOV to CR4 of `new` with this CR3; `allowed` are the bits that CPUID offers (SDM 2B
/// "MOV—Move to/from Control Registers").
pub const fn cr4_write(old: &Regs, new: u64, cr3: u64, allowed: u64) -> Result<Regs, Fault> {
    let long = old.efer & efer::LMA != 0;
    let sets_pcide = new & !old.cr4 & cr4::PCIDE != 0;
    if new & !allowed != 0 || (long && new & cr4::PAE == 0) || (sets_pcide && (!long || cr3 & 0xfff != 0)) {
        return Err(GP);
    }
    Ok(Regs { cr4: new, ..*old })
}

/// x87 state, always enabled.
const X87: u64 = 1;
const SSE: u64 = 1 << 1;
const AVX: u64 = 1 << 2;
/// MPX's bound registers and their configuration.
const MPX: u64 = 0b11 << 3;
/// Opmask, ZMM_Hi256, Hi16_ZMM.
const AVX512: u64 = 0b111 << 5;

/// XCR0 after XSETBV with ECX = `index` and EDX:EAX = `value`; `allowed` are the bits that CPUID offers (SDM 2C
/// "XSETBV—Set Extended Control Register"). What is allowed and not named in the rules, such as PKRU, may be set alone.
/// The #UD without CR4.OSXSAVE is not decided here.
pub const fn xcr0_write(index: u32, value: u64, allowed: u64, cpl: u8) -> Result<u64, Fault> {
    let (avx512, mpx) = (value & AVX512, value & MPX);
    let fine = cpl == 0
        && index == 0
        && value & !allowed == 0
        && value & X87 != 0
        && (value & AVX == 0 || value & SSE != 0)
        && (mpx == 0 || mpx == MPX)
        && (avx512 == 0 || (avx512 == AVX512 && value & AVX != 0));
    if fine { Ok(value) } else { Err(GP) }
}

/// Whether going from `old` to `new` loads the PDPTEs of PAE paging (SDM 3A "PDPTE Registers").
pub const fn loads_pdptes(old: &Regs, new: &Regs) -> bool {
    let cr0 = (old.cr0 ^ new.cr0) & (cr0::CD | cr0::NW | cr0::PG);
    let cr4 = (old.cr4 ^ new.cr4) & (cr4::PAE | cr4::PGE | cr4::PSE | cr4::SMEP);
    uses_pae_paging(new) && cr0 | cr4 != 0
}

/// Whether the guest uses PAE paging, which has PDPTE registers (SDM 3A "PAE Paging").
#[inline]
pub const fn uses_pae_paging(regs: &Regs) -> bool {
    regs.cr0 & cr0::PG != 0 && regs.cr4 & cr4::PAE != 0 && regs.efer & efer::LMA == 0
}

/// Whether going from `old` to `new` must flush the guest's TLB entries (SDM 3A "Operations that Invalidate TLBs and
/// Paging-Structure Caches", APM 2 "TLB Management").
#[inline]
pub const fn flush_needed(old: &Regs, new: &Regs) -> bool {
    const CR0: u64 = cr0::PG | cr0::WP;
    const CR4: u64 = cr4::PAE | cr4::PSE | cr4::PGE | cr4::PCIDE | cr4::SMEP | cr4::SMAP;
    (old.cr0 ^ new.cr0) & CR0 != 0 || (old.cr4 ^ new.cr4) & CR4 != 0
}
