//! The local APIC: end of interrupt, inter-processor interrupts, timer. xAPIC by memory, x2APIC by MSR when there.

use crate::base::{Hpa, PAGE_SIZE};
use crate::hw::{irq, msr, percpu, time};
use core::sync::atomic::{AtomicU64, Ordering};
use raw_cpuid::CpuId;
use x86::msr::IA32_APIC_BASE;

/// SDM 3A "Local APIC Register Address Map"; the MSR is 0x800 + offset / 16.
mod reg {
    pub const ID: u32 = 0x20;
    pub const TPR: u32 = 0x80;
    pub const EOI: u32 = 0xb0;
    pub const SPURIOUS: u32 = 0xf0;
    pub const ISR: u32 = 0x100;
    pub const ERROR: u32 = 0x280;
    pub const ICR: u32 = 0x300;
    pub const ICR_HIGH: u32 = 0x310;
    pub const LVT_TIMER: u32 = 0x320;
    pub const LVT_LINT0: u32 = 0x350;
    pub const LVT_LINT1: u32 = 0x360;
    pub const LVT_ERROR: u32 = 0x370;
    pub const INITIAL_COUNT: u32 = 0x380;
    pub const CURRENT_COUNT: u32 = 0x390;
    pub const DIVIDE: u32 = 0x3e0;
}

const MASKED: u32 = 1 << 16;
const BASE_ENABLE: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;
/// Delivery modes, with level assert where the manual asks for it.
const ICR_INIT: u32 = 0x4500;
const ICR_STARTUP: u32 = 0x4600;
const ICR_NMI: u32 = 0x4400;
const ICR_FIXED: u32 = 0x4000;
const ICR_EXTINT: u32 = 0x4700;
const ICR_PENDING: u32 = 1 << 12;

/// Linear address of the registers, or one of these.
static REGISTERS: AtomicU64 = AtomicU64::new(NONE);
const NONE: u64 = 0;
const BY_MSR: u64 = 1;

/// How the registers are reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// By memory at this HPA, one page: map it uncached.
    XApic(Hpa),
    /// By MSR.
    X2Apic,
}

/// What this machine's local APICs are to be used as.
pub fn mode() -> Mode {
    let base = msr::read(IA32_APIC_BASE);
    let offered = CpuId::new().get_feature_info().is_some_and(|f| f.has_x2apic());
    if offered || base & BASE_X2APIC != 0 {
        Mode::X2Apic
    } else {
        Mode::XApic(Hpa::new(base & 0x000f_ffff_ffff_ffff).page())
    }
}

/// Says how the registers are reached, once, before any core's [`enable`].
///
/// # Safety
/// For [`Mode::XApic`], `registers` is its page, mapped uncached and writable for good.
pub unsafe fn use_mode(mode: Mode, registers: *mut u8) {
    let address = match mode {
        Mode::X2Apic => BY_MSR,
        Mode::XApic(_) => registers as u64 & !(PAGE_SIZE - 1),
    };
    REGISTERS.store(address, Ordering::Release);
}

#[inline]
fn read(reg: u32) -> u32 {
    match REGISTERS.load(Ordering::Relaxed) {
        NONE => 0,
        BY_MSR => msr::read(0x800 + reg / 16) as u32,
        // SAFETY: `use_mode`'s contract; all offsets are inside the page and aligned.
        base => unsafe { ((base + u64::from(reg)) as *const u32).read_volatile() },
    }
}

#[inline]
fn write(reg: u32, value: u32) {
    match REGISTERS.load(Ordering::Relaxed) {
        NONE => {}
        // SAFETY: the local APIC's registers do not touch memory that Rust knows.
        BY_MSR => unsafe { msr::write(0x800 + reg / 16, value.into()) },
        // SAFETY: as in `read`.
        base => unsafe { ((base + u64::from(reg)) as *mut u32).write_volatile(value) },
    }
}

/// Turns the executing core's local APIC on, its local interrupts masked, and notes its id.
pub fn enable() {
    let base = msr::read(IA32_APIC_BASE);
    let by_msr = REGISTERS.load(Ordering::Acquire) == BY_MSR;
    // SAFETY: keeps the base address; no code of ours relies on the local APIC being off.
    unsafe {
        // SDM 3A "x2APIC State Transitions": from off only by way of xAPIC.
        if base & BASE_ENABLE == 0 {
            msr::write(IA32_APIC_BASE, base | BASE_ENABLE);
        }
        if by_msr && base & BASE_X2APIC == 0 {
            msr::write(IA32_APIC_BASE, base | BASE_ENABLE | BASE_X2APIC);
        }
    }
    write(reg::SPURIOUS, 0x100 | u32::from(irq::SPURIOUS));
    write(reg::INITIAL_COUNT, 0);
    for lvt in [reg::LVT_LINT0, reg::LVT_LINT1] {
        write(lvt, MASKED | u32::from(irq::SPURIOUS));
    }
    // One-shot. Nothing is interrupted before it is given a count.
    write(reg::LVT_TIMER, u32::from(irq::TIMER));
    write(reg::LVT_LINT1, ICR_NMI & 0x700);
    // Firmware and loaders may leave a priority threshold or an interrupt in service behind: either would hold back ours.
    write(reg::TPR, 0);
    let any_in_service = || (0..8).any(|word| read(reg::ISR + 16 * word) != 0);
    for _ in 0..256 {
        if !any_in_service() {
            break;
        }
        end_of_interrupt();
    }
    clear_errors();
    write(reg::LVT_ERROR, irq::LAPIC_ERROR.into());
    // Divide by 1.
    write(reg::DIVIDE, 0b1011);
    percpu::this().set_apic_id(id());
}

/// Id of the executing core's local APIC.
pub fn id() -> u32 {
    let id = read(reg::ID);
    if REGISTERS.load(Ordering::Relaxed) == BY_MSR { id } else { id >> 24 }
}

/// Whether ids above 8 bits can be addressed.
pub fn is_x2apic() -> bool {
    REGISTERS.load(Ordering::Relaxed) == BY_MSR
}

/// The interrupt in service is done.
#[inline]
pub fn end_of_interrupt() {
    write(reg::EOI, 0);
}

/// Whether the local APIC waits for the end of an interrupt at `vector`.
pub fn in_service(vector: u8) -> bool {
    read(reg::ISR + u32::from(vector / 32) * 0x10) >> (vector % 32) & 1 != 0
}

/// Forgets the errors that the local APIC has recorded.
pub fn clear_errors() {
    // SDM 3A "Error Handling": a write latches what was recorded, the next one clears it.
    write(reg::ERROR, 0);
    write(reg::ERROR, 0);
}

fn send(apic_id: u32, command: u32) {
    if is_x2apic() {
        // SAFETY: as in `write`. WRMSR to the x2APIC is not serializing; make earlier stores visible first.
        unsafe {
            core::arch::asm!("mfence", "lfence", options(nostack, preserves_flags));
            msr::write(0x800 + reg::ICR / 16, u64::from(apic_id) << 32 | u64::from(command));
        }
        return;
    }
    write(reg::ICR_HIGH, apic_id << 24);
    write(reg::ICR, command);
    // Taken within microseconds, or never.
    for _ in 0..100_000 {
        if read(reg::ICR) & ICR_PENDING == 0 {
            break;
        }
        core::hint::spin_loop();
    }
}

/// Sends INIT: the core waits for [`send_startup`].
pub(super) fn send_init(apic_id: u32) {
    send(apic_id, ICR_INIT);
}

/// Sends SIPI: the core begins in real mode at `page`, which is below 1 MiB.
pub(super) fn send_startup(apic_id: u32, page: Hpa) {
    send(apic_id, ICR_STARTUP | page.page_number() as u32 & 0xff);
}

/// Interrupts another core at `vector`, 16 to 255.
pub fn send_ipi(apic_id: u32, vector: u8) {
    send(apic_id, ICR_FIXED | u32::from(vector));
}

/// Sends another core an NMI.
pub fn send_nmi(apic_id: u32) {
    send(apic_id, ICR_NMI);
}

/// Interrupts the executing core once at [`irq::TIMER`], when its TSC is about `at`, but after at most 2^32 timer cycles.
#[inline(always)]
pub fn timer_at(at: u64) {
    let left = at.saturating_sub(time::tsc());
    let count = ((u128::from(left) * u128::from(time::lapic_ratio())) >> 32) as u64;
    write(reg::INITIAL_COUNT, count.saturating_add(1).min(u64::from(u32::MAX)) as u32);
}

/// Stops the timer. One interrupt may already be pending.
pub fn timer_stop() {
    write(reg::INITIAL_COUNT, 0);
}

/// Starts counting down from the top, for calibration. No interrupt comes before its end.
pub(super) fn count_from_top() {
    write(reg::INITIAL_COUNT, u32::MAX);
}

/// Lets the legacy interrupt controllers interrupt the executing core (SDM 3A "Local Vector Table": ExtINT).
pub fn take_legacy() {
    write(reg::LVT_LINT0, ICR_EXTINT & 0x700);
}

/// Timer cycles since [`count_from_top`].
pub(super) fn counted() -> u32 {
    u32::MAX - read(reg::CURRENT_COUNT)
}
