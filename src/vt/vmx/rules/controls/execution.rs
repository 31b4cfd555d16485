//! Rules about the VM-execution controls that are not about the APIC or EPT.

use super::{EXECUTION, clear, has, knows_caps, page_if, pin, primary, reserved, rule, second, set, set_secondary};
use crate::vt::doctor::Must;
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::rules::VmxRule;
use crate::vt::vmx::state::F;

/// VM-entry control "load IA32_RTIT_CTL".
const LOAD_RTIT_CTL: u64 = 1 << 18;
/// VM-exit control "clear IA32_RTIT_CTL".
const CLEAR_RTIT_CTL: u64 = 1 << 25;

/// How many CR3-target values there are: IA32_VMX_MISC\[24:16\].
fn cr3_targets(c: &VmxCase) -> u64 {
    if knows_caps(c) { c.cpu.caps.misc >> 16 & 0x1ff } else { 4 }
}

pub const RULES: &[VmxRule] = &[
    rule(
        EXECUTION,
        "control.pin.reserved",
        &[F::PinBased],
        "reserved bits of the pin-based controls must be as IA32_VMX_(TRUE_)PINBASED_CTLS has them",
        |c, found| reserved(c, F::PinBased, c.cpu.caps.pin, found),
    ),
    rule(
        EXECUTION,
        "control.primary.reserved",
        &[F::Primary],
        "reserved bits of the primary processor-based controls must be as IA32_VMX_(TRUE_)PROCBASED_CTLS has them",
        |c, found| reserved(c, F::Primary, c.cpu.caps.primary, found),
    ),
    rule(
        EXECUTION,
        "control.secondary.reserved",
        &[F::Primary, F::Secondary],
        "reserved bits of the secondary processor-based controls must be as IA32_VMX_PROCBASED_CTLS2 has them",
        |c, found| {
            if has(c, F::Primary, primary::SECONDARY) {
                reserved(c, F::Secondary, c.cpu.caps.secondary, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.tertiary.reserved",
        &[F::Primary, F::TertiaryControls],
        "tertiary processor-based controls that IA32_VMX_PROCBASED_CTLS3 does not have must be 0",
        |c, found| {
            if has(c, F::Primary, primary::TERTIARY) && knows_caps(c) {
                clear(c, F::TertiaryControls, !c.cpu.caps.tertiary, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.cr3-target-count",
        &[F::Cr3TargetCount],
        "there must not be more CR3 targets than IA32_VMX_MISC[24:16] has: 4 on all CPUs so far",
        |c, found| {
            if c.get(F::Cr3TargetCount) > cr3_targets(c) {
                found(Must::AtMost(F::Cr3TargetCount, cr3_targets(c)));
            }
        },
    ),
    rule(
        EXECUTION,
        "control.io-bitmap-a",
        &[F::Primary, F::IoBitmapA],
        "with \"use I/O bitmaps\", the address of I/O bitmap A must be that of a page",
        |c, found| page_if(c, has(c, F::Primary, primary::IO_BITMAPS), F::IoBitmapA, found),
    ),
    rule(
        EXECUTION,
        "control.io-bitmap-b",
        &[F::Primary, F::IoBitmapB],
        "with \"use I/O bitmaps\", the address of I/O bitmap B must be that of a page",
        |c, found| page_if(c, has(c, F::Primary, primary::IO_BITMAPS), F::IoBitmapB, found),
    ),
    rule(
        EXECUTION,
        "control.msr-bitmaps",
        &[F::Primary, F::MsrBitmaps],
        "with \"use MSR bitmaps\", their address must be that of a page",
        |c, found| page_if(c, has(c, F::Primary, primary::MSR_BITMAPS), F::MsrBitmaps, found),
    ),
    rule(
        EXECUTION,
        "control.nmi.virtual-needs-exiting",
        &[F::PinBased],
        "\"virtual NMIs\" needs \"NMI exiting\"",
        |c, found| {
            if has(c, F::PinBased, pin::VIRTUAL_NMIS) {
                set(c, F::PinBased, pin::NMI_EXITING, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.nmi.window-needs-virtual",
        &[F::PinBased, F::Primary],
        "\"NMI-window exiting\" needs \"virtual NMIs\"",
        |c, found| {
            if has(c, F::Primary, primary::NMI_WINDOW_EXITING) {
                set(c, F::PinBased, pin::VIRTUAL_NMIS, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.vpid",
        &[F::Primary, F::Vpid],
        "with \"enable VPID\", the VPID must not be 0, which is the host's",
        |c, found| {
            if second(c, super::second::VPID) && c.get(F::Vpid) == 0 {
                found(Must::AtLeast(F::Vpid, 1));
            }
        },
    ),
    rule(
        EXECUTION,
        "control.shadowing.vmread-bitmap",
        &[F::Primary, F::VmreadBitmap],
        "with \"VMCS shadowing\", the VMREAD-bitmap address must be that of a page",
        |c, found| page_if(c, second(c, super::second::VMCS_SHADOWING), F::VmreadBitmap, found),
    ),
    rule(
        EXECUTION,
        "control.shadowing.vmwrite-bitmap",
        &[F::Primary, F::VmwriteBitmap],
        "with \"VMCS shadowing\", the VMWRITE-bitmap address must be that of a page",
        |c, found| page_if(c, second(c, super::second::VMCS_SHADOWING), F::VmwriteBitmap, found),
    ),
    rule(
        EXECUTION,
        "control.ve.address",
        &[F::Primary, F::VeInfoAddress],
        "with \"EPT-violation #VE\", the virtualization-exception information address must be that of a page",
        |c, found| page_if(c, second(c, super::second::VE), F::VeInfoAddress, found),
    ),
    rule(
        EXECUTION,
        "control.pt.tracing",
        &[F::EntryControls],
        "\"load IA32_RTIT_CTL\" must be 0 while Intel PT traces (IA32_RTIT_CTL.TraceEn is 1)",
        |c, found| {
            if c.tracing {
                clear(c, F::EntryControls, LOAD_RTIT_CTL, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.pt.guest-physical",
        &[F::Primary, F::Secondary, F::EntryControls, F::ExitControls],
        "\"Intel PT uses guest physical addresses\" needs \"enable EPT\", \"load IA32_RTIT_CTL\" and \"clear \
         IA32_RTIT_CTL\"",
        |c, found| {
            if second(c, super::second::PT_GUEST_PHYSICAL) {
                set_secondary(c, super::second::EPT, found);
                set(c, F::EntryControls, LOAD_RTIT_CTL, found);
                set(c, F::ExitControls, CLEAR_RTIT_CTL, found);
            }
        },
    ),
    rule(
        EXECUTION,
        "control.tsc-multiplier",
        &[F::Primary, F::TscMultiplier],
        "with \"use TSC scaling\", the TSC multiplier must not be 0",
        |c, found| {
            if second(c, super::second::TSC_SCALING) && c.get(F::TscMultiplier) == 0 {
                found(Must::AtLeast(F::TscMultiplier, 1));
            }
        },
    ),
];
