//! Dumps of a VMCB with the lines of Linux KVM's `dump_vmcb` (Linux 6.12, with the lines for CET of 6.18).

use core::fmt;

use super::caps::SvmCaps;
use super::case::{SvmCase, SvmCpu};
use super::state::F;
use crate::vt::doctor::state::State;
use crate::vt::doctor::text::{self, Dumped, Fact, Line, Piece};

type P = Piece<F, SvmCase>;
type L = Line<F, SvmCase>;

/// Writes a dump that is complete in itself. The CPU in its first line is given as 0.
pub fn write(case: &SvmCase, out: &mut impl fmt::Write) -> fmt::Result {
    write_on(case, 0, out)
}

/// The same, with the number of the CPU that tried VMRUN last.
pub fn write_on(case: &SvmCase, cpu: u32, out: &mut impl fmt::Write) -> fmt::Result {
    writeln!(out, "VMCB {:016x}, last attempted VMRUN on CPU {cpu}", case.vmcb)?;
    text::write(case, out)
}

/// Writes every field that is there with the names of its bits.
pub fn write_names(case: &SvmCase, out: &mut impl fmt::Write) -> fmt::Result {
    text::write_names(case, out)
}

impl SvmCpu {
    /// What is assumed of a CPU where a dump does not say: that it can do whatever any CPU can. What is broken then is
    /// broken on every CPU; what only this one lacks is not found.
    pub const fn any() -> Self {
        Self {
            // No ASIDs: the leaf is not known, and rules that ask for a feature take it to be there.
            caps: SvmCaps { eax: 1, asids: 0, ecx: u32::MAX, edx: u32::MAX },
            phys_bits: 52,
            // SCE, LME, LMA, NXE to TCE, MCOMMIT, INTWB, UAIE, AIBRSE.
            efer: 0x0036_fd01,
            cr4: 0x1_ffff_ffff,
            long_mode: true,
            host_paging: true,
            encryption_bit: None,
            ibt: true,
        }
    }
}

const CONTROL: usize = 0;
const SAVE: usize = 1;

const fn lit(text: &'static str) -> P {
    Piece::Lit(text)
}

/// A field of 64 bits.
const fn quad(field: F) -> P {
    Piece::Hex(field, 0, 64, 16)
}

/// The low half of a field of 64 bits, or a field of 32.
const fn low(field: F) -> P {
    Piece::Hex(field, 0, 32, 8)
}

/// The high half of a field of 64 bits.
const fn high(field: F) -> P {
    Piece::Hex(field, 32, 32, 8)
}

const fn line(section: usize, pieces: &'static [P]) -> L {
    Line { section, when: Some(|_| true), pieces }
}

/// A line of other versions of Linux.
const fn other(section: usize, pieces: &'static [P]) -> L {
    Line { section, when: None, pieces }
}

macro_rules! segment {
    ($key:literal, $selector:ident, $attrib:ident, $limit:ident, $base:ident) => {
        line(
            SAVE,
            &[
                lit(concat!($key, " s: ")),
                Piece::Hex(F::$selector, 0, 16, 4),
                lit(" a: "),
                Piece::Hex(F::$attrib, 0, 16, 4),
                lit(" l: "),
                Piece::Hex(F::$limit, 0, 32, 8),
                lit(" b: "),
                quad(F::$base),
            ],
        )
    };
}

/// Two fields of the save area in a line.
macro_rules! pair {
    ($first:literal, $one:ident, $second:literal, $two:ident) => {
        line(SAVE, &[lit($first), quad(F::$one), lit($second), quad(F::$two)])
    };
}

/// The lines, in their order.
const LINES: &[L] = &[
    line(CONTROL, &[lit("cr_read:            "), Piece::Hex(F::InterceptCr, 0, 16, 4)]),
    line(CONTROL, &[lit("cr_write:           "), Piece::Hex(F::InterceptCr, 16, 16, 4)]),
    line(CONTROL, &[lit("dr_read:            "), Piece::Hex(F::InterceptDr, 0, 16, 4)]),
    line(CONTROL, &[lit("dr_write:           "), Piece::Hex(F::InterceptDr, 16, 16, 4)]),
    line(CONTROL, &[lit("exceptions:         "), low(F::InterceptExceptions)]),
    line(CONTROL, &[lit("intercepts:         "), low(F::InterceptMisc1), lit(" "), low(F::InterceptMisc2)]),
    line(CONTROL, &[lit("pause filter count: "), Piece::Dec(F::PauseCount)]),
    line(CONTROL, &[lit("pause filter threshold:"), Piece::Dec(F::PauseThreshold)]),
    line(CONTROL, &[lit("iopm_base_pa:       "), quad(F::IopmBase)]),
    line(CONTROL, &[lit("msrpm_base_pa:      "), quad(F::MsrpmBase)]),
    line(CONTROL, &[lit("tsc_offset:         "), quad(F::TscOffset)]),
    line(CONTROL, &[lit("asid:               "), Piece::Dec(F::Asid)]),
    line(CONTROL, &[lit("tlb_ctl:            "), Piece::Dec(F::TlbControl)]),
    line(CONTROL, &[lit("int_ctl:            "), low(F::VIntr)]),
    line(CONTROL, &[lit("int_vector:         "), high(F::VIntr)]),
    line(CONTROL, &[lit("int_state:          "), low(F::InterruptShadow)]),
    line(CONTROL, &[lit("exit_code:          "), low(F::ExitCode)]),
    line(CONTROL, &[lit("exit_info1:         "), quad(F::ExitInfo1)]),
    line(CONTROL, &[lit("exit_info2:         "), quad(F::ExitInfo2)]),
    line(CONTROL, &[lit("exit_int_info:      "), low(F::ExitIntInfo)]),
    line(CONTROL, &[lit("exit_int_info_err:  "), high(F::ExitIntInfo)]),
    line(CONTROL, &[lit("nested_ctl:         "), Piece::Dec(F::NestedControl)]),
    line(CONTROL, &[lit("nested_cr3:         "), quad(F::NCr3)]),
    line(CONTROL, &[lit("avic_vapic_bar:     "), quad(F::AvicApicBar)]),
    line(CONTROL, &[lit("ghcb:               "), quad(F::Ghcb)]),
    line(CONTROL, &[lit("event_inj:          "), low(F::EventInj)]),
    line(CONTROL, &[lit("event_inj_err:      "), high(F::EventInj)]),
    line(CONTROL, &[lit("virt_ext:           "), Piece::Dec(F::VirtExt)]),
    line(CONTROL, &[lit("next_rip:           "), quad(F::NextRip)]),
    line(CONTROL, &[lit("avic_backing_page:  "), quad(F::AvicBackingPage)]),
    line(CONTROL, &[lit("avic_logical_id:    "), quad(F::AvicLogicalTable)]),
    line(CONTROL, &[lit("avic_physical_id:   "), quad(F::AvicPhysicalTable)]),
    line(CONTROL, &[lit("vmsa_pa:            "), quad(F::Vmsa)]),
    segment!("es:  ", EsSelector, EsAttrib, EsLimit, EsBase),
    segment!("cs:  ", CsSelector, CsAttrib, CsLimit, CsBase),
    segment!("ss:  ", SsSelector, SsAttrib, SsLimit, SsBase),
    segment!("ds:  ", DsSelector, DsAttrib, DsLimit, DsBase),
    segment!("fs:  ", FsSelector, FsAttrib, FsLimit, FsBase),
    segment!("gs:  ", GsSelector, GsAttrib, GsLimit, GsBase),
    segment!("gdtr:", GdtrSelector, GdtrAttrib, GdtrLimit, GdtrBase),
    segment!("ldtr:", LdtrSelector, LdtrAttrib, LdtrLimit, LdtrBase),
    segment!("idtr:", IdtrSelector, IdtrAttrib, IdtrLimit, IdtrBase),
    segment!("tr:  ", TrSelector, TrAttrib, TrLimit, TrBase),
    line(SAVE, &[lit("cpl:            "), Piece::Dec(F::Cpl), lit("                efer:         "), quad(F::Efer)]),
    pair!("cr0:            ", Cr0, " cr2:          ", Cr2),
    pair!("cr3:            ", Cr3, " cr4:          ", Cr4),
    pair!("dr6:            ", Dr6, " dr7:          ", Dr7),
    pair!("rip:            ", Rip, " rflags:       ", Rflags),
    pair!("rsp:            ", Rsp, " rax:          ", Rax),
    pair!("s_cet:          ", SCet, " ssp:          ", Ssp),
    line(SAVE, &[lit("isst_addr:      "), quad(F::IsstAddr)]),
    pair!("star:           ", Star, " lstar:        ", Lstar),
    pair!("cstar:          ", Cstar, " sfmask:       ", Sfmask),
    pair!("kernel_gs_base: ", KernelGsBase, " sysenter_cs:  ", SysenterCs),
    pair!("sysenter_esp:   ", SysenterEsp, " sysenter_eip: ", SysenterEip),
    pair!("gpat:           ", GPat, " dbgctl:       ", Dbgctl),
    pair!("br_from:        ", BrFrom, " br_to:        ", BrTo),
    pair!("excp_from:      ", LastExcpFrom, " excp_to:      ", LastExcpTo),
    // What other versions have.
    other(CONTROL, &[lit("exit_code:          "), quad(F::ExitCode)]),
    other(CONTROL, &[lit("misc_ctl:           "), Piece::Dec(F::NestedControl)]),
    other(CONTROL, &[lit("misc_ctl2:          "), Piece::Dec(F::VirtExt)]),
    other(CONTROL, &[lit("allowed_sev_features:"), Piece::Skip]),
    other(CONTROL, &[lit("guest_sev_features: "), Piece::Skip]),
    other(SAVE, &[lit("vmpl: "), Piece::Skip, lit("   cpl:  "), Piece::Dec(F::Cpl), lit(" efer:"), quad(F::Efer)]),
];

macro_rules! number {
    ($name:literal, $bits:literal, $($member:ident).+) => {
        Fact { name: $name, bits: $bits, get: |case| Some(case.$($member).+.into()), set: |case, v| case.$($member).+ = v as _ }
    };
}

macro_rules! flag {
    ($name:literal, $($member:ident).+) => {
        Fact { name: $name, bits: 1, get: |case| Some(case.$($member).+.into()), set: |case, v| case.$($member).+ = v != 0 }
    };
}

/// Stands for no bit of encryption: there is none so high.
const NO_BIT: u64 = 0xff;

impl Dumped for SvmCase {
    const SECTIONS: &'static [&'static str] = &["VMCB Control Area:", "VMCB State Save Area:"];
    const LINES: &'static [Line<F, Self>] = LINES;
    const LAST: &'static str = "excp_from";
    const CPU: &'static [Fact<Self>] = &[
        number!("eax", 32, cpu.caps.eax),
        number!("asids", 32, cpu.caps.asids),
        number!("ecx", 32, cpu.caps.ecx),
        number!("edx", 32, cpu.caps.edx),
        number!("phys_bits", 8, cpu.phys_bits),
        number!("efer", 64, cpu.efer),
        number!("cr4", 64, cpu.cr4),
        flag!("long_mode", cpu.long_mode),
        flag!("host_paging", cpu.host_paging),
        flag!("ibt", cpu.ibt),
        Fact {
            name: "encryption_bit",
            bits: 8,
            get: |case| Some(case.cpu.encryption_bit.map_or(NO_BIT, u64::from)),
            set: |case, bit| case.cpu.encryption_bit = (bit != NO_BIT).then_some(bit as u32),
        },
    ];
    const ENTRY: &'static [Fact<Self>] = &[number!("vmcb", 64, vmcb), number!("host_cr3", 64, host_cr3)];

    fn blank() -> Self {
        Self::new(State::default(), SvmCpu::any())
    }
}
