//! The CPU's commands about speculation.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

use super::IA32_ARCH_CAPABILITIES;
use crate::hw::msr;

/// IA32_PRED_CMD.
const IA32_PRED_CMD: u32 = 0x49;
/// IA32_FLUSH_CMD.
const IA32_FLUSH_CMD: u32 = 0x10b;
/// IA32_SPEC_CTRL.
const IA32_SPEC_CTRL: u32 = 0x48;

/// Bytes of a cache line.
const LINE: usize = 64;

/// IA32_ARCH_CAPABILITIES; 0 where CPUID does not have it.
pub fn arch_capabilities() -> u64 {
    let has = __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx >> 29 & 1 != 0;
    if has { msr::try_read(IA32_ARCH_CAPABILITIES).unwrap_or(0) } else { 0 }
}

/// An indirect branch prediction barrier, on this core.
pub fn predictor_barrier() {
    // SAFETY: a command, which changes no memory.
    unsafe { msr::try_write(IA32_PRED_CMD, 1) };
}

/// Flushes the L1 data cache of this core.
pub fn flush_l1d() {
    // SAFETY: a command, which changes no memory.
    unsafe { msr::try_write(IA32_FLUSH_CMD, 1) };
}

/// IA32_SPEC_CTRL; 0 where the CPU does not have it.
pub(super) fn spec_ctrl() -> u64 {
    msr::try_read(IA32_SPEC_CTRL).unwrap_or(0)
}

/// Sets IA32_SPEC_CTRL. A value that the CPU refuses changes nothing.
pub(super) fn set_spec_ctrl(value: u64) {
    // SAFETY: the register says how the CPU may speculate; it changes no memory and nothing that the code computes.
    unsafe { msr::try_write(IA32_SPEC_CTRL, value) };
}

/// Reads all of `buffer`, which is larger than the L1 data cache, so that nothing else is left there: first a byte of each
/// page, for the TLB, then each line, with no walk of the page tables between them.
pub(super) fn fill_l1d(buffer: &[u8]) {
    const PAGE: usize = crate::base::PAGE_SIZE as usize;
    for step in [PAGE, LINE] {
        for byte in buffer.iter().step_by(step) {
            // SAFETY: a reference is valid for reads. Volatile, for nobody wants what is read.
            unsafe { core::ptr::from_ref(byte).read_volatile() };
        }
        // SAFETY: LFENCE waits for the reads before it, and has no other effect (every CPU with long mode has it).
        unsafe { asm!("lfence", options(nostack, preserves_flags)) };
    }
}
