//! Rules about event injection. Nothing of it is judged unless the interruption information is valid.

use super::second::UNRESTRICTED_GUEST;
use super::{ENTRY, clear, has, knows_caps, rule, second, set};
use crate::vt::doctor::Must;
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::rules::VmxRule;
use crate::vt::vmx::state::F;

const VALID: u64 = 1 << 31;
const ERROR_CODE: u64 = 1 << 11;
/// The exception comes from the delivery of another event: IA32_VMX_BASIC\[58\], with FRED.
const NESTED: u64 = 1 << 13;
const TYPE: u64 = 7 << 8;

/// The interruption type.
mod kind {
    pub const RESERVED: u64 = 1;
    pub const NMI: u64 = 2;
    pub const HARDWARE_EXCEPTION: u64 = 3;
    pub const SOFTWARE_INTERRUPT: u64 = 4;
    pub const PRIVILEGED_SOFTWARE_EXCEPTION: u64 = 5;
    pub const SOFTWARE_EXCEPTION: u64 = 6;
    pub const OTHER: u64 = 7;
}

/// Exceptions that deliver an error code: #DF, #TS, #NP, #SS, #GP, #PF and #AC.
const WITH_ERROR_CODE: u32 = 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17;

/// The type and the vector of the event that is injected, if one is.
fn event(c: &VmxCase) -> Option<(u64, u64)> {
    let info = c.get(F::EntryInfo);
    (info & VALID != 0).then_some(((info & TYPE) >> 8, info & 0xff))
}

fn basic(c: &VmxCase, bit: u32) -> bool {
    c.cpu.caps.basic >> bit & 1 != 0
}

/// Whether the guest is in protected mode, as these checks see it: without "unrestricted guest" it always is.
fn protected(c: &VmxCase) -> bool {
    !second(c, UNRESTRICTED_GUEST) || has(c, F::Cr0, 1)
}

/// Whether a hardware exception of this vector is delivered with an error code.
fn delivers_error_code(vector: u64) -> bool {
    vector < 32 && WITH_ERROR_CODE >> vector & 1 != 0
}

/// Whether the CPU has "monitor trap flag", which a pending one can be injected with.
fn has_monitor_trap(c: &VmxCase) -> bool {
    !knows_caps(c) || c.cpu.caps.primary >> (32 + 27) & 1 != 0
}

/// Whether the guest has FRED, whose SYSCALL and SYSENTER are "other events" with vectors 1 and 2.
fn fred(c: &VmxCase) -> bool {
    has(c, F::Cr4, 1 << 32)
}

pub const RULES: &[VmxRule] = &[
    rule(
        ENTRY,
        "control.event.type",
        &[F::EntryInfo],
        "the type of an injected event must not be 1, nor 7 on a CPU without \"monitor trap flag\"",
        |c, found| match event(c) {
            Some((kind::RESERVED, _)) => found(Must::Clear(F::EntryInfo, 1 << 8)),
            Some((kind::OTHER, _)) if !has_monitor_trap(c) && !fred(c) => found(Must::Change(F::EntryInfo)),
            _ => {}
        },
    ),
    rule(
        ENTRY,
        "control.event.vector",
        &[F::EntryInfo],
        "an injected NMI must have vector 2, a hardware exception at most 31, a pending MTF exit 0",
        |c, found| {
            let wrong = match event(c) {
                Some((kind::NMI, vector)) => vector != 2,
                Some((kind::HARDWARE_EXCEPTION, vector)) => vector > 31,
                Some((kind::OTHER, vector)) => vector > if fred(c) { 2 } else { 0 },
                _ => false,
            };
            if wrong {
                found(Must::Change(F::EntryInfo));
            }
        },
    ),
    rule(
        ENTRY,
        "control.event.error-code-needed",
        &[F::EntryInfo, F::Cr0],
        "#DF, #TS, #NP, #SS, #GP, #PF and #AC must be injected with an error code in protected mode, unless \
         IA32_VMX_BASIC[56] is 1",
        |c, found| match event(c) {
            Some((kind::HARDWARE_EXCEPTION, vector))
                if protected(c) && !basic(c, 56) && delivers_error_code(vector) =>
            {
                set(c, F::EntryInfo, ERROR_CODE, found);
            }
            _ => {}
        },
    ),
    rule(
        ENTRY,
        "control.event.error-code-unwanted",
        &[F::EntryInfo, F::Cr0],
        "an event must be injected without an error code, unless it is a hardware exception in protected mode that \
         delivers one, or IA32_VMX_BASIC[56] is 1",
        |c, found| {
            let Some((kind, vector)) = event(c) else { return };
            let may = kind == kind::HARDWARE_EXCEPTION
                && protected(c)
                && (basic(c, 56) || vector > 31 || delivers_error_code(vector));
            if !may {
                clear(c, F::EntryInfo, ERROR_CODE, found);
            }
        },
    ),
    rule(
        ENTRY,
        "control.event.reserved",
        &[F::EntryInfo],
        "bits 30:12 of the interruption information must be 0, but for bit 13 where IA32_VMX_BASIC[58] is 1",
        |c, found| {
            if event(c).is_some() {
                let nested = if basic(c, 58) { NESTED } else { 0 };
                clear(c, F::EntryInfo, 0x7fff_f000 & !nested, found);
            }
        },
    ),
    rule(
        ENTRY,
        "control.event.nested",
        &[F::EntryInfo],
        "only a hardware exception can be injected as a nested one",
        |c, found| match event(c) {
            Some((kind, _)) if basic(c, 58) && kind != kind::HARDWARE_EXCEPTION => {
                clear(c, F::EntryInfo, NESTED, found);
            }
            _ => {}
        },
    ),
    rule(
        ENTRY,
        "control.event.error-code-high",
        &[F::EntryInfo, F::EntryErrorCode],
        "bits 31:16 of an injected error code must be 0",
        |c, found| {
            if event(c).is_some() && has(c, F::EntryInfo, ERROR_CODE) {
                clear(c, F::EntryErrorCode, 0xffff_0000, found);
            }
        },
    ),
    rule(
        ENTRY,
        "control.event.instruction-length",
        &[F::EntryInfo, F::EntryInstructionLength],
        "an injected software interrupt or exception must have an instruction length of 1 to 15, or 0 where \
         IA32_VMX_MISC[30] is 1",
        |c, found| {
            let length = c.get(F::EntryInstructionLength);
            let zero = !knows_caps(c) || c.cpu.caps.misc >> 30 & 1 != 0;
            match event(c) {
                Some((
                    kind::SOFTWARE_INTERRUPT | kind::PRIVILEGED_SOFTWARE_EXCEPTION | kind::SOFTWARE_EXCEPTION,
                    _,
                )) => {
                    if length > 15 {
                        found(Must::AtMost(F::EntryInstructionLength, 15));
                    } else if length == 0 && !zero {
                        found(Must::AtLeast(F::EntryInstructionLength, 1));
                    }
                }
                Some((kind::OTHER, 1..)) if fred(c) && length > 15 => {
                    found(Must::AtMost(F::EntryInstructionLength, 15));
                }
                _ => {}
            }
        },
    ),
];
