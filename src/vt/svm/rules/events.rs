//! What VMRUN checks of the event to inject.

use super::{Injected, SvmRule, code64, consistency, in_vmsa};
use crate::vt::doctor::Must;
use crate::vt::svm::state::F;

const INJECTION: &str = "APM 2 \"Event Injection\"";

/// Whether an exception with this vector is to be injected, if any is.
fn exception(event: Option<Injected>, bad: impl Fn(u64) -> bool) -> bool {
    event.is_some_and(|e| e.kind == Injected::EXCEPTION && bad(e.vector))
}

pub const RULES: &[SvmRule] = &[
    consistency(
        "event.type",
        INJECTION,
        &[F::EventInj],
        "the type of an injected event must be 0 (interrupt), 2 (NMI), 3 (exception) or 4 (software interrupt)",
        |case, found| {
            if Injected::of(case).is_some_and(|e| e.kind == 1 || e.kind > Injected::SOFTWARE) {
                found(Must::Change(F::EventInj));
            }
        },
    ),
    consistency(
        "event.exception-vector",
        INJECTION,
        &[F::EventInj],
        "the vector of an injected exception must be below 32 and not 2, which is the NMI's",
        |case, found| {
            if exception(Injected::of(case), |vector| vector == 2 || vector > 31) {
                found(Must::Change(F::EventInj));
            }
        },
    ),
    consistency(
        "event.impossible-in-64-bit-mode",
        INJECTION,
        &[F::EventInj, F::Efer, F::Cr0, F::CsAttrib],
        "an injected exception must be one that the guest's mode has: 64-bit mode has no #OF (4) and no #BR (5)",
        |case, found| {
            // The mode of an SEV-ES guest is not known.
            if !in_vmsa(case) && code64(case) && exception(Injected::of(case), |vector| vector == 4 || vector == 5) {
                found(Must::Change(F::EventInj));
            }
        },
    ),
];
