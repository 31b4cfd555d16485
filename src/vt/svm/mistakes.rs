//! Mistakes that people make with a VMCB, from their own notes.

use super::state::F;
use super::vmcb::{misc1, misc2};
use crate::base::cpu::{efer, rflags};
use crate::vt::doctor::mistake::{Change, Mistake, Misuse, Scene};

/// A mistake in the VMCB, of a guest in real-address mode that executes HLT.
const fn wrong(
    name: &'static str,
    about: &'static str,
    changes: &'static [Change<F>],
    rule: &'static str,
) -> Mistake<F> {
    let scene = Scene::Real;
    Mistake { name, about, scene, code: &[0xf4], changes, misuse: Misuse::Nothing, enter: true, rule: Some(rule) }
}

/// All of them.
pub const ALL: &[Mistake<F>] = &[
    wrong("svme-clear", "EFER of the guest lacks SVME", &[Change::Clear(F::Efer, efer::SVME)], "save.efer.svme"),
    wrong("asid-zero", "the guest's ASID is 0, which is the host's", &[Change::Set(F::Asid, 0)], "control.asid-zero"),
    wrong(
        "vmrun-not-intercepted",
        "VMRUN is not intercepted",
        &[Change::Clear(F::InterceptMisc2, misc2::VMRUN as u64)],
        "control.vmrun-intercept",
    ),
    Mistake {
        // HLT, then an endless loop. With IF set the timer ends it.
        code: &[0xf4, 0xeb, 0xfe],
        ..wrong(
            "hlt-not-intercepted",
            "HLT is not intercepted: the guest sleeps in VMRUN",
            &[Change::Clear(F::InterceptMisc1, misc1::HLT as u64), Change::Or(F::Rflags, rflags::IF)],
            "advice.hlt-not-intercepted",
        )
    },
    wrong(
        "io-not-intercepted",
        "port accesses are not intercepted: the guest has the machine's ports",
        &[Change::Clear(F::InterceptMisc1, misc1::IOIO as u64)],
        "advice.ioio-not-intercepted",
    ),
    Mistake {
        // The host's interrupts would go to the guest.
        enter: false,
        ..wrong(
            "intr-not-intercepted",
            "physical interrupts are not intercepted: they go to the guest",
            &[Change::Clear(F::InterceptMisc1, misc1::INTR as u64)],
            "advice.intr-not-intercepted",
        )
    },
    wrong(
        "maps-never-written",
        "the addresses of the permission maps were never written",
        &[Change::Set(F::IopmBase, 0), Change::Set(F::MsrpmBase, 0)],
        "advice.iopm-zero",
    ),
    Mistake {
        misuse: Misuse::NoExecute,
        rule: None,
        ..wrong("npt-no-execute", "leaves of the nested table have NX set", &[], "")
    },
    Mistake {
        // UD2.
        code: &[0x0f, 0x0b, 0xf4],
        misuse: Misuse::StackHole,
        rule: None,
        ..wrong(
            "delivery-loop",
            "RSP is 0x200000 on a 16-bit stack, the page at 0xf000 is not mapped, and an exception comes",
            &[Change::Set(F::Rsp, 0x20_0000)],
            "",
        )
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vt::doctor::Patient;
    use crate::vt::svm::case::SvmCase;

    #[test]
    fn every_rule_that_must_be_named_is_one() {
        for mistake in ALL {
            let known = |id: &str| SvmCase::rules().any(|rule| rule.id == id);
            assert!(mistake.rule.is_none_or(known), "{}: no rule {:?}", mistake.name, mistake.rule);
            let same = ALL.iter().filter(|other| other.name == mistake.name).count();
            assert_eq!(same, 1, "{} is there twice", mistake.name);
        }
    }
}
