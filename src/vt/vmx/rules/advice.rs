//! What the CPU accepts and is most likely not meant: errors before the entry, controls, the host-state area.

use super::ask::{EPT, UNRESTRICTED, cr0, entry, is_host_os, secondary};
use super::controls::knows_caps;
use super::{Found, VmxRule};
use crate::vt::doctor::{Class, Must};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

pub(super) const fn rule(
    section: &'static str,
    id: &'static str,
    fields: &'static [F],
    says: &'static str,
    check: fn(&VmxCase, Found<'_>),
) -> VmxRule {
    VmxRule { id, class: Class::Advice, section, fields, says, check }
}

const ERRORS: &str = "SDM 3C \"VM Instruction Error Numbers\"";
const PIN: &str = "SDM 3C \"Pin-Based VM-Execution Controls\"";
const PRIMARY: &str = "SDM 3C \"Processor-Based VM-Execution Controls\"";
const IO: &str = "SDM 3C \"I/O-Bitmap Addresses\"";
const MASKS: &str = "SDM 3C \"Guest/Host Masks and Read Shadows for CR0 and CR4\"";
const EPTP: &str = "SDM 3C \"Extended-Page-Table Pointer (EPTP)\"";
const HOST: &str = "SDM 3C \"Loading Host State\"";
const AREAS: &str = "SDM 3C \"VM-Exit Controls for MSRs\"";

/// Pin-based controls.
const EXTERNAL_INTERRUPT_EXITING: u64 = 1 << 0;
const NMI_EXITING: u64 = 1 << 3;
const PREEMPTION_TIMER: u64 = 1 << 6;
/// Primary controls.
const HLT_EXITING: u64 = 1 << 7;
const CR3_LOAD_EXITING: u64 = 1 << 15;
const UNCONDITIONAL_IO_EXITING: u64 = 1 << 24;
const USE_IO_BITMAPS: u64 = 1 << 25;
const USE_MSR_BITMAPS: u64 = 1 << 28;
/// VM-exit controls.
const EXIT_LOADS_PAT: u64 = 1 << 19;
const EXIT_LOADS_EFER: u64 = 1 << 21;

fn instruction_error(c: &VmxCase, number: u64, found: Found<'_>) {
    if c.get(F::InstructionError) == number {
        found(Must::Change(F::InstructionError));
    }
}

/// Bits of a control register that the guest owns, and reads otherwise than the read shadow has them: whoever wrote the
/// shadow did not mean that.
fn unmasked(c: &VmxCase, mask: F, shadow: F, register: F) -> u64 {
    !c.get(mask) & (c.get(shadow) ^ c.get(register))
}

fn not_zero(c: &VmxCase, field: F, found: Found<'_>) {
    if c.get(field) == 0 {
        found(Must::Change(field));
    }
}

/// The areas of MSRs: how many entries, and where they are.
const MSR_AREAS: [(F, F); 3] = [
    (F::EntryMsrLoadCount, F::EntryMsrLoadAddress),
    (F::ExitMsrStoreCount, F::ExitMsrStoreAddress),
    (F::ExitMsrLoadCount, F::ExitMsrLoadAddress),
];

/// Advice, what went wrong before the entry first.
pub const RULES: &[VmxRule] = &[
    rule(
        ERRORS,
        "advice.instruction-error.field",
        &[F::InstructionError],
        "an earlier VMREAD or VMWRITE (since this VMCS was made current) named a field that this CPU does not have \
         (error 12): it may be harmless, or what it should have set is not set; check CF and ZF after each of them and \
         log the field's encoding",
        |c, found| instruction_error(c, 12, found),
    ),
    rule(
        ERRORS,
        "advice.instruction-error.read-only",
        &[F::InstructionError],
        "an earlier VMWRITE (since this VMCS was made current) went to a read-only field (error 13) and did nothing: \
         it may be harmless; check CF and ZF after each VMWRITE and log the field's encoding",
        |c, found| instruction_error(c, 13, found),
    ),
    rule(
        ERRORS,
        "advice.instruction-error.invalidation",
        &[F::InstructionError],
        "an earlier INVEPT or INVVPID (since this VMCS was made current) had a bad operand (error 28) and flushed \
         nothing: it may be harmless, or old translations stay in use; check its type against IA32_VMX_EPT_VPID_CAP, \
         and the 16-byte descriptor",
        |c, found| instruction_error(c, 28, found),
    ),
    rule(
        EPTP,
        "advice.ept.host-cr3",
        &[F::Eptp, F::HostCr3, F::Primary],
        "the EPT root is the host's page table: the formats differ, and the guest would reach what the host maps; \
         give the guest tables of its own",
        |c, found| {
            let (root, cr3) = (c.get(F::Eptp) >> 12, c.get(F::HostCr3) >> 12);
            if secondary(c, EPT) && root != 0 && root == cr3 {
                found(Must::Change(F::Eptp));
            }
        },
    ),
    rule(
        EPTP,
        "advice.ept.root-zero",
        &[F::Eptp, F::Primary],
        "the EPT root is at physical address 0: every access of the guest would exit or find chance entries; write \
         the root table's physical address",
        |c, found| {
            if secondary(c, EPT) && c.get(F::Eptp) >> 12 == 0 {
                found(Must::Change(F::Eptp));
            }
        },
    ),
    rule(
        EPTP,
        "advice.ept.uncached",
        &[F::Eptp, F::Primary],
        "the EPT tables are read uncached (memory type 0), so each walk is very slow: set memory type 6, write-back",
        |c, found| {
            if secondary(c, EPT) && c.get(F::Eptp) & 7 == 0 {
                found(Must::Set(F::Eptp, 6));
            }
        },
    ),
    rule(
        PRIMARY,
        "advice.ept.off",
        &[F::Primary, F::IdtrBase, F::HostIdtrBase],
        "EPT is off and loads of CR3 do not exit: what the guest takes for physical addresses are the host's, all \
         of memory is open to it; turn EPT on, or shadow its page tables",
        |c, found| {
            if !is_host_os(c) && !secondary(c, EPT) && !c.all(F::Primary, CR3_LOAD_EXITING) {
                found(Must::Set(F::Secondary, EPT));
            }
        },
    ),
    rule(
        PIN,
        "advice.exiting.interrupts",
        &[F::PinBased, F::IdtrBase, F::HostIdtrBase],
        "\"external-interrupt exiting\" is 0: the host's interrupts go through the guest's IDT and are lost to the \
         host; set it",
        |c, found| {
            if !is_host_os(c) && !c.all(F::PinBased, EXTERNAL_INTERRUPT_EXITING) {
                found(Must::Set(F::PinBased, EXTERNAL_INTERRUPT_EXITING));
            }
        },
    ),
    rule(
        PIN,
        "advice.exiting.nmis",
        &[F::PinBased, F::IdtrBase, F::HostIdtrBase],
        "\"NMI exiting\" is 0: the host's NMIs go through the guest's IDT and are lost to the host; set it",
        |c, found| {
            if !is_host_os(c) && !c.all(F::PinBased, NMI_EXITING) {
                found(Must::Set(F::PinBased, NMI_EXITING));
            }
        },
    ),
    rule(
        PRIMARY,
        "advice.exiting.hlt",
        &[F::PinBased, F::Primary, F::IdtrBase, F::HostIdtrBase],
        "HLT does not exit, nor do interrupts, nor does the preemption timer run: a guest that halts keeps the CPU \
         for good; set \"HLT exiting\"",
        |c, found| {
            let returns = c.get(F::PinBased) & (EXTERNAL_INTERRUPT_EXITING | PREEMPTION_TIMER) != 0;
            if !is_host_os(c) && !returns && !c.all(F::Primary, HLT_EXITING) {
                found(Must::Set(F::Primary, HLT_EXITING));
            }
        },
    ),
    rule(
        IO,
        "advice.io.open",
        &[F::Primary, F::IdtrBase, F::HostIdtrBase],
        "no I/O instruction exits: the guest has all ports of the machine; use I/O bitmaps or \"unconditional I/O \
         exiting\"",
        |c, found| {
            if !is_host_os(c) && c.get(F::Primary) & (USE_IO_BITMAPS | UNCONDITIONAL_IO_EXITING) == 0 {
                found(Must::Set(F::Primary, UNCONDITIONAL_IO_EXITING));
            }
        },
    ),
    rule(
        IO,
        "advice.io.zero",
        &[F::Primary, F::IoBitmapA, F::IoBitmapB],
        "an I/O bitmap is used and lies at physical address 0: what happens to be there decides which ports exit; \
         write its address",
        |c, found| {
            if c.all(F::Primary, USE_IO_BITMAPS) {
                not_zero(c, F::IoBitmapA, found);
                not_zero(c, F::IoBitmapB, found);
            }
        },
    ),
    rule(
        IO,
        "advice.io.shared",
        &[F::Primary, F::IoBitmapA, F::IoBitmapB],
        "both I/O bitmaps are the same page: port 0x8000 + n exits just if port n does; give bitmap B a page of its \
         own",
        |c, found| {
            let a = c.get(F::IoBitmapA);
            if c.all(F::Primary, USE_IO_BITMAPS) && a != 0 && a == c.get(F::IoBitmapB) {
                found(Must::Change(F::IoBitmapB));
            }
        },
    ),
    rule(
        "SDM 3C \"MSR-Bitmap Address\"",
        "advice.msr.bitmap-zero",
        &[F::Primary, F::MsrBitmaps],
        "the MSR bitmaps are used and lie at physical address 0: what happens to be there decides which MSRs exit; \
         write their address",
        |c, found| {
            if c.all(F::Primary, USE_MSR_BITMAPS) {
                not_zero(c, F::MsrBitmaps, found);
            }
        },
    ),
    rule(
        AREAS,
        "advice.msr.area-zero",
        &[
            F::EntryMsrLoadCount,
            F::EntryMsrLoadAddress,
            F::ExitMsrStoreCount,
            F::ExitMsrStoreAddress,
            F::ExitMsrLoadCount,
            F::ExitMsrLoadAddress,
        ],
        "an area of MSRs with entries lies at physical address 0: the CPU would take what is there for MSRs; write \
         its address, or make its count 0",
        |c, found| {
            for (_, address) in MSR_AREAS.into_iter().filter(|(count, _)| c.get(*count) != 0) {
                not_zero(c, address, found);
            }
        },
    ),
    rule(
        AREAS,
        "advice.msr.area-count",
        &[F::EntryMsrLoadCount, F::ExitMsrStoreCount, F::ExitMsrLoadCount],
        "an area of MSRs has more entries than IA32_VMX_MISC recommends: the CPU's behaviour is undefined, a \
         machine check among others; take fewer",
        |c, found| {
            if !knows_caps(c) {
                return;
            }
            let most = ((c.cpu.caps.misc >> 25 & 7) + 1) * 512;
            for (count, _) in MSR_AREAS.into_iter().filter(|(count, _)| c.get(*count) > most) {
                found(Must::AtMost(count, most));
            }
        },
    ),
    rule(
        AREAS,
        "advice.msr.area-shared",
        &[F::EntryMsrLoadCount, F::EntryMsrLoadAddress, F::ExitMsrLoadCount, F::ExitMsrLoadAddress],
        "VM entries and VM exits load MSRs from the same area: after an exit the host has the guest's values; give \
         the host an area of its own",
        |c, found| {
            let used = c.get(F::EntryMsrLoadCount) != 0 && c.get(F::ExitMsrLoadCount) != 0;
            let at = c.get(F::ExitMsrLoadAddress);
            if used && at != 0 && at == c.get(F::EntryMsrLoadAddress) {
                found(Must::Change(F::ExitMsrLoadAddress));
            }
        },
    ),
    rule(
        MASKS,
        "advice.mask.cr0",
        &[F::Cr0Mask, F::Cr0Shadow, F::Cr0, F::Primary, F::IdtrBase, F::HostIdtrBase],
        "the guest owns CR0 bits that VMX operation fixes, and the read shadow, which has them otherwise, does not \
         hide them: it sees them set and gets #GP when it clears them, which no real CPU does; set them in the \
         guest/host mask",
        |c, found| {
            let free = if secondary(c, UNRESTRICTED) { cr0::PE | cr0::PG } else { 0 };
            let wrong = c.cpu.caps.cr0_fixed0 & !free & unmasked(c, F::Cr0Mask, F::Cr0Shadow, F::Cr0);
            if !is_host_os(c) && wrong != 0 {
                found(Must::Set(F::Cr0Mask, wrong));
            }
        },
    ),
    rule(
        MASKS,
        "advice.mask.cr4",
        &[F::Cr4Mask, F::Cr4Shadow, F::Cr4, F::IdtrBase, F::HostIdtrBase],
        "the guest owns CR4 bits that VMX operation fixes, and the read shadow, which has them otherwise, does not \
         hide them: it sees CR4.VMXE set, and gets #GP when it clears it; set them in the guest/host mask",
        |c, found| {
            let wrong = c.cpu.caps.cr4_fixed0 & unmasked(c, F::Cr4Mask, F::Cr4Shadow, F::Cr4);
            if !is_host_os(c) && wrong != 0 {
                found(Must::Set(F::Cr4Mask, wrong));
            }
        },
    ),
    rule(
        HOST,
        "advice.host.rip-zero",
        &[F::HostRip],
        "the host's RIP is 0: the first VM exit goes there; write the exit handler's address",
        |c, found| not_zero(c, F::HostRip, found),
    ),
    rule(
        HOST,
        "advice.host.rsp-zero",
        &[F::HostRsp],
        "the host's RSP is 0: the first push after a VM exit wraps below address 0 and the host dies; write the \
         host's stack pointer before the entry",
        |c, found| not_zero(c, F::HostRsp, found),
    ),
    rule(
        HOST,
        "advice.host.cr3-zero",
        &[F::HostCr3],
        "the host's CR3 is 0: the first VM exit ends in a triple fault; write the host's CR3",
        |c, found| not_zero(c, F::HostCr3, found),
    ),
    rule(
        HOST,
        "advice.host.efer",
        &[F::EntryControls, F::ExitControls, F::ExitMsrLoadCount],
        "VM entries load IA32_EFER and VM exits do not: the host goes on with the guest's SYSCALL and no-execute \
         bits; set the VM-exit control \"load IA32_EFER\" and write the host's value",
        |c, found| {
            let restored = c.all(F::ExitControls, EXIT_LOADS_EFER) || c.get(F::ExitMsrLoadCount) != 0;
            if c.all(F::EntryControls, entry::EFER) && !restored {
                found(Must::Set(F::ExitControls, EXIT_LOADS_EFER));
            }
        },
    ),
    rule(
        HOST,
        "advice.host.pat",
        &[F::EntryControls, F::ExitControls, F::ExitMsrLoadCount],
        "VM entries load IA32_PAT and VM exits do not: the host goes on with the guest's memory types; set the \
         VM-exit control \"load IA32_PAT\" and write the host's value",
        |c, found| {
            let restored = c.all(F::ExitControls, EXIT_LOADS_PAT) || c.get(F::ExitMsrLoadCount) != 0;
            if c.all(F::EntryControls, entry::PAT) && !restored {
                found(Must::Set(F::ExitControls, EXIT_LOADS_PAT));
            }
        },
    ),
];
