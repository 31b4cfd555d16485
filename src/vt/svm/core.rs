//! SVM on one core: EFER.SVME and the host save area (APM 2 "Enabling SVM", "Host Save Area").

use super::caps::SvmCaps;
use crate::base::PAGE_SIZE;
use crate::base::cpu::efer;
use crate::hw::msr;
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;
use crate::vt::contract::Trouble;
use crate::vt::speculation::CoreGuard;
use crate::vt::tags::TagPool;

/// IA32_EFER.
const EFER: u32 = 0xc000_0080;
/// VM_HSAVE_PA: where VMRUN keeps the host's state (APM 2 "VM_HSAVE_PA MSR").
const VM_HSAVE_PA: u32 = 0xc001_0117;

/// A core with SVM enabled.
pub struct SvmCore {
    /// The host save area; the CPU owns it.
    _save_area: Frames,
    /// A VMCB into which VMSAVE puts the host's FS, GS, TR, LDTR and SYSCALL state, for VMLOAD after each exit.
    pub(super) host_vmcb: Frames,
    pub(super) caps: SvmCaps,
    pub(super) asids: TagPool,
    pub(super) guard: CoreGuard,
}

impl SvmCore {
    /// Enables SVM.
    pub fn on(caps: &SvmCaps) -> Result<Self, Trouble> {
        let frame = || {
            let mut f = frames::alloc_run(1, PAGE_SIZE, Owner::Vt).ok_or(Trouble::OutOfMemory)?;
            f.zero();
            Ok(f)
        };
        let (save_area, host_vmcb) = (frame()?, frame()?);
        let guard = CoreGuard::new()?;
        // SAFETY: the preflight found SVM in CPUID and VM_CR.SVMDIS clear; SVME changes nothing else, and the save area
        // is a frame of ours that nobody else uses.
        unsafe {
            if !msr::try_write(EFER, msr::read(EFER) | efer::SVME) {
                return Err(Trouble::Fault("setting EFER.SVME"));
            }
            msr::write(VM_HSAVE_PA, save_area.hpa().raw());
        }
        let asids = TagPool::new(caps.asids.saturating_sub(1));
        Ok(Self { _save_area: save_area, host_vmcb, caps: *caps, asids, guard })
    }

    /// Disables SVM.
    pub fn off(&mut self) {
        // SAFETY: no guest runs on this core any more (`Loaded` borrows the core, so it is gone).
        unsafe {
            msr::write(VM_HSAVE_PA, 0);
            msr::write(EFER, msr::read(EFER) & !efer::SVME);
        }
    }
}
