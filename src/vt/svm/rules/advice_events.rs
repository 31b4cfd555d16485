//! Events that VMRUN injects and the guest did not expect.

use super::{Injected, SvmRule, feature, long, may_have, protected};
use crate::base::cpu::{cr0, rflags};
use crate::vt::doctor::Must;
use crate::vt::svm::case::SvmCase;
use crate::vt::svm::state::F;

const INJECTION: &str = "APM 2 \"Event Injection\"";
/// Exceptions that push an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP, #VC, #SX.
const WITH_ERROR_CODE: u32 = 1 << 8 | 0x1f << 10 | 1 << 17 | 1 << 21 | 3 << 29;
/// Vectors below 32 that are no exceptions: reserved ones, and 9, which no CPU with SVM raises.
const NO_EXCEPTION: u32 = 1 << 9 | 1 << 15 | 1 << 20 | 0x3f << 22 | 1 << 31;
/// Bits 30:12 of EVENTINJ.
const RESERVED: u64 = 0x7fff_f000;
/// INTERRUPT_SHADOW.
const SHADOW: u64 = 1 << 0;

/// Whether the event should have an error code; `None` where VMRUN refuses it, or in real-address mode, which has none.
fn error_code(case: &SvmCase, event: &Injected) -> Option<bool> {
    match event.kind {
        _ if !case.all(F::Cr0, cr0::PE) => None,
        Injected::EXCEPTION if event.vector < 32 => Some(WITH_ERROR_CODE >> event.vector & 1 != 0),
        Injected::INTERRUPT | Injected::NMI | Injected::SOFTWARE => Some(false),
        _ => None,
    }
}

/// The lowest IDT limit with which the CPU finds the event's gate.
fn gate_end(case: &SvmCase, event: &Injected) -> u64 {
    let bytes = match (long(case), case.all(F::Cr0, cr0::PE)) {
        (true, _) => 16,
        (false, true) => 8,
        (false, false) => 4,
    };
    let vector = if event.kind == Injected::NMI { 2 } else { event.vector };
    vector * bytes + bytes - 1
}

/// The event, if it is an external interrupt.
fn interrupt(case: &SvmCase) -> bool {
    Injected::of(case).is_some_and(|e| e.kind == Injected::INTERRUPT)
}

pub const RULES: &[SvmRule] = &[
    of_save_area!(
        advice,
        "advice.event-error-code",
        INJECTION,
        &[F::EventInj, F::Cr0],
        "EV should be set just for exceptions that push an error code, or the handler finds its stack frame shifted \
         and returns to nowhere",
        |case, found| {
            let Some(event) = Injected::of(case) else { return };
            match error_code(case, &event) {
                Some(true) if !event.error => found(Must::Set(F::EventInj, Injected::EV)),
                Some(false) if event.error => found(Must::Clear(F::EventInj, Injected::EV)),
                _ => {}
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.event-reserved",
        INJECTION,
        &[F::EventInj],
        "bits 30:12 of a valid EVENTINJ should be clear: they are reserved",
        |case, found| {
            if Injected::of(case).is_some() {
                super::need_clear(case, F::EventInj, RESERVED, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.event-exception-reserved",
        INJECTION,
        &[F::EventInj],
        "the vector of an injected exception should be that of an exception: 9, 15, 20, 22 to 27 and 31 are not, no \
         guest has a handler for them, and a CPU may refuse them",
        |case, found| {
            let none =
                |e: Injected| e.kind == Injected::EXCEPTION && e.vector < 32 && NO_EXCEPTION >> e.vector & 1 != 0;
            if Injected::of(case).is_some_and(none) {
                found(Must::Change(F::EventInj));
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.event-interrupts-off",
        INJECTION,
        &[F::EventInj, F::Rflags],
        "an external interrupt should be injected only where RFLAGS.IF is set: VMRUN delivers it in any case, in \
         the middle of what the guest protects; use V_IRQ to wait for the guest",
        |case, found| {
            if interrupt(case) {
                super::need_set(case, F::Rflags, rflags::IF, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.event-in-shadow",
        INJECTION,
        &[F::EventInj, F::InterruptShadow],
        "an external interrupt should not be injected in an interrupt shadow: VMRUN delivers it in any case, \
         between the two instructions of STI and HLT or MOV SS and MOV SP",
        |case, found| {
            if interrupt(case) {
                super::need_clear(case, F::InterruptShadow, SHADOW, found);
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.event-beyond-idt",
        INJECTION,
        &[F::EventInj, F::IdtrLimit, F::Cr0, F::Efer],
        "an event should be injected only where the guest's IDT reaches its gate, or its delivery ends in #GP, #DF \
         and a shutdown",
        |case, found| {
            let Some(event) = Injected::of(case) else { return };
            let least = gate_end(case, &event);
            // In virtual-8086 mode INT n need not go through the IDT.
            let idt = protected(case) || event.kind != Injected::SOFTWARE || !case.all(F::Cr0, cr0::PE);
            if idt && case.get(F::IdtrLimit) < least {
                found(Must::AtLeast(F::IdtrLimit, least));
            }
        },
    ),
    of_save_area!(
        advice,
        "advice.soft-interrupt-without-nrip",
        INJECTION,
        &[F::EventInj],
        "software interrupts should not be injected on a CPU without NRIPS, which cannot give the handler the right \
         return address: emulate them",
        |case, found| {
            let soft = Injected::of(case).is_some_and(|e| e.kind == Injected::SOFTWARE);
            if soft && !may_have(case, feature::NEXT_RIP) {
                found(Must::Change(F::EventInj));
            }
        },
    ),
];
