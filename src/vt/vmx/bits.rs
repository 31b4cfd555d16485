//! The names of the bits of VMCS fields (SDM 3C "VM-Execution Control Fields", "VM-Exit Control Fields", "VM-Entry Control
//! Fields", "Guest-State Area").

use crate::vt::doctor::bits::{CR0 as COMMON_CR0, CR4 as COMMON_CR4, EFER as COMMON_EFER, RFLAGS as COMMON_RFLAGS};
use crate::vt::doctor::state::Part;

/// CR0, masks and shadows too.
pub const CR0: &[Part] = COMMON_CR0;
/// CR4, masks and shadows too.
pub const CR4: &[Part] = COMMON_CR4;
/// IA32_EFER.
pub const EFER: &[Part] = COMMON_EFER;
/// RFLAGS.
pub const RFLAGS: &[Part] = COMMON_RFLAGS;

/// Pin-based VM-execution controls.
pub const PIN_BASED: &[Part] = &[
    Part::flag(0, "external-interrupt exiting"),
    Part::flag(3, "NMI exiting"),
    Part::flag(5, "virtual NMIs"),
    Part::flag(6, "activate VMX-preemption timer"),
    Part::flag(7, "process posted interrupts"),
];

/// Primary processor-based VM-execution controls.
pub const PRIMARY: &[Part] = &[
    Part::flag(2, "interrupt-window exiting"),
    Part::flag(3, "use TSC offsetting"),
    Part::flag(7, "HLT exiting"),
    Part::flag(9, "INVLPG exiting"),
    Part::flag(10, "MWAIT exiting"),
    Part::flag(11, "RDPMC exiting"),
    Part::flag(12, "RDTSC exiting"),
    Part::flag(15, "CR3-load exiting"),
    Part::flag(16, "CR3-store exiting"),
    Part::flag(17, "activate tertiary controls"),
    Part::flag(19, "CR8-load exiting"),
    Part::flag(20, "CR8-store exiting"),
    Part::flag(21, "use TPR shadow"),
    Part::flag(22, "NMI-window exiting"),
    Part::flag(23, "MOV-DR exiting"),
    Part::flag(24, "unconditional I/O exiting"),
    Part::flag(25, "use I/O bitmaps"),
    Part::flag(27, "monitor trap flag"),
    Part::flag(28, "use MSR bitmaps"),
    Part::flag(29, "MONITOR exiting"),
    Part::flag(30, "PAUSE exiting"),
    Part::flag(31, "activate secondary controls"),
];

/// Secondary processor-based VM-execution controls.
pub const SECONDARY: &[Part] = &[
    Part::flag(0, "virtualize APIC accesses"),
    Part::flag(1, "enable EPT"),
    Part::flag(2, "descriptor-table exiting"),
    Part::flag(3, "enable RDTSCP"),
    Part::flag(4, "virtualize x2APIC mode"),
    Part::flag(5, "enable VPID"),
    Part::flag(6, "WBINVD exiting"),
    Part::flag(7, "unrestricted guest"),
    Part::flag(8, "APIC-register virtualization"),
    Part::flag(9, "virtual-interrupt delivery"),
    Part::flag(10, "PAUSE-loop exiting"),
    Part::flag(11, "RDRAND exiting"),
    Part::flag(12, "enable INVPCID"),
    Part::flag(13, "enable VM functions"),
    Part::flag(14, "VMCS shadowing"),
    Part::flag(15, "enable ENCLS exiting"),
    Part::flag(16, "RDSEED exiting"),
    Part::flag(17, "enable PML"),
    Part::flag(18, "EPT-violation #VE"),
    Part::flag(19, "conceal VMX from PT"),
    Part::flag(20, "enable XSAVES/XRSTORS"),
    Part::flag(21, "PASID translation"),
    Part::flag(22, "mode-based execute control for EPT"),
    Part::flag(23, "sub-page write permissions for EPT"),
    Part::flag(24, "Intel PT uses guest physical addresses"),
    Part::flag(25, "use TSC scaling"),
    Part::flag(26, "enable user wait and pause"),
    Part::flag(27, "enable PCONFIG"),
    Part::flag(28, "enable ENCLV exiting"),
    Part::flag(30, "VMM bus-lock detection"),
    Part::flag(31, "instruction timeout"),
];

/// Tertiary processor-based VM-execution controls.
pub const TERTIARY: &[Part] = &[
    Part::flag(0, "LOADIWKEY exiting"),
    Part::flag(1, "enable HLAT"),
    Part::flag(2, "EPT paging-write control"),
    Part::flag(3, "guest-paging verification"),
    Part::flag(4, "IPI virtualization"),
    Part::flag(6, "enable MSR-list instructions"),
    Part::flag(7, "virtualize IA32_SPEC_CTRL"),
];

/// VM-exit controls.
pub const EXIT: &[Part] = &[
    Part::flag(2, "save debug controls"),
    Part::flag(9, "host address-space size"),
    Part::flag(12, "load IA32_PERF_GLOBAL_CTRL"),
    Part::flag(15, "acknowledge interrupt on exit"),
    Part::flag(18, "save IA32_PAT"),
    Part::flag(19, "load IA32_PAT"),
    Part::flag(20, "save IA32_EFER"),
    Part::flag(21, "load IA32_EFER"),
    Part::flag(22, "save VMX-preemption timer value"),
    Part::flag(23, "clear IA32_BNDCFGS"),
    Part::flag(24, "conceal VMX from PT"),
    Part::flag(25, "clear IA32_RTIT_CTL"),
    Part::flag(26, "clear IA32_LBR_CTL"),
    Part::flag(27, "clear UINV"),
    Part::flag(28, "load CET state"),
    Part::flag(29, "load PKRS"),
    Part::flag(30, "save IA32_PERF_GLOBAL_CTL"),
    Part::flag(31, "activate secondary controls"),
];

/// VM-entry controls.
pub const ENTRY: &[Part] = &[
    Part::flag(2, "load debug controls"),
    Part::flag(9, "IA-32e mode guest"),
    Part::flag(10, "entry to SMM"),
    Part::flag(11, "deactivate dual-monitor treatment"),
    Part::flag(13, "load IA32_PERF_GLOBAL_CTRL"),
    Part::flag(14, "load IA32_PAT"),
    Part::flag(15, "load IA32_EFER"),
    Part::flag(16, "load IA32_BNDCFGS"),
    Part::flag(17, "conceal VMX from PT"),
    Part::flag(18, "load IA32_RTIT_CTL"),
    Part::flag(19, "load UINV"),
    Part::flag(20, "load CET state"),
    Part::flag(21, "load guest IA32_LBR_CTL"),
    Part::flag(22, "load PKRS"),
];

/// The EPT pointer.
pub const EPTP: &[Part] = &[
    Part::number(0, 3, "memory type"),
    Part::number(3, 3, "walk length less 1:"),
    Part::flag(6, "accessed and dirty flags"),
    Part::flag(7, "supervisor shadow-stack"),
    Part::number(12, 52, "root page"),
];

/// VM-function controls.
pub const VMFUNC: &[Part] = &[Part::flag(0, "EPTP switching")];

/// The exception bitmap.
pub const EXCEPTIONS: &[Part] = crate::vt::doctor::bits::EXCEPTIONS;

/// Interruption information: of VM entries and exits, and of IDT vectoring.
pub const EVENT: &[Part] = &[
    Part::flag(31, "valid"),
    Part::number(8, 3, "type"),
    Part::number(0, 8, "vector"),
    Part::flag(11, "error code"),
    Part::flag(12, "NMI unblocking"),
];

/// The exit reason.
pub const REASON: &[Part] = &[
    Part::number(0, 16, "basic reason"),
    Part::flag(25, "busy shadow stack"),
    Part::flag(26, "bus lock"),
    Part::flag(27, "in enclave"),
    Part::flag(28, "pending MTF"),
    Part::flag(29, "from VMX root operation"),
    Part::flag(31, "VM-entry failure"),
];

/// The guest interrupt status.
pub const INTERRUPT_STATUS: &[Part] = &[Part::number(0, 8, "RVI"), Part::number(8, 8, "SVI")];

/// A selector.
pub const SELECTOR: &[Part] = &[Part::number(3, 13, "index"), Part::flag(2, "TI"), Part::number(0, 2, "RPL")];

/// Access rights.
pub const RIGHTS: &[Part] = &[
    Part::number(0, 4, "type"),
    Part::flag(4, "S"),
    Part::number(5, 2, "DPL"),
    Part::flag(7, "P"),
    Part::flag(12, "AVL"),
    Part::flag(13, "L"),
    Part::flag(14, "D/B"),
    Part::flag(15, "G"),
    Part::flag(16, "unusable"),
];

/// Interruptibility state.
pub const INTERRUPTIBILITY: &[Part] = &[
    Part::flag(0, "blocking by STI"),
    Part::flag(1, "blocking by MOV SS"),
    Part::flag(2, "blocking by SMI"),
    Part::flag(3, "blocking by NMI"),
    Part::flag(4, "enclave interruption"),
];

/// Pending debug exceptions.
pub const PENDING_DEBUG: &[Part] = &[
    Part::number(0, 4, "B3-B0:"),
    Part::flag(11, "bus lock"),
    Part::flag(12, "enabled breakpoint"),
    Part::flag(14, "BS"),
    Part::flag(16, "RTM"),
];

/// IA32_DEBUGCTL.
pub const DEBUGCTL: &[Part] = &[
    Part::flag(0, "LBR"),
    Part::flag(1, "BTF"),
    Part::flag(2, "BLD"),
    Part::flag(6, "TR"),
    Part::flag(7, "BTS"),
    Part::flag(8, "BTINT"),
    Part::flag(9, "BTS_OFF_OS"),
    Part::flag(10, "BTS_OFF_USR"),
    Part::flag(11, "FREEZE_LBRS_ON_PMI"),
    Part::flag(12, "FREEZE_PERFMON_ON_PMI"),
    Part::flag(13, "ENABLE_UNCORE_PMI"),
    Part::flag(14, "FREEZE_WHILE_SMM"),
    Part::flag(15, "RTM"),
];

/// IA32_BNDCFGS.
pub const BNDCFGS: &[Part] =
    &[Part::flag(0, "EN"), Part::flag(1, "BNDPRESERVE"), Part::number(12, 52, "bound-directory page")];

/// IA32_S_CET.
pub const S_CET: &[Part] = &[
    Part::flag(0, "SH_STK_EN"),
    Part::flag(1, "WR_SHSTK_EN"),
    Part::flag(2, "ENDBR_EN"),
    Part::flag(3, "LEG_IW_EN"),
    Part::flag(4, "NO_TRACK_EN"),
    Part::flag(5, "SUPPRESS_DIS"),
    Part::flag(10, "SUPPRESS"),
    Part::flag(11, "TRACKER"),
    Part::number(12, 52, "legacy-bitmap page"),
];

/// IA32_PAT.
pub const PAT: &[Part] = crate::vt::doctor::bits::PAT;
