//! Where VMRUN raises #GP and reads no VMCB (APM 3 "VMRUN").

use super::{SvmRule, beyond};
use crate::vt::doctor::{Class, Must, Rule};
use crate::vt::svm::state::F;

/// The rules. They read no field; each names one that every VMCB has.
pub const RULES: &[SvmRule] = &[
    Rule {
        id: "launch.vmcb-aligned",
        class: Class::Launch,
        section: "APM 3 \"VMRUN\"",
        fields: &[F::Asid],
        says: "VMRUN's operand, the VMCB's address in the host's RAX, must be a multiple of 4 KiB, or VMRUN raises \
               #GP",
        check: |case, found| {
            if case.vmcb & 0xfff != 0 {
                found(Must::Do("take a frame of 4 KiB: its address is a multiple of 0x1000"));
            }
        },
    },
    Rule {
        id: "launch.vmcb-physical",
        class: Class::Launch,
        section: "APM 3 \"VMRUN\"",
        fields: &[F::Asid],
        says: "VMRUN's operand, the VMCB's address in the host's RAX, must be a physical address that the CPU can \
               have, or VMRUN raises #GP",
        check: |case, found| {
            if case.vmcb & beyond(case) != 0 {
                found(Must::Do("use an address below the CPU's physical-address width"));
            }
        },
    },
];
