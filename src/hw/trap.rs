//! Exceptions and interrupts that reach the hypervisor itself: what they do, all of it without locks.

use core::mem::offset_of;

/// The interrupted code, as the stubs put it on the stack.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct TrapFrame {
    /// CR2: the address that a page fault was about; stale for other vectors.
    pub cr2: u64,
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15: the order of their encoding. RSP is a copy of
    /// [`TrapFrame::rsp`]; writing it changes nothing.
    pub general: [u64; 16],
    /// The vector, 0 to 255.
    pub vector: u64,
    /// The error code; 0 for vectors without one.
    pub error_code: u64,
    /// The interrupted instruction, or the next one after a trap.
    pub rip: u64,
    /// Its code segment.
    pub cs: u64,
    /// Its flags.
    pub rflags: u64,
    /// Its stack pointer.
    pub rsp: u64,
    /// Its stack segment.
    pub ss: u64,
}

// `stubs.S` counts on these.
const _: () = assert!(offset_of!(TrapFrame, general) == 8);
const _: () = assert!(offset_of!(TrapFrame, vector) == 17 * 8);
const _: () = assert!(offset_of!(TrapFrame, rip) == 19 * 8);
const _: () = assert!(size_of::<TrapFrame>() == 24 * 8);

#[cfg(target_os = "none")]
pub(super) use bare::stub;

#[cfg(target_os = "none")]
mod bare {
    use super::TrapFrame;
    use crate::base::cpu::rflags;
    use crate::hw::percpu::{PerCpu, bump};
    use crate::hw::{extable, irq, lapic, machine_check, percpu};

    core::arch::global_asm!(include_str!("stubs.S"));

    unsafe extern "C" {
        /// The first of 256 stubs, 16 bytes each.
        static trap_stubs: [[u8; 16]; 256];
    }

    /// The address of a vector's stub.
    pub(in crate::hw) fn stub(vector: u8) -> u64 {
        // Only the address is taken.
        let first = &raw const trap_stubs as u64;
        first + 16 * u64::from(vector)
    }

    /// What every stub calls, with interrupts off.
    #[unsafe(no_mangle)]
    extern "C" fn trap_dispatch(frame: &mut TrapFrame) {
        match frame.vector as u8 {
            2 => {
                crate::hw::panic::stop_if_panicking();
                count(|cpu| bump(&cpu.nmis));
            }
            // The hypervisor sets no breakpoint and never single-steps: a #DB that comes all the same is none of its
            // own making (Bochs 2.7 raises one that an SVM guest left behind), and is no reason to stop. It is not
            // counted: it can come right after an exit, when the GS base is still the guest's.
            1 if frame.rflags & rflags::TF == 0 => {}
            18 => machine_check::handle(frame),
            0..=31 => {
                if !extable::fix(frame) {
                    crate::hw::panic::fault(frame);
                }
            }
            irq::TIMER => {
                count(|cpu| bump(&cpu.ticks));
                lapic::end_of_interrupt();
            }
            irq::KICK => {
                count(|cpu| bump(&cpu.kicks));
                lapic::end_of_interrupt();
            }
            irq::LAPIC_ERROR => {
                count(|cpu| bump(&cpu.lapic_errors));
                lapic::clear_errors();
                lapic::end_of_interrupt();
            }
            irq::LEGACY..=irq::LEGACY_LAST => irq::end_of_legacy(frame.vector as u8),
            // SDM 3A "Spurious Interrupt": no end of interrupt.
            irq::SPURIOUS => count(|cpu| bump(&cpu.spurious)),
            vector => {
                count(|cpu| bump(&cpu.strays));
                // An INT instruction leaves nothing in service.
                if lapic::in_service(vector) {
                    lapic::end_of_interrupt();
                }
            }
        }
    }

    #[inline]
    fn count(f: impl FnOnce(&PerCpu)) {
        f(percpu::this());
    }
}
