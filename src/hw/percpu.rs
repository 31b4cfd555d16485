//! What belongs to one core: its descriptor tables, its stacks, its counters. Found through the GS base.

use crate::hw::descriptors::Descriptors;
use crate::hw::{boot, msr};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use x86::msr::IA32_GS_BASE;

/// The most cores that are used.
pub const MAX_CORES: usize = 256;

/// Tops of a core's stacks: linear addresses, 16-byte aligned.
#[derive(Clone, Copy, Debug)]
pub struct Stacks {
    /// What its code runs on.
    pub main: u64,
    /// For NMIs.
    pub nmi: u64,
    /// For double faults.
    pub double_fault: u64,
    /// For machine checks.
    pub machine_check: u64,
}

/// One core. Handlers of interrupts and exceptions touch the counters and nothing else.
#[repr(C)]
pub struct PerCpu {
    /// Itself: what GS:0 holds.
    this: AtomicPtr<PerCpu>,
    /// Number of the core: 0 is the one that booted, the others in the order of the MADT.
    index: AtomicU32,
    /// Its local APIC's id.
    apic_id: AtomicU32,
    /// How far it has come up: see `smp`.
    pub(super) state: AtomicU32,
    /// Timer interrupts.
    pub ticks: AtomicU64,
    /// Kicks by other cores.
    pub kicks: AtomicU64,
    /// Non-maskable interrupts.
    pub nmis: AtomicU64,
    /// Machine checks.
    pub machine_checks: AtomicU64,
    /// Spurious interrupts.
    pub spurious: AtomicU64,
    /// Interrupts at vectors that nobody uses.
    pub strays: AtomicU64,
    /// Errors that the local APIC reported.
    pub lapic_errors: AtomicU64,
    /// Its stacks.
    pub stacks: Stacks,
    pub(super) descriptors: Descriptors,
}

/// Adds one.
#[inline]
pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

static ALL: [AtomicPtr<PerCpu>; MAX_CORES] = [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_CORES];

impl PerCpu {
    /// A core that does not run yet. Put it where it stays, then [`PerCpu::settle`].
    pub fn new(index: u32, stacks: Stacks) -> Self {
        Self {
            this: AtomicPtr::new(core::ptr::null_mut()),
            index: AtomicU32::new(index),
            apic_id: AtomicU32::new(u32::MAX),
            state: AtomicU32::new(0),
            ticks: AtomicU64::new(0),
            kicks: AtomicU64::new(0),
            nmis: AtomicU64::new(0),
            machine_checks: AtomicU64::new(0),
            spurious: AtomicU64::new(0),
            strays: AtomicU64::new(0),
            lapic_errors: AtomicU64::new(0),
            stacks,
            descriptors: Descriptors::new(),
        }
    }

    /// Points the descriptor tables at each other, now that the address is final.
    pub fn settle(&'static mut self) -> &'static Self {
        let stacks = self.stacks;
        // SAFETY: the reference is for ever, so this is the final place.
        unsafe { self.descriptors.settle(&stacks) };
        let this = &raw mut *self;
        *self.this.get_mut() = this;
        self
    }

    /// Makes this the state of the executing core: loads GDT, IDT, TSS and the GS base.
    pub(super) fn activate(&'static self) {
        self.descriptors.load();
        // SAFETY: GS:0 holds `this`; nothing else in the hypervisor uses GS.
        unsafe { msr::write(IA32_GS_BASE, self as *const Self as u64) };
    }

    /// Number of the core: 0 is the one that booted.
    #[inline]
    pub fn index(&self) -> u32 {
        self.index.load(Ordering::Relaxed)
    }

    /// Id of its local APIC; `u32::MAX` until that is known.
    #[inline]
    pub fn apic_id(&self) -> u32 {
        self.apic_id.load(Ordering::Relaxed)
    }

    pub(super) fn set_apic_id(&self, id: u32) {
        self.apic_id.store(id, Ordering::Relaxed);
    }

    /// Gives a core its number and makes it known to [`by_index`].
    pub(super) fn publish(&'static self, index: u32) {
        self.index.store(index, Ordering::Relaxed);
        if let Some(slot) = ALL.get(index as usize) {
            slot.store((self as *const Self).cast_mut(), Ordering::Release);
        }
    }
}

/// The executing core. Valid after [`init_boot_core`].
#[inline(always)]
pub fn this() -> &'static PerCpu {
    let this: *const PerCpu;
    // SAFETY: since `activate`, the GS base is that of a `PerCpu`, whose first field is its own address; it is never
    // freed, and shared references are all that is ever made of it after `settle`.
    unsafe {
        core::arch::asm!("mov {}, gs:[0]", out(reg) this, options(nostack, readonly, preserves_flags, pure));
        &*this
    }
}

/// The core with this number, if it runs.
pub fn by_index(index: u32) -> Option<&'static PerCpu> {
    let this = ALL.get(index as usize)?.load(Ordering::Acquire);
    // SAFETY: only `publish` stores there, from a reference that lives for ever.
    unsafe { this.as_ref() }
}

/// All cores that run, in the order of their numbers.
pub fn all() -> impl Iterator<Item = &'static PerCpu> {
    (0..MAX_CORES as u32).map_while(by_index)
}

/// Gives the boot core its state: exceptions are caught from here on. Call once, first of all.
pub fn init_boot_core() {
    static mut BOOT_CORE: core::mem::MaybeUninit<PerCpu> = core::mem::MaybeUninit::uninit();
    let place = &raw mut BOOT_CORE;
    // SAFETY: called once, by the only core that runs, before anybody asks for it.
    let place: &'static mut _ = unsafe { &mut *place };
    let cpu = place.write(PerCpu::new(0, boot::stacks()));
    let cpu = cpu.settle();
    cpu.activate();
    cpu.publish(0);
}
