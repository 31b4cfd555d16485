//! The run stub of SVM: one function that enters the guest and returns when it has exited.

use core::arch::naked_asm;

use crate::base::{Gpr, GprFile};

/// Offset of a register in [`GprFile`].
const fn at(r: Gpr) -> usize {
    8 * r as usize
}

/// Enters the guest of the VMCB at HPA `vmcb` and returns when it has exited (or was refused: EXITCODE says which).
/// `host` is the HPA of the VMCB that holds this core's VMSAVE state. RAX and RSP of the guest are in its VMCB, the
/// other registers in `regs`. Interrupts are off before and after; the guest runs with the host's interrupts and NMIs
/// able to end it (APM 2 "Global Interrupt Flag, STGI and CLGI Instructions").
///
/// # Safety
/// SVM is on; `vmcb` is a complete VMCB that intercepts INTR and NMI and masks interrupts virtually; `host` was filled
/// by VMSAVE on this core; `regs` is valid for writes; the guest's nested tables reach only its own frames.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn enter(regs: *mut GprFile, vmcb: u64, host: u64) {
    naked_asm!(
        "push rbp", "push rbx", "push r12", "push r13", "push r14", "push r15",
        "push rdx", "push rdi",
        "mov rax, rsi",
        "mov rcx, [rdi + {rcx}]", "mov rdx, [rdi + {rdx}]", "mov rbx, [rdi + {rbx}]",
        "mov rbp, [rdi + {rbp}]", "mov rsi, [rdi + {rsi}]",
        "mov r8, [rdi + {r8}]", "mov r9, [rdi + {r9}]", "mov r10, [rdi + {r10}]", "mov r11, [rdi + {r11}]",
        "mov r12, [rdi + {r12}]", "mov r13, [rdi + {r13}]", "mov r14, [rdi + {r14}]", "mov r15, [rdi + {r15}]",
        "mov rdi, [rdi + {rdi}]",
        // Between CLGI and STGI nothing interrupts us: there is no moment with guest state and host handlers.
        "clgi",
        // With V_INTR_MASKING the host's IF decides whether interrupts end the guest.
        "sti",
        "vmload rax",
        "vmrun rax",
        "vmsave rax",
        "mov rax, [rsp + 8]",
        "vmload rax",
        "cli",
        "stgi",
        "pop rax",
        "mov [rax + {rcx}], rcx", "mov [rax + {rdx}], rdx", "mov [rax + {rbx}], rbx",
        "mov [rax + {rbp}], rbp", "mov [rax + {rsi}], rsi", "mov [rax + {rdi}], rdi",
        "mov [rax + {r8}], r8", "mov [rax + {r9}], r9", "mov [rax + {r10}], r10", "mov [rax + {r11}], r11",
        "mov [rax + {r12}], r12", "mov [rax + {r13}], r13", "mov [rax + {r14}], r14", "mov [rax + {r15}], r15",
        // No guest value stays in a register that the compiler's code could be made to use speculatively.
        "xor ecx, ecx", "xor edx, edx", "xor esi, esi", "xor edi, edi",
        "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d",
        "add rsp, 8",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp",
        "ret",
        rcx = const at(Gpr::Rcx), rdx = const at(Gpr::Rdx), rbx = const at(Gpr::Rbx),
        rbp = const at(Gpr::Rbp), rsi = const at(Gpr::Rsi), rdi = const at(Gpr::Rdi),
        r8 = const at(Gpr::R8), r9 = const at(Gpr::R9), r10 = const at(Gpr::R10), r11 = const at(Gpr::R11),
        r12 = const at(Gpr::R12), r13 = const at(Gpr::R13), r14 = const at(Gpr::R14), r15 = const at(Gpr::R15),
    )
}
