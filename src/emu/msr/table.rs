//! One row per MSR or range of MSRs.

use super::check::Check;
use super::offer::Optional;

/// One MSR, or a range of them that are alike.
pub(super) struct Row {
    pub first: u32,
    pub last: u32,
    pub kind: Kind,
}

/// What an MSR is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Accessed by the guest without an exit: the CPU or the vendor's control structure switches it.
    Open,
    /// Reads as this value.
    Fixed { value: u64, accept: Accept },
    /// A register that nothing but the guest reads: its first slot, its value at start, what may be written.
    Data { slot: usize, reset: u64, check: Check },
    /// Writes are dropped, reads are #GP.
    Ignored,
    /// There where CPUID offers it.
    Optional(Optional),
}

/// Which writes a fixed MSR takes without #GP. None changes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    Nothing,
    Zero,
}

const fn open(first: u32, last: u32) -> Row {
    Row { first, last, kind: Kind::Open }
}

const fn fixed(msr: u32, value: u64, accept: Accept) -> Row {
    Row { first: msr, last: msr, kind: Kind::Fixed { value, accept } }
}

/// Reads as 0 and takes 0.
const fn zeros(first: u32, last: u32) -> Row {
    Row { first, last, kind: Kind::Fixed { value: 0, accept: Accept::Zero } }
}

const fn optional(msr: u32, which: Optional) -> Row {
    Row { first: msr, last: msr, kind: Kind::Optional(which) }
}

const fn data(first: u32, last: u32, slot: usize, reset: u64, check: Check) -> Row {
    Row { first, last, kind: Kind::Data { slot, reset, check } }
}

/// How many `Data` registers there are.
pub(super) const SLOTS: usize = 46;

/// A microcode revision: Intel's is the upper half, AMD's patch level the lower.
const MICROCODE: u64 = 0x0000_0001_0100_0065;
/// Eight variable ranges, fixed ranges, write combining; no SMRR.
const MTRRCAP: u64 = 0x508;
/// Four banks of machine-check registers; no MCG_CTL, no CMCI, no threshold, no recovery.
const MCG_CAP: u64 = 4;
/// MTRRs on, fixed ranges off, everything write-back: guests start without firmware that would set them up.
const MTRR_DEF_TYPE: u64 = 0x806;
/// Fast strings; no branch trace store, no PEBS.
const MISC_ENABLE: u64 = 1 | 1 << 11 | 1 << 12;
/// TscFreqSel: the TSC counts at the P0 frequency.
const HWCR: u64 = 1 << 24;
/// LFENCE is serializing.
const DE_CFG: u64 = 1 << 1;

/// All MSRs in ascending order. IA32_TSC, IA32_APIC_BASE, IA32_SPEC_CTRL, IA32_PAT, IA32_TSC_DEADLINE, the x2APIC's and
/// IA32_EFER are not here: [`super::Msrs`] matches them first.
///
/// AMD's LS_CFG is left out on purpose: a guest that can read it believes that a bit in it stops speculative stores.
pub(super) const TABLE: &[Row] = &[
    // IA32_PLATFORM_ID
    fixed(0x17, 0, Accept::Nothing),
    // IA32_FEATURE_CONTROL, IA32_TSC_ADJUST, IA32_PRED_CMD
    optional(0x3a, Optional::FeatureControl),
    optional(0x3b, Optional::TscAdjust),
    optional(0x49, Optional::PredCmd),
    // IA32_BIOS_UPDT_TRIG
    Row { first: 0x79, last: 0x79, kind: Kind::Ignored },
    // IA32_BIOS_SIGN_ID, PATCH_LEVEL
    fixed(0x8b, MICROCODE, Accept::Zero),
    // MSR_PLATFORM_INFO
    optional(0xce, Optional::PlatformInfo),
    // IA32_MTRRCAP
    fixed(0xfe, MTRRCAP, Accept::Nothing),
    // IA32_ARCH_CAPABILITIES, IA32_FLUSH_CMD
    optional(0x10a, Optional::ArchCapabilities),
    optional(0x10b, Optional::FlushCmd),
    // IA32_SYSENTER_CS, _ESP, _EIP
    open(0x174, 0x176),
    // IA32_MCG_CAP, IA32_MCG_STATUS
    fixed(0x179, MCG_CAP, Accept::Nothing),
    zeros(0x17a, 0x17a),
    // IA32_PERF_STATUS, IA32_PERF_CTL
    zeros(0x198, 0x199),
    // IA32_MISC_ENABLE
    data(0x1a0, 0x1a0, 0, MISC_ENABLE, Check::MiscEnable),
    // IA32_DEBUGCTL: no branch record, no branch trap.
    zeros(0x1d9, 0x1d9),
    // IA32_MTRR_PHYSBASE0, _PHYSMASK0, ... _PHYSMASK7
    data(0x200, 0x20f, 1, 0, Check::MtrrVariable),
    // IA32_MTRR_FIX64K, FIX16K, FIX4K
    data(0x250, 0x250, 17, 0, Check::MtrrFixed),
    data(0x258, 0x259, 18, 0, Check::MtrrFixed),
    data(0x268, 0x26f, 20, 0, Check::MtrrFixed),
    // IA32_MTRR_DEF_TYPE
    data(0x2ff, 0x2ff, 28, MTRR_DEF_TYPE, Check::MtrrDefault),
    // IA32_MC0_CTL; _STATUS, _ADDR, _MISC, which hold no error and are only cleared. So up to IA32_MC3_MISC.
    data(0x400, 0x400, 29, 0, Check::Any),
    zeros(0x401, 0x403),
    data(0x404, 0x404, 30, 0, Check::Any),
    zeros(0x405, 0x407),
    data(0x408, 0x408, 31, 0, Check::Any),
    zeros(0x409, 0x40b),
    data(0x40c, 0x40c, 32, 0, Check::Any),
    zeros(0x40d, 0x40f),
    // IA32_XSS
    optional(0xda0, Optional::Xss),
    // STAR, LSTAR, CSTAR, FMASK
    open(0xc000_0081, 0xc000_0084),
    // FS_BASE, GS_BASE, KERNEL_GS_BASE, TSC_AUX
    open(0xc000_0100, 0xc000_0103),
    // SYSCFG, HWCR, TOP_MEM, TOP_MEM2, NB_CFG
    data(0xc001_0010, 0xc001_0010, 33, 0, Check::Any),
    data(0xc001_0015, 0xc001_0015, 34, HWCR, Check::Any),
    data(0xc001_001a, 0xc001_001a, 35, 0, Check::Any),
    data(0xc001_001d, 0xc001_001d, 36, 0, Check::Any),
    data(0xc001_001f, 0xc001_001f, 37, 0, Check::Any),
    // Interrupt Pending and CMP-Halt, MMIO configuration base
    data(0xc001_0055, 0xc001_0055, 38, 0, Check::Any),
    data(0xc001_0058, 0xc001_0058, 39, 0, Check::Any),
    // P-state limit, control, status
    zeros(0xc001_0061, 0xc001_0063),
    // IC_CFG, DC_CFG, BU_CFG
    data(0xc001_1021, 0xc001_1023, 40, 0, Check::Any),
    // FP_CFG, DE_CFG, BU_CFG2
    data(0xc001_1028, 0xc001_1028, 43, 0, Check::Any),
    data(0xc001_1029, 0xc001_1029, 44, DE_CFG, Check::Any),
    data(0xc001_102a, 0xc001_102a, 45, 0, Check::Any),
];

/// The MSRs that a guest reads and writes without an exit.
///
/// The vendor's control structure, or its code around the run loop, gives each guest its own.
pub const OPEN: &[u32] = &OPEN_LIST;

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
const OPEN_LIST: [u32; OPEN_COUNT] = {
    let (mut list, mut n, mut i) = ([0; OPEN_COUNT], 0, 0);
    while i < TABLE.len() {
        let row = &TABLE[i];
        let mut msr = row.first;
        while matches!(row.kind, Kind::Open) && msr <= row.last {
            list[n] = msr;
            n += 1;
            msr += 1;
        }
        i += 1;
    }
    list
};

const OPEN_COUNT: usize = {
    let (mut n, mut rows) = (0, TABLE);
    while let [row, rest @ ..] = rows {
        if matches!(row.kind, Kind::Open) {
            n += (row.last - row.first) as usize + 1;
        }
        rows = rest;
    }
    n
};

// The rows ascend without overlap, and the slots follow each other without a gap.
const _: () = {
    let (mut slot, mut rows) = (0, TABLE);
    while let [row, rest @ ..] = rows {
        assert!(row.first <= row.last);
        if let [next, ..] = rest {
            assert!(row.last < next.first);
        }
        if let Kind::Data { slot: first, .. } = row.kind {
            assert!(first == slot);
            slot += (row.last - row.first) as usize + 1;
        }
        rows = rest;
    }
    assert!(slot == SLOTS);
};

/// The kind of `msr` and its place in its row; `None` where the table does not name it.
pub(super) fn find(msr: u32) -> Option<(Kind, usize)> {
    let row = TABLE.get(TABLE.partition_point(|row| row.last < msr))?;
    let at = msr.checked_sub(row.first)?;
    Some((row.kind, at as usize))
}
