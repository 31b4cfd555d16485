//! The run stub of VMX: one function that enters the guest and returns when it has exited.

use core::arch::naked_asm;
use core::mem::offset_of;

use crate::base::{Gpr, GprFile};
use crate::hw::descriptors::DATA;

/// What the stub reads and writes.
#[derive(Debug)]
#[repr(C)]
pub struct Registers {
    /// The guest's general-purpose registers, less RSP, which is in the VMCS.
    pub gprs: GprFile,
    /// What the VMCS's host RSP is, so that it is written only when it changes.
    pub host_rsp: u64,
}

/// How to enter: the VMCS is launched, so VMRESUME does it. Without this, VMLAUNCH.
pub const LAUNCHED: u64 = 1 << 0;
/// How to enter: VERW clears the core's buffers right before.
pub const VERW: u64 = 1 << 1;

/// What VERW verifies: the data segment, which is writable. Only with its operand in memory does VERW clear buffers
/// (Intel, "Microarchitectural Data Sampling").
static VERIFIED: u16 = DATA.0;

/// Offset of a register in [`Registers`].
const fn at(r: Gpr) -> usize {
    offset_of!(Registers, gprs) + 8 * r as usize
}

/// The guest ran and exited, or its state was refused: the exit reason says which.
pub const EXITED: u64 = 0;
/// VMfailInvalid.
pub const FAIL_INVALID: u64 = 1;
/// VMfailValid.
pub const FAIL_VALID: u64 = 2;

/// Enters the guest of the current VMCS, in the way that `how` says ([`LAUNCHED`], [`VERW`]). Returns [`EXITED`],
/// [`FAIL_INVALID`] or [`FAIL_VALID`]. Interrupts are off before and after.
///
/// # Safety
/// A VMCS with this core's complete host state is current, its host RIP being [`exit_point`]; `regs` is valid for
/// writes; the guest's nested tables reach only its own frames.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn enter(regs: *mut Registers, how: u64) -> u64 {
    naked_asm!(
        "push rbp", "push rbx", "push r12", "push r13", "push r14", "push r15",
        "push rdi",
        "cmp rsp, [rdi + {host_rsp}]",
        "je 2f",
        "mov [rdi + {host_rsp}], rsp",
        "mov eax, {vmcs_host_rsp}",
        "vmwrite rax, rsp",
        "2:",
        // CF is LAUNCHED, and ZF that nothing else is set; the moves change neither.
        "shr esi, 1",
        "mov rax, [rdi + {rax}]", "mov rcx, [rdi + {rcx}]", "mov rdx, [rdi + {rdx}]", "mov rbx, [rdi + {rbx}]",
        "mov rbp, [rdi + {rbp}]", "mov rsi, [rdi + {rsi}]",
        "mov r8, [rdi + {r8}]", "mov r9, [rdi + {r9}]", "mov r10, [rdi + {r10}]", "mov r11, [rdi + {r11}]",
        "mov r12, [rdi + {r12}]", "mov r13, [rdi + {r13}]", "mov r14, [rdi + {r14}]", "mov r15, [rdi + {r15}]",
        "mov rdi, [rdi + {rdi}]",
        // As late as can be: what is read or written after it is in the buffers again. VERW changes ZF only.
        "jz 6f",
        "verw word ptr [rip + {verified}]",
        "6:",
        "jc 3f",
        "vmlaunch",
        "jmp 4f",
        "3:",
        "vmresume",
        // Only a failed entry comes here: CF is VMfailInvalid, else VMfailValid. The guest did not run, so its
        // registers in memory are still true.
        "4:",
        "mov eax, {fail_valid}", "mov edx, {fail_invalid}", "cmovc eax, edx",
        "jmp 5f",

        ".global vmx_exit_point",
        "vmx_exit_point:",
        "push rdi",
        "mov rdi, [rsp + 8]",
        "mov [rdi + {rax}], rax", "mov [rdi + {rcx}], rcx", "mov [rdi + {rdx}], rdx", "mov [rdi + {rbx}], rbx",
        "mov [rdi + {rbp}], rbp", "mov [rdi + {rsi}], rsi",
        "mov [rdi + {r8}], r8", "mov [rdi + {r9}], r9", "mov [rdi + {r10}], r10", "mov [rdi + {r11}], r11",
        "mov [rdi + {r12}], r12", "mov [rdi + {r13}], r13", "mov [rdi + {r14}], r14", "mov [rdi + {r15}], r15",
        "pop [rdi + {rdi}]",
        "xor eax, eax",
        "5:",
        // No guest value stays in a register that the compiler's code could be made to use speculatively.
        "xor ecx, ecx", "xor edx, edx", "xor esi, esi", "xor edi, edi",
        "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d",
        "add rsp, 8",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp",
        "ret",
        verified = sym VERIFIED,
        host_rsp = const offset_of!(Registers, host_rsp),
        vmcs_host_rsp = const super::field::host::RSP.encoding(),
        fail_valid = const FAIL_VALID,
        fail_invalid = const FAIL_INVALID,
        rax = const at(Gpr::Rax), rcx = const at(Gpr::Rcx), rdx = const at(Gpr::Rdx), rbx = const at(Gpr::Rbx),
        rbp = const at(Gpr::Rbp), rsi = const at(Gpr::Rsi), rdi = const at(Gpr::Rdi),
        r8 = const at(Gpr::R8), r9 = const at(Gpr::R9), r10 = const at(Gpr::R10), r11 = const at(Gpr::R11),
        r12 = const at(Gpr::R12), r13 = const at(Gpr::R13), r14 = const at(Gpr::R14), r15 = const at(Gpr::R15),
    )
}

unsafe extern "C" {
    /// Where a VM exit lands: the VMCS's host RIP. It stands inside [`enter`] and is never called.
    #[link_name = "vmx_exit_point"]
    pub fn exit_point();
}
