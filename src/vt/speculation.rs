//! Speculation: by which ways a guest could see what is not its own on this CPU, and what is done about each.
//!
//! The [`Plan`] is pure: CPUID and MSRs come in through a [`Probe`]. What carries it out is in `guard`, and the registers
//! are cleared by the run stubs.

use arrayvec::ArrayVec;

use super::preflight::Probe;
use crate::hw::options::L1dFlush;

#[cfg(target_os = "none")]
mod commands;
#[cfg(target_os = "none")]
mod guard;
#[cfg(test)]
mod tests;

#[cfg(target_os = "none")]
pub use commands::{arch_capabilities, flush_l1d, predictor_barrier};
#[cfg(target_os = "none")]
pub use guard::{CoreGuard, Guard, choose};

/// IA32_ARCH_CAPABILITIES.
const IA32_ARCH_CAPABILITIES: u32 = 0x10a;

/// Bits of IA32_ARCH_CAPABILITIES (SDM 4).
mod told {
    pub const RDCL_NO: u64 = 1 << 0;
    pub const SKIP_L1DFL_VMENTRY: u64 = 1 << 3;
    pub const MDS_NO: u64 = 1 << 5;
    pub const TAA_NO: u64 = 1 << 8;
    pub const RFDS_NO: u64 = 1 << 27;
    pub const RFDS_CLEAR: u64 = 1 << 28;
}

/// Models of Intel's family 6 that run guests, do not have L1TF, and may be too old to say so: Silvermont, Airmont,
/// Goldmont, Knights Landing and Knights Mill (Intel, "Affected Processors: Transient Execution Attacks").
const NO_L1TF: [u8; 12] = [0x37, 0x4a, 0x4c, 0x4d, 0x57, 0x5a, 0x5c, 0x5d, 0x5f, 0x75, 0x7a, 0x85];
/// Of these, those without MDS too: Goldmont.
const NO_MDS: [u8; 3] = [0x5c, 0x5f, 0x7a];

/// How the L1 data cache is flushed, against L1TF (L1 terminal fault): a guest may read there, by a page-table entry of
/// its own that is not present, whatever the core has touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum L1d {
    /// Need not be: this CPU does not have L1TF.
    NotAffected,
    /// Need not be: the hypervisor below does it.
    Below,
    /// By IA32_FLUSH_CMD.
    Command,
    /// By reading so much that nothing else is left in it.
    Software,
}

/// What can be done about a weakness that leaves data in the core's buffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Buffers {
    /// This CPU does not have it.
    NotAffected,
    /// VERW clears the buffers.
    Verw,
    /// VERW would have to, but this microcode does not make it do so.
    NoMicrocode,
}

/// What is done on this CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// L1TF.
    pub l1d: L1d,
    /// MDS (microarchitectural data sampling).
    pub mds: Buffers,
    /// TAA (TSX asynchronous abort).
    pub taa: Buffers,
    /// RFDS (register file data sampling).
    pub rfds: Buffers,
    /// There is IA32_PRED_CMD.IBPB, the indirect branch prediction barrier.
    pub ibpb: bool,
    /// There is IA32_SPEC_CTRL.
    pub spec_ctrl: bool,
    /// Cores are threads that share their caches and buffers with others.
    pub siblings: bool,
}

/// A line of the preflight: a weakness, and what is done about it.
pub type Line = (&'static str, &'static str);

impl Plan {
    /// Nothing is done.
    pub const NOTHING: Self = Self {
        l1d: L1d::NotAffected,
        mds: Buffers::NotAffected,
        taa: Buffers::NotAffected,
        rfds: Buffers::NotAffected,
        ibpb: false,
        spec_ctrl: false,
        siblings: false,
    };

    /// Chooses by what the CPU says of itself. An Intel CPU that says nothing has what Intel's CPUs had before the bits
    /// that deny it; CPUs of other vendors have none of L1TF, MDS, TAA and RFDS.
    pub fn of(probe: &impl Probe) -> Self {
        let [last, b, c, d] = probe.cpuid(0, 0);
        let leaf = |number, subleaf| if number <= last { probe.cpuid(number, subleaf) } else { [0; 4] };
        let intel = [b, d, c].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel";
        let [signature, ..] = leaf(1, 0);
        let [_, ebx7, _, edx7] = leaf(7, 0);
        let [last_extended, ..] = probe.cpuid(0x8000_0000, 0);
        let [_, amd, ..] = if last_extended >= 0x8000_0008 { probe.cpuid(0x8000_0008, 0) } else { [0; 4] };
        let bit = |register: u32, bit: u32| register >> bit & 1 != 0;

        let capabilities = if bit(edx7, 29) { probe.rdmsr(IA32_ARCH_CAPABILITIES).unwrap_or(0) } else { 0 };
        let says = |what: u64| capabilities & what != 0;
        let model = (signature >> 4 & 0xf | signature >> 12 & 0xf0) as u8;
        let old_enough = |models: &[u8]| signature >> 8 & 0xf == 6 && models.contains(&model);

        let (md_clear, rtm) = (bit(edx7, 10), bit(ebx7, 11));
        let buffers = |affected: bool, verw: bool| match (affected, verw) {
            (false, _) => Buffers::NotAffected,
            (true, true) => Buffers::Verw,
            (true, false) => Buffers::NoMicrocode,
        };
        let [_, threads, level, _] = leaf(0xb, 0);
        Self {
            l1d: if !intel || says(told::RDCL_NO) || old_enough(&NO_L1TF) {
                L1d::NotAffected
            } else if says(told::SKIP_L1DFL_VMENTRY) {
                L1d::Below
            } else if bit(edx7, 28) {
                L1d::Command
            } else {
                L1d::Software
            },
            mds: buffers(intel && !says(told::MDS_NO) && !old_enough(&NO_MDS), md_clear),
            // Where MDS is cleared away, so is this.
            taa: buffers(intel && rtm && !says(told::TAA_NO), md_clear),
            // A CPU that has it and does not say that VERW helps can't be told from one that is too old to deny it.
            rfds: buffers(intel && says(told::RFDS_CLEAR) && !says(told::RFDS_NO), true),
            ibpb: bit(edx7, 26) || bit(amd, 12),
            spec_ctrl: [26, 27, 31].iter().any(|b| bit(edx7, *b)) || [14, 15, 24].iter().any(|b| bit(amd, *b)),
            // SDM 2A, CPUID leaf 0BH: the level of threads is the first, EBX says how many are in one core.
            siblings: level >> 8 & 0xff == 1 && threads & 0xffff > 1,
        }
    }

    /// Whether VERW must clear the core's buffers before each entry.
    pub fn verw(&self) -> bool {
        [self.mds, self.taa, self.rfds].contains(&Buffers::Verw)
    }

    /// Whether the L1 data cache is to be flushed at all, with this option.
    pub fn flushes(&self, when: L1dFlush) -> bool {
        matches!(self.l1d, L1d::Command | L1d::Software) && when != L1dFlush::Never
    }

    /// What is done, in words.
    pub fn lines(&self, when: L1dFlush) -> ArrayVec<Line, 8> {
        let l1tf = match (self.l1d, when) {
            (L1d::NotAffected, _) => "not affected",
            (L1d::Below, _) => "the hypervisor below flushes the L1 data cache",
            (L1d::Command | L1d::Software, L1dFlush::Never) => "affected, and not flushed, as flush=never asks",
            (L1d::Command, L1dFlush::Auto) => {
                "L1 data cache flushed by IA32_FLUSH_CMD when a core takes a guest, and after interrupts"
            }
            (L1d::Command, L1dFlush::Always) => "L1 data cache flushed by IA32_FLUSH_CMD before each entry",
            (L1d::Software, L1dFlush::Auto) => {
                "L1 data cache flushed by reading 64 KiB when a core takes a guest, and after interrupts \
                 (the microcode has no IA32_FLUSH_CMD)"
            }
            (L1d::Software, L1dFlush::Always) => {
                "L1 data cache flushed by reading 64 KiB before each entry (the microcode has no IA32_FLUSH_CMD)"
            }
        };
        let buffers = |what| match what {
            Buffers::NotAffected => "not affected",
            Buffers::Verw => "buffers cleared by VERW before each entry",
            Buffers::NoMicrocode => "affected, but the microcode has no MD_CLEAR: update the firmware",
        };
        let mut lines = ArrayVec::from_iter([("L1TF", l1tf), ("MDS", buffers(self.mds)), ("TAA", buffers(self.taa))]);
        if self.rfds != Buffers::NotAffected {
            lines.push(("RFDS", buffers(self.rfds)));
        }
        lines.push((
            "branch predictors",
            if self.ibpb {
                "barrier (IBPB) when a core changes guest"
            } else {
                "kept when a core changes guest: the CPU or its microcode has no IBPB"
            },
        ));
        lines.push((
            "SPEC_CTRL",
            if self.spec_ctrl {
                "the guest's and the host's kept apart"
            } else {
                "neither guests nor the host have it"
            },
        ));
        lines.push(("registers", "cleared of guest values after each exit"));
        if self.siblings && self.shares() {
            lines.push((
                "threads",
                "a core's second thread sees its caches and buffers whatever is flushed: turn hyper-threading off",
            ));
        }
        lines
    }

    /// Whether there is a weakness that flushing and clearing does not cure between the threads of a core.
    fn shares(&self) -> bool {
        self.l1d != L1d::NotAffected || [self.mds, self.taa].iter().any(|weakness| *weakness != Buffers::NotAffected)
    }
}
