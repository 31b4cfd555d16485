//! A guest's local APIC as far as the CPU keeps it: the virtual-APIC page, its registers without exits, and interrupts that the CPU
//! delivers (SDM 3C "APIC Virtualization and Virtual Interrupts").

use super::caps::{TPR_SHADOW, VmxCaps, secondary};
use super::current::Current;
use super::error::VmFail;
use super::field::{control, guest};
use super::msr_map::MsrMap;
use crate::base::{ApicMode, Hpa};
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;
use crate::vt::contract::{APIC_WORDS, Trouble};
use crate::vt::permission::MsrAccess;

/// CR8-load and CR8-store exiting.
const CR8_EXITING: u32 = 1 << 19 | 1 << 20;
/// The MSR of register 0 in x2APIC mode.
const X2APIC: u32 = 0x800;
/// Registers that RDMSR takes from the page: ID, version, TPR, PPR, LDR, SVR, ISR, TMR, IRR, ESR, the LVT, initial count, divide
/// configuration. Not the ICR, whose halves are apart in the page, and not the current count, which moves.
const READ: u64 =
    1 << 2 | 1 << 3 | 1 << 8 | 1 << 10 | 1 << 13 | 1 << 15 | 0xff_ffff << 16 | 1 << 40 | 0x7f << 50 | 1 << 56 | 1 << 62;
/// Registers that WRMSR may write without an exit: TPR, EOI, self IPI.
const WRITE: u64 = 1 << 8 | 1 << 11 | 1 << 63;

/// The page and how it is shown to the guest.
#[derive(Debug)]
pub struct VirtualApic {
    page: Frames,
    /// The frame at the guest's APIC page, whose accesses the CPU looks at.
    access: Hpa,
    mode: ApicMode,
    /// Software-enabled.
    enabled: bool,
}

impl VirtualApic {
    /// As after reset, in xAPIC mode.
    pub fn new(access: Hpa) -> Result<Self, Trouble> {
        let page = frames::alloc_zeroed(Owner::Vt).ok_or(Trouble::OutOfMemory)?;
        Ok(Self { page, access, mode: ApicMode::Memory, enabled: true })
    }

    /// `primary` for a guest with such an APIC: CR8 is in the page.
    pub const fn primary(caps: &VmxCaps, primary: u32) -> u32 {
        primary & !(CR8_EXITING & !(caps.primary as u32)) | TPR_SHADOW
    }

    /// `secondary`, likewise, for its present mode.
    pub const fn secondary(&self, secondary: u32) -> u32 {
        let both = secondary::APIC_REGISTERS | secondary::INTERRUPT_DELIVERY;
        secondary
            | match (self.mode, self.enabled) {
                (ApicMode::Memory, true) => secondary::APIC_ACCESSES | both,
                (ApicMode::Memory, false) => secondary::APIC_ACCESSES,
                (ApicMode::Msr, true) => secondary::X2APIC_MODE | both,
                (ApicMode::Msr, false) | (ApicMode::Off, _) => 0,
            }
    }

    /// Writes its fields to the current VMCS, which is new.
    pub fn write(&self, v: Current) -> Result<(), VmFail> {
        v.try_write(control::VIRTUAL_APIC, self.page.hpa().raw())?;
        v.try_write(control::APIC_ACCESS, self.access.raw())?;
        v.try_write(control::TPR_THRESHOLD, 0)?;
        for i in 0..4 {
            v.try_write(control::EOI_EXIT0.nth(i), 0)?;
        }
        v.try_write(guest::INTERRUPT_STATUS, 0)
    }

    /// The page: a register is every fourth word.
    #[inline]
    pub fn words(&mut self) -> Option<&mut [u32; APIC_WORDS]> {
        self.page.as_mut_slice::<u32>().try_into().ok()
    }

    /// The mode has changed: which MSRs are the page's.
    pub fn set_mode(&mut self, mode: ApicMode, enabled: bool, map: &mut MsrMap<'_>) {
        (self.mode, self.enabled) = (mode, enabled);
        for register in 0..64 {
            let allowed = |mask: u64| mode == ApicMode::Msr && enabled && mask >> register & 1 != 0;
            let msr = X2APIC + register;
            map.set(MsrAccess { msr, read: allowed(READ), write: allowed(WRITE) });
        }
    }
}
