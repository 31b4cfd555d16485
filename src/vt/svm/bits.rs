//! The names of the bits of VMCB fields (APM 2 Appendix B "Layout of VMCB").

use crate::vt::doctor::bits;
use crate::vt::doctor::state::Part;

/// CR0.
pub const CR0: &[Part] = bits::CR0;
/// CR4.
pub const CR4: &[Part] = bits::CR4;
/// EFER.
pub const EFER: &[Part] = bits::EFER;
/// RFLAGS.
pub const RFLAGS: &[Part] = bits::RFLAGS;
/// Exception intercepts.
pub const EXCEPTIONS: &[Part] = bits::EXCEPTIONS;
/// G_PAT.
pub const PAT: &[Part] = bits::PAT;

/// Intercepts of control or debug registers.
pub const CR_INTERCEPTS: &[Part] = &[
    Part::flag(0, "read 0"),
    Part::flag(1, "read 1"),
    Part::flag(2, "read 2"),
    Part::flag(3, "read 3"),
    Part::flag(4, "read 4"),
    Part::flag(5, "read 5"),
    Part::flag(6, "read 6"),
    Part::flag(7, "read 7"),
    Part::flag(8, "read 8"),
    Part::flag(16, "write 0"),
    Part::flag(17, "write 1"),
    Part::flag(18, "write 2"),
    Part::flag(19, "write 3"),
    Part::flag(20, "write 4"),
    Part::flag(21, "write 5"),
    Part::flag(22, "write 6"),
    Part::flag(23, "write 7"),
    Part::flag(24, "write 8"),
];

/// Intercepts, the word at offset 0xc.
pub const MISC1: &[Part] = &[
    Part::flag(0, "INTR"),
    Part::flag(1, "NMI"),
    Part::flag(2, "SMI"),
    Part::flag(3, "INIT"),
    Part::flag(4, "VINTR"),
    Part::flag(5, "CR0 selective write"),
    Part::flag(6, "IDTR read"),
    Part::flag(7, "GDTR read"),
    Part::flag(8, "LDTR read"),
    Part::flag(9, "TR read"),
    Part::flag(10, "IDTR write"),
    Part::flag(11, "GDTR write"),
    Part::flag(12, "LDTR write"),
    Part::flag(13, "TR write"),
    Part::flag(14, "RDTSC"),
    Part::flag(15, "RDPMC"),
    Part::flag(16, "PUSHF"),
    Part::flag(17, "POPF"),
    Part::flag(18, "CPUID"),
    Part::flag(19, "RSM"),
    Part::flag(20, "IRET"),
    Part::flag(21, "INTn"),
    Part::flag(22, "INVD"),
    Part::flag(23, "PAUSE"),
    Part::flag(24, "HLT"),
    Part::flag(25, "INVLPG"),
    Part::flag(26, "INVLPGA"),
    Part::flag(27, "IOIO_PROT"),
    Part::flag(28, "MSR_PROT"),
    Part::flag(29, "task switch"),
    Part::flag(30, "FERR_FREEZE"),
    Part::flag(31, "shutdown"),
];

/// Intercepts, the word at offset 0x10.
pub const MISC2: &[Part] = &[
    Part::flag(0, "VMRUN"),
    Part::flag(1, "VMMCALL"),
    Part::flag(2, "VMLOAD"),
    Part::flag(3, "VMSAVE"),
    Part::flag(4, "STGI"),
    Part::flag(5, "CLGI"),
    Part::flag(6, "SKINIT"),
    Part::flag(7, "RDTSCP"),
    Part::flag(8, "ICEBP"),
    Part::flag(9, "WBINVD"),
    Part::flag(10, "MONITOR"),
    Part::flag(11, "MWAIT"),
    Part::flag(12, "MWAIT if armed"),
    Part::flag(13, "XSETBV"),
    Part::flag(14, "RDPRU"),
    Part::flag(15, "EFER write"),
    Part::number(16, 16, "CR writes after the instruction:"),
];

/// Intercepts, the word at offset 0x14.
pub const MISC3: &[Part] = &[
    Part::flag(0, "INVLPGB"),
    Part::flag(1, "illegal INVLPGB"),
    Part::flag(2, "INVPCID"),
    Part::flag(3, "MCOMMIT"),
    Part::flag(4, "TLBSYNC"),
    Part::flag(5, "bus lock"),
    Part::flag(6, "idle HLT"),
];

/// The virtual interrupt control.
pub const V_INTR: &[Part] = &[
    Part::number(0, 8, "V_TPR"),
    Part::flag(8, "V_IRQ"),
    Part::flag(9, "VGIF"),
    Part::flag(11, "V_NMI"),
    Part::flag(12, "V_NMI_MASK"),
    Part::number(16, 4, "V_INTR_PRIO"),
    Part::flag(20, "V_IGN_TPR"),
    Part::flag(24, "V_INTR_MASKING"),
    Part::flag(25, "virtual GIF enable"),
    Part::flag(26, "V_NMI enable"),
    Part::flag(30, "x2AVIC enable"),
    Part::flag(31, "AVIC enable"),
    Part::number(32, 8, "V_INTR_VECTOR"),
];

/// The interrupt shadow.
pub const SHADOW: &[Part] = &[Part::flag(0, "INTERRUPT_SHADOW"), Part::flag(1, "GUEST_INTERRUPT_MASK")];

/// EVENTINJ and EXITINTINFO.
pub const EVENT: &[Part] = &[
    Part::flag(31, "V"),
    Part::number(8, 3, "type"),
    Part::number(0, 8, "vector"),
    Part::flag(11, "EV"),
    Part::number(32, 32, "error code"),
];

/// The nested control.
pub const NESTED: &[Part] = &[
    Part::flag(0, "NP_ENABLE"),
    Part::flag(1, "SEV enable"),
    Part::flag(2, "SEV-ES enable"),
    Part::flag(3, "guest mode execute trap"),
    Part::flag(4, "SSS check"),
    Part::flag(5, "virtual transparent encryption"),
    Part::flag(6, "read-only guest page tables"),
    Part::flag(7, "INVLPGB/TLBSYNC enable"),
];

/// The LBR virtualization control.
pub const VIRT_EXT: &[Part] = &[
    Part::flag(0, "LBR virtualization"),
    Part::flag(1, "virtualized VMLOAD/VMSAVE"),
    Part::flag(2, "IBS virtualization"),
];

/// VMCB clean bits.
pub const CLEAN: &[Part] = &[
    Part::flag(0, "I"),
    Part::flag(1, "IOPM"),
    Part::flag(2, "ASID"),
    Part::flag(3, "TPR"),
    Part::flag(4, "NP"),
    Part::flag(5, "CRx"),
    Part::flag(6, "DRx"),
    Part::flag(7, "DT"),
    Part::flag(8, "SEG"),
    Part::flag(9, "CR2"),
    Part::flag(10, "LBR"),
    Part::flag(11, "AVIC"),
    Part::flag(12, "CET"),
];

/// A selector.
pub const SELECTOR: &[Part] = &[Part::number(3, 13, "index"), Part::flag(2, "TI"), Part::number(0, 2, "RPL")];

/// Segment attributes.
pub const ATTRIB: &[Part] = &[
    Part::number(0, 4, "type"),
    Part::flag(4, "S"),
    Part::number(5, 2, "DPL"),
    Part::flag(7, "P"),
    Part::flag(8, "AVL"),
    Part::flag(9, "L"),
    Part::flag(10, "D/B"),
    Part::flag(11, "G"),
];
