//! Rules about the guest's state that is in no register: activity, interruptibility, pending debug exceptions,
//! VMCS link.

use super::ask::{SHADOWING, above, dpl, entry, event, injected, rflags, secondary};
use super::controls::knows_caps;
use super::{Found, VmxRule};
use crate::vt::doctor::{Class, Must};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

const fn rule(id: &'static str, fields: &'static [F], says: &'static str, check: fn(&VmxCase, Found<'_>)) -> VmxRule {
    VmxRule { id, class: Class::Guest, section: "SDM 3C \"Checks on Guest Non-Register State\"", fields, says, check }
}

/// Activity states. Bit 5 + n of IA32_VMX_MISC says whether the CPU has state n.
const HLT: u64 = 1;
const SHUTDOWN: u64 = 2;
const WAIT_FOR_SIPI: u64 = 3;

/// Interruptibility state.
const STI: u64 = 1 << 0;
const MOV_SS: u64 = 1 << 1;
const SMI: u64 = 1 << 2;
const NMI: u64 = 1 << 3;
const ENCLAVE: u64 = 1 << 4;

/// Pending debug exceptions.
const BUS_LOCK: u64 = 1 << 11;
const ENABLED: u64 = 1 << 12;
const BS: u64 = 1 << 14;
const RTM: u64 = 1 << 16;
/// Bits 10:4, 13, 15 and 63:17; bit 11 too on CPUs that do not detect bus locks.
const PENDING_RESERVED: u64 = 0x7f << 4 | 1 << 13 | 1 << 15 | above(17);

const VIRTUAL_NMIS: u64 = 1 << 5;
const BTF: u64 = 1 << 1;
const DEBUG: u64 = 1;
const MACHINE_CHECK: u64 = 18;

fn clear(c: &VmxCase, field: F, mask: u64, found: Found<'_>) {
    let wrong = c.get(field) & mask;
    if wrong != 0 {
        found(Must::Clear(field, wrong));
    }
}

/// Whether the CPU would block an event of this type and vector in this activity state.
fn is_blocked(activity: u64, kind: u64, vector: u64) -> bool {
    match activity {
        HLT => match kind {
            event::EXTERNAL | event::NMI => false,
            event::HARDWARE => !matches!(vector, DEBUG | MACHINE_CHECK),
            // A pending monitor-trap exit.
            event::OTHER => vector != 0,
            _ => true,
        },
        SHUTDOWN => kind != event::NMI && (kind, vector) != (event::HARDWARE, MACHINE_CHECK),
        WAIT_FOR_SIPI => true,
        _ => false,
    }
}

/// Whether the rules about single steps apply: they are held back by blocking, or the guest is halted.
fn holds_steps(c: &VmxCase) -> bool {
    c.get(F::Interruptibility) & (STI | MOV_SS) != 0 || c.get(F::Activity) == HLT
}

/// Whether the instruction before single-stepped.
fn steps(c: &VmxCase) -> bool {
    c.all(F::Rflags, rflags::TF) && !c.all(F::Debugctl, BTF)
}

fn injects(c: &VmxCase, kind: u64) -> bool {
    injected(c).is_some_and(|(its, _)| its == kind)
}

/// Whether there is a VMCS link.
fn linked(c: &VmxCase) -> bool {
    c.get(F::LinkPointer) != u64::MAX
}

/// Whether the entry leaves SMM.
fn returns_from_smm(c: &VmxCase) -> bool {
    c.in_smm && !c.all(F::EntryControls, entry::TO_SMM)
}

/// In the order of the manual.
pub const RULES: &[VmxRule] = &[
    rule("guest.activity.supported", &[F::Activity], "the activity state must be one that the CPU has", |c, found| {
        let has = match c.get(F::Activity) {
            0 => true,
            n @ HLT..=WAIT_FOR_SIPI => !knows_caps(c) || c.cpu.caps.misc >> (5 + n) & 1 != 0,
            _ => false,
        };
        if !has {
            found(Must::Change(F::Activity));
        }
    }),
    rule(
        "guest.activity.hlt-dpl",
        &[F::SsRights, F::Activity],
        "SS must have DPL 0 in the activity state HLT",
        |c, found| {
            if c.get(F::Activity) == HLT && dpl(c.get(F::SsRights)) != 0 {
                found(Must::Clear(F::SsRights, c.get(F::SsRights) & 0b11 << 5));
            }
        },
    ),
    rule(
        "guest.activity.blocking",
        &[F::Activity, F::Interruptibility],
        "the activity state must be active (0) while there is blocking by STI or by MOV SS",
        |c, found| {
            if c.get(F::Activity) != 0 && c.get(F::Interruptibility) & (STI | MOV_SS) != 0 {
                found(Must::Be(F::Activity, 0));
            }
        },
    ),
    rule(
        "guest.activity.injection",
        &[F::Activity, F::EntryInfo],
        "the injected event must not be one that the activity state blocks",
        |c, found| {
            let activity = c.get(F::Activity);
            if injected(c).is_some_and(|(kind, vector)| is_blocked(activity, kind, vector)) {
                found(Must::Be(F::Activity, 0));
            }
        },
    ),
    rule(
        "guest.activity.smm",
        &[F::Activity, F::EntryControls],
        "the activity state must not be wait-for-SIPI (3) on entry to SMM",
        |c, found| {
            if c.all(F::EntryControls, entry::TO_SMM) && c.get(F::Activity) == WAIT_FOR_SIPI {
                found(Must::Change(F::Activity));
            }
        },
    ),
    rule(
        "guest.interruptibility.reserved",
        &[F::Interruptibility],
        "bits 31:5 of the interruptibility state must be 0",
        |c, found| clear(c, F::Interruptibility, above(5), found),
    ),
    rule(
        "guest.interruptibility.sti-mov-ss",
        &[F::Interruptibility],
        "blocking by STI and by MOV SS must not both be 1",
        |c, found| {
            if c.all(F::Interruptibility, STI | MOV_SS) {
                found(Must::Clear(F::Interruptibility, STI));
            }
        },
    ),
    rule(
        "guest.interruptibility.sti-if",
        &[F::Interruptibility, F::Rflags],
        "blocking by STI must be 0 if RFLAGS.IF is 0",
        |c, found| {
            if !c.all(F::Rflags, rflags::IF) {
                clear(c, F::Interruptibility, STI, found);
            }
        },
    ),
    rule(
        "guest.interruptibility.interrupt",
        &[F::Interruptibility, F::EntryInfo],
        "blocking by STI and by MOV SS must be 0 if the entry injects an external interrupt",
        |c, found| {
            if injects(c, event::EXTERNAL) {
                clear(c, F::Interruptibility, STI | MOV_SS, found);
            }
        },
    ),
    rule(
        "guest.interruptibility.nmi-mov-ss",
        &[F::Interruptibility, F::EntryInfo],
        "blocking by MOV SS must be 0 if the entry injects an NMI",
        |c, found| {
            if injects(c, event::NMI) {
                clear(c, F::Interruptibility, MOV_SS, found);
            }
        },
    ),
    rule("guest.interruptibility.smi", &[F::Interruptibility], "blocking by SMI must be 0 outside SMM", |c, found| {
        if !c.in_smm {
            clear(c, F::Interruptibility, SMI, found);
        }
    }),
    rule(
        "guest.interruptibility.smm",
        &[F::Interruptibility, F::EntryControls],
        "blocking by SMI must be 1 on entry to SMM",
        |c, found| {
            if c.all(F::EntryControls, entry::TO_SMM) && !c.all(F::Interruptibility, SMI) {
                found(Must::Set(F::Interruptibility, SMI));
            }
        },
    ),
    rule(
        "guest.interruptibility.virtual-nmi",
        &[F::Interruptibility, F::EntryInfo, F::PinBased],
        "blocking by NMI must be 0 if the entry injects an NMI and \"virtual NMIs\" is 1",
        |c, found| {
            if injects(c, event::NMI) && c.all(F::PinBased, VIRTUAL_NMIS) {
                clear(c, F::Interruptibility, NMI, found);
            }
        },
    ),
    rule(
        "guest.interruptibility.enclave",
        &[F::Interruptibility],
        "\"enclave interruption\" must be 0 on a CPU without SGX, and while there is blocking by MOV SS",
        |c, found| {
            if !c.cpu.sgx || c.all(F::Interruptibility, MOV_SS) {
                clear(c, F::Interruptibility, ENCLAVE, found);
            }
        },
    ),
    rule(
        "guest.pending-debug.reserved",
        &[F::PendingDebug],
        "reserved bits of the pending debug exceptions must be 0",
        |c, found| {
            let bus_lock = if c.cpu.bus_lock { 0 } else { BUS_LOCK };
            clear(c, F::PendingDebug, PENDING_RESERVED | bus_lock, found);
        },
    ),
    rule(
        "guest.pending-debug.step",
        &[F::PendingDebug, F::Interruptibility, F::Activity, F::Rflags, F::Debugctl],
        "BS must be pending if RFLAGS.TF is 1 and IA32_DEBUGCTL.BTF is 0, in the shadow of STI or MOV SS and in HLT",
        |c, found| {
            if holds_steps(c) && steps(c) && !c.all(F::PendingDebug, BS) {
                found(Must::Set(F::PendingDebug, BS));
            }
        },
    ),
    rule(
        "guest.pending-debug.no-step",
        &[F::PendingDebug, F::Interruptibility, F::Activity, F::Rflags, F::Debugctl],
        "BS must not be pending if RFLAGS.TF is 0 or IA32_DEBUGCTL.BTF is 1, in the shadow of STI or MOV SS and in \
         HLT",
        |c, found| {
            if holds_steps(c) && !steps(c) {
                clear(c, F::PendingDebug, BS, found);
            }
        },
    ),
    rule(
        "guest.pending-debug.rtm",
        &[F::PendingDebug, F::Interruptibility],
        "a pending debug exception in RTM needs a CPU with RTM, \"enabled breakpoint\", no other bit, and no \
         blocking by MOV SS",
        |c, found| {
            if !c.all(F::PendingDebug, RTM) {
                return;
            }
            if !c.cpu.rtm {
                found(Must::Clear(F::PendingDebug, RTM));
            }
            if !c.all(F::PendingDebug, ENABLED) {
                found(Must::Set(F::PendingDebug, ENABLED));
            }
            clear(c, F::PendingDebug, 0xfff | 0b111 << 13, found);
            clear(c, F::Interruptibility, MOV_SS, found);
        },
    ),
    rule(
        "guest.link.aligned",
        &[F::LinkPointer],
        "the VMCS link pointer must be aligned to 4 KiB, or all ones",
        |c, found| {
            if linked(c) && c.get(F::LinkPointer) & 0xfff != 0 {
                found(Must::Aligned(F::LinkPointer, 0x1000));
            }
        },
    ),
    rule(
        "guest.link.physical",
        &[F::LinkPointer],
        "the VMCS link pointer must have no bit above the CPU's physical-address width, or be all ones",
        |c, found| {
            if linked(c) && c.get(F::LinkPointer) & above(c.cpu.phys_bits) != 0 {
                found(Must::Physical(F::LinkPointer, c.cpu.phys_bits));
            }
        },
    ),
    rule(
        "guest.link.revision",
        &[F::LinkPointer],
        "the VMCS link pointer must be all ones, or point to the CPU's VMCS revision identifier",
        |c, found| {
            let wrong = c.pointed.link_revision.is_some_and(|word| word & 0x7fff_ffff != c.cpu.caps.revision());
            if linked(c) && knows_caps(c) && wrong {
                found(Must::Change(F::LinkPointer));
            }
        },
    ),
    rule(
        "guest.link.shadow",
        &[F::LinkPointer, F::Primary],
        "the VMCS link pointer must be all ones, or point to a shadow VMCS just if \"VMCS shadowing\" is 1",
        |c, found| {
            let is_shadow = c.pointed.link_revision.map(|word| word >> 31 != 0);
            if linked(c) && is_shadow.is_some_and(|is| is != secondary(c, SHADOWING)) {
                found(Must::Change(F::LinkPointer));
            }
        },
    ),
    rule(
        "guest.link.current",
        &[F::LinkPointer, F::EntryControls],
        "the VMCS link pointer must not be the current VMCS, but on a return from SMM",
        |c, found| {
            if !returns_from_smm(c) && c.vmcs != 0 && c.get(F::LinkPointer) == c.vmcs {
                found(Must::Change(F::LinkPointer));
            }
        },
    ),
];
