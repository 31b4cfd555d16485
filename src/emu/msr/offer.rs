//! What the guest's CPUID offers that MSRs belong to, and those MSRs.

use super::{Read, Write};
use crate::emu::cpuid::Policy;

/// The MSRs that are there only where CPUID says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Optional {
    /// IA32_FEATURE_CONTROL: on Intel.
    FeatureControl,
    /// IA32_TSC_ADJUST.
    TscAdjust,
    /// IA32_PRED_CMD.
    PredCmd,
    /// MSR_PLATFORM_INFO: on Intel.
    PlatformInfo,
    /// IA32_ARCH_CAPABILITIES.
    ArchCapabilities,
    /// IA32_FLUSH_CMD.
    FlushCmd,
    /// IA32_XSS.
    Xss,
}

/// What of this one VM's CPUID the MSRs depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Offer {
    intel: bool,
    tsc_adjust: bool,
    pred_cmd: bool,
    flush_cmd: bool,
    xss: bool,
    arch_capabilities: Option<u64>,
    platform_info: u64,
    /// The bits of IA32_SPEC_CTRL; 0 where there is no such MSR.
    pub spec_ctrl: u64,
    /// The bits that IA32_APIC_BASE has.
    pub apic_base: u64,
}

/// Locked, with everything off.
const FEATURE_CONTROL: u64 = 1;
/// The only command that IA32_PRED_CMD and IA32_FLUSH_CMD know.
const COMMAND: u64 = 1;
/// BSP, x2APIC enable, enable.
const APIC_BASE_FLAGS: u64 = 0xd00;

impl Offer {
    pub fn of(policy: &Policy) -> Self {
        // The ratio of the base frequency to 100 MHz in bits 15:8 (SDM 4, MSR_PLATFORM_INFO).
        let ratio = policy.clock().tsc_khz.saturating_add(50_000) / 100_000;
        Self {
            intel: policy.is_intel(),
            tsc_adjust: policy.has_tsc_adjust(),
            pred_cmd: policy.has_pred_cmd(),
            flush_cmd: policy.has_flush_cmd(),
            xss: policy.has_xss(),
            arch_capabilities: policy.arch_capabilities(),
            platform_info: u64::from(ratio.min(0xff)) << 8,
            spec_ctrl: policy.spec_ctrl_allowed(),
            apic_base: ((1 << policy.physical_bits()) - 1) & !0xfff | APIC_BASE_FLAGS,
        }
    }

    /// Whether this VM has the MSR.
    pub const fn has(&self, msr: Optional) -> bool {
        match msr {
            Optional::FeatureControl | Optional::PlatformInfo => self.intel,
            Optional::TscAdjust => self.tsc_adjust,
            Optional::PredCmd => self.pred_cmd,
            Optional::ArchCapabilities => self.arch_capabilities.is_some(),
            Optional::FlushCmd => self.flush_cmd,
            Optional::Xss => self.xss,
        }
    }

    /// RDMSR of an MSR that this VM has.
    pub const fn read(&self, msr: Optional) -> Read {
        match msr {
            Optional::FeatureControl => Read::Value(FEATURE_CONTROL),
            Optional::PlatformInfo => Read::Value(self.platform_info),
            Optional::TscAdjust => Read::TscAdjust,
            Optional::Xss => Read::Value(0),
            Optional::PredCmd | Optional::FlushCmd => Read::Gp,
            Optional::ArchCapabilities => match self.arch_capabilities {
                Some(value) => Read::Value(value),
                None => Read::Gp,
            },
        }
    }

    /// WRMSR to an MSR that this VM has.
    pub const fn write(&self, msr: Optional, value: u64) -> Write {
        match msr {
            Optional::TscAdjust => Write::SetTscAdjust(value),
            Optional::Xss | Optional::PredCmd | Optional::FlushCmd if value == 0 => Write::Done,
            Optional::PredCmd if value == COMMAND => Write::PredCmd(value),
            Optional::FlushCmd if value == COMMAND => Write::FlushCmd,
            _ => Write::Gp,
        }
    }
}
