//! Guest registers that stay in the CPU while its vCPU is loaded, because the hypervisor itself does not use them:
//! the vector state, XCR0, DR0 to DR3 and IA32_TSC_AUX. They are switched with the vCPU, not at each exit.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

use x86::msr::IA32_TSC_AUX;

use super::contract::Trouble;
use crate::base::PAGE_SIZE;
use crate::hw::msr;
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;

/// The registers of one vCPU while it is not loaded.
#[derive(Debug)]
pub struct Resident {
    /// XSAVE or FXSAVE image.
    vector: Frames,
    /// XCR0; `None` where the CPU has no XSAVE.
    xcr0: Option<u64>,
    /// All components that this CPU can save.
    components: u64,
    dr: [u64; 4],
    /// `None` where the CPU has no RDTSCP.
    tsc_aux: Option<u64>,
}

impl Resident {
    /// The state after INIT: x87 and vector registers in their initial configuration, XCR0 = x87.
    pub fn new() -> Result<Self, Trouble> {
        let has_xsave = __cpuid_count(1, 0).ecx & 1 << 26 != 0;
        let (size, components) = if has_xsave {
            let leaf = __cpuid_count(0xd, 0);
            (u64::from(leaf.ecx), u64::from(leaf.edx) << 32 | u64::from(leaf.eax))
        } else {
            (512, 0)
        };
        let pages = size.div_ceil(PAGE_SIZE);
        let mut vector = frames::alloc_run(pages, PAGE_SIZE, Owner::Vt).ok_or(Trouble::OutOfMemory)?;
        vector.zero();
        // In an image with XSTATE_BV = 0 all components are in their initial configuration, but MXCSR is read anyway;
        // FXRSTOR reads the x87 control word too (SDM 1 "Operation of XRSTOR", "FXSAVE Area").
        let legacy = vector.as_mut_slice::<u8>();
        for (at, byte) in [(0, 0x7f), (1, 0x03), (24, 0x80), (25, 0x1f)] {
            if let Some(b) = legacy.get_mut(at) {
                *b = byte;
            }
        }
        let has_rdtscp = __cpuid_count(0x8000_0001, 0).edx & 1 << 27 != 0;
        Ok(Self { vector, xcr0: has_xsave.then_some(1), components, dr: [0; 4], tsc_aux: has_rdtscp.then_some(0) })
    }

    /// XCR0 of the guest, whose vCPU is loaded; 1 where there is no XSAVE. The register itself is asked: see [`Resident::save`].
    pub fn xcr0(&self) -> u64 {
        // SAFETY: CR4.OSXSAVE is set where there is XSAVE.
        if self.xcr0.is_some() { unsafe { xgetbv() } } else { 1 }
    }

    /// Sets XCR0, now and for later loads. `value` has been checked against what CPUID offers.
    pub fn set_xcr0(&mut self, value: u64) {
        if let Some(xcr0) = &mut self.xcr0 {
            *xcr0 = value;
            // SAFETY: common code has validated the value (x87 set, no component that the CPU lacks), the vCPU is
            // loaded, and the hypervisor, which is soft-float, does not depend on XCR0.
            unsafe { xsetbv(value) }
        }
    }

    /// Puts the guest's registers into this core.
    pub fn load(&self) {
        let area = self.vector.ptr();
        // SAFETY: the area is frame-aligned, as large as CPUID says, and holds an image that `new` or XSAVE made. The
        // hypervisor is compiled soft-float and never sets breakpoints, so the registers are not its own. All
        // components are enabled while the image is restored; then the guest's XCR0 takes effect.
        unsafe {
            if let Some(xcr0) = self.xcr0 {
                xsetbv(self.components);
                asm!("xrstor64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
                xsetbv(xcr0);
            } else {
                asm!("fxrstor64 [{}]", in(reg) area, options(nostack));
            }
            let [d0, d1, d2, d3] = self.dr;
            asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}",
                in(reg) d0, in(reg) d1, in(reg) d2, in(reg) d3, options(nostack, nomem));
            if let Some(aux) = self.tsc_aux {
                msr::write(IA32_TSC_AUX, aux);
            }
        }
    }

    /// Takes the guest's registers out of this core.
    pub fn save(&mut self) {
        let area = self.vector.ptr();
        let (d0, d1, d2, d3): (u64, u64, u64, u64);
        // SAFETY: as in `load`; the area is exclusively ours.
        unsafe {
            if let Some(xcr0) = &mut self.xcr0 {
                // What the guest has set last: not every CPU leaves the guest at XSETBV, though it is intercepted (QEMU 7.2).
                *xcr0 = xgetbv();
                xsetbv(self.components);
                asm!("xsave64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
            } else {
                asm!("fxsave64 [{}]", in(reg) area, options(nostack));
            }
            asm!("mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3",
                out(reg) d0, out(reg) d1, out(reg) d2, out(reg) d3, options(nostack, nomem));
            if let Some(aux) = &mut self.tsc_aux {
                *aux = msr::read(IA32_TSC_AUX);
            }
        }
        self.dr = [d0, d1, d2, d3];
    }
}

/// Clears IA32_XSS of this core, which guests with XSAVES have in common with the host: no state that firmware enabled is theirs.
pub fn clear_xss() {
    const IA32_XSS: u32 = 0xda0;
    const XSAVES: u32 = 1 << 3;
    if __cpuid_count(0, 0).eax >= 0xd && __cpuid_count(0xd, 1).eax & XSAVES != 0 {
        // SAFETY: the hypervisor has no supervisor state of these kinds; 0 is what the register has after reset.
        unsafe { msr::try_write(IA32_XSS, 0) };
    }
}

/// # Safety
/// CR4.OSXSAVE is set.
unsafe fn xgetbv() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nostack, nomem)) };
    u64::from(high) << 32 | u64::from(low)
}

/// # Safety
/// CR4.OSXSAVE is set and `value` is one that XSETBV accepts.
unsafe fn xsetbv(value: u64) {
    // SAFETY: the caller's.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, nomem));
    }
}
