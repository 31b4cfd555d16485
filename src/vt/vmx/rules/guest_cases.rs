//! For each rule about the guest and each advice: a VMCS that breaks it alone.

use std::vec::Vec;

use super::fixture::{Mode, good};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

/// A good VMCS of this mode with fields changed.
fn with(mode: Mode, changes: &[(F, u64)]) -> VmxCase {
    let mut case = good(mode);
    for (field, value) in changes {
        case.state.set(*field, *value);
    }
    case
}

/// As [`with`], with VM-entry controls added.
fn loading(mode: Mode, control: u64, changes: &[(F, u64)]) -> VmxCase {
    let mut case = with(mode, changes);
    case.state.set(F::EntryControls, case.get(F::EntryControls) | 1 << control);
    case
}

/// As [`with`], with the CPU or memory changed too.
fn and(mut case: VmxCase, change: impl FnOnce(&mut VmxCase)) -> VmxCase {
    change(&mut case);
    case
}

const BAD: u64 = 1 << 47;
const CET: u64 = 20;
/// In an event's information.
const VALID: u64 = 1 << 31;
const NMI: u64 = VALID | 2 << 8 | 2;

fn registers() -> Vec<(&'static str, VmxCase)> {
    use Mode::{Long, Protected, Real};
    std::vec![
        ("guest.cr0.fixed", with(Long, &[(F::Cr0, 0x8000_0011)])),
        ("guest.cr0.fixed", with(Protected, &[(F::Cr0, 0x31)])),
        ("guest.cr0.fixed", with(Real, &[(F::Cr0, 0x30 | 1 << 32)])),
        ("guest.cr0.pg-pe", with(Real, &[(F::Cr0, 0x8000_0030)])),
        ("guest.cr4.fixed", with(Real, &[(F::Cr4, 0)])),
        ("guest.cr4.fixed", with(Long, &[(F::Cr4, 0x2020 | 1 << 19)])),
        ("guest.cr4.cet-wp", with(Long, &[(F::Cr4, 0x2020 | 1 << 23)])),
        ("guest.cr4.fred", and(with(Protected, &[(F::Cr4, 0x2000 | 1 << 32)]), |c| c.cpu.caps.cr4_fixed1 |= 1 << 32),),
        ("guest.debugctl.reserved", with(Long, &[(F::Debugctl, 1 << 4)])),
        ("guest.ia32e.paging", with(Long, &[(F::Cr0, 0x31), (F::Secondary, 0xaa)])),
        ("guest.ia32e.pae", with(Long, &[(F::Cr4, 0x2000)])),
        ("guest.cr4.pcide", with(Protected, &[(F::Cr4, 0x2000 | 1 << 17)])),
        ("guest.cr3.physical", with(Long, &[(F::Cr3, 1 << 39)])),
        ("guest.dr7.high", with(Long, &[(F::Dr7, 1 << 32 | 0x400)])),
        ("guest.sysenter-esp.canonical", with(Real, &[(F::SysenterEsp, BAD)])),
        ("guest.sysenter-eip.canonical", with(Real, &[(F::SysenterEip, BAD)])),
        ("guest.s-cet.canonical", loading(Long, CET, &[(F::SCet, BAD)])),
        ("guest.ssp-table.canonical", loading(Long, CET, &[(F::SspTable, BAD)])),
        ("guest.perf-global-ctrl.reserved", loading(Long, 13, &[(F::PerfGlobalCtrl, 1 << 40)])),
        ("guest.pat.types", with(Long, &[(F::Pat, 0x0007_0406_0003_0406)])),
        ("guest.efer.reserved", with(Long, &[(F::Efer, 0xd00 | 1 << 1)])),
        ("guest.efer.lma", with(Protected, &[(F::Efer, 0x500)])),
        ("guest.efer.lme", with(Protected, &[(F::Efer, 0x100)])),
        ("guest.bndcfgs.reserved", loading(Long, 16, &[(F::Bndcfgs, 4)])),
        ("guest.bndcfgs.canonical", loading(Long, 16, &[(F::Bndcfgs, BAD)])),
        ("guest.rtit-ctl.reserved", loading(Long, 18, &[(F::RtitCtl, 1 << 18)])),
        ("guest.s-cet.reserved", loading(Long, CET, &[(F::SCet, 1 << 6)])),
        ("guest.s-cet.suppress", loading(Long, CET, &[(F::SCet, 0b11 << 10)])),
        ("guest.lbr-ctl.reserved", loading(Long, 21, &[(F::LbrCtl, 1 << 4)])),
        ("guest.pkrs.high", loading(Long, 22, &[(F::Pkrs, 1 << 32)])),
    ]
}

fn segment_registers() -> Vec<(&'static str, VmxCase)> {
    use Mode::{Compatibility, Long, Pae, Protected, Real, Unpaged, Virtual8086};
    std::vec![
        ("guest.tr.ti", with(Long, &[(F::TrSelector, 0x44)])),
        ("guest.ldtr.ti", with(Long, &[(F::LdtrRights, 0x82), (F::LdtrSelector, 0x4c)])),
        ("guest.ss.rpl", with(Protected, &[(F::CsSelector, 9)])),
        ("guest.v8086.base", with(Virtual8086, &[(F::DsBase, 0x10)])),
        ("guest.fs-gs.canonical", with(Long, &[(F::GsBase, BAD), (F::GsRights, 1 << 16)])),
        ("guest.tr.canonical", with(Long, &[(F::TrBase, BAD)])),
        ("guest.ldtr.canonical", with(Long, &[(F::LdtrRights, 0x82), (F::LdtrBase, BAD)])),
        ("guest.segment.base-high", with(Long, &[(F::CsBase, 1 << 32)])),
        ("guest.segment.base-high", with(Compatibility, &[(F::EsBase, 1 << 32)])),
        ("guest.v8086.limit", with(Virtual8086, &[(F::GsLimit, 0xfffff)])),
        ("guest.v8086.rights", with(Virtual8086, &[(F::SsRights, 0x93)])),
        ("guest.cs.type", with(Real, &[(F::CsRights, 0x9a)])),
        ("guest.cs.type", with(Protected, &[(F::CsRights, 0xc093)])),
        ("guest.ss.type", with(Pae, &[(F::SsRights, 0xc091)])),
        ("guest.segment.accessed", with(Unpaged, &[(F::FsRights, 0xc092)])),
        ("guest.segment.readable", with(Unpaged, &[(F::DsRights, 0xc099)])),
        ("guest.segment.s", with(Long, &[(F::EsRights, 0xc083)])),
        ("guest.cs.dpl-data", with(Unpaged, &[(F::CsRights, 0xc0b3)])),
        ("guest.cs.dpl", with(Unpaged, &[(F::CsRights, 0xc0bb)])),
        ("guest.cs.dpl-conforming", with(Unpaged, &[(F::CsRights, 0xc0bf)])),
        ("guest.ss.dpl-rpl", with(Protected, &[(F::SsRights, 0xc0b3), (F::CsRights, 0xc09f)])),
        ("guest.ss.dpl-rpl", with(Protected, &[(F::SsRights, 0x1_c0b3), (F::CsRights, 0xc09f)])),
        ("guest.ss.dpl-zero", with(Real, &[(F::SsRights, 0xb3), (F::CsRights, 0x9f)])),
        ("guest.segment.dpl", with(Protected, &[(F::DsSelector, 0x13)])),
        ("guest.segment.present", with(Real, &[(F::CsRights, 0x1b)])),
        ("guest.segment.reserved", with(Long, &[(F::GsRights, 0xc193)])),
        ("guest.segment.reserved", with(Long, &[(F::CsRights, 0x8_a09b)])),
        ("guest.cs.d-l", with(Long, &[(F::CsRights, 0xe09b)])),
        ("guest.segment.limit-granularity", with(Real, &[(F::DsLimit, 0xffff_ffff)])),
        ("guest.segment.limit-granularity", with(Long, &[(F::SsLimit, 0xffff_0000)])),
        ("guest.tr.type", with(Long, &[(F::TrRights, 0x83)])),
        ("guest.tr.type", with(Real, &[(F::TrRights, 0x89)])),
        ("guest.tr.s", with(Long, &[(F::TrRights, 0x9b)])),
        ("guest.tr.present", with(Long, &[(F::TrRights, 0x0b)])),
        ("guest.tr.reserved", with(Long, &[(F::TrRights, 0x18b)])),
        ("guest.tr.limit-granularity", with(Long, &[(F::TrRights, 0x808b)])),
        ("guest.tr.usable", with(Long, &[(F::TrRights, 0x1_008b)])),
        ("guest.ldtr.type", with(Long, &[(F::LdtrRights, 0x83)])),
        ("guest.ldtr.s", with(Long, &[(F::LdtrRights, 0x92)])),
        ("guest.ldtr.present", with(Long, &[(F::LdtrRights, 0x02)])),
        ("guest.ldtr.reserved", with(Long, &[(F::LdtrRights, 0x482)])),
        ("guest.ldtr.limit-granularity", with(Long, &[(F::LdtrRights, 0x82), (F::LdtrLimit, 1 << 20)])),
    ]
}

fn others() -> Vec<(&'static str, VmxCase)> {
    use Mode::{Compatibility, Long, Pae, Protected, Real, Unpaged, Virtual8086};
    let external = (F::EntryInfo, VALID | 0x20);
    let enabled = (F::Rflags, 2 | 1 << 9);
    let link = |word| and(with(Long, &[(F::LinkPointer, 0x50_0000)]), |c| c.pointed.link_revision = Some(word));
    std::vec![
        ("guest.gdtr.canonical", with(Real, &[(F::GdtrBase, BAD)])),
        ("guest.idtr.canonical", with(Real, &[(F::IdtrBase, BAD)])),
        ("guest.gdtr.limit", with(Real, &[(F::GdtrLimit, 0x1_0000)])),
        ("guest.idtr.limit", with(Real, &[(F::IdtrLimit, 0x1_0000)])),
        ("guest.rip.high", with(Compatibility, &[(F::Rip, 1 << 32)])),
        ("guest.rip.linear", with(Long, &[(F::Rip, 1 << 48)])),
        ("guest.rflags.reserved", with(Real, &[(F::Rflags, 2 | 1 << 15)])),
        ("guest.rflags.fixed", with(Real, &[(F::Rflags, 0)])),
        (
            "guest.rflags.vm-ia32e",
            and(good(Virtual8086), |c| {
                for (field, value) in
                    [(F::Cr4, 0x2020), (F::Efer, 0xd00), (F::EntryControls, 0x11ff | 1 << 9 | 3 << 14)]
                {
                    c.state.set(field, value);
                }
            }),
        ),
        ("guest.rflags.vm-pe", with(Virtual8086, &[(F::Cr0, 0x30), (F::Secondary, 0xaa)])),
        ("guest.rflags.if", with(Long, &[external])),
        ("guest.ssp.aligned", loading(Long, CET, &[(F::Ssp, 2)])),
        ("guest.ssp.linear", loading(Long, CET, &[(F::Ssp, 1 << 50)])),
        ("guest.pdpte.reserved", with(Pae, &[(F::Pdpte3, 1 << 39 | 1)])),
        (
            "guest.pdpte.memory",
            // EPT off, and loads of CR3 exit: shadow paging.
            and(with(Pae, &[(F::Secondary, 0x28)]), |c| {
                c.pointed.pdptes = Some([0x6003, 0, 0, 0]);
                c.state.set(F::Primary, c.get(F::Primary) | 1 << 15);
            }),
        ),
        ("guest.activity.supported", with(Long, &[(F::Activity, 4)])),
        ("guest.activity.supported", and(with(Long, &[(F::Activity, 2)]), |c| c.cpu.caps.misc &= !(1 << 7))),
        ("guest.activity.hlt-dpl", with(Unpaged, &[(F::Activity, 1), (F::SsRights, 0xc0b3), (F::CsRights, 0xc0bb)])),
        ("guest.activity.blocking", with(Long, &[(F::Activity, 2), (F::Interruptibility, 2)])),
        ("guest.activity.injection", with(Long, &[(F::Activity, 3), (F::EntryInfo, NMI)])),
        ("guest.activity.injection", with(Long, &[(F::Activity, 2), external, enabled])),
        ("guest.activity.injection", with(Long, &[(F::Activity, 1), (F::EntryInfo, VALID | 3 << 8 | 6)])),
        (
            "guest.activity.smm",
            and(loading(Long, 10, &[(F::Activity, 3), (F::Interruptibility, 4)]), |c| c.in_smm = true)
        ),
        ("guest.interruptibility.reserved", with(Long, &[(F::Interruptibility, 1 << 5)])),
        ("guest.interruptibility.sti-mov-ss", with(Long, &[(F::Interruptibility, 3), enabled])),
        ("guest.interruptibility.sti-if", with(Long, &[(F::Interruptibility, 1)])),
        ("guest.interruptibility.interrupt", with(Long, &[(F::Interruptibility, 2), external, enabled])),
        ("guest.interruptibility.nmi-mov-ss", with(Long, &[(F::Interruptibility, 2), (F::EntryInfo, NMI)])),
        ("guest.interruptibility.smi", with(Long, &[(F::Interruptibility, 4)])),
        ("guest.interruptibility.smm", and(loading(Long, 10, &[]), |c| c.in_smm = true)),
        (
            "guest.interruptibility.virtual-nmi",
            with(Long, &[(F::Interruptibility, 8), (F::EntryInfo, NMI), (F::PinBased, 0x3f)]),
        ),
        ("guest.interruptibility.enclave", with(Long, &[(F::Interruptibility, 16)])),
        ("guest.interruptibility.enclave", and(with(Long, &[(F::Interruptibility, 18)]), |c| c.cpu.sgx = true)),
        ("guest.pending-debug.reserved", with(Long, &[(F::PendingDebug, 1 << 11)])),
        ("guest.pending-debug.step", with(Protected, &[(F::Interruptibility, 2), (F::Rflags, 0x102)])),
        ("guest.pending-debug.no-step", with(Protected, &[(F::Activity, 1), (F::PendingDebug, 1 << 14)])),
        (
            "guest.pending-debug.no-step",
            with(Long, &[(F::Interruptibility, 2), (F::Rflags, 0x102), (F::Debugctl, 2), (F::PendingDebug, 1 << 14)]),
        ),
        ("guest.pending-debug.rtm", with(Long, &[(F::PendingDebug, 0x1_1000)])),
        ("guest.pending-debug.rtm", and(with(Long, &[(F::PendingDebug, 0x1_0000)]), |c| c.cpu.rtm = true)),
        ("guest.link.aligned", with(Long, &[(F::LinkPointer, 0x50_0800)])),
        ("guest.link.physical", with(Long, &[(F::LinkPointer, 1 << 39)])),
        ("guest.link.revision", link(0x13)),
        ("guest.link.shadow", link(0x8000_0012)),
        ("guest.link.current", with(Long, &[(F::LinkPointer, 0x40_0000)])),
    ]
}

fn advised() -> Vec<(&'static str, VmxCase)> {
    use Mode::{Long, Real, Unpaged};
    let primary = good(Long).get(F::Primary);
    let exit = good(Long).get(F::ExitControls);
    let in_delivery = |rsp, at, rights| {
        with(
            Real,
            &[
                (F::ExitReason, 48),
                (F::VectoringInfo, VALID | 8),
                (F::Qualification, 0x182),
                (F::GuestLinearAddress, at),
                (F::Rsp, rsp),
                (F::SsRights, rights),
            ],
        )
    };
    std::vec![
        ("advice.instruction-error.field", with(Long, &[(F::InstructionError, 12)])),
        ("advice.instruction-error.read-only", with(Long, &[(F::InstructionError, 13)])),
        ("advice.instruction-error.invalidation", with(Long, &[(F::InstructionError, 28)])),
        ("advice.ept.host-cr3", with(Long, &[(F::Eptp, 0x30_001e)])),
        ("advice.ept.root-zero", with(Long, &[(F::Eptp, 0x1e)])),
        ("advice.ept.uncached", with(Long, &[(F::Eptp, 0x20_0018)])),
        ("advice.ept.off", with(Long, &[(F::Secondary, 0x28)])),
        ("advice.exiting.interrupts", with(Long, &[(F::PinBased, 0x1e)])),
        ("advice.exiting.nmis", with(Long, &[(F::PinBased, 0x17)])),
        ("advice.exiting.hlt", with(Long, &[(F::PinBased, 0x1e), (F::Primary, primary & !(1 << 7))])),
        ("advice.io.open", with(Long, &[(F::Primary, primary & !(1 << 25))])),
        ("advice.io.zero", with(Long, &[(F::IoBitmapB, 0)])),
        ("advice.io.shared", with(Long, &[(F::IoBitmapB, 0x10_0000)])),
        ("advice.msr.bitmap-zero", with(Long, &[(F::MsrBitmaps, 0)])),
        ("advice.msr.area-zero", with(Long, &[(F::ExitMsrStoreCount, 1)])),
        ("advice.msr.area-count", with(Long, &[(F::EntryMsrLoadCount, 513), (F::EntryMsrLoadAddress, 0x60_0000)])),
        (
            "advice.msr.area-shared",
            with(
                Long,
                &[
                    (F::EntryMsrLoadCount, 1),
                    (F::ExitMsrLoadCount, 1),
                    (F::EntryMsrLoadAddress, 0x60_0000),
                    (F::ExitMsrLoadAddress, 0x60_0000),
                ],
            ),
        ),
        ("advice.mask.cr0", with(Real, &[(F::Cr0Mask, 0)])),
        ("advice.mask.cr4", with(Real, &[(F::Cr4Mask, 0)])),
        ("advice.host.rip-zero", with(Long, &[(F::HostRip, 0)])),
        ("advice.host.rsp-zero", with(Long, &[(F::HostRsp, 0)])),
        ("advice.host.cr3-zero", with(Long, &[(F::HostCr3, 0)])),
        ("advice.host.efer", with(Long, &[(F::ExitControls, exit & !(1 << 21))])),
        ("advice.host.pat", with(Long, &[(F::ExitControls, exit & !(1 << 19))])),
        ("advice.guest.swapped-rights", with(Unpaged, &[(F::CsRights, 0xc093), (F::DsRights, 0xc09b)])),
        ("advice.guest.rsp-16", with(Unpaged, &[(F::SsRights, 0x8093), (F::Rsp, 0x9_0000)])),
        ("advice.guest.nmi-sti", with(Long, &[(F::Interruptibility, 1), (F::EntryInfo, NMI), (F::Rflags, 2 | 1 << 9)])),
        ("advice.exit.delivery-push", in_delivery(0x7c00, 0x7bfa, 0x93)),
        ("advice.exit.delivery-push", in_delivery(0, 0xfffa, 0x4093)),
        ("advice.exit.delivery-wrapped", in_delivery(2, 0xfffc, 0x93)),
        (
            "advice.exit.ept-misconfiguration",
            with(Long, &[(F::ExitReason, 49), (F::GuestPhysicalAddress, 0xfee0_0000)]),
        ),
    ]
}

/// The rule's id, and the VMCS.
pub(super) fn patients() -> Vec<(&'static str, VmxCase)> {
    [registers(), segment_registers(), others(), advised()].concat()
}
