//! What this CPU's VMX can do: the capability MSRs, read once (SDM 3D "VMX Capability Reporting Facility").

use x86::msr;

/// What VM functions there are.
const IA32_VMX_VMFUNC: u32 = 0x491;
/// What tertiary processor-based controls there are.
const IA32_VMX_PROCBASED_CTLS3: u32 = 0x492;

/// The VMX capability MSRs, as read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct VmxCaps {
    /// IA32_VMX_BASIC.
    pub basic: u64,
    /// Pin-based controls: allowed 0-settings in 31:0, allowed 1-settings in 63:32. The true MSR where there is one.
    pub pin: u64,
    /// Primary processor-based controls, likewise.
    pub primary: u64,
    /// Secondary processor-based controls, likewise; 0 where there are none.
    pub secondary: u64,
    /// VM-exit controls, likewise.
    pub exit: u64,
    /// VM-entry controls, likewise.
    pub entry: u64,
    /// IA32_VMX_MISC.
    pub misc: u64,
    /// Bits that must be 1 in CR0.
    pub cr0_fixed0: u64,
    /// Bits that may be 1 in CR0.
    pub cr0_fixed1: u64,
    /// Bits that must be 1 in CR4.
    pub cr4_fixed0: u64,
    /// Bits that may be 1 in CR4.
    pub cr4_fixed1: u64,
    /// IA32_VMX_EPT_VPID_CAP; 0 where there is neither.
    pub ept_vpid: u64,
    /// IA32_VMX_VMFUNC: the VM-function controls that may be 1; 0 where there are none.
    pub vmfunc: u64,
    /// IA32_VMX_PROCBASED_CTLS3: the tertiary controls that may be 1; 0 where there are none.
    pub tertiary: u64,
}

/// "Activate VMX-preemption timer", a pin-based control.
pub const PREEMPTION_TIMER: u32 = 1 << 6;

/// "Use TPR shadow", a primary processor-based control.
pub const TPR_SHADOW: u32 = 1 << 21;

/// Secondary controls by bit, for questions that are asked before the controls are built.
pub mod secondary {
    /// Enable EPT.
    pub const EPT: u32 = 1 << 1;
    /// Enable RDTSCP.
    pub const RDTSCP: u32 = 1 << 3;
    /// Enable VPID.
    pub const VPID: u32 = 1 << 5;
    /// Unrestricted guest.
    pub const UNRESTRICTED_GUEST: u32 = 1 << 7;
    /// Virtualize APIC accesses.
    pub const APIC_ACCESSES: u32 = 1 << 0;
    /// Virtualize x2APIC mode.
    pub const X2APIC_MODE: u32 = 1 << 4;
    /// APIC-register virtualization.
    pub const APIC_REGISTERS: u32 = 1 << 8;
    /// Virtual-interrupt delivery.
    pub const INTERRUPT_DELIVERY: u32 = 1 << 9;
    /// Enable XSAVES and XRSTORS.
    pub const XSAVES: u32 = 1 << 20;
    /// Use TSC scaling.
    pub const TSC_SCALING: u32 = 1 << 25;
    /// Enable VM functions.
    pub const VMFUNC: u32 = 1 << 13;
}

impl VmxCaps {
    /// Reads them all through `rdmsr`. The caller has checked CPUID.1:ECX.VMX.
    pub fn read(mut rdmsr: impl FnMut(u32) -> u64) -> Self {
        let basic = rdmsr(msr::IA32_VMX_BASIC);
        let has_true = basic & (1 << 55) != 0;
        let mut pick = |plain, true_one| rdmsr(if has_true { true_one } else { plain });
        let pin = pick(msr::IA32_VMX_PINBASED_CTLS, msr::IA32_VMX_TRUE_PINBASED_CTLS);
        let primary = pick(msr::IA32_VMX_PROCBASED_CTLS, msr::IA32_VMX_TRUE_PROCBASED_CTLS);
        let exit = pick(msr::IA32_VMX_EXIT_CTLS, msr::IA32_VMX_TRUE_EXIT_CTLS);
        let entry = pick(msr::IA32_VMX_ENTRY_CTLS, msr::IA32_VMX_TRUE_ENTRY_CTLS);
        let has_secondary = primary >> 32 & (1 << 31) != 0;
        let secondary = if has_secondary { rdmsr(msr::IA32_VMX_PROCBASED_CTLS2) } else { 0 };
        let allowed = (secondary >> 32) as u32;
        let has_ept_cap = allowed & (secondary::EPT | secondary::VPID) != 0;
        Self {
            basic,
            pin,
            primary,
            secondary,
            exit,
            entry,
            misc: rdmsr(msr::IA32_VMX_MISC),
            cr0_fixed0: rdmsr(msr::IA32_VMX_CR0_FIXED0),
            cr0_fixed1: rdmsr(msr::IA32_VMX_CR0_FIXED1),
            cr4_fixed0: rdmsr(msr::IA32_VMX_CR4_FIXED0),
            cr4_fixed1: rdmsr(msr::IA32_VMX_CR4_FIXED1),
            ept_vpid: if has_ept_cap { rdmsr(msr::IA32_VMX_EPT_VPID_CAP) } else { 0 },
            vmfunc: if allowed & secondary::VMFUNC != 0 { rdmsr(IA32_VMX_VMFUNC) } else { 0 },
            tertiary: if primary >> 32 & (1 << 17) != 0 { rdmsr(IA32_VMX_PROCBASED_CTLS3) } else { 0 },
        }
    }

    /// The VMCS revision identifier, 31 bits.
    pub const fn revision(&self) -> u32 {
        self.basic as u32 & 0x7fff_ffff
    }

    /// Whether the secondary controls `bits` (see [`secondary`]) may all be 1.
    pub const fn has_secondary(&self, bits: u32) -> bool {
        (self.secondary >> 32) as u32 & bits == bits
    }

    const fn ept(&self, bit: u32) -> bool {
        self.ept_vpid >> bit & 1 != 0
    }

    /// EPT with a 4-level walk and write-back tables: what this hypervisor builds.
    pub const fn ept_usable(&self) -> bool {
        self.has_secondary(secondary::EPT) && self.ept(6) && self.ept(14)
    }

    /// Unrestricted guest: real-address mode and unpaged protected mode run natively.
    pub const fn unrestricted_guest(&self) -> bool {
        self.has_secondary(secondary::EPT | secondary::UNRESTRICTED_GUEST)
    }

    /// All that takes a local APIC's everyday work from us: the page that the CPU keeps of it, and interrupts that it delivers.
    pub const fn virtual_apic(&self) -> bool {
        use secondary::{APIC_ACCESSES, APIC_REGISTERS, INTERRUPT_DELIVERY, X2APIC_MODE};
        let tpr_shadow = (self.primary >> 32) as u32 & TPR_SHADOW != 0;
        tpr_shadow && self.has_secondary(APIC_ACCESSES | X2APIC_MODE | APIC_REGISTERS | INTERRUPT_DELIVERY)
    }

    /// By how many bits the VMX-preemption timer is slower than the TSC; `None` where there is none (SDM 3C "VMX-Preemption
    /// Timer", SDM 3D "Miscellaneous Data").
    pub const fn preemption_timer(&self) -> Option<u32> {
        let allowed = (self.pin >> 32) as u32 & PREEMPTION_TIMER != 0;
        if allowed { Some(self.misc as u32 & 0x1f) } else { None }
    }

    /// 2 MiB leaves in EPT.
    pub const fn ept_2m(&self) -> bool {
        self.ept(16)
    }

    /// 1 GiB leaves in EPT.
    pub const fn ept_1g(&self) -> bool {
        self.ept(17)
    }

    /// Accessed and dirty flags in EPT.
    pub const fn ept_accessed_dirty(&self) -> bool {
        self.ept(21)
    }

    /// INVEPT with single-context or, where that is missing, all-context type.
    pub const fn invept(&self) -> Option<InvType> {
        match (self.ept(20), self.ept(25), self.ept(26)) {
            (true, true, _) => Some(InvType::SingleContext),
            (true, false, true) => Some(InvType::AllContext),
            _ => None,
        }
    }

    /// VPIDs with an INVVPID that can flush one of them, or all.
    pub const fn invvpid(&self) -> Option<InvType> {
        if !self.has_secondary(secondary::VPID) || !self.ept(32) {
            return None;
        }
        match (self.ept(41), self.ept(42)) {
            (true, _) => Some(InvType::SingleContext),
            (false, true) => Some(InvType::AllContext),
            _ => None,
        }
    }

    /// `value` with the bits that VMX operation fixes in CR0.
    pub const fn fix_cr0(&self, value: u64) -> u64 {
        (value | self.cr0_fixed0) & self.cr0_fixed1
    }

    /// `value` with the bits that VMX operation fixes in CR4.
    pub const fn fix_cr4(&self, value: u64) -> u64 {
        (value | self.cr4_fixed0) & self.cr4_fixed1
    }
}

/// The type operand of INVEPT and INVVPID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum InvType {
    /// The mappings of one EPTP or VPID.
    SingleContext = 1,
    /// All of them.
    AllContext = 2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn true_controls_are_preferred_and_absent_msrs_not_read() {
        let caps = VmxCaps::read(|m| match m {
            msr::IA32_VMX_BASIC => 0x8000_0012 | 1 << 55,
            msr::IA32_VMX_TRUE_PINBASED_CTLS => 1,
            msr::IA32_VMX_TRUE_PROCBASED_CTLS => 2,
            msr::IA32_VMX_TRUE_EXIT_CTLS => 3,
            msr::IA32_VMX_TRUE_ENTRY_CTLS => 4,
            msr::IA32_VMX_MISC
            | msr::IA32_VMX_CR0_FIXED0
            | msr::IA32_VMX_CR0_FIXED1
            | msr::IA32_VMX_CR4_FIXED0
            | msr::IA32_VMX_CR4_FIXED1 => 0,
            other => panic!("read of an MSR that this CPU does not have: {other:#x}"),
        });
        assert_eq!((caps.pin, caps.primary, caps.exit, caps.entry), (1, 2, 3, 4));
        assert_eq!(caps.revision(), 0x12);
        assert!(!caps.ept_usable() && !caps.unrestricted_guest());
        assert_eq!(caps.invvpid(), None);
    }

    #[test]
    fn fixed_bits() {
        let caps = VmxCaps { cr0_fixed0: 0x8000_0021, cr0_fixed1: 0xffff_ffff, ..Default::default() };
        assert_eq!(caps.fix_cr0(0), 0x8000_0021);
        assert_eq!(caps.fix_cr0(u64::MAX), 0xffff_ffff);
    }
}
