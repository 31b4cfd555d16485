//! The names of bits that VMCS and VMCB share: registers of the architecture.

use super::state::Part;

/// CR0 (SDM 3A "Control Registers").
pub const CR0: &[Part] = &[
    Part::flag(0, "PE"),
    Part::flag(1, "MP"),
    Part::flag(2, "EM"),
    Part::flag(3, "TS"),
    Part::flag(4, "ET"),
    Part::flag(5, "NE"),
    Part::flag(16, "WP"),
    Part::flag(18, "AM"),
    Part::flag(29, "NW"),
    Part::flag(30, "CD"),
    Part::flag(31, "PG"),
];

/// CR4 (SDM 3A "Control Registers").
pub const CR4: &[Part] = &[
    Part::flag(0, "VME"),
    Part::flag(1, "PVI"),
    Part::flag(2, "TSD"),
    Part::flag(3, "DE"),
    Part::flag(4, "PSE"),
    Part::flag(5, "PAE"),
    Part::flag(6, "MCE"),
    Part::flag(7, "PGE"),
    Part::flag(8, "PCE"),
    Part::flag(9, "OSFXSR"),
    Part::flag(10, "OSXMMEXCPT"),
    Part::flag(11, "UMIP"),
    Part::flag(12, "LA57"),
    Part::flag(13, "VMXE"),
    Part::flag(14, "SMXE"),
    Part::flag(16, "FSGSBASE"),
    Part::flag(17, "PCIDE"),
    Part::flag(18, "OSXSAVE"),
    Part::flag(19, "KL"),
    Part::flag(20, "SMEP"),
    Part::flag(21, "SMAP"),
    Part::flag(22, "PKE"),
    Part::flag(23, "CET"),
    Part::flag(24, "PKS"),
    Part::flag(25, "UINTR"),
    Part::flag(28, "LAM_SUP"),
    Part::flag(32, "FRED"),
];

/// EFER (SDM 4 "Architectural MSRs"; APM 2 "Extended Feature Enable Register (EFER)").
pub const EFER: &[Part] = &[
    Part::flag(0, "SCE"),
    Part::flag(8, "LME"),
    Part::flag(10, "LMA"),
    Part::flag(11, "NXE"),
    Part::flag(12, "SVME"),
    Part::flag(13, "LMSLE"),
    Part::flag(14, "FFXSR"),
    Part::flag(15, "TCE"),
    Part::flag(17, "MCOMMIT"),
    Part::flag(18, "INTWB"),
    Part::flag(20, "UAIE"),
    Part::flag(21, "AIBRSE"),
];

/// RFLAGS (SDM 1 "EFLAGS Register").
pub const RFLAGS: &[Part] = &[
    Part::flag(0, "CF"),
    Part::flag(1, "fixed 1"),
    Part::flag(2, "PF"),
    Part::flag(4, "AF"),
    Part::flag(6, "ZF"),
    Part::flag(7, "SF"),
    Part::flag(8, "TF"),
    Part::flag(9, "IF"),
    Part::flag(10, "DF"),
    Part::flag(11, "OF"),
    Part::number(12, 2, "IOPL"),
    Part::flag(14, "NT"),
    Part::flag(16, "RF"),
    Part::flag(17, "VM"),
    Part::flag(18, "AC"),
    Part::flag(19, "VIF"),
    Part::flag(20, "VIP"),
    Part::flag(21, "ID"),
];

/// Exceptions by vector.
pub const EXCEPTIONS: &[Part] = &[
    Part::flag(0, "#DE"),
    Part::flag(1, "#DB"),
    Part::flag(2, "NMI"),
    Part::flag(3, "#BP"),
    Part::flag(4, "#OF"),
    Part::flag(5, "#BR"),
    Part::flag(6, "#UD"),
    Part::flag(7, "#NM"),
    Part::flag(8, "#DF"),
    Part::flag(10, "#TS"),
    Part::flag(11, "#NP"),
    Part::flag(12, "#SS"),
    Part::flag(13, "#GP"),
    Part::flag(14, "#PF"),
    Part::flag(16, "#MF"),
    Part::flag(17, "#AC"),
    Part::flag(18, "#MC"),
    Part::flag(19, "#XM"),
    Part::flag(20, "#VE"),
    Part::flag(21, "#CP"),
];

/// IA32_PAT: eight memory types.
pub const PAT: &[Part] = &[
    Part::number(0, 8, "PA0"),
    Part::number(8, 8, "PA1"),
    Part::number(16, 8, "PA2"),
    Part::number(24, 8, "PA3"),
    Part::number(32, 8, "PA4"),
    Part::number(40, 8, "PA5"),
    Part::number(48, 8, "PA6"),
    Part::number(56, 8, "PA7"),
];
