//! Known-good VMCBs, one for each mode of the guest: where tests of rules begin.

use crate::base::cpu::{cr0, cr4, efer, rflags};
use crate::vt::doctor::{Field, State};
use crate::vt::exit::INTERCEPTED_EXCEPTIONS;
use crate::vt::svm::caps::SvmCaps;
use crate::vt::svm::case::{SvmCase, SvmCpu};
use crate::vt::svm::state::F;
use crate::vt::svm::vmcb::{V_INTR_MASKING, misc1, misc2, misc3};

/// The guest's mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Real-address mode.
    Real,
    /// Protected mode with 32-bit paging, privilege level 0.
    Protected,
    /// Protected mode with PAE paging, privilege level 3.
    Pae,
    /// 64-bit mode, privilege level 0.
    Long,
    /// Virtual-8086 mode.
    Virtual8086,
}

impl Mode {
    pub(crate) const ALL: [Self; 5] = [Self::Real, Self::Protected, Self::Pae, Self::Long, Self::Virtual8086];
}

/// A CPU that has nearly everything.
pub(crate) fn cpu() -> SvmCpu {
    SvmCpu { caps: SvmCaps { eax: 1, asids: 0x8000, edx: 0x1f3f_b4ff, ..SvmCaps::default() }, ..SvmCpu::default() }
}

/// Sets selector, attributes, limit and base of the segment register `n`, in the order of ES, CS, SS, DS, FS, GS.
fn segment(s: &mut State<F>, n: usize, selector: u64, attrib: u64, limit: u64, base: u64) {
    s.set(F::EsSelector.segment(n), selector);
    s.set(F::EsAttrib.segment(n), attrib);
    s.set(F::EsLimit.segment(n), limit);
    s.set(F::EsBase.segment(n), base);
}

/// CS and the data segments, all of them flat.
fn flat(s: &mut State<F>, rpl: u64, code: u64, data: u64) {
    let dpl = rpl << 5;
    for n in [0, 2, 3, 4, 5] {
        segment(s, n, 0x18 | rpl, data | dpl, 0xffff_ffff, 0);
    }
    segment(s, 1, 0x10 | rpl, code | dpl, 0xffff_ffff, 0);
    s.set(F::Cpl, rpl);
}

/// CS and the data segments as real-address and virtual-8086 mode have them.
fn paragraphs(s: &mut State<F>, code: u64, data: u64) {
    for n in [0, 1, 2, 3, 4, 5] {
        segment(s, n, 0x1000, if n == 1 { code } else { data }, 0xffff, 0x1_0000);
    }
}

/// What does not depend on the guest's mode: all fields are there.
fn controls(s: &mut State<F>) {
    for field in F::ALL {
        s.set(*field, 0);
    }
    s.set(F::InterceptCr, 0x0110_0110);
    s.set(F::InterceptExceptions, INTERCEPTED_EXCEPTIONS.into());
    let first = misc1::INTR
        | misc1::NMI
        | misc1::INIT
        | misc1::CR0_SELECTIVE_WRITE
        | misc1::RDPMC
        | misc1::CPUID
        | misc1::INVD
        | misc1::HLT
        | misc1::INVLPGA
        | misc1::IOIO
        | misc1::MSR
        | misc1::TASK_SWITCH
        | misc1::SHUTDOWN;
    s.set(F::InterceptMisc1, first.into());
    let second = misc2::VMRUN
        | misc2::VMMCALL
        | misc2::VMLOAD
        | misc2::VMSAVE
        | misc2::STGI
        | misc2::CLGI
        | misc2::SKINIT
        | misc2::ICEBP
        | misc2::WBINVD
        | misc2::MONITOR
        | misc2::MWAIT
        | misc2::XSETBV
        | misc2::RDPRU;
    s.set(F::InterceptMisc2, second.into());
    s.set(F::InterceptMisc3, (misc3::INVLPGB | misc3::MCOMMIT | misc3::TLBSYNC).into());
    s.set(F::IopmBase, 0x10_0000);
    s.set(F::MsrpmBase, 0x10_4000);
    s.set(F::Asid, 1);
    s.set(F::VIntr, V_INTR_MASKING);
    s.set(F::NestedControl, 1);
    s.set(F::NCr3, 0x20_0000);
    s.set(F::GPat, 0x0606_0606_0606_0606);
    s.set(F::Dr6, 0xffff_0ff0);
    s.set(F::Dr7, 0x400);
    s.set(F::Efer, efer::SVME);
    s.set(F::Cr0, cr0::ET);
    s.set(F::Rflags, rflags::FIXED | rflags::IF);
    s.set(F::GdtrLimit, 0xffff);
    s.set(F::GdtrBase, 0x8000);
    s.set(F::IdtrLimit, 0xfff);
    s.set(F::IdtrBase, 0x9000);
    s.set(F::LdtrLimit, 0xffff);
    s.set(F::LdtrAttrib, 0x82);
    s.set(F::TrSelector, 0x28);
    s.set(F::TrAttrib, 0x8b);
    s.set(F::TrLimit, 0xffff);
    s.set(F::TrBase, 0xa000);
    s.set(F::Rip, 0x7c00);
    s.set(F::Rsp, 0x7000);
}

/// A VMCB with every field that breaks no rule and draws no advice.
pub(crate) fn good(mode: Mode) -> SvmCase {
    const PAGED: u64 = cr0::PE | cr0::ET | cr0::NE | cr0::WP | cr0::PG;
    let mut s = State::default();
    controls(&mut s);
    match mode {
        Mode::Real => {
            paragraphs(&mut s, 0x9b, 0x93);
            s.set(F::IdtrBase, 0);
            s.set(F::IdtrLimit, 0x3ff);
            s.set(F::TrSelector, 0);
            s.set(F::TrBase, 0);
        }
        Mode::Protected => {
            flat(&mut s, 0, 0xc9b, 0xc93);
            s.set(F::Cr0, PAGED);
            s.set(F::Cr3, 0x1000);
            s.set(F::Cr4, cr4::PSE);
        }
        Mode::Pae => {
            flat(&mut s, 3, 0xc9b, 0xc93);
            s.set(F::Cr0, PAGED);
            s.set(F::Cr3, 0x1020);
            s.set(F::Cr4, cr4::PSE | cr4::PAE);
        }
        Mode::Long => {
            flat(&mut s, 0, 0xa9b, 0xc93);
            s.set(F::Cr0, PAGED);
            s.set(F::Cr3, 0x1000);
            s.set(F::Cr4, cr4::PAE | cr4::PGE | cr4::OSFXSR);
            s.set(F::Efer, efer::SVME | efer::SCE | efer::LME | efer::LMA | efer::NXE);
            s.set(F::Rip, 0xffff_ffff_8100_0000);
            s.set(F::Rsp, 0xffff_8880_0000_1000);
            s.set(F::GdtrBase, 0xffff_8880_0000_8000);
            s.set(F::IdtrBase, 0xffff_8880_0000_9000);
            s.set(F::TrBase, 0xffff_8880_0000_a000);
            s.set(F::GsBase, 0xffff_8880_0000_b000);
        }
        Mode::Virtual8086 => {
            paragraphs(&mut s, 0xf3, 0xf3);
            s.set(F::Cr0, PAGED);
            s.set(F::Cr3, 0x1000);
            s.set(F::Cr4, cr4::VME);
            s.set(F::Rflags, rflags::FIXED | rflags::IF | rflags::VM);
            s.set(F::Cpl, 3);
        }
    }
    SvmCase::new(s, cpu())
}
