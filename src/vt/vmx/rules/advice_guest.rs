//! What the CPU accepts and is most likely not meant: the guest-state area, and what the last exit tells.

use super::VmxRule;
use super::advice::rule;
use super::ask::{event, injected, long_mode, virtual8086};
use crate::vt::doctor::Must;
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

const DELIVERY: &str = "SDM 3C \"Information for VM Exits That Occur During Event Delivery\"";

/// Access rights.
const S: u64 = 1 << 4;
const B: u64 = 1 << 14;
const UNUSABLE: u64 = 1 << 16;

/// Of the interruptibility state.
const BLOCKING_BY_STI: u64 = 1;

/// The basic exit reason of an EPT violation, and what tells in its qualification that the linear address is valid.
const EPT_VIOLATION: u64 = 48;
const LINEAR_VALID: u64 = 1 << 7;
const EPT_MISCONFIGURATION: u64 = 49;
/// The longest that delivery of one event pushes, and some.
const PUSHED: u64 = 64;

/// Whether pushes of the guest move SP only.
fn has_16_bit_stack(c: &VmxCase) -> bool {
    !long_mode(c) && c.get(F::SsRights) & (B | UNUSABLE) == 0
}

/// Whether the last exit was an EPT violation while an event was delivered.
fn violated_in_delivery(c: &VmxCase) -> bool {
    // Bit 31: the entry failed, and the other fields are of an exit before that.
    let reason = c.get(F::ExitReason);
    reason & 0x8000_ffff == EPT_VIOLATION && c.all(F::VectoringInfo, 1 << 31)
}

/// Whether what faulted lies just below a 16-bit stack's top, on the other side of 64 KiB.
fn pushed_around_64k(c: &VmxCase) -> bool {
    let (rsp, base, at) = (c.get(F::Rsp), c.get(F::SsBase), c.get(F::GuestLinearAddress));
    let below = (1..=PUSHED).find(|n| base.wrapping_add(rsp.wrapping_sub(*n) & 0xffff) == at);
    let wraps = |n| rsp > 0xffff || n > rsp;
    has_16_bit_stack(c) && c.all(F::Qualification, LINEAR_VALID) && below.is_some_and(wraps)
}

/// Advice: the guest's registers, then the last exit.
pub const RULES: &[VmxRule] = &[
    rule(
        "SDM 3C \"Guest Register State\"",
        "advice.guest.swapped-rights",
        &[F::CsRights, F::DsRights, F::Rflags],
        "CS is data (type 3) and DS is code: their access rights are most likely swapped; CS cannot be far-returned \
         to and DS cannot be written",
        |c, found| {
            let (cs, ds) = (c.get(F::CsRights), c.get(F::DsRights));
            let is_data = cs & (0xf | S) == 3 | S;
            let is_code = ds & (8 | S | UNUSABLE) == 8 | S;
            if !virtual8086(c) && is_data && is_code {
                found(Must::Change(F::CsRights));
                found(Must::Change(F::DsRights));
            }
        },
    ),
    rule(
        "SDM 3A \"Segment Descriptors\"",
        "advice.guest.rsp-16",
        &[F::Rsp, F::SsRights, F::CsRights, F::EntryControls],
        "RSP is above 64 KiB and SS has B = 0: only SP counts, so pushes go below 64 KiB from the base of SS; set B \
         in SS's access rights for a 32-bit stack, or take a stack below 64 KiB",
        |c, found| {
            if has_16_bit_stack(c) && c.get(F::Rsp) > 0xffff {
                found(Must::AtMost(F::Rsp, 0xffff));
            }
        },
    ),
    rule(
        "SDM 3C \"Checks on Guest Non-Register State\"",
        "advice.guest.nmi-sti",
        &[F::Interruptibility, F::EntryInfo],
        "the entry injects an NMI while there is blocking by STI: a CPU may require that bit to be 0 then, and refuse \
         the entry with exit reason 33; clear it, or inject after the next instruction",
        |c, found| {
            let nmi = injected(c).is_some_and(|(kind, _)| kind == event::NMI);
            if nmi && c.all(F::Interruptibility, BLOCKING_BY_STI) {
                found(Must::Clear(F::Interruptibility, BLOCKING_BY_STI));
            }
        },
    ),
    rule(
        DELIVERY,
        "advice.exit.delivery-push",
        &[
            F::ExitReason,
            F::VectoringInfo,
            F::Qualification,
            F::GuestLinearAddress,
            F::Rsp,
            F::SsBase,
            F::SsRights,
            F::CsRights,
            F::EntryControls,
        ],
        "the last exit was an EPT violation while the CPU delivered this event: what faulted was its push onto the \
         guest's stack or its read of the IDT, GDT or TSS, not an access of the instruction at RIP; map that memory \
         and inject the event again",
        |c, found| {
            if violated_in_delivery(c) && !pushed_around_64k(c) {
                found(Must::Change(F::VectoringInfo));
            }
        },
    ),
    rule(
        DELIVERY,
        "advice.exit.delivery-wrapped",
        &[
            F::ExitReason,
            F::VectoringInfo,
            F::Qualification,
            F::GuestLinearAddress,
            F::Rsp,
            F::SsBase,
            F::SsRights,
            F::CsRights,
            F::EntryControls,
        ],
        "the last exit was an EPT violation while the CPU delivered this event: SS has B = 0, so its push used SP \
         alone, wrapped below 64 KiB and met unmapped memory there; set B in SS's access rights or move the stack",
        |c, found| {
            if violated_in_delivery(c) && pushed_around_64k(c) {
                found(Must::Change(F::VectoringInfo));
                found(Must::Change(F::Rsp));
            }
        },
    ),
    rule(
        "SDM 3C \"EPT Misconfigurations\"",
        "advice.exit.ept-misconfiguration",
        &[F::ExitReason, F::GuestPhysicalAddress],
        "the last exit was an EPT misconfiguration: an EPT entry for this address has reserved bits set, a bad \
         memory type, or write without read access; unless that is meant, as for MMIO that is emulated, no retry helps \
         until the entry is mended",
        |c, found| {
            // As in `violated_in_delivery`.
            if c.get(F::ExitReason) & 0x8000_ffff == EPT_MISCONFIGURATION {
                found(Must::Change(F::GuestPhysicalAddress));
            }
        },
    ),
];
