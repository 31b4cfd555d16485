//! VMCBs that break one rule each: what tests of the rules and of reports go through.

use super::fixture::Mode;
use super::{AVIC, X2AVIC};
use crate::base::cpu::{cr0, cr4, efer, rflags};
use crate::vt::svm::case::SvmCase;
use crate::vt::svm::state::F;
use crate::vt::svm::vmcb::{V_INTR_MASKING, misc1, misc2};

/// What makes a good VMCB bad.
pub type Harm = fn(&mut SvmCase);

/// Clears or sets or replaces bits of a field.
pub fn change(case: &mut SvmCase, field: F, clear: u64, set: u64) {
    let value = case.get(field) & !clear | set;
    case.state.set(field, value);
}

/// Writes a field.
pub fn put(case: &mut SvmCase, field: F, value: u64) {
    case.state.set(field, value);
}

/// Asks for an event.
pub fn inject(case: &mut SvmCase, kind: u64, vector: u64, more: u64) {
    put(case, F::EventInj, 1 << 31 | kind << 8 | vector | more);
}

/// Turns AVIC on, with x2AVIC or without, with all pointers good.
pub fn avic(case: &mut SvmCase, bits: u64) {
    change(case, F::VIntr, 0, bits);
    put(case, F::AvicBackingPage, 0x30_0000);
    put(case, F::AvicLogicalTable, 0x30_1000);
    put(case, F::AvicPhysicalTable, 0x30_2003);
}

/// Takes a feature away.
fn lacks(case: &mut SvmCase, bit: u32) {
    case.cpu.caps.edx &= !(1 << bit);
}

/// Clears intercepts of the first word.
pub fn drop1(case: &mut SvmCase, bits: u32) {
    change(case, F::InterceptMisc1, bits.into(), 0);
}

/// Clears intercepts of the second word.
pub fn drop2(case: &mut SvmCase, bits: u32) {
    change(case, F::InterceptMisc2, bits.into(), 0);
}

/// For each rule at least one VMCB that breaks it and no other: a mode's good one and what is done to it.
pub const BROKEN: &[(&str, Mode, Harm)] = &[
    ("launch.vmcb-aligned", Mode::Long, |c| c.vmcb = 0x1234),
    ("launch.vmcb-physical", Mode::Long, |c| c.vmcb = 1 << 48),
    ("save.efer.svme", Mode::Real, |c| change(c, F::Efer, efer::SVME, 0)),
    ("save.efer.svme", Mode::Long, |c| change(c, F::Efer, efer::SVME, 0)),
    ("save.efer.reserved", Mode::Real, |c| change(c, F::Efer, 0, 1 << 1)),
    ("save.efer.reserved", Mode::Long, |c| change(c, F::Efer, 0, 1 << 16)),
    ("save.efer.high", Mode::Pae, |c| change(c, F::Efer, 0, 1 << 40)),
    ("save.efer.long-mode-absent", Mode::Long, |c| c.cpu.long_mode = false),
    ("save.cr0.cd-nw", Mode::Protected, |c| change(c, F::Cr0, 0, cr0::NW)),
    ("save.cr0.high", Mode::Real, |c| change(c, F::Cr0, 0, 1 << 32)),
    ("save.cr3.high", Mode::Long, |c| put(c, F::Cr3, 1 << 63)),
    ("save.cr3.physical", Mode::Long, |c| put(c, F::Cr3, 1 << 48)),
    ("save.cr3.physical", Mode::Long, |c| {
        c.cpu.phys_bits = 40;
        put(c, F::Cr3, 1 << 40);
    }),
    ("save.cr3.physical", Mode::Long, |c| {
        c.cpu.encryption_bit = Some(51);
        put(c, F::Cr3, 1 << 50 | 1 << 51);
    }),
    ("save.cr4.reserved", Mode::Pae, |c| change(c, F::Cr4, 0, 1 << 31)),
    ("save.cr4.high", Mode::Pae, |c| change(c, F::Cr4, 0, 1 << 32)),
    ("save.dr6.high", Mode::Long, |c| change(c, F::Dr6, 0, 1 << 32)),
    ("save.dr7.high", Mode::Virtual8086, |c| change(c, F::Dr7, 0, 1 << 63)),
    ("save.long.pae", Mode::Long, |c| change(c, F::Cr4, cr4::PAE, 0)),
    ("save.long.pe", Mode::Long, |c| change(c, F::Cr0, cr0::PE, 0)),
    ("save.long.cs-l-d", Mode::Long, |c| change(c, F::CsAttrib, 0, 1 << 10)),
    ("save.s-cet.reserved", Mode::Long, |c| put(c, F::SCet, 1 << 2)),
    ("save.cr4.cet-wp", Mode::Long, |c| {
        change(c, F::Cr4, 0, cr4::CET);
        change(c, F::Cr0, cr0::WP, 0);
    }),
    ("save.g-pat.reserved", Mode::Long, |c| put(c, F::GPat, 0x0007_0406_0007_040e)),
    ("save.g-pat.type", Mode::Long, |c| put(c, F::GPat, 0x0307_0406_0007_0406)),
    ("save.g-pat.type", Mode::Real, |c| put(c, F::GPat, 0x0007_0406_0007_0402)),
    ("control.vmrun-intercept", Mode::Real, |c| drop2(c, misc2::VMRUN)),
    ("control.iopm-physical", Mode::Real, |c| put(c, F::IopmBase, (1 << 48) - 0x2000)),
    ("control.iopm-physical", Mode::Real, |c| put(c, F::IopmBase, !0xfff)),
    ("control.iopm-physical", Mode::Real, |c| {
        c.cpu.encryption_bit = Some(51);
        put(c, F::IopmBase, (1 << 51) + (1 << 48) - 0x2000);
    }),
    ("control.msrpm-physical", Mode::Real, |c| put(c, F::MsrpmBase, (1 << 48) - 0x1000)),
    ("control.asid-zero", Mode::Real, |c| put(c, F::Asid, 0)),
    ("control.nested-host-paging", Mode::Real, |c| c.cpu.host_paging = false),
    ("control.ncr3-physical", Mode::Real, |c| put(c, F::NCr3, 1 << 52)),
    ("control.v-nmi-intercept", Mode::Long, |c| {
        change(c, F::VIntr, 0, 1 << 26);
        drop1(c, misc1::NMI);
    }),
    ("event.type", Mode::Long, |c| inject(c, 1, 0x30, 0)),
    ("event.type", Mode::Real, |c| inject(c, 5, 0x30, 0)),
    ("event.type", Mode::Long, |c| inject(c, 7, 0, 0)),
    ("event.exception-vector", Mode::Long, |c| inject(c, 3, 2, 0)),
    ("event.exception-vector", Mode::Long, |c| inject(c, 3, 32, 0)),
    ("event.impossible-in-64-bit-mode", Mode::Long, |c| inject(c, 3, 4, 0)),
    ("event.impossible-in-64-bit-mode", Mode::Long, |c| inject(c, 3, 5, 0)),
    ("avic.x2-needs-avic", Mode::Long, |c| change(c, F::VIntr, 0, X2AVIC)),
    ("avic.backing-page-physical", Mode::Long, |c| {
        avic(c, AVIC | X2AVIC);
        put(c, F::AvicBackingPage, 1 << 50);
    }),
    ("avic.logical-table-physical", Mode::Long, |c| {
        avic(c, AVIC);
        put(c, F::AvicLogicalTable, 1 << 50);
    }),
    ("avic.physical-table-physical", Mode::Long, |c| {
        avic(c, AVIC);
        put(c, F::AvicPhysicalTable, 1 << 50);
    }),
    ("avic.max-index", Mode::Long, |c| {
        avic(c, AVIC);
        put(c, F::AvicPhysicalTable, 0x30_2100);
    }),
    ("avic.x2-max-index", Mode::Long, |c| {
        avic(c, AVIC | X2AVIC);
        put(c, F::AvicPhysicalTable, 0x30_2200);
    }),
    ("advice.hlt-not-intercepted", Mode::Real, |c| drop1(c, misc1::HLT)),
    ("advice.ioio-not-intercepted", Mode::Real, |c| drop1(c, misc1::IOIO)),
    ("advice.msr-not-intercepted", Mode::Real, |c| drop1(c, misc1::MSR)),
    ("advice.intr-not-intercepted", Mode::Real, |c| drop1(c, misc1::INTR)),
    ("advice.nmi-not-intercepted", Mode::Real, |c| drop1(c, misc1::NMI)),
    ("advice.init-not-intercepted", Mode::Real, |c| drop1(c, misc1::INIT)),
    ("advice.shutdown-not-intercepted", Mode::Real, |c| drop1(c, misc1::SHUTDOWN)),
    ("advice.cpuid-not-intercepted", Mode::Real, |c| drop1(c, misc1::CPUID)),
    ("advice.invd-not-intercepted", Mode::Real, |c| drop1(c, misc1::INVD)),
    ("advice.invlpga-not-intercepted", Mode::Real, |c| drop1(c, misc1::INVLPGA)),
    ("advice.vmmcall-not-intercepted", Mode::Real, |c| drop2(c, misc2::VMMCALL)),
    ("advice.vmload-not-intercepted", Mode::Real, |c| drop2(c, misc2::VMLOAD)),
    ("advice.vmsave-not-intercepted", Mode::Real, |c| drop2(c, misc2::VMSAVE)),
    ("advice.stgi-not-intercepted", Mode::Real, |c| drop2(c, misc2::STGI)),
    ("advice.clgi-not-intercepted", Mode::Real, |c| drop2(c, misc2::CLGI)),
    ("advice.skinit-not-intercepted", Mode::Real, |c| drop2(c, misc2::SKINIT)),
    ("advice.xsetbv-not-intercepted", Mode::Real, |c| drop2(c, misc2::XSETBV)),
    ("advice.mc-not-intercepted", Mode::Real, |c| change(c, F::InterceptExceptions, 1 << 18, 0)),
    ("advice.db-ac-not-intercepted", Mode::Real, |c| change(c, F::InterceptExceptions, 1 << 1, 0)),
    ("advice.exception-intercept-undefined", Mode::Real, |c| change(c, F::InterceptExceptions, 0, 1 << 2)),
    ("advice.v-intr-masking-clear", Mode::Long, |c| change(c, F::VIntr, V_INTR_MASKING, 0)),
    ("advice.iopm-zero", Mode::Long, |c| put(c, F::IopmBase, 0)),
    ("advice.msrpm-zero", Mode::Long, |c| put(c, F::MsrpmBase, 0)),
    ("advice.iopm-low-bits", Mode::Long, |c| change(c, F::IopmBase, 0, 0x10)),
    ("advice.msrpm-low-bits", Mode::Long, |c| change(c, F::MsrpmBase, 0, 0x800)),
    ("advice.maps-overlap", Mode::Long, |c| put(c, F::MsrpmBase, 0x10_2000)),
    ("advice.maps-overlap", Mode::Long, |c| put(c, F::MsrpmBase, 0xf_f000)),
    ("advice.asid-range", Mode::Long, |c| put(c, F::Asid, 0x8000)),
    ("advice.tlb-control-reserved", Mode::Long, |c| put(c, F::TlbControl, 2)),
    ("advice.tlb-control-unsupported", Mode::Long, |c| {
        put(c, F::TlbControl, 3);
        lacks(c, 6);
    }),
    ("advice.v-intr-reserved", Mode::Long, |c| change(c, F::VIntr, 0, 1 << 27)),
    ("advice.v-intr-unsupported", Mode::Long, |c| {
        change(c, F::VIntr, 0, 1 << 26);
        lacks(c, 25);
    }),
    ("advice.v-irq-priority", Mode::Long, |c| change(c, F::VIntr, 0, 1 << 8)),
    ("advice.virt-ext-unsupported", Mode::Long, |c| {
        put(c, F::VirtExt, 1);
        lacks(c, 1);
    }),
    ("advice.ibs-without-delivery", Mode::Long, |c| put(c, F::VirtExt, 4)),
    ("advice.nested-paging-off", Mode::Long, |c| put(c, F::NestedControl, 0)),
    ("advice.nested-paging-off", Mode::Real, |c| put(c, F::NestedControl, 0)),
    ("advice.nested-paging-unsupported", Mode::Long, |c| lacks(c, 0)),
    ("advice.ncr3-zero", Mode::Long, |c| put(c, F::NCr3, 0)),
    ("advice.ncr3-is-host-cr3", Mode::Long, |c| c.host_cr3 = 0x20_0018),
    ("advice.sev", Mode::Long, |c| change(c, F::NestedControl, 0, 1 << 1)),
    ("advice.avic-without-nested-paging", Mode::Long, |c| {
        avic(c, AVIC);
        put(c, F::NestedControl, 0);
    }),
    ("advice.avic-reserved-bits", Mode::Long, |c| {
        avic(c, AVIC);
        put(c, F::AvicBackingPage, 0x30_0010);
    }),
    ("advice.event-error-code", Mode::Long, |c| inject(c, 3, 13, 0)),
    ("advice.event-error-code", Mode::Protected, |c| inject(c, 3, 6, 1 << 11)),
    ("advice.event-error-code", Mode::Pae, |c| inject(c, 0, 0x30, 1 << 11)),
    ("advice.event-reserved", Mode::Long, |c| inject(c, 0, 0x30, 1 << 12)),
    ("advice.event-exception-reserved", Mode::Long, |c| inject(c, 3, 9, 0)),
    ("advice.event-exception-reserved", Mode::Long, |c| inject(c, 3, 15, 0)),
    ("advice.event-exception-reserved", Mode::Long, |c| inject(c, 3, 31, 0)),
    ("advice.event-interrupts-off", Mode::Real, |c| {
        inject(c, 0, 8, 0);
        change(c, F::Rflags, rflags::IF, 0);
    }),
    ("advice.event-in-shadow", Mode::Real, |c| {
        inject(c, 0, 8, 0);
        put(c, F::InterruptShadow, 1);
    }),
    ("advice.event-beyond-idt", Mode::Long, |c| {
        inject(c, 0, 0x30, 0);
        put(c, F::IdtrLimit, 0x30e);
    }),
    ("advice.event-beyond-idt", Mode::Real, |c| {
        inject(c, 2, 0xff, 0);
        put(c, F::IdtrLimit, 10);
    }),
    ("advice.soft-interrupt-without-nrip", Mode::Long, |c| {
        inject(c, 4, 0x80, 0);
        lacks(c, 3);
    }),
    ("advice.rip-canonical", Mode::Long, |c| put(c, F::Rip, 1 << 47)),
    ("advice.rip-beyond-limit", Mode::Real, |c| put(c, F::Rip, 0x1_0000)),
    ("advice.base-canonical", Mode::Long, |c| put(c, F::GdtrBase, 1 << 52)),
    ("advice.rflags-reserved", Mode::Long, |c| put(c, F::Rflags, 0)),
    ("advice.rflags-reserved", Mode::Real, |c| change(c, F::Rflags, 0, 1 << 15)),
    ("advice.virtual-8086", Mode::Long, |c| change(c, F::Rflags, 0, rflags::VM)),
    ("advice.virtual-8086", Mode::Real, |c| change(c, F::Rflags, 0, rflags::VM)),
    ("advice.efer-lma", Mode::Long, |c| change(c, F::Efer, efer::LMA, 0)),
    ("advice.efer-lma", Mode::Pae, |c| change(c, F::Efer, 0, efer::LMA)),
    ("advice.paged-real-mode", Mode::Real, |c| change(c, F::Cr0, 0, cr0::PG)),
    ("advice.cache-disabled", Mode::Real, |c| change(c, F::Cr0, 0, cr0::CD | cr0::NW)),
    ("advice.g-pat-zero", Mode::Long, |c| put(c, F::GPat, 0)),
    ("advice.attributes-unpacked", Mode::Long, |c| put(c, F::DsAttrib, 0xc093)),
    ("advice.cs-attributes", Mode::Protected, |c| change(c, F::CsAttrib, 1 << 7, 0)),
    ("advice.ss-attributes", Mode::Protected, |c| change(c, F::SsAttrib, 1 << 7, 0)),
    ("advice.ss-attributes", Mode::Pae, |c| change(c, F::SsAttrib, 0, 1 << 3)),
    ("advice.cpl-range", Mode::Long, |c| put(c, F::Cpl, 4)),
    ("advice.cpl-agrees", Mode::Long, |c| put(c, F::Cpl, 3)),
    ("advice.cpl-agrees", Mode::Pae, |c| put(c, F::Cpl, 0)),
    ("advice.tr-not-tss", Mode::Long, |c| put(c, F::TrAttrib, 0)),
];
