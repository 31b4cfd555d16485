//! The virtual machine control block (APM 2 Appendix B "Layout of VMCB"), every named field's offset asserted.

use core::mem::{offset_of, size_of};

use bitflags::bitflags;

/// The control area: bytes 0 to 0x3ff.
#[derive(Clone)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Control {
    /// Reads of CR0..CR15 in bits 15:0, writes in 31:16.
    pub intercept_cr: u32,
    /// Reads of DR0..DR15 in bits 15:0, writes in 31:16.
    pub intercept_dr: u32,
    /// Exceptions by vector.
    pub intercept_exceptions: u32,
    /// See [`misc1`].
    pub intercept_misc1: u32,
    /// See [`misc2`].
    pub intercept_misc2: u32,
    /// See [`misc3`].
    pub intercept_misc3: u32,
    _r0: [u8; 0x3c - 0x18],
    pub pause_filter_threshold: u16,
    pub pause_filter_count: u16,
    /// HPA of the I/O permission map: 12 KiB, of which 8 KiB and 3 bits count.
    pub iopm_base: u64,
    /// HPA of the MSR permission map: 8 KiB.
    pub msrpm_base: u64,
    pub tsc_offset: u64,
    pub asid: u32,
    /// See [`tlb`].
    pub tlb_control: u8,
    _r1: [u8; 3],
    /// V_TPR 7:0, V_IRQ 8, V_INTR_PRIO 19:16, V_IGN_TPR 20, V_INTR_MASKING 24, V_INTR_VECTOR 39:32.
    pub v_intr: u64,
    /// INTERRUPT_SHADOW in bit 0, GUEST_INTERRUPT_MASK in bit 1.
    pub interrupt_shadow: u64,
    pub exit_code: u64,
    pub exit_info_1: u64,
    pub exit_info_2: u64,
    /// The event whose delivery the exit cut off, in the format of `event_inj`.
    pub exit_int_info: u64,
    /// NP_ENABLE in bit 0.
    pub nested_control: u64,
    pub avic_apic_bar: u64,
    pub ghcb: u64,
    /// The event to deliver on entry: vector 7:0, type 10:8, EV 11, V 31, error code 63:32.
    pub event_inj: u64,
    /// HPA of the nested table's root.
    pub n_cr3: u64,
    pub lbr_virtualization: u64,
    pub clean: Clean,
    _r2: u32,
    /// RIP of the next instruction, where the CPU saves it (CPUID 8000_000A:EDX.NRIPS).
    pub next_rip: u64,
    pub bytes_fetched: u8,
    pub instruction_bytes: [u8; 15],
    pub avic_backing_page: u64,
    _r3: u64,
    pub avic_logical_table: u64,
    pub avic_physical_table: u64,
    _r4: u64,
    pub vmsa: u64,
    _r5: [u8; 0x400 - 0x110],
}

/// A segment register in the save area.
#[derive(Clone, Copy, Default)]
#[repr(C)]
#[allow(missing_docs)]
pub struct VmcbSegment {
    pub selector: u16,
    pub attrib: u16,
    pub limit: u32,
    pub base: u64,
}

/// The state save area: bytes 0x400 to 0xfff, offsets here from its start.
#[derive(Clone)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Save {
    /// ES, CS, SS, DS, FS, GS: the order of [`crate::base::Segment`].
    pub segments: [VmcbSegment; 6],
    pub gdtr: VmcbSegment,
    pub ldtr: VmcbSegment,
    pub idtr: VmcbSegment,
    pub tr: VmcbSegment,
    _r0: [u8; 0xcb - 0xa0],
    pub cpl: u8,
    _r1: u32,
    pub efer: u64,
    _r2: [u8; 0x148 - 0xd8],
    pub cr4: u64,
    pub cr3: u64,
    pub cr0: u64,
    pub dr7: u64,
    pub dr6: u64,
    pub rflags: u64,
    pub rip: u64,
    _r3: [u8; 0x1d8 - 0x180],
    pub rsp: u64,
    pub s_cet: u64,
    pub ssp: u64,
    pub isst_addr: u64,
    pub rax: u64,
    pub star: u64,
    pub lstar: u64,
    pub cstar: u64,
    pub sfmask: u64,
    pub kernel_gs_base: u64,
    pub sysenter_cs: u64,
    pub sysenter_esp: u64,
    pub sysenter_eip: u64,
    pub cr2: u64,
    _r4: [u8; 0x268 - 0x248],
    pub g_pat: u64,
    pub dbgctl: u64,
    pub br_from: u64,
    pub br_to: u64,
    pub last_excp_from: u64,
    pub last_excp_to: u64,
    _r5: [u8; 0xc00 - 0x298],
}

/// The whole block: one 4 KiB frame.
#[derive(Clone)]
#[repr(C, align(4096))]
pub struct Vmcb {
    /// What the hypervisor wants and what the exit says.
    pub control: Control,
    /// The guest's state.
    pub save: Save,
}

macro_rules! offsets {
    ($t:ty: $($field:ident = $at:literal),* $(,)?) => {
        $(const _: () = assert!(offset_of!($t, $field) == $at);)*
    };
}
offsets!(Control:
    intercept_cr = 0x0, intercept_dr = 0x4, intercept_exceptions = 0x8, intercept_misc1 = 0xc, intercept_misc2 = 0x10,
    intercept_misc3 = 0x14, pause_filter_threshold = 0x3c, pause_filter_count = 0x3e, iopm_base = 0x40,
    msrpm_base = 0x48, tsc_offset = 0x50, asid = 0x58, tlb_control = 0x5c, v_intr = 0x60, interrupt_shadow = 0x68,
    exit_code = 0x70, exit_info_1 = 0x78, exit_info_2 = 0x80, exit_int_info = 0x88, nested_control = 0x90,
    avic_apic_bar = 0x98, ghcb = 0xa0, event_inj = 0xa8, n_cr3 = 0xb0, lbr_virtualization = 0xb8, clean = 0xc0,
    next_rip = 0xc8, bytes_fetched = 0xd0, instruction_bytes = 0xd1, avic_backing_page = 0xe0,
    avic_logical_table = 0xf0, avic_physical_table = 0xf8, vmsa = 0x108,
);
offsets!(VmcbSegment: selector = 0, attrib = 2, limit = 4, base = 8);
offsets!(Save:
    segments = 0x0, gdtr = 0x60, ldtr = 0x70, idtr = 0x80, tr = 0x90, cpl = 0xcb, efer = 0xd0, cr4 = 0x148,
    cr3 = 0x150, cr0 = 0x158, dr7 = 0x160, dr6 = 0x168, rflags = 0x170, rip = 0x178, rsp = 0x1d8, s_cet = 0x1e0,
    ssp = 0x1e8, isst_addr = 0x1f0, rax = 0x1f8, star = 0x200, lstar = 0x208, cstar = 0x210, sfmask = 0x218,
    kernel_gs_base = 0x220, sysenter_cs = 0x228, sysenter_esp = 0x230, sysenter_eip = 0x238, cr2 = 0x240,
    g_pat = 0x268, dbgctl = 0x270, br_from = 0x278, br_to = 0x280, last_excp_from = 0x288, last_excp_to = 0x290,
);
offsets!(Vmcb: control = 0x0, save = 0x400);
const _: () = assert!(size_of::<Vmcb>() == 0x1000);

/// Bits of `intercept_misc1`.
#[allow(missing_docs)]
pub mod misc1 {
    pub const INTR: u32 = 1 << 0;
    pub const NMI: u32 = 1 << 1;
    pub const INIT: u32 = 1 << 3;
    pub const VINTR: u32 = 1 << 4;
    pub const CR0_SELECTIVE_WRITE: u32 = 1 << 5;
    pub const RDPMC: u32 = 1 << 15;
    pub const CPUID: u32 = 1 << 18;
    pub const IRET: u32 = 1 << 20;
    pub const INVD: u32 = 1 << 22;
    pub const HLT: u32 = 1 << 24;
    pub const INVLPGA: u32 = 1 << 26;
    pub const IOIO: u32 = 1 << 27;
    pub const MSR: u32 = 1 << 28;
    pub const TASK_SWITCH: u32 = 1 << 29;
    pub const SHUTDOWN: u32 = 1 << 31;
}

/// Bits of `intercept_misc2`.
#[allow(missing_docs)]
pub mod misc2 {
    pub const VMRUN: u32 = 1 << 0;
    pub const VMMCALL: u32 = 1 << 1;
    pub const VMLOAD: u32 = 1 << 2;
    pub const VMSAVE: u32 = 1 << 3;
    pub const STGI: u32 = 1 << 4;
    pub const CLGI: u32 = 1 << 5;
    pub const SKINIT: u32 = 1 << 6;
    pub const ICEBP: u32 = 1 << 8;
    pub const WBINVD: u32 = 1 << 9;
    pub const MONITOR: u32 = 1 << 10;
    pub const MWAIT: u32 = 1 << 11;
    pub const XSETBV: u32 = 1 << 13;
    pub const RDPRU: u32 = 1 << 14;
}

/// Bits of `intercept_misc3`.
#[allow(missing_docs)]
pub mod misc3 {
    pub const INVLPGB: u32 = 1 << 0;
    pub const MCOMMIT: u32 = 1 << 3;
    pub const TLBSYNC: u32 = 1 << 4;
}

/// Values of `tlb_control` (APM 2 "TLB Control").
#[allow(missing_docs)]
pub mod tlb {
    pub const NOTHING: u8 = 0;
    pub const FLUSH_ALL: u8 = 1;
    pub const FLUSH_ASID: u8 = 3;
}

bitflags! {
    /// State that has not changed since the last VMRUN of this VMCB on this core (APM 2 "VMCB Clean Field").
    #[derive(Clone, Copy, Debug)]
    #[repr(transparent)]
    pub struct Clean: u32 {
        /// Intercepts and TSC offset.
        const INTERCEPTS = 1 << 0;
        /// V_TPR, V_IRQ, V_INTR_PRIO, V_IGN_TPR, V_INTR_MASKING, V_INTR_VECTOR.
        const INTERRUPTS = 1 << 3;
        /// CR0, CR3, CR4 and EFER.
        const CRX = 1 << 5;
        /// DR6 and DR7.
        const DRX = 1 << 6;
        /// GDTR and IDTR.
        const TABLES = 1 << 7;
        /// ES, CS, SS, DS and CPL.
        const SEGMENTS = 1 << 8;
        /// CR2.
        const CR2 = 1 << 9;
        /// All that this hypervisor's blocks use, those above and what it never changes.
        const ALL = 0x7ff;
    }
}

/// V_IRQ with the highest V_INTR_PRIO and V_IGN_TPR in `v_intr`: a virtual interrupt is pending, whatever the TPR.
pub const V_IRQ: u64 = 1 << 8 | 0xf << 16 | 1 << 20;

/// V_INTR_MASKING in `v_intr`: the guest's RFLAGS.IF does not mask the host's interrupts.
pub const V_INTR_MASKING: u64 = 1 << 24;

impl Vmcb {
    /// A block of zeros, for tests that fill in what they need.
    #[cfg(test)]
    pub(crate) fn zeroed() -> std::boxed::Box<Self> {
        // SAFETY: every field is an integer or an array of integers, for which all-zero bytes are a value.
        unsafe { std::boxed::Box::new(core::mem::zeroed()) }
    }
}
