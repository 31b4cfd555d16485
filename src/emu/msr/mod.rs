//! What RDMSR and WRMSR do for a guest (SDM 4 "Model-Specific Registers", APM 2 "MSR Cross-Reference").
//!
//! `table` says what each MSR is; what it does not name is #GP, as on a CPU without that MSR. One table for both vendors: a
//! few AMD registers read as data on Intel too, where no guest looks for them.

mod check;
mod table;

#[cfg(test)]
mod tests;

pub use table::OPEN;

use crate::base::cpu::efer;
use table::{Accept, Kind, SLOTS, TABLE, find};

const EFER: u32 = 0xc000_0080;
const PAT: u32 = 0x277;
const TSC: u32 = 0x10;

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
    data: [u64; SLOTS],
    unknown: u64,
    last_unknown: u32,
}

impl Default for Msrs {
    fn default() -> Self {
        Self::new()
    }
}

impl Msrs {
    /// The values as firmware leaves them.
    pub fn new() -> Self {
        let mut data = [0; SLOTS];
        for row in TABLE {
            if let Kind::Data { slot, reset, .. } = row.kind {
                for to in data.iter_mut().skip(slot).take((row.last - row.first) as usize + 1) {
                    *to = reset;
                }
            }
        }
        Self { data, unknown: 0, last_unknown: 0 }
    }

    /// RDMSR of `msr`.
    #[inline]
    pub fn read(&mut self, msr: u32) -> Read {
        match msr {
            EFER => Read::Efer,
            PAT => Read::Pat,
            TSC => Read::Tsc,
            _ => self.read_other(msr),
        }
    }

    /// WRMSR of `value` to `msr`.
    #[inline]
    pub fn write(&mut self, msr: u32, value: u64, rules: &Rules) -> Write {
        match msr {
            EFER => write_efer(value, rules),
            PAT if check::pat(value) => Write::SetPat(value),
            PAT => Write::Gp,
            TSC => Write::SetTsc(value),
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
        match find(msr) {
            Some((Kind::Fixed { value, .. }, _)) => Read::Value(value),
            Some((Kind::Data { slot, .. }, at)) => self.data.get(slot + at).map_or(Read::Gp, |v| Read::Value(*v)),
            Some((Kind::Ignored, _)) => Read::Gp,
            Some((Kind::Open, _)) | None => {
                self.count(msr);
                Read::Gp
            }
        }
    }

    fn write_other(&mut self, msr: u32, value: u64) -> Write {
        match find(msr) {
            Some((Kind::Fixed { accept: Accept::Same, value: now }, _)) if value == now => Write::Done,
            Some((Kind::Fixed { accept: Accept::Zero, .. }, _)) if value == 0 => Write::Done,
            Some((Kind::Fixed { .. }, _)) => Write::Gp,
            Some((Kind::Ignored, _)) => Write::Done,
            Some((Kind::Data { slot, check, .. }, at)) => {
                let Some(now) = self.data.get_mut(slot + at) else { return Write::Gp };
                let Some(value) = check.value(msr, *now, value) else { return Write::Gp };
                *now = value;
                Write::Done
            }
            Some((Kind::Open, _)) | None => {
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
