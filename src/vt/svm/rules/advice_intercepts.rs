//! Intercepts without which VMRUN succeeds and the guest reaches the host, or is never heard of again.

use super::{SvmRule, V_GIF_ENABLE, V_NMI_ENABLE, advice, feature, may_have, need_set};
use crate::vt::doctor::Must;
use crate::vt::svm::state::F;
use crate::vt::svm::vmcb::{V_INTR_MASKING, misc1, misc2};

const INSTRUCTIONS: &str = "APM 2 \"Instruction Intercepts\"";
const EXCEPTIONS: &str = "APM 2 \"Exception Intercepts\"";
const IOIO: &str = "APM 2 \"IOIO Intercepts\"";
const MSR: &str = "APM 2 \"MSR Intercepts\"";
/// VMLOAD and VMSAVE work on guest-physical addresses.
const VIRTUAL_VMSAVE: u64 = 1 << 1;
/// #DB and #AC.
const ENDLESS: u64 = 1 << 1 | 1 << 17;
/// Vectors 2 and 9.
const UNDEFINED: u64 = 1 << 2 | 1 << 9;
/// #MC.
const MACHINE_CHECK: u64 = 1 << 18;

/// Advice to set one intercept, always.
macro_rules! intercept {
    ($id:literal, $section:expr, $field:expr, $bit:expr, $says:literal $(,)?) => {
        advice($id, $section, &[$field], $says, |case, found| need_set(case, $field, $bit as u64, found))
    };
}

/// Advice to set one intercept, unless a bit of another field makes it needless on this CPU.
macro_rules! intercept_unless {
    (
        $id:literal, $section:expr, $field:expr, $bit:expr,
        $other:expr, $virtual:expr, $feature:expr, $says:literal $(,)?
    ) => {
        advice($id, $section, &[$field, $other], $says, |case, found| {
            if !(case.all($other, $virtual) && may_have(case, $feature)) {
                need_set(case, $field, $bit as u64, found);
            }
        })
    };
}

pub const RULES: &[SvmRule] = &[
    intercept!(
        "advice.hlt-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc1,
        misc1::HLT,
        "HLT should be intercepted, or it halts the real CPU inside the guest: VMRUN returns only at the next \
         intercepted event, such as an interrupt, and never if there is none",
    ),
    intercept!(
        "advice.ioio-not-intercepted",
        IOIO,
        F::InterceptMisc1,
        misc1::IOIO,
        "IOIO_PROT should be set, or all ports of the machine are the guest's and none is ever seen by the \
         hypervisor",
    ),
    intercept!(
        "advice.msr-not-intercepted",
        MSR,
        F::InterceptMisc1,
        misc1::MSR,
        "MSR_PROT should be set, or the guest reads and writes the host's MSRs",
    ),
    intercept!(
        "advice.intr-not-intercepted",
        "APM 2 \"INTR Intercept\"",
        F::InterceptMisc1,
        misc1::INTR,
        "INTR should be intercepted, or the host's interrupts go through the guest's IDT and VMRUN does not return \
         for them: the host loses its timer",
    ),
    intercept_unless!(
        "advice.nmi-not-intercepted",
        "APM 2 \"NMI Intercept\"",
        F::InterceptMisc1,
        misc1::NMI,
        F::VIntr,
        // VMRUN refuses this: a rule of its own.
        V_NMI_ENABLE,
        feature::VIRTUAL_NMI,
        "NMI should be intercepted, or the host's NMIs go through the guest's IDT",
    ),
    intercept!(
        "advice.init-not-intercepted",
        "APM 2 \"INIT Intercept\"",
        F::InterceptMisc1,
        misc1::INIT,
        "INIT should be intercepted, or one that comes while the guest runs resets the core, and the host on it is \
         lost",
    ),
    intercept!(
        "advice.shutdown-not-intercepted",
        "APM 2 \"Shutdown Intercept\"",
        F::InterceptMisc1,
        misc1::SHUTDOWN,
        "shutdown should be intercepted, or a triple fault of the guest shuts down or resets the machine",
    ),
    intercept!(
        "advice.cpuid-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc1,
        misc1::CPUID,
        "CPUID should be intercepted, or the guest sees all of the host CPU's features and uses what it must not",
    ),
    intercept!(
        "advice.invd-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc1,
        misc1::INVD,
        "INVD should be intercepted, or the guest throws away what the host wrote and the caches still hold",
    ),
    intercept!(
        "advice.invlpga-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc1,
        misc1::INVLPGA,
        "INVLPGA should be intercepted, or the guest, whose EFER.SVME is set, empties TLB entries of any ASID",
    ),
    intercept!(
        "advice.vmmcall-not-intercepted",
        "APM 2 \"VMMCALL Instruction\"",
        F::InterceptMisc2,
        misc2::VMMCALL,
        "VMMCALL should be intercepted, or it raises #UD in the guest and no hypercall arrives",
    ),
    intercept_unless!(
        "advice.vmload-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc2,
        misc2::VMLOAD,
        F::VirtExt,
        VIRTUAL_VMSAVE,
        feature::VIRTUAL_VMSAVE,
        "VMLOAD should be intercepted or virtualized, or the guest, whose EFER.SVME is set, reads any physical \
         memory",
    ),
    intercept_unless!(
        "advice.vmsave-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc2,
        misc2::VMSAVE,
        F::VirtExt,
        VIRTUAL_VMSAVE,
        feature::VIRTUAL_VMSAVE,
        "VMSAVE should be intercepted or virtualized, or the guest, whose EFER.SVME is set, writes any physical \
         memory",
    ),
    intercept_unless!(
        "advice.stgi-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc2,
        misc2::STGI,
        F::VIntr,
        V_GIF_ENABLE,
        feature::VIRTUAL_GIF,
        "STGI should be intercepted, or the virtual GIF enabled, or the guest changes the host's GIF",
    ),
    intercept_unless!(
        "advice.clgi-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc2,
        misc2::CLGI,
        F::VIntr,
        V_GIF_ENABLE,
        feature::VIRTUAL_GIF,
        "CLGI should be intercepted, or the virtual GIF enabled, or the guest holds back every interrupt and NMI of \
         the host: VMRUN never returns",
    ),
    intercept!(
        "advice.skinit-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc2,
        misc2::SKINIT,
        "SKINIT should be intercepted, or the guest, whose EFER.SVME is set, restarts the machine with its own \
         loader",
    ),
    intercept!(
        "advice.xsetbv-not-intercepted",
        INSTRUCTIONS,
        F::InterceptMisc2,
        misc2::XSETBV,
        "XSETBV should be intercepted, or the guest changes the host's XCR0, which VMRUN does not switch",
    ),
    intercept!(
        "advice.mc-not-intercepted",
        EXCEPTIONS,
        F::InterceptExceptions,
        MACHINE_CHECK,
        "#MC should be intercepted, or the machine checks of the host go through the guest's IDT",
    ),
    intercept!(
        "advice.db-ac-not-intercepted",
        EXCEPTIONS,
        F::InterceptExceptions,
        ENDLESS,
        "#DB and #AC should be intercepted, or a guest whose handler raises them again as they are delivered keeps \
         the CPU for ever: no interrupt gets through",
    ),
    advice(
        "advice.exception-intercept-undefined",
        EXCEPTIONS,
        &[F::InterceptExceptions],
        "the intercepts of exceptions 2 and 9 should be clear: their effect is undefined; NMIs have an intercept of \
         their own",
        |case, found| super::need_clear(case, F::InterceptExceptions, UNDEFINED, found),
    ),
    advice(
        "advice.v-intr-masking-clear",
        "APM 2 \"Physical (INTR) Interrupt Masking in EFLAGS\"",
        &[F::VIntr, F::InterceptMisc1],
        "V_INTR_MASKING should be set, or the guest's RFLAGS.IF masks the host's interrupts: a guest that loops \
         with interrupts off is never left",
        |case, found| {
            if case.all(F::InterceptMisc1, misc1::INTR.into()) && !case.all(F::VIntr, V_INTR_MASKING) {
                found(Must::Set(F::VIntr, V_INTR_MASKING));
            }
        },
    ),
];
