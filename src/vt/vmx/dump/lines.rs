//! The lines of Linux KVM's `dump_vmcs`.

use core::fmt;

use crate::vt::doctor::text::{Line, Piece};
use crate::vt::vmx::caps::secondary;
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

type P = Piece<F, VmxCase>;
type L = Line<F, VmxCase>;

const fn lit(text: &'static str) -> P {
    Piece::Lit(text)
}

/// A whole field with at least so many digits.
const fn x(field: F, digits: usize) -> P {
    Piece::Hex(field, 0, width(field), digits)
}

const fn width(field: F) -> u32 {
    match field.encoding() >> 13 & 3 {
        0 => 16,
        2 => 32,
        _ => 64,
    }
}

const GUEST: usize = 0;
const HOST: usize = 1;
const CONTROL: usize = 2;

const fn line(section: usize, pieces: &'static [P]) -> L {
    Line { section, when: Some(|_| true), pieces }
}

const fn when(section: usize, when: fn(&VmxCase) -> bool, pieces: &'static [P]) -> L {
    Line { section, when: Some(when), pieces }
}

/// A line of other versions of Linux.
const fn other(section: usize, pieces: &'static [P]) -> L {
    Line { section, when: None, pieces }
}

macro_rules! segment {
    ($key:literal, $selector:ident, $rights:ident, $limit:ident, $base:ident) => {
        line(
            GUEST,
            &[
                lit(concat!($key, " sel=0x")),
                x(F::$selector, 4),
                lit(", attr=0x"),
                x(F::$rights, 5),
                lit(", limit=0x"),
                x(F::$limit, 8),
                lit(", base=0x"),
                x(F::$base, 16),
            ],
        )
    };
}

macro_rules! table {
    ($key:literal, $limit:ident, $base:ident) => {
        line(
            GUEST,
            &[
                lit(concat!($key, "                           limit=0x")),
                x(F::$limit, 8),
                lit(", base=0x"),
                x(F::$base, 16),
            ],
        )
    };
}

const LOAD_EFER: u64 = 1 << 15;
const EFER: u32 = 0xc000_0080;
const LMA_LME: u64 = 0x500;

fn autoloaded_efer(case: &VmxCase) -> Option<u64> {
    let known = case.get(F::EntryMsrLoadCount) > 0;
    case.entry_msrs.iter().find(|entry| known && entry.index == EFER).map(|entry| entry.value)
}

/// EFER in the guest where the entry does not load it: the host's, with LMA and LME as the entry sets them.
fn effective_efer(case: &VmxCase) -> u64 {
    let long = case.all(F::EntryControls, 1 << 9);
    case.get(F::HostEfer) & !LMA_LME | if long { LMA_LME } else { 0 }
}

fn shows_autoload(case: &VmxCase) -> bool {
    case.get(F::EntryMsrLoadCount) > 0 && !case.entry_msrs.is_empty()
}

fn write_autoload(case: &VmxCase, out: &mut dyn fmt::Write) -> fmt::Result {
    case.entry_msrs
        .iter()
        .enumerate()
        .try_for_each(|(i, e)| writeln!(out, "  {i:2}: msr=0x{:08x} value=0x{:016x}", e.index, e.value))
}

fn entry(case: &VmxCase, bit: u32) -> bool {
    case.all(F::EntryControls, 1 << bit)
}

fn exit(case: &VmxCase, bit: u32) -> bool {
    case.all(F::ExitControls, 1 << bit)
}

/// Whether a secondary control is set, and in effect.
fn secondary(case: &VmxCase, bit: u32) -> bool {
    case.all(F::Secondary, 1 << bit)
}

fn tpr_shadow(case: &VmxCase) -> bool {
    case.all(F::Primary, 1 << 21)
}

const VIRTUAL_INTERRUPTS: u32 = 9;

/// The lines, in their order.
pub const LINES: &[L] = &[
    line(
        GUEST,
        &[
            lit("CR0: actual=0x"),
            x(F::Cr0, 16),
            lit(", shadow=0x"),
            x(F::Cr0Shadow, 16),
            lit(", gh_mask="),
            x(F::Cr0Mask, 16),
        ],
    ),
    line(
        GUEST,
        &[
            lit("CR4: actual=0x"),
            x(F::Cr4, 16),
            lit(", shadow=0x"),
            x(F::Cr4Shadow, 16),
            lit(", gh_mask="),
            x(F::Cr4Mask, 16),
        ],
    ),
    line(GUEST, &[lit("CR3 = 0x"), x(F::Cr3, 16)]),
    when(
        GUEST,
        |case| case.cpu.caps.has_secondary(secondary::EPT),
        &[lit("PDPTR0 = 0x"), x(F::Pdpte0, 16), lit("  PDPTR1 = 0x"), x(F::Pdpte1, 16)],
    ),
    when(
        GUEST,
        |case| case.cpu.caps.has_secondary(secondary::EPT),
        &[lit("PDPTR2 = 0x"), x(F::Pdpte2, 16), lit("  PDPTR3 = 0x"), x(F::Pdpte3, 16)],
    ),
    line(GUEST, &[lit("RSP = 0x"), x(F::Rsp, 16), lit("  RIP = 0x"), x(F::Rip, 16)]),
    line(GUEST, &[lit("RFLAGS=0x"), x(F::Rflags, 8), lit("         DR7 = 0x"), x(F::Dr7, 16)]),
    line(
        GUEST,
        &[
            lit("Sysenter RSP="),
            x(F::SysenterEsp, 16),
            lit(" CS:RIP="),
            x(F::SysenterCs, 4),
            lit(":"),
            x(F::SysenterEip, 16),
        ],
    ),
    segment!("CS:  ", CsSelector, CsRights, CsLimit, CsBase),
    segment!("DS:  ", DsSelector, DsRights, DsLimit, DsBase),
    segment!("SS:  ", SsSelector, SsRights, SsLimit, SsBase),
    segment!("ES:  ", EsSelector, EsRights, EsLimit, EsBase),
    segment!("FS:  ", FsSelector, FsRights, FsLimit, FsBase),
    segment!("GS:  ", GsSelector, GsRights, GsLimit, GsBase),
    table!("GDTR:", GdtrLimit, GdtrBase),
    segment!("LDTR:", LdtrSelector, LdtrRights, LdtrLimit, LdtrBase),
    table!("IDTR:", IdtrLimit, IdtrBase),
    segment!("TR:  ", TrSelector, TrRights, TrLimit, TrBase),
    when(GUEST, |case| case.all(F::EntryControls, LOAD_EFER), &[lit("EFER= 0x"), x(F::Efer, 16)]),
    when(
        GUEST,
        |case| !case.all(F::EntryControls, LOAD_EFER) && autoloaded_efer(case).is_some(),
        &[lit("EFER= 0x"), Piece::Calc(|case| autoloaded_efer(case).unwrap_or(0), 16), lit(" (autoload)")],
    ),
    when(
        GUEST,
        |case| !case.all(F::EntryControls, LOAD_EFER) && autoloaded_efer(case).is_none() && case.state.has(F::HostEfer),
        &[lit("EFER= 0x"), Piece::Calc(effective_efer, 16), lit(" (effective)")],
    ),
    when(GUEST, |case| entry(case, 14), &[lit("PAT = 0x"), x(F::Pat, 16)]),
    line(GUEST, &[lit("DebugCtl = 0x"), x(F::Debugctl, 16), lit("  DebugExceptions = 0x"), x(F::PendingDebug, 16)]),
    when(GUEST, |case| entry(case, 13), &[lit("PerfGlobCtl = 0x"), x(F::PerfGlobalCtrl, 16)]),
    when(GUEST, |case| entry(case, 16), &[lit("BndCfgS = 0x"), x(F::Bndcfgs, 16)]),
    line(GUEST, &[lit("Interruptibility = "), x(F::Interruptibility, 8), lit("  ActivityState = "), x(F::Activity, 8)]),
    when(GUEST, |case| secondary(case, VIRTUAL_INTERRUPTS), &[lit("InterruptStatus = "), x(F::InterruptStatus, 4)]),
    when(GUEST, shows_autoload, &[lit("MSR guest autoload:"), Piece::More(write_autoload)]),
    when(
        GUEST,
        |case| entry(case, 20),
        &[
            lit("S_CET = 0x"),
            x(F::SCet, 16),
            lit(", SSP = 0x"),
            x(F::Ssp, 16),
            lit(", SSP TABLE = 0x"),
            x(F::SspTable, 16),
        ],
    ),
    line(HOST, &[lit("RIP = 0x"), x(F::HostRip, 16), lit("  RSP = 0x"), x(F::HostRsp, 16)]),
    line(
        HOST,
        &[
            lit("CS="),
            x(F::HostCsSelector, 4),
            lit(" SS="),
            x(F::HostSsSelector, 4),
            lit(" DS="),
            x(F::HostDsSelector, 4),
            lit(" ES="),
            x(F::HostEsSelector, 4),
            lit(" FS="),
            x(F::HostFsSelector, 4),
            lit(" GS="),
            x(F::HostGsSelector, 4),
            lit(" TR="),
            x(F::HostTrSelector, 4),
        ],
    ),
    line(
        HOST,
        &[
            lit("FSBase="),
            x(F::HostFsBase, 16),
            lit(" GSBase="),
            x(F::HostGsBase, 16),
            lit(" TRBase="),
            x(F::HostTrBase, 16),
        ],
    ),
    line(HOST, &[lit("GDTBase="), x(F::HostGdtrBase, 16), lit(" IDTBase="), x(F::HostIdtrBase, 16)]),
    line(HOST, &[lit("CR0="), x(F::HostCr0, 16), lit(" CR3="), x(F::HostCr3, 16), lit(" CR4="), x(F::HostCr4, 16)]),
    line(
        HOST,
        &[
            lit("Sysenter RSP="),
            x(F::HostSysenterEsp, 16),
            lit(" CS:RIP="),
            x(F::HostSysenterCs, 4),
            lit(":"),
            x(F::HostSysenterEip, 16),
        ],
    ),
    when(HOST, |case| exit(case, 21), &[lit("EFER= 0x"), x(F::HostEfer, 16)]),
    when(HOST, |case| exit(case, 19), &[lit("PAT = 0x"), x(F::HostPat, 16)]),
    when(HOST, |case| exit(case, 12), &[lit("PerfGlobCtl = 0x"), x(F::HostPerfGlobalCtrl, 16)]),
    when(
        HOST,
        |case| exit(case, 28),
        &[
            lit("S_CET = 0x"),
            x(F::HostSCet, 16),
            lit(", SSP = 0x"),
            x(F::HostSsp, 16),
            lit(", SSP TABLE = 0x"),
            x(F::HostSspTable, 16),
        ],
    ),
    line(
        CONTROL,
        &[
            lit("CPUBased=0x"),
            x(F::Primary, 8),
            lit(" SecondaryExec=0x"),
            Piece::OrZero(F::Secondary, 8),
            lit(" TertiaryExec=0x"),
            Piece::OrZero(F::TertiaryControls, 16),
        ],
    ),
    line(
        CONTROL,
        &[
            lit("PinBased=0x"),
            x(F::PinBased, 8),
            lit(" EntryControls="),
            x(F::EntryControls, 8),
            lit(" ExitControls="),
            x(F::ExitControls, 8),
        ],
    ),
    line(
        CONTROL,
        &[
            lit("ExceptionBitmap="),
            x(F::ExceptionBitmap, 8),
            lit(" PFECmask="),
            x(F::PfErrorMask, 8),
            lit(" PFECmatch="),
            x(F::PfErrorMatch, 8),
        ],
    ),
    line(
        CONTROL,
        &[
            lit("VMEntry: intr_info="),
            x(F::EntryInfo, 8),
            lit(" errcode="),
            x(F::EntryErrorCode, 8),
            lit(" ilen="),
            x(F::EntryInstructionLength, 8),
        ],
    ),
    line(
        CONTROL,
        &[
            lit("VMExit: intr_info="),
            x(F::ExitInfo, 8),
            lit(" errcode="),
            x(F::ExitErrorCode, 8),
            lit(" ilen="),
            x(F::InstructionLength, 8),
        ],
    ),
    line(CONTROL, &[lit("        reason="), x(F::ExitReason, 8), lit(" qualification="), x(F::Qualification, 16)]),
    line(CONTROL, &[lit("IDTVectoring: info="), x(F::VectoringInfo, 8), lit(" errcode="), x(F::VectoringErrorCode, 8)]),
    line(CONTROL, &[lit("TSC Offset = 0x"), x(F::TscOffset, 16)]),
    when(CONTROL, |case| secondary(case, 25), &[lit("TSC Multiplier = 0x"), x(F::TscMultiplier, 16)]),
    when(
        CONTROL,
        |case| tpr_shadow(case) && secondary(case, VIRTUAL_INTERRUPTS),
        &[
            lit("SVI|RVI = "),
            Piece::Hex(F::InterruptStatus, 8, 8, 2),
            lit("|"),
            Piece::Hex(F::InterruptStatus, 0, 8, 2),
            lit(" TPR Threshold = 0x"),
            x(F::TprThreshold, 2),
        ],
    ),
    when(
        CONTROL,
        |case| tpr_shadow(case) && !secondary(case, VIRTUAL_INTERRUPTS),
        &[lit("TPR Threshold = 0x"), x(F::TprThreshold, 2)],
    ),
    when(
        CONTROL,
        |case| tpr_shadow(case) && secondary(case, 0),
        &[
            lit("APIC-access addr = 0x"),
            x(F::ApicAccessAddress, 16),
            lit(" virt-APIC addr = 0x"),
            x(F::VirtualApicAddress, 16),
        ],
    ),
    when(
        CONTROL,
        |case| tpr_shadow(case) && !secondary(case, 0),
        &[lit("virt-APIC addr = 0x"), x(F::VirtualApicAddress, 16)],
    ),
    when(CONTROL, |case| case.all(F::PinBased, 1 << 7), &[lit("PostedIntrVec = 0x"), x(F::PostedVector, 2)]),
    when(CONTROL, |case| secondary(case, 1), &[lit("EPT pointer = 0x"), x(F::Eptp, 16)]),
    when(CONTROL, |case| secondary(case, 10), &[lit("PLE Gap="), x(F::PleGap, 8), lit(" Window="), x(F::PleWindow, 8)]),
    when(CONTROL, |case| secondary(case, 5), &[lit("Virtual processor ID = 0x"), x(F::Vpid, 4)]),
    when(CONTROL, |case| secondary(case, 18), &[lit("VE info address = 0x"), x(F::VeInfoAddress, 16)]),
    // What other versions have, and what is not of the VMCS.
    other(GUEST, &[lit("EFER =     0x"), x(F::Efer, 16), lit("  PAT = 0x"), x(F::Pat, 16)]),
    other(HOST, &[lit("EFER = 0x"), x(F::HostEfer, 16), lit("  PAT = 0x"), x(F::HostPat, 16)]),
    other(
        CONTROL,
        &[
            lit("PinBased="),
            x(F::PinBased, 8),
            lit(" CPUBased="),
            x(F::Primary, 8),
            lit(" SecondaryExec="),
            x(F::Secondary, 8),
        ],
    ),
    other(
        CONTROL,
        &[
            lit("PinBased=0x"),
            x(F::PinBased, 8),
            lit(" CPUBased=0x"),
            x(F::Primary, 8),
            lit(" SecondaryExec=0x"),
            x(F::Secondary, 8),
            lit(" TertiaryExec=0x"),
            x(F::TertiaryControls, 16),
        ],
    ),
    other(CONTROL, &[lit("EntryControls="), x(F::EntryControls, 8), lit(" ExitControls="), x(F::ExitControls, 8)]),
    other(CONTROL, &[lit("SVI|RVI = "), Piece::Skip, lit("|"), Piece::Skip]),
    other(CONTROL, &[lit("APIC-access addr = 0x"), x(F::ApicAccessAddress, 16)]),
    other(CONTROL, &[lit("CR3 target0="), x(F::Cr3Target0, 16), lit(" target1="), x(F::Cr3Target1, 16)]),
    other(CONTROL, &[lit("CR3 target0="), x(F::Cr3Target0, 16)]),
    other(CONTROL, &[lit("VE info address = 0x"), x(F::VeInfoAddress, 16), lit("(corrupted!)")]),
    other(CONTROL, &[lit("ve_info: 0x"), Piece::Tail]),
];
