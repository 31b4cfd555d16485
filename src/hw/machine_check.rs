//! Machine checks: go on where the CPU says that is possible.

use crate::hw::msr;
use crate::hw::percpu::{self, bump};
use crate::hw::trap::TrapFrame;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use x86::msr::{IA32_MCG_CAP, IA32_MCG_STATUS};

/// SDM 3B "IA32_MCG_STATUS MSR": the interrupted program can go on; a machine check is being handled.
const RIPV: u64 = 1 << 0;
const MCIP: u64 = 1 << 2;
/// SDM 3B "IA32_MCi_STATUS MSRS": valid, uncorrected, processor context corrupt.
const VALID: u64 = 1 << 63;
const UNCORRECTED: u64 = 1 << 61;
const CONTEXT_CORRUPT: u64 = 1 << 57;
/// IA32_MC0_STATUS; each bank has four registers.
const MC0_STATUS: u32 = 0x401;

/// What is to be logged, by code that may take locks.
static PENDING: AtomicBool = AtomicBool::new(false);
static LOGGED: AtomicBool = AtomicBool::new(false);
static BANK: AtomicU64 = AtomicU64::new(0);
static STATUS: AtomicU64 = AtomicU64::new(0);

/// The handler of #MC. Logs nothing itself: it may have interrupted the console.
pub(super) fn handle(frame: &TrapFrame) {
    bump(&percpu::this().machine_checks);
    let global = msr::try_read(IA32_MCG_STATUS).unwrap_or(0);
    if global & MCIP == 0 {
        // Nothing happened: an INT 18.
        return;
    }
    let banks = msr::try_read(IA32_MCG_CAP).unwrap_or(0) & 0xff;
    let mut fatal = global & RIPV == 0;
    for bank in 0..banks as u32 {
        let Some(status) = msr::try_read(MC0_STATUS + 4 * bank).filter(|s| s & VALID != 0) else { continue };
        BANK.store(bank.into(), Ordering::Relaxed);
        STATUS.store(status, Ordering::Relaxed);
        PENDING.store(true, Ordering::Release);
        fatal |= status & (UNCORRECTED | CONTEXT_CORRUPT) != 0;
    }
    if fatal {
        crate::hw::panic::fault(frame);
    }
    // SAFETY: clears what was read; changes nothing that code relies on.
    unsafe {
        for bank in 0..banks as u32 {
            msr::try_write(MC0_STATUS + 4 * bank, 0);
        }
        msr::try_write(IA32_MCG_STATUS, 0);
    }
}

/// Says, once, what the first survived machine check was. Call outside of handlers.
pub fn report() {
    if PENDING.swap(false, Ordering::Acquire) && !LOGGED.swap(true, Ordering::Relaxed) {
        let (bank, status) = (BANK.load(Ordering::Relaxed), STATUS.load(Ordering::Relaxed));
        log::warn!("machine check survived: bank {bank} says {status:#018x}; later ones are only counted");
    }
}
