//! VMCS fields with their widths and their direction (SDM 3C "VMCS Data", "Field Encoding in VMCS").
//!
//! The encodings come from the `x86` crate; the types here add what a bare number loses: how wide the field is and
//! whether it may be written. Both are checked against the encoding when the constant is compiled.

use core::marker::PhantomData;

use x86::vmx::vmcs as raw;

/// A type that a VMCS field can hold.
pub trait FieldValue: Copy {
    /// Bits 14:13 of the encodings of such fields.
    const WIDTH_CODE: u32;
    /// What VMWRITE is given.
    fn to_raw(self) -> u64;
    /// From what VMREAD gave.
    fn from_raw(raw: u64) -> Self;
}

macro_rules! field_value {
    ($t:ty, $code:literal) => {
        impl FieldValue for $t {
            const WIDTH_CODE: u32 = $code;
            #[inline(always)]
            fn to_raw(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn from_raw(raw: u64) -> Self {
                raw as Self
            }
        }
    };
}
field_value!(u16, 0);
field_value!(u64, 1);
field_value!(u32, 2);

/// A natural-width value: 64 bits on every CPU this hypervisor runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Natural(pub u64);

impl FieldValue for Natural {
    const WIDTH_CODE: u32 = 3;
    #[inline(always)]
    fn to_raw(self) -> u64 {
        self.0
    }
    #[inline(always)]
    fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

/// Marks a field that VMWRITE may write.
#[derive(Clone, Copy)]
pub struct Writable;
/// Marks a VM-exit information field.
#[derive(Clone, Copy)]
pub struct ReadOnly;

/// Whether a field is of the VM-exit information area.
pub trait Direction: Copy {
    /// Bits 11:10 of the encoding are 1.
    const READ_ONLY: bool;
}
impl Direction for Writable {
    const READ_ONLY: bool = false;
}
impl Direction for ReadOnly {
    const READ_ONLY: bool = true;
}

/// A VMCS field of type `T`.
#[derive(Clone, Copy)]
pub struct Field<T, D = Writable> {
    encoding: u32,
    types: PhantomData<(T, D)>,
}

impl<T: FieldValue, D: Direction> Field<T, D> {
    /// A field from its encoding; refuses at compile time an encoding of another width or direction, and the
    /// "high" half of a 64-bit field.
    pub const fn new(encoding: u32) -> Self {
        assert!((encoding >> 13) & 3 == T::WIDTH_CODE, "the encoding is of another width");
        assert!(((encoding >> 10) & 3 == 1) == D::READ_ONLY, "the encoding is of another direction");
        assert!(encoding & 1 == 0, "that is the high half of a 64-bit field");
        Self { encoding, types: PhantomData }
    }

    /// The encoding, as VMREAD and VMWRITE take it.
    #[inline(always)]
    pub const fn encoding(self) -> u32 {
        self.encoding
    }

    /// A field `n` further on in a run of equal fields (the segment registers).
    #[inline(always)]
    pub const fn nth(self, n: u32) -> Self {
        Self { encoding: self.encoding + 2 * n, types: PhantomData }
    }
}

macro_rules! fields {
    ($($area:ident { $($name:ident: $t:ty $(, $dir:ty)? = $enc:ident;)* })*) => {
        $(
            #[doc = concat!("Fields of the ", stringify!($area), " area.")]
            #[allow(missing_docs)]
            pub mod $area {
                use super::*;
                $(pub const $name: Field<$t $(, $dir)?> = Field::new(raw::$area::$enc);)*
            }
        )*
    };
}

/// The TSC multiplier, which the `x86` crate lacks: 48 bits after the binary point.
pub const TSC_MULTIPLIER: Field<u64> = Field::new(0x2032);

fields! {
    control {
        VPID: u16 = VPID;
        IO_BITMAP_A: u64 = IO_BITMAP_A_ADDR_FULL;
        IO_BITMAP_B: u64 = IO_BITMAP_B_ADDR_FULL;
        MSR_BITMAPS: u64 = MSR_BITMAPS_ADDR_FULL;
        TSC_OFFSET: u64 = TSC_OFFSET_FULL;
        VIRTUAL_APIC: u64 = VIRT_APIC_ADDR_FULL;
        APIC_ACCESS: u64 = APIC_ACCESS_ADDR_FULL;
        EOI_EXIT0: u64 = EOI_EXIT0_FULL;
        EPTP: u64 = EPTP_FULL;
        XSS_EXITING_BITMAP: u64 = XSS_EXITING_BITMAP_FULL;
        PIN_BASED: u32 = PINBASED_EXEC_CONTROLS;
        PRIMARY: u32 = PRIMARY_PROCBASED_EXEC_CONTROLS;
        SECONDARY: u32 = SECONDARY_PROCBASED_EXEC_CONTROLS;
        EXCEPTION_BITMAP: u32 = EXCEPTION_BITMAP;
        PF_ERROR_MASK: u32 = PAGE_FAULT_ERR_CODE_MASK;
        PF_ERROR_MATCH: u32 = PAGE_FAULT_ERR_CODE_MATCH;
        CR3_TARGET_COUNT: u32 = CR3_TARGET_COUNT;
        TPR_THRESHOLD: u32 = TPR_THRESHOLD;
        EXIT: u32 = VMEXIT_CONTROLS;
        EXIT_MSR_STORE_COUNT: u32 = VMEXIT_MSR_STORE_COUNT;
        EXIT_MSR_LOAD_COUNT: u32 = VMEXIT_MSR_LOAD_COUNT;
        ENTRY: u32 = VMENTRY_CONTROLS;
        ENTRY_MSR_LOAD_COUNT: u32 = VMENTRY_MSR_LOAD_COUNT;
        ENTRY_INTERRUPTION_INFO: u32 = VMENTRY_INTERRUPTION_INFO_FIELD;
        ENTRY_EXCEPTION_ERROR_CODE: u32 = VMENTRY_EXCEPTION_ERR_CODE;
        CR0_GUEST_HOST_MASK: Natural = CR0_GUEST_HOST_MASK;
        CR4_GUEST_HOST_MASK: Natural = CR4_GUEST_HOST_MASK;
        CR0_READ_SHADOW: Natural = CR0_READ_SHADOW;
        CR4_READ_SHADOW: Natural = CR4_READ_SHADOW;
    }
    guest {
        ES_SELECTOR: u16 = ES_SELECTOR;
        LDTR_SELECTOR: u16 = LDTR_SELECTOR;
        TR_SELECTOR: u16 = TR_SELECTOR;
        INTERRUPT_STATUS: u16 = INTERRUPT_STATUS;
        LINK_POINTER: u64 = LINK_PTR_FULL;
        DEBUGCTL: u64 = IA32_DEBUGCTL_FULL;
        PAT: u64 = IA32_PAT_FULL;
        EFER: u64 = IA32_EFER_FULL;
        PDPTE0: u64 = PDPTE0_FULL;
        ES_LIMIT: u32 = ES_LIMIT;
        LDTR_LIMIT: u32 = LDTR_LIMIT;
        TR_LIMIT: u32 = TR_LIMIT;
        GDTR_LIMIT: u32 = GDTR_LIMIT;
        IDTR_LIMIT: u32 = IDTR_LIMIT;
        ES_ACCESS_RIGHTS: u32 = ES_ACCESS_RIGHTS;
        SS_ACCESS_RIGHTS: u32 = SS_ACCESS_RIGHTS;
        LDTR_ACCESS_RIGHTS: u32 = LDTR_ACCESS_RIGHTS;
        TR_ACCESS_RIGHTS: u32 = TR_ACCESS_RIGHTS;
        INTERRUPTIBILITY: u32 = INTERRUPTIBILITY_STATE;
        ACTIVITY: u32 = ACTIVITY_STATE;
        PREEMPTION_TIMER: u32 = VMX_PREEMPTION_TIMER_VALUE;
        SYSENTER_CS: u32 = IA32_SYSENTER_CS;
        CR0: Natural = CR0;
        CR3: Natural = CR3;
        CR4: Natural = CR4;
        ES_BASE: Natural = ES_BASE;
        LDTR_BASE: Natural = LDTR_BASE;
        TR_BASE: Natural = TR_BASE;
        GDTR_BASE: Natural = GDTR_BASE;
        IDTR_BASE: Natural = IDTR_BASE;
        DR7: Natural = DR7;
        RSP: Natural = RSP;
        RIP: Natural = RIP;
        RFLAGS: Natural = RFLAGS;
        PENDING_DEBUG: Natural = PENDING_DBG_EXCEPTIONS;
        SYSENTER_ESP: Natural = IA32_SYSENTER_ESP;
        SYSENTER_EIP: Natural = IA32_SYSENTER_EIP;
    }
    host {
        ES_SELECTOR: u16 = ES_SELECTOR;
        CS_SELECTOR: u16 = CS_SELECTOR;
        SS_SELECTOR: u16 = SS_SELECTOR;
        DS_SELECTOR: u16 = DS_SELECTOR;
        FS_SELECTOR: u16 = FS_SELECTOR;
        GS_SELECTOR: u16 = GS_SELECTOR;
        TR_SELECTOR: u16 = TR_SELECTOR;
        PAT: u64 = IA32_PAT_FULL;
        EFER: u64 = IA32_EFER_FULL;
        SYSENTER_CS: u32 = IA32_SYSENTER_CS;
        CR0: Natural = CR0;
        CR3: Natural = CR3;
        CR4: Natural = CR4;
        FS_BASE: Natural = FS_BASE;
        GS_BASE: Natural = GS_BASE;
        TR_BASE: Natural = TR_BASE;
        GDTR_BASE: Natural = GDTR_BASE;
        IDTR_BASE: Natural = IDTR_BASE;
        SYSENTER_ESP: Natural = IA32_SYSENTER_ESP;
        SYSENTER_EIP: Natural = IA32_SYSENTER_EIP;
        RSP: Natural = RSP;
        RIP: Natural = RIP;
    }
    ro {
        GUEST_PHYSICAL_ADDRESS: u64, ReadOnly = GUEST_PHYSICAL_ADDR_FULL;
        INSTRUCTION_ERROR: u32, ReadOnly = VM_INSTRUCTION_ERROR;
        EXIT_REASON: u32, ReadOnly = EXIT_REASON;
        EXIT_INTERRUPTION_INFO: u32, ReadOnly = VMEXIT_INTERRUPTION_INFO;
        EXIT_INTERRUPTION_ERROR_CODE: u32, ReadOnly = VMEXIT_INTERRUPTION_ERR_CODE;
        IDT_VECTORING_INFO: u32, ReadOnly = IDT_VECTORING_INFO;
        IDT_VECTORING_ERROR_CODE: u32, ReadOnly = IDT_VECTORING_ERR_CODE;
        INSTRUCTION_LENGTH: u32, ReadOnly = VMEXIT_INSTRUCTION_LEN;
        INSTRUCTION_INFO: u32, ReadOnly = VMEXIT_INSTRUCTION_INFO;
        QUALIFICATION: Natural, ReadOnly = EXIT_QUALIFICATION;
        GUEST_LINEAR_ADDRESS: Natural, ReadOnly = GUEST_LINEAR_ADDR;
    }
}
