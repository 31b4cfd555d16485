//! Controls with which VMRUN succeeds and does something else than was meant.

use super::controls::{IOPM_BYTES, MAP_ADDRESS, MSRPM_BYTES};
use super::{
    AVIC, NP_ENABLE, SEV, SvmRule, V_GIF_ENABLE, V_NMI_ENABLE, X2AVIC, advice, caps_known, feature, may_have,
    need_clear, need_set, nested,
};
use crate::vt::doctor::Must;
use crate::vt::svm::case::SvmCase;
use crate::vt::svm::state::F;
use crate::vt::svm::vmcb::misc1;

const LAYOUT: &str = "APM 2 \"Layout of VMCB\"";
const TLB: &str = "APM 2 \"TLB Flush\"";
const NESTED: &str = "APM 2 \"Enabling Nested Paging\"";
const IOPM: &str = "APM 2 \"I/O Permissions Map\"";
const MSRPM: &str = "APM 2 \"MSR Intercepts\"";

/// Bits of the virtual interrupt control that have no meaning.
const V_INTR_RESERVED: u64 = 0xf << 4 | 1 << 10 | 7 << 13 | 7 << 21 | 7 << 27 | 0xff_ffff << 40;
/// Bits of the virtual interrupt control that ask for a feature.
const V_INTR_FEATURES: &[(u64, u32)] = &[
    (V_GIF_ENABLE, feature::VIRTUAL_GIF),
    (V_NMI_ENABLE, feature::VIRTUAL_NMI),
    (X2AVIC, feature::X2AVIC),
    (AVIC, feature::AVIC),
];
/// The same of the field with LBR virtualization.
const VIRT_EXT_FEATURES: &[(u64, u32)] =
    &[(1 << 0, feature::LBR), (1 << 1, feature::VIRTUAL_VMSAVE), (IBS, feature::VIRTUAL_IBS)];
/// The intercept of CR3 writes.
const CR3_WRITE: u64 = 1 << 19;
/// #PF as an intercepted exception.
const PAGE_FAULT: u64 = 1 << 14;
/// IBS virtualization.
const IBS: u64 = 1 << 2;
/// V_IRQ, V_INTR_PRIO and V_IGN_TPR.
const V_IRQ: u64 = 1 << 8;
const V_INTR_PRIO: u64 = 0xf << 16;
const V_IGN_TPR: u64 = 1 << 20;

/// Asks for the absence of bits whose feature the CPU does not have.
fn unsupported(case: &SvmCase, field: F, features: &[(u64, u32)], found: super::Found<'_>) {
    let mask = features.iter().filter(|(_, bit)| !may_have(case, *bit)).fold(0, |mask, (bits, _)| mask | bits);
    need_clear(case, field, mask, found);
}

/// Whether a map is used: its intercept is set.
fn used(case: &SvmCase, intercept: u32) -> bool {
    case.all(F::InterceptMisc1, intercept.into())
}

pub const RULES: &[SvmRule] = &[
    advice(
        "advice.iopm-zero",
        IOPM,
        &[F::InterceptMisc1, F::IopmBase],
        "IOPM_BASE_PA should be the address of an I/O permission map where IOIO_PROT is set: at 0, most likely \
         never written, the CPU takes low memory for a map",
        |case, found| {
            if used(case, misc1::IOIO) && case.get(F::IopmBase) & MAP_ADDRESS == 0 {
                found(Must::AtLeast(F::IopmBase, 0x1000));
            }
        },
    ),
    advice(
        "advice.msrpm-zero",
        MSRPM,
        &[F::InterceptMisc1, F::MsrpmBase],
        "MSRPM_BASE_PA should be the address of an MSR permission map where MSR_PROT is set: at 0, most likely \
         never written, the CPU takes low memory for a map",
        |case, found| {
            if used(case, misc1::MSR) && case.get(F::MsrpmBase) & MAP_ADDRESS == 0 {
                found(Must::AtLeast(F::MsrpmBase, 0x1000));
            }
        },
    ),
    advice(
        "advice.iopm-low-bits",
        IOPM,
        &[F::IopmBase],
        "IOPM_BASE_PA should be a multiple of 4 KiB: the CPU ignores bits 11:0 and reads the map from below where \
         it is",
        |case, found| {
            if case.get(F::IopmBase) & !MAP_ADDRESS != 0 {
                found(Must::Aligned(F::IopmBase, 0x1000));
            }
        },
    ),
    advice(
        "advice.msrpm-low-bits",
        MSRPM,
        &[F::MsrpmBase],
        "MSRPM_BASE_PA should be a multiple of 4 KiB: the CPU ignores bits 11:0 and reads the map from below where \
         it is",
        |case, found| {
            if case.get(F::MsrpmBase) & !MAP_ADDRESS != 0 {
                found(Must::Aligned(F::MsrpmBase, 0x1000));
            }
        },
    ),
    advice(
        "advice.maps-overlap",
        MSRPM,
        &[F::InterceptMisc1, F::IopmBase, F::MsrpmBase],
        "the I/O permission map (12 KiB) and the MSR permission map (8 KiB) should not overlap, or bits of ports \
         decide about MSRs",
        |case, found| {
            let (io, msr) = (case.get(F::IopmBase) & MAP_ADDRESS, case.get(F::MsrpmBase) & MAP_ADDRESS);
            let apart = io.saturating_add(IOPM_BYTES) <= msr || msr.saturating_add(MSRPM_BYTES) <= io;
            // Where both are 0, they were never written, and that has an advice of its own.
            if used(case, misc1::IOIO | misc1::MSR) && !apart && io | msr != 0 {
                found(Must::Change(F::MsrpmBase));
            }
        },
    ),
    advice(
        "advice.asid-range",
        "APM 2 \"VMRUN Instruction\"",
        &[F::Asid],
        "the guest's ASID should be below the number of ASIDs that the CPU has (CPUID Fn8000_000A_EBX): what others do \
         is not defined",
        |case, found| {
            let asids = u64::from(case.cpu.caps.asids);
            if caps_known(case) && case.get(F::Asid) >= asids {
                found(Must::AtMost(F::Asid, asids.saturating_sub(1)));
            }
        },
    ),
    advice(
        "advice.tlb-control-reserved",
        TLB,
        &[F::TlbControl],
        "TLB_CONTROL should be 0 (nothing), 1 (all), 3 (this ASID) or 7 (this ASID, not global): what other values \
         flush is not defined",
        |case, found| {
            if !matches!(case.get(F::TlbControl), 0 | 1 | 3 | 7) {
                found(Must::BeOneOf(F::TlbControl, &[0, 1, 3, 7]));
            }
        },
    ),
    advice(
        "advice.tlb-control-unsupported",
        TLB,
        &[F::TlbControl],
        "TLB_CONTROL should be 0 or 1 on a CPU without FlushByAsid, or stale translations may stay: use 1 or a \
         fresh ASID",
        |case, found| {
            if matches!(case.get(F::TlbControl), 3 | 7) && !may_have(case, feature::FLUSH_BY_ASID) {
                found(Must::BeOneOf(F::TlbControl, &[0, 1]));
            }
        },
    ),
    advice(
        "advice.v-intr-reserved",
        LAYOUT,
        &[F::VIntr],
        "reserved bits of the virtual interrupt control should be clear: later CPUs give them a meaning",
        |case, found| need_clear(case, F::VIntr, V_INTR_RESERVED, found),
    ),
    advice(
        "advice.v-intr-unsupported",
        LAYOUT,
        &[F::VIntr],
        "the virtual interrupt control should ask only for features that the CPU has, or they silently do nothing",
        |case, found| unsupported(case, F::VIntr, V_INTR_FEATURES, found),
    ),
    advice(
        "advice.v-irq-priority",
        "APM 2 \"Injecting Virtual (INTR) Interrupts\"",
        &[F::VIntr],
        "V_INTR_PRIO should be above 0 or V_IGN_TPR set where V_IRQ is, or the interrupt is never taken: no \
         priority of 0 is greater than V_TPR",
        |case, found| {
            if case.all(F::VIntr, V_IRQ) && case.get(F::VIntr) & (V_INTR_PRIO | V_IGN_TPR | AVIC) == 0 {
                found(Must::Set(F::VIntr, V_IGN_TPR));
            }
        },
    ),
    advice(
        "advice.virt-ext-unsupported",
        LAYOUT,
        &[F::VirtExt],
        "LBR, VMLOAD/VMSAVE and IBS virtualization should be asked for only where the CPU has them, or they \
         silently do nothing",
        |case, found| unsupported(case, F::VirtExt, VIRT_EXT_FEATURES, found),
    ),
    advice(
        "advice.ibs-without-delivery",
        "APM 2 \"Instruction-Based Sampling Virtualization\"",
        &[F::VirtExt, F::VIntr],
        "AVIC or V_NMI_ENABLE should be set where IBS virtualization is, or the interrupts of the guest's IBS are \
         lost",
        |case, found| {
            let on = case.all(F::VirtExt, IBS) && may_have(case, feature::VIRTUAL_IBS);
            if on && case.get(F::VIntr) & (AVIC | V_NMI_ENABLE) == 0 {
                found(Must::Set(F::VIntr, V_NMI_ENABLE));
            }
        },
    ),
    advice(
        "advice.nested-paging-off",
        NESTED,
        &[F::NestedControl, F::VIntr, F::InterceptCr, F::InterceptExceptions],
        "NP_ENABLE should be set, or the guest's CR3 and, without paging, all of its addresses are host-physical: \
         without shadow page tables the guest has the host's memory",
        |case, found| {
            // Shadow page tables need to see the guest's writes of CR3 and its page faults.
            let shadows = case.all(F::InterceptCr, CR3_WRITE) || case.all(F::InterceptExceptions, PAGE_FAULT);
            // AVIC has an advice of its own.
            if !case.all(F::VIntr, AVIC) && !shadows {
                need_set(case, F::NestedControl, NP_ENABLE, found);
            }
        },
    ),
    advice(
        "advice.nested-paging-unsupported",
        NESTED,
        &[F::NestedControl],
        "NP_ENABLE should be set only where the CPU has nested paging, or the guest may run without it, on \
         host-physical memory",
        |case, found| unsupported(case, F::NestedControl, &[(NP_ENABLE, feature::NESTED_PAGING)], found),
    ),
    advice(
        "advice.ncr3-zero",
        NESTED,
        &[F::NestedControl, F::NCr3],
        "nCR3 should be the address of the nested page tables under nested paging: 0 was most likely never written",
        |case, found| {
            if nested(case) && case.get(F::NCr3) & MAP_ADDRESS == 0 {
                found(Must::AtLeast(F::NCr3, 0x1000));
            }
        },
    ),
    advice(
        "advice.ncr3-is-host-cr3",
        NESTED,
        &[F::NestedControl, F::NCr3],
        "nCR3 should be the root of page tables of the guest's own, not the host's CR3, or the guest has what the \
         host maps for users, at the host's addresses",
        |case, found| {
            let same = (case.get(F::NCr3) ^ case.host_cr3) & MAP_ADDRESS == 0;
            if nested(case) && case.host_cr3 & MAP_ADDRESS != 0 && same {
                found(Must::Change(F::NCr3));
            }
        },
    ),
    advice(
        "advice.sev",
        "APM 2 \"Enabling SEV\"",
        &[F::NestedControl],
        "SEV and SEV-ES should be clear for a plain guest: with memory encryption on, VMRUN checks nested paging, \
         HWCR.SmmLock and the ASID besides, and the guest's memory or registers are encrypted",
        |case, found| need_clear(case, F::NestedControl, SEV, found),
    ),
    advice(
        "advice.avic-without-nested-paging",
        "APM 2 \"VMCB Virtual Interrupt Control Word\"",
        &[F::VIntr, F::NestedControl],
        "NP_ENABLE should be set where AVIC is: AVIC finds the guest's APIC by the nested page tables",
        |case, found| {
            if case.all(F::VIntr, AVIC) {
                need_set(case, F::NestedControl, NP_ENABLE, found);
            }
        },
    ),
    advice(
        "advice.avic-reserved-bits",
        "APM 2 \"Physical Address Pointer Restrictions\"",
        &[F::VIntr, F::AvicBackingPage, F::AvicLogicalTable],
        "the AVIC backing page and the logical APIC ID table should be at multiples of 4 KiB: bits 11:0 are \
         reserved",
        |case, found| {
            if case.all(F::VIntr, AVIC) && may_have(case, feature::AVIC) {
                need_clear(case, F::AvicBackingPage, !MAP_ADDRESS, found);
                need_clear(case, F::AvicLogicalTable, !MAP_ADDRESS, found);
            }
        },
    ),
];
