//! VMX operation on one core: VMXON, VMXOFF and the flushes (SDM 3C "Enabling and Entering VMX Operation").

use core::arch::asm;

use x86::msr::IA32_FEATURE_CONTROL;
use x86_64::registers::control::{Cr0, Cr4};

use super::caps::{InvType, VmxCaps};
use super::current::Current;
use super::error::VmFail;
use super::exit::FieldReader;
use super::field::ro;
use super::state::F;
use crate::base::cpu::cr4;
use crate::base::{Hpa, PAGE_SIZE};
use crate::hw::msr;
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;
use crate::vt::contract::Trouble;
use crate::vt::doctor::{Field, State};
use crate::vt::preflight::FeatureControl;
use crate::vt::speculation::CoreGuard;
use crate::vt::tags::TagPool;

/// A core in VMX root operation.
pub struct VmxCore {
    /// VMXON region; the CPU owns it until VMXOFF.
    region: Frames,
    /// The VMCS fields that this CPU has, all 0.
    pub(super) fields: State<F>,
    pub(super) caps: VmxCaps,
    pub(super) vpids: TagPool,
    pub(super) guard: CoreGuard,
}

impl VmxCore {
    /// HPA of the VMXON region.
    pub(super) fn region(&self) -> Hpa {
        self.region.hpa()
    }
}

impl VmxCore {
    /// Enters VMX operation.
    pub fn on(caps: &VmxCaps) -> Result<Self, Trouble> {
        match FeatureControl::judge(msr::try_read(IA32_FEATURE_CONTROL)) {
            FeatureControl::Ready => {}
            FeatureControl::Write(value) => {
                // SAFETY: unlocked, the MSR takes this value: what it had, with VMX and the lock.
                if !unsafe { msr::try_write(IA32_FEATURE_CONTROL, value) } {
                    return Err(Trouble::Fault("WRMSR of IA32_FEATURE_CONTROL"));
                }
            }
            FeatureControl::LockedOff => return Err(Trouble::Fault("VMXON (locked off by the firmware on this core)")),
        }
        let region = region(caps).ok_or(Trouble::OutOfMemory)?;
        let guard = CoreGuard::new()?;
        // SAFETY: only bits that VMX operation fixes are added; the preflight found VMX in CPUID, so CR4.VMXE may be
        // set, and the region is a frame of ours with the revision identifier, as VMXON asks.
        unsafe {
            Cr0::write_raw(caps.fix_cr0(Cr0::read_raw()));
            Cr4::write_raw(caps.fix_cr4(Cr4::read_raw() | cr4::VMXE));
            x86::current::vmx::vmxon(region.hpa().raw()).map_err(|e| Trouble::Vmx("VMXON", fail(e)))?;
        }
        // Numbers up to 4095 are plenty for one core, and a rollover costs one flush.
        let mut core = Self { region, caps: *caps, vpids: TagPool::new(0xfff), fields: State::default(), guard };
        if let Err(trouble) = core.find_fields() {
            // The region must not be given back while the CPU uses it.
            core.off();
            return Err(trouble);
        }
        Ok(core)
    }

    /// Finds out which VMCS fields there are: on a VMCS that nobody uses, because a VMREAD of one that does not exist
    /// leaves its mark in the VM-instruction error field.
    fn find_fields(&mut self) -> Result<(), Trouble> {
        let vmcs = region(&self.caps).ok_or(Trouble::OutOfMemory)?;
        let failed = |e| Trouble::Vmx("VMPTRLD", e);
        vmclear(vmcs.hpa()).map_err(failed)?;
        vmptrld(vmcs.hpa()).map_err(failed)?;
        // SAFETY: VMPTRLD has just succeeded, and the VMCS stays current until VMCLEAR.
        let current = unsafe { Current::new() };
        for field in F::ALL.iter().filter(|f| current.read_any(f.encoding()).is_some()) {
            self.fields.set(*field, 0);
        }
        vmclear(vmcs.hpa()).map_err(failed)
    }

    /// Leaves VMX operation.
    pub fn off(&mut self) {
        // SAFETY: the value proves that VMXON succeeded on this core; no VMCS is current any more (`Loaded` borrows
        // the core, so it is gone).
        unsafe {
            if x86::current::vmx::vmxoff().is_err() {
                log::warn!("VMXOFF failed");
            }
            Cr4::write_raw(Cr4::read_raw() & !cr4::VMXE);
        }
    }

    /// Flushes translations through the nested table at `eptp`, from all VPIDs.
    pub fn invept(&self, eptp: u64) {
        let kind = self.caps.invept().unwrap_or(InvType::AllContext);
        let descriptor = [eptp, 0];
        // SAFETY: the preflight requires INVEPT of this type. The CPU reads 16 bytes.
        unsafe {
            asm!("invept {0}, [{1}]", in(reg) kind as u64, in(reg) &descriptor, options(nostack));
        }
    }

    /// INVEPT of a type that no CPU has: it fails with VM-instruction error 28 and does nothing.
    pub fn invept_badly(&self) {
        let descriptor = [0_u64, 0];
        // SAFETY: the CPU reads 16 bytes and refuses.
        unsafe {
            asm!("invept {0}, [{1}]", in(reg) 0x55_u64, in(reg) &descriptor, options(nostack));
        }
    }

    /// Flushes the translations of one VPID, or of all for `None`. Does nothing where VPIDs are not in use: there,
    /// every entry and exit flushes.
    pub fn invvpid(&self, vpid: Option<u16>) {
        let Some(best) = self.caps.invvpid() else { return };
        let kind = if vpid.is_some() { best } else { InvType::AllContext };
        let descriptor = [u64::from(vpid.unwrap_or(0)), 0];
        // SAFETY: the capability was just checked. The CPU reads 16 bytes.
        unsafe {
            asm!("invvpid {0}, [{1}]", in(reg) kind as u64, in(reg) &descriptor, options(nostack));
        }
    }
}

/// A frame with the VMCS revision identifier in its first word: a VMXON region or a new VMCS
/// (SDM 3C "Format of the VMCS Region").
pub fn region(caps: &VmxCaps) -> Option<Frames> {
    let mut frame = frames::alloc_run(1, PAGE_SIZE, Owner::Vt)?;
    frame.zero();
    *frame.as_mut_slice::<u32>().first_mut()? = caps.revision();
    Some(frame)
}

/// VMCLEAR: also what makes a new VMCS usable.
pub fn vmclear(at: Hpa) -> Result<(), VmFail> {
    // SAFETY: `at` is a VMCS frame of ours, in VMX root operation (the callers hold the core or a loaded vCPU).
    unsafe { x86::current::vmx::vmclear(at.raw()) }.map_err(fail)
}

/// VMPTRLD.
pub fn vmptrld(at: Hpa) -> Result<(), VmFail> {
    // SAFETY: as in `vmclear`.
    unsafe { x86::current::vmx::vmptrld(at.raw()) }.map_err(fail)
}

fn fail(e: x86::vmx::VmFail) -> VmFail {
    match e {
        x86::vmx::VmFail::VmFailInvalid => VmFail::Invalid,
        x86::vmx::VmFail::VmFailValid => {
            // SAFETY: VMfailValid means that there is a current VMCS.
            let current = unsafe { Current::new() };
            VmFail::Valid(current.read(ro::INSTRUCTION_ERROR))
        }
    }
}
