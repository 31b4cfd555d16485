//! Starting the other cores: INIT, SIPI, a page below 1 MiB, and a report from each.

use crate::base::{Hpa, PAGE_SIZE};
use crate::hw::percpu::PerCpu;
use crate::hw::{cr, lapic, msr, time};
use alloc::vec::Vec;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use x86::msr::IA32_EFER;

core::arch::global_asm!(include_str!("trampoline.S"), options(att_syntax));

unsafe extern "C" {
    static trampoline_start: u8;
    static trampoline_end: u8;
    static trampoline_parameters: u8;
}

/// How long a core may take, in microseconds.
const TIMEOUT_US: u64 = 100_000;

/// States of a core (`PerCpu::state`).
const PREPARED: u32 = 0;
const ARRIVED: u32 = 1;
const GIVEN_UP: u32 = 2;
const RELEASED: u32 = 3;

/// What the trampoline reads; `trampoline.S` has the same fields in the same order.
#[repr(C)]
struct Parameters {
    /// Where the 32-bit and the 64-bit part begin: offset, selector.
    far32: [u32; 2],
    far64: [u32; 2],
    /// Limit in the upper half of the first word, then the base.
    gdtr: [u32; 2],
    /// Top-level page table with the identity map of the page.
    root: u32,
    /// Low half of EFER: LME, and NXE where the tables use it.
    efer: u32,
    /// Linear address of [`TICKET`]: the next core to come takes that slot.
    ticket: u64,
    /// How many slots there are.
    count: u64,
    /// Linear address of the slots.
    slots: u64,
    /// `ap_main`.
    entry: u64,
}

const _: () = assert!(offset_of!(Parameters, gdtr) == 16);
const _: () = assert!(offset_of!(Parameters, root) == 24);
const _: () = assert!(offset_of!(Parameters, efer) == 28);
const _: () = assert!(offset_of!(Parameters, ticket) == 32);
const _: () = assert!(offset_of!(Parameters, count) == 40);
const _: () = assert!(offset_of!(Parameters, slots) == 48);
const _: () = assert!(offset_of!(Parameters, entry) == 56);

#[repr(C)]
struct Slot {
    stack: u64,
    cpu: &'static PerCpu,
}

/// What a core needs to get from real mode to the kernel's page tables.
#[derive(Clone, Copy, Debug)]
pub struct Trampoline {
    /// A page below 1 MiB, ours for good: a core that comes late may still run there.
    pub page: Hpa,
    /// Where it is mapped for us.
    pub memory: *mut u8,
    /// Top-level page table below 4 GiB: the kernel's upper half, and `page` at its own address.
    pub root: Hpa,
    /// The kernel's own top-level page table.
    pub kernel_root: Hpa,
}

/// What came of it.
#[derive(Debug)]
pub struct Started {
    /// How many cores run, the boot core not counted.
    pub running: usize,
    /// APIC ids of the cores that did not come up.
    pub missing: Vec<u32>,
}

/// The slot of the next core that comes. Not in the trampoline's page, which is mapped without write permission.
static TICKET: AtomicU32 = AtomicU32::new(0);
static KERNEL_ROOT: AtomicU64 = AtomicU64::new(0);
static ENTRY: AtomicU64 = AtomicU64::new(0);

/// Starts the cores `apic_ids`, all at the same time, each with one of `prepared` (as many), and has each run `entry`;
/// when that returns, the core halts for good. Numbers are given in the order of `apic_ids`, from 1.
///
/// # Safety
/// `trampoline` is as its fields say, the page has at least 4096 writable bytes that nobody else uses.
pub unsafe fn start(
    apic_ids: &[u32],
    prepared: &[&'static PerCpu],
    trampoline: Trampoline,
    entry: fn(&'static PerCpu),
) -> Started {
    KERNEL_ROOT.store(trampoline.kernel_root.raw(), Ordering::Relaxed);
    ENTRY.store(entry as usize as u64, Ordering::Relaxed);
    let slots: Vec<Slot> = prepared.iter().map(|cpu| Slot { stack: cpu.stacks.main, cpu }).collect();
    // Never freed: a core may still come late.
    let slots = slots.leak();
    // SAFETY: this function's contract.
    unsafe { write_trampoline(&trampoline, slots) };

    for &id in apic_ids {
        lapic::send_init(id);
    }
    // SDM 3A "Typical BSP Initialization Sequence": INIT, 10 ms, SIPI, 200 µs, SIPI.
    time::delay_us(10_000);
    for &id in apic_ids {
        lapic::send_startup(id, trampoline.page);
    }
    let arrived = |cpu: &PerCpu| cpu.state.load(Ordering::Acquire) == ARRIVED;
    let all_here = || prepared.iter().all(|cpu| arrived(cpu));
    if !time::wait_until(200, all_here) {
        let here: Vec<u32> = prepared.iter().filter(|c| arrived(c)).map(|c| c.apic_id()).collect();
        for &id in apic_ids.iter().filter(|id| !here.contains(id)) {
            lapic::send_startup(id, trampoline.page);
        }
        time::wait_until(TIMEOUT_US, all_here);
    }
    for cpu in prepared {
        // A core that comes after this parks itself.
        let _ = cpu.state.compare_exchange(PREPARED, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
    }

    let mut started = Started { running: 0, missing: Vec::new() };
    for &id in apic_ids {
        match prepared.iter().find(|c| arrived(c) && c.apic_id() == id) {
            Some(cpu) => {
                started.running += 1;
                cpu.publish(started.running as u32);
                cpu.state.store(RELEASED, Ordering::Release);
            }
            None => started.missing.push(id),
        }
    }
    started
}

/// Copies the code to its page and fills in what it needs to know.
///
/// # Safety
/// As [`start`].
unsafe fn write_trampoline(t: &Trampoline, slots: &'static [Slot]) {
    unsafe extern "C" {
        static trampoline_32: u8;
        static trampoline_64: u8;
        static trampoline_gdt: u8;
    }
    TICKET.store(0, Ordering::Relaxed);
    let start = &raw const trampoline_start;
    let offset = |symbol: *const u8| (symbol as usize - start as usize) as u32;
    let base = t.page.raw() as u32;
    let len = offset(&raw const trampoline_end) as usize;
    assert!(len <= PAGE_SIZE as usize);
    let efer = msr::read(IA32_EFER) as u32 & !(1 << 10);
    let parameters = Parameters {
        far32: [base + offset(&raw const trampoline_32), 0x08],
        far64: [base + offset(&raw const trampoline_64), 0x18],
        gdtr: [(4 * 8 - 1) << 16, base + offset(&raw const trampoline_gdt)],
        root: t.root.raw() as u32,
        efer,
        ticket: TICKET.as_ptr() as u64,
        count: slots.len() as u64,
        slots: slots.as_ptr() as u64,
        entry: ap_main as *const () as u64,
    };
    // SAFETY: the page is writable and ours; code and parameters fit, as asserted; the parameters' place is 8-aligned
    // in an aligned page.
    unsafe {
        core::ptr::copy_nonoverlapping(start, t.memory, len);
        let at = t.memory.add(offset(&raw const trampoline_parameters) as usize).cast::<Parameters>();
        at.write(parameters);
    }
}

/// A core's first Rust code, on its own stack, still on the trampoline's page tables.
extern "C" fn ap_main(cpu: &'static PerCpu) -> ! {
    cr::protect();
    // SAFETY: the kernel's own tables; they have this code, this stack, and no identity map.
    unsafe {
        core::arch::asm!("mov cr3, {}", in(reg) KERNEL_ROOT.load(Ordering::Relaxed), options(nostack, preserves_flags));
    }
    cpu.activate();
    lapic::enable();
    let came = cpu.state.compare_exchange(PREPARED, ARRIVED, Ordering::AcqRel, Ordering::Acquire);
    if came.is_ok() {
        while cpu.state.load(Ordering::Acquire) == ARRIVED {
            core::hint::spin_loop();
        }
        // SAFETY: `start` stored a function of this type before it sent the first IPI.
        let entry: fn(&'static PerCpu) =
            unsafe { core::mem::transmute(ENTRY.load(Ordering::Relaxed) as usize as *const ()) };
        entry(cpu);
    }
    crate::hw::end::halt()
}
