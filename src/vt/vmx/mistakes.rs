//! Mistakes that people make with a VMCS, from their own notes.

use super::state::F;
use crate::vt::doctor::mistake::{Change, Mistake, Misuse, Scene};

/// HLT.
const HLT: &[u8] = &[0xf4];
/// Bits 51:12: the address of a table.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// A mistake in the control block alone, that the CPU refuses.
const fn refused(
    name: &'static str,
    about: &'static str,
    scene: Scene,
    changes: &'static [Change<F>],
    rule: &'static str,
) -> Mistake<F> {
    Mistake { name, about, scene, code: HLT, changes, misuse: Misuse::Nothing, enter: true, rule: Some(rule) }
}

/// A mistake that is not in the control block, in real-address mode.
const fn misused(name: &'static str, about: &'static str, misuse: Misuse, rule: Option<&'static str>) -> Mistake<F> {
    Mistake { name, about, scene: Scene::Real, code: HLT, changes: &[], misuse, enter: true, rule }
}

/// All of them.
pub const ALL: &[Mistake<F>] = &[
    refused(
        "entry-controls",
        "the VM-entry controls are 0x1e000, without the bits that must be 1",
        Scene::Real,
        &[Change::Set(F::EntryControls, 0x1e000)],
        "control.entry.reserved",
    ),
    refused(
        "eptp-walk-length",
        "the EPT pointer is root | 0x3e: a walk of 8 levels",
        Scene::Real,
        &[Change::Clear(F::Eptp, 0xfff), Change::Or(F::Eptp, 0x3e)],
        "control.eptp.walk-length",
    ),
    misused(
        "ept-no-execute",
        "EPT leaves are made with | 3: readable, writable, not executable",
        Misuse::NoExecute,
        None,
    ),
    Mistake {
        // The host's page tables as EPT would give the guest the whole machine.
        enter: false,
        ..refused(
            "eptp-host-cr3",
            "the EPT pointer refers to the host's own page tables",
            Scene::Real,
            &[Change::Copy(F::Eptp, F::HostCr3, ADDRESS)],
            "advice.ept.host-cr3",
        )
    },
    misused(
        "no-such-field",
        "VMWRITE of a field that does not exist, 0x488a, and nobody looked at its failure",
        Misuse::NoSuchField(0x488a),
        Some("advice.instruction-error.field"),
    ),
    refused(
        "tr-unusable",
        "TR is marked unusable",
        Scene::Real,
        &[Change::Or(F::TrRights, 1 << 16)],
        "guest.tr.usable",
    ),
    refused(
        "rflags-bit-1",
        "RFLAGS is 0: bit 1 must be 1",
        Scene::Real,
        &[Change::Set(F::Rflags, 0)],
        "guest.rflags.fixed",
    ),
    refused(
        "cs-l-and-d",
        "the access rights of CS have both L and D set",
        Scene::Long,
        &[Change::Or(F::CsRights, 1 << 14)],
        "guest.cs.d-l",
    ),
    refused(
        "pae-clear",
        "CR4.PAE is clear with \"IA-32e mode guest\"",
        Scene::Long,
        &[Change::Clear(F::Cr4, 1 << 5)],
        "guest.ia32e.pae",
    ),
    refused(
        "lma-without-control",
        "EFER.LMA is set, \"IA-32e mode guest\" is not",
        Scene::Long,
        &[Change::Clear(F::EntryControls, 1 << 9)],
        "guest.efer.lma",
    ),
    refused(
        "host-tr-zero",
        "the host's TR selector is 0",
        Scene::Real,
        &[Change::Set(F::HostTrSelector, 0)],
        "host.tr.null",
    ),
    Mistake {
        misuse: Misuse::Words(&[0xc000_0100, 0]),
        ..refused(
            "msr-load-fs-base",
            "the VM-entry MSR-load area has IA32_FS_BASE",
            Scene::Real,
            &[Change::Spare(F::EntryMsrLoadAddress), Change::Set(F::EntryMsrLoadCount, 1)],
            "msr-load.fs-gs-base",
        )
    },
    Mistake {
        // MOV [0x500], AL: DS is a code segment now, so that it takes #GP.
        code: &[0xa2, 0x00, 0x05, 0xf4],
        changes: &[Change::Swap(F::CsRights, F::DsRights), Change::Set(F::Rsp, 0x20_0000)],
        ..misused(
            "delivery-loop",
            "CS and DS access rights are swapped, RSP is 0x200000 on a 16-bit stack, the page at 0xf000 is not mapped",
            Misuse::StackHole,
            None,
        )
    },
    misused(
        "stale-error-28",
        "INVEPT had a bad operand, and nobody looked at its failure",
        Misuse::BadInvept,
        Some("advice.instruction-error.invalidation"),
    ),
    misused(
        "resume-not-launched",
        "VMRESUME of a VMCS that VMLAUNCH has not launched",
        Misuse::ResumeNotLaunched,
        Some("launch.not-launched"),
    ),
    misused(
        "launch-twice",
        "VMLAUNCH of a VMCS that is launched already",
        Misuse::LaunchTwice,
        Some("launch.not-clear"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vt::doctor::Patient;
    use crate::vt::vmx::case::VmxCase;

    #[test]
    fn every_rule_that_must_be_named_is_one() {
        for mistake in ALL {
            let known = |id: &str| VmxCase::rules().any(|rule| rule.id == id);
            assert!(mistake.rule.is_none_or(known), "{}: no rule {:?}", mistake.name, mistake.rule);
            let same = ALL.iter().filter(|other| other.name == mistake.name).count();
            assert_eq!(same, 1, "{} is there twice", mistake.name);
        }
    }
}
