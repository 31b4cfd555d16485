//! What RDMSR and WRMSR do for a guest (SDM 4 "Model-Specific Registers", APM 2 "MSR Cross-Reference").
//!
//! `table` says what each MSR is; what it does not name is #GP, as on a CPU without that MSR, and so is what the
//! guest's CPUID does not offer. One table for both vendors: a few AMD registers read as data on Intel too, where no
//! guest looks for them.

mod check;
mod offer;
mod table;

#[cfg(test)]
mod tests;

pub use table::OPEN;

use crate::base::cpu::efer;
use crate::emu::cpuid::Policy;
use offer::Offer;
use table::{Accept, Kind, SLOTS, TABLE, find};

const EFER: u32 = 0xc000_0080;
const PAT: u32 = 0x277;
const TSC: u32 = 0x10;
const APIC_BASE: u32 = 0x1b;
const SPEC_CTRL: u32 = 0x48;
const TSC_DEADLINE: u32 = 0x6e0;
/// The registers of a local APIC in x2APIC mode (SDM 3A "x2APIC Register Address Space").
const X2APIC: u32 = 0x800;
const X2APIC_COUNT: u32 = 0x100;

/// What a guest's RDMSR gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// This value.
    Value(u64),
    /// The guest's time-stamp counter.
    Tsc,
    /// The guest's IA32_EFER, from the control structure.
    Efer,
    /// The guest's IA32_PAT, from the control structure.
    Pat,
    /// What the guest's local APIC in x2APIC mode has at this MSR, 0x800 to 0x8ff. #GP, where the APIC is not in that mode or has
    /// no such register.
    Apic,
    /// The guest's IA32_APIC_BASE.
    ApicBase,
    /// The guest's IA32_TSC_DEADLINE.
    TscDeadline,
    /// The guest's IA32_TSC_ADJUST.
    TscAdjust,
    /// The guest's IA32_SPEC_CTRL.
    SpecCtrl,
    /// #GP(0).
    Gp,
}

/// What a guest's WRMSR does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Write {
    /// Nothing is left to do.
    Done,
    /// Set the guest's IA32_EFER to this checked value.
    SetEfer(u64),
    /// Set the guest's IA32_PAT to this checked value.
    SetPat(u64),
    /// Make the guest's time-stamp counter go on from this value.
    SetTsc(u64),
    /// Write the value to this MSR of the guest's local APIC; as for [`Read::Apic`].
    Apic,
    /// Set the guest's IA32_APIC_BASE to this value, which has no reserved bit set. Whether the APIC may go from its
    /// mode to the one asked for is left to the APIC.
    SetApicBase(u64),
    /// Set the guest's IA32_TSC_DEADLINE.
    SetTscDeadline(u64),
    /// Set the guest's IA32_TSC_ADJUST, and move its time-stamp counter by as much as that changes.
    SetTscAdjust(u64),
    /// Set the guest's IA32_SPEC_CTRL to this checked value.
    SetSpecCtrl(u64),
    /// Carry out this checked command of IA32_PRED_CMD: 1, an indirect branch prediction barrier.
    PredCmd(u64),
    /// Flush the L1 data cache.
    FlushCmd,
    /// #GP(0).
    Gp,
}

/// What a write of IA32_EFER is checked against.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Rules {
    /// The bits that the guest's CPUID offers.
    pub efer_allowed: u64,
    /// The guest's IA32_EFER.
    pub efer_now: u64,
    /// Whether CR0.PG is set.
    pub paging: bool,
}

/// The MSRs of one vCPU that are only data, and a count of those that are nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Msrs {
    offer: Offer,
    data: [u64; SLOTS],
    unknown: u64,
    last_unknown: u32,
}

impl Msrs {
    /// The values as firmware leaves them, of the MSRs that go with this CPUID.
    pub fn new(policy: &Policy) -> Self {
        let mut data = [0; SLOTS];
        for row in TABLE {
            if let Kind::Data { slot, reset, .. } = row.kind {
                for to in data.iter_mut().skip(slot).take((row.last - row.first) as usize + 1) {
                    *to = reset;
                }
            }
        }
        Self { offer: Offer::of(policy), data, unknown: 0, last_unknown: 0 }
    }

    /// RDMSR of `msr`.
    #[inline]
    pub fn read(&mut self, msr: u32) -> Read {
        if msr.wrapping_sub(X2APIC) < X2APIC_COUNT {
            return Read::Apic;
        }
        match msr {
            TSC_DEADLINE => Read::TscDeadline,
            EFER => Read::Efer,
            PAT => Read::Pat,
            TSC => Read::Tsc,
            SPEC_CTRL if self.offer.spec_ctrl != 0 => Read::SpecCtrl,
            _ => self.read_other(msr),
        }
    }

    /// WRMSR of `value` to `msr`.
    #[inline]
    pub fn write(&mut self, msr: u32, value: u64, rules: &Rules) -> Write {
        if msr.wrapping_sub(X2APIC) < X2APIC_COUNT {
            return Write::Apic;
        }
        match msr {
            TSC_DEADLINE => Write::SetTscDeadline(value),
            EFER => write_efer(value, rules),
            PAT if check::pat(value) => Write::SetPat(value),
            PAT => Write::Gp,
            TSC => Write::SetTsc(value),
            SPEC_CTRL if self.offer.spec_ctrl != 0 => {
                if value & !self.offer.spec_ctrl == 0 {
                    Write::SetSpecCtrl(value)
                } else {
                    Write::Gp
                }
            }
            _ => self.write_other(msr, value),
        }
    }

    /// How many accesses went to MSRs that are not in the table.
    pub const fn unknown(&self) -> u64 {
        self.unknown
    }

    /// The last MSR that was accessed and is not in the table, for logs.
    pub const fn last_unknown(&self) -> Option<u32> {
        if self.unknown == 0 { None } else { Some(self.last_unknown) }
    }

    #[cold]
    fn count(&mut self, msr: u32) {
        self.unknown = self.unknown.saturating_add(1);
        self.last_unknown = msr;
    }

    fn read_other(&mut self, msr: u32) -> Read {
        if msr == APIC_BASE {
            return Read::ApicBase;
        }
        match find(msr) {
            Some((Kind::Optional(which), _)) if self.offer.has(which) => self.offer.read(which),
            Some((Kind::Fixed { value, .. }, _)) => Read::Value(value),
            Some((Kind::Data { slot, .. }, at)) => self.data.get(slot + at).map_or(Read::Gp, |v| Read::Value(*v)),
            Some((Kind::Ignored, _)) => Read::Gp,
            Some((Kind::Open | Kind::Optional(_), _)) | None => {
                self.count(msr);
                Read::Gp
            }
        }
    }

    fn write_other(&mut self, msr: u32, value: u64) -> Write {
        if msr == APIC_BASE {
            return if value & !self.offer.apic_base == 0 { Write::SetApicBase(value) } else { Write::Gp };
        }
        match find(msr) {
            Some((Kind::Optional(which), _)) if self.offer.has(which) => self.offer.write(which, value),
            Some((Kind::Fixed { accept: Accept::Zero, .. }, _)) if value == 0 => Write::Done,
            Some((Kind::Fixed { .. }, _)) => Write::Gp,
            Some((Kind::Ignored, _)) => Write::Done,
            Some((Kind::Data { slot, check, .. }, at)) => {
                let Some(now) = self.data.get_mut(slot + at) else { return Write::Gp };
                let Some(value) = check.value(msr, *now, value) else { return Write::Gp };
                *now = value;
                Write::Done
            }
            Some((Kind::Open | Kind::Optional(_), _)) | None => {
                self.count(msr);
                Write::Gp
            }
        }
    }
}

/// SDM 3A "IA-32e Mode Operation"/"Initializing IA-32e Mode": LME does not change while paging is on. LMA is the CPU's:
/// what is written there is ignored.
#[inline]
const fn write_efer(value: u64, rules: &Rules) -> Write {
    let lme_changes = (value ^ rules.efer_now) & efer::LME != 0;
    if value & !rules.efer_allowed != 0 || (lme_changes && rules.paging) {
        return Write::Gp;
    }
    Write::SetEfer(value & !efer::LMA | rules.efer_now & efer::LMA)
}
