//! What VMX instructions say when they fail (SDM 3C "VM Instruction Error Numbers").

use core::fmt;

/// How a VMX instruction failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VmFail {
    /// VMfailInvalid: CF = 1, there is no current VMCS that could hold an error number.
    Invalid,
    /// VMfailValid: ZF = 1, with the number from the VM-instruction error field.
    Valid(u32),
}

impl VmFail {
    /// The manual's sentence for it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Invalid => "VMfailInvalid: no current VMCS, or an operand address that is not a valid region",
            Self::Valid(n) => instruction_error(n),
        }
    }

    /// The number in the VM-instruction error field, 0 where there was none.
    pub const fn number(self) -> u32 {
        match self {
            Self::Invalid => 0,
            Self::Valid(n) => n,
        }
    }
}

impl fmt::Display for VmFail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str(self.meaning()),
            Self::Valid(n) => write!(f, "VM-instruction error {n}: {}", self.meaning()),
        }
    }
}

/// The meaning of a VM-instruction error number.
pub const fn instruction_error(number: u32) -> &'static str {
    match number {
        1 => "VMCALL executed in VMX root operation",
        2 => "VMCLEAR with invalid physical address",
        3 => "VMCLEAR with VMXON pointer",
        4 => "VMLAUNCH with non-clear VMCS",
        5 => "VMRESUME with non-launched VMCS",
        6 => "VMRESUME after VMXOFF",
        7 => "VM entry with invalid control field(s)",
        8 => "VM entry with invalid host-state field(s)",
        9 => "VMPTRLD with invalid physical address",
        10 => "VMPTRLD with VMXON pointer",
        11 => "VMPTRLD with incorrect VMCS revision identifier",
        12 => "VMREAD/VMWRITE from/to unsupported VMCS component",
        13 => "VMWRITE to read-only VMCS component",
        15 => "VMXON executed in VMX root operation",
        16 => "VM entry with invalid executive-VMCS pointer",
        17 => "VM entry with non-launched executive VMCS",
        18 => "VM entry with executive-VMCS pointer not VMXON pointer",
        19 => "VMCALL with non-clear VMCS",
        20 => "VMCALL with invalid VM-exit control fields",
        22 => "VMCALL with incorrect MSEG revision identifier",
        23 => "VMXOFF under dual-monitor treatment of SMIs and SMM",
        24 => "VMCALL with invalid SMM-monitor features",
        25 => "VM entry with invalid VM-execution control fields in executive VMCS",
        26 => "VM entry with events blocked by MOV SS",
        28 => "invalid operand to INVEPT/INVVPID",
        _ => "a number that the manual does not list",
    }
}

/// The meaning of a VM-entry failure's basic exit reason (SDM 3C "VM-Entry Failures During or After Loading Guest State").
pub const fn entry_failure(basic_reason: u16) -> &'static str {
    match basic_reason {
        33 => "VM-entry failure due to invalid guest state",
        34 => "VM-entry failure due to MSR loading",
        41 => "VM-entry failure due to machine-check event",
        _ => "VM-entry failure with an unlisted reason",
    }
}
