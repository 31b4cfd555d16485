//! Rules about APIC virtualization and posted interrupts.

use super::second::{APIC_ACCESSES, APIC_REGISTERS, INTERRUPT_DELIVERY, X2APIC_MODE};
use super::{EXECUTION, address, clear, has, page_if, pin, primary, rule, second, set, set_secondary, tertiary, third};
use crate::vt::doctor::Must;
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::rules::VmxRule;
use crate::vt::vmx::state::F;

/// VM-exit control "acknowledge interrupt on exit".
const ACKNOWLEDGE_INTERRUPT: u64 = 1 << 15;

fn tpr_shadow(c: &VmxCase) -> bool {
    has(c, F::Primary, primary::TPR_SHADOW)
}

fn posted(c: &VmxCase) -> bool {
    has(c, F::PinBased, pin::POSTED_INTERRUPTS)
}

pub const RULES: &[VmxRule] = &[
    rule(
        EXECUTION,
        "control.tpr.virtual-apic-address",
        &[F::Primary, F::VirtualApicAddress],
        "with \"use TPR shadow\", the virtual-APIC address must be that of a page",
        |c, found| page_if(c, tpr_shadow(c), F::VirtualApicAddress, found),
    ),
    rule(
        EXECUTION,
        "control.tpr.threshold-reserved",
        &[F::Primary, F::TprThreshold],
        "with \"use TPR shadow\" and without \"virtual-interrupt delivery\", bits 31:4 of the TPR threshold must be 0",
        |c, found| {
            if tpr_shadow(c) && !second(c, INTERRUPT_DELIVERY) {
                clear(c, F::TprThreshold, !0xf, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.tpr.threshold-vtpr",
        &[F::Primary, F::TprThreshold],
        "bits 3:0 of the TPR threshold must not be above bits 7:4 of VTPR, with \"use TPR shadow\" and without \
         \"virtualize APIC accesses\" and \"virtual-interrupt delivery\"",
        |c, found| {
            let Some(vtpr) = c.pointed.virtual_tpr else { return };
            let class = u64::from(vtpr >> 4);
            let judged = tpr_shadow(c) && !second(c, APIC_ACCESSES | INTERRUPT_DELIVERY);
            if judged && c.get(F::TprThreshold) & 0xf > class {
                found(Must::AtMost(F::TprThreshold, class));
            }
        },
    ),
    rule(
        EXECUTION,
        "control.apic.access-address",
        &[F::Primary, F::ApicAccessAddress],
        "with \"virtualize APIC accesses\", the APIC-access address must be that of a page",
        |c, found| page_if(c, second(c, APIC_ACCESSES), F::ApicAccessAddress, found),
    ),
    rule(
        EXECUTION,
        "control.apic.needs-tpr-shadow",
        &[F::Primary],
        "\"virtualize x2APIC mode\", \"APIC-register virtualization\", \"virtual-interrupt delivery\" and \"IPI \
         virtualization\" need \"use TPR shadow\"",
        |c, found| {
            let virtualizes = second(c, X2APIC_MODE | APIC_REGISTERS | INTERRUPT_DELIVERY);
            if virtualizes || tertiary(c) & third::IPI_VIRTUALIZATION != 0 {
                set(c, F::Primary, primary::TPR_SHADOW, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.apic.accesses-or-x2apic",
        &[F::Primary, F::Secondary],
        "\"virtualize x2APIC mode\" and \"virtualize APIC accesses\" must not both be 1",
        |c, found| {
            if second(c, X2APIC_MODE) {
                clear(c, F::Secondary, APIC_ACCESSES, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.apic.delivery-needs-exiting",
        &[F::PinBased, F::Primary],
        "\"virtual-interrupt delivery\" needs \"external-interrupt exiting\"",
        |c, found| {
            if second(c, INTERRUPT_DELIVERY) {
                set(c, F::PinBased, pin::EXTERNAL_INTERRUPT_EXITING, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.posted.needs-delivery",
        &[F::PinBased, F::Primary],
        "\"process posted interrupts\" needs \"virtual-interrupt delivery\"",
        |c, found| {
            if posted(c) {
                set_secondary(c, INTERRUPT_DELIVERY, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.posted.needs-acknowledge",
        &[F::PinBased, F::ExitControls],
        "\"process posted interrupts\" needs \"acknowledge interrupt on exit\"",
        |c, found| {
            if posted(c) {
                set(c, F::ExitControls, ACKNOWLEDGE_INTERRUPT, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.posted.vector",
        &[F::PinBased, F::PostedVector],
        "with \"process posted interrupts\", the notification vector must be at most 255",
        |c, found| {
            if posted(c) && c.get(F::PostedVector) > 255 {
                found(Must::AtMost(F::PostedVector, 255));
            }
        },
    ),
    rule(
        EXECUTION,
        "control.posted.descriptor",
        &[F::PinBased, F::PostedDescriptor],
        "with \"process posted interrupts\", the descriptor address must be a physical one, aligned to 64 bytes",
        |c, found| {
            if posted(c) {
                address(c, F::PostedDescriptor, 64, found);
            }
        },
    ),
];
