//! Interrupts of the host. They are off except in [`window`].

use crate::hw::machine_check;
use core::arch::asm;

/// The local APIC's timer.
pub const TIMER: u8 = 0x20;
/// A kick by another core: "look at your pending events".
pub const KICK: u8 = 0x21;
/// Where the legacy interrupt controllers would deliver, were they not masked.
pub const LEGACY: u8 = 0x30;
/// The local APIC's error interrupt.
pub const LAPIC_ERROR: u8 = 0xfe;
/// The local APIC's spurious interrupt.
pub const SPURIOUS: u8 = 0xff;

/// Takes all interrupts that are pending on this core.
#[inline]
pub fn window() {
    // SAFETY: the handlers save all registers and touch only atomics. STI holds interrupts off for one instruction:
    // the NOP is that one, and they come before CLI.
    unsafe { asm!("sti", "nop", "cli", options(nostack)) };
}

/// Runs the host's NMI handler, as for an NMI that made a guest exit. NMIs are not blocked by it.
pub fn raise_nmi_handler() {
    // SAFETY: vector 2 has a handler with a stack of its own.
    unsafe { asm!("int 2") };
}

/// Runs the host's machine-check handler, as for a machine check that made a guest exit, and logs what it found.
pub fn raise_machine_check_handler() {
    // SAFETY: vector 18 has a handler with a stack of its own.
    unsafe { asm!("int 18") };
    machine_check::report();
}

/// Moves the legacy interrupt controllers' vectors away from the exceptions and masks all of them.
pub fn silence_legacy() {
    use x86_64::instructions::port::Port;
    const MASTER: u16 = 0x20;
    const SLAVE: u16 = 0xa0;
    // ICW1: initialize, ICW4 follows. ICW2: vectors. ICW3: the slave is at input 2. ICW4: 8086 mode. OCW1: mask all.
    let writes = [
        (MASTER, 0x11),
        (SLAVE, 0x11),
        (MASTER + 1, LEGACY),
        (SLAVE + 1, LEGACY + 8),
        (MASTER + 1, 4),
        (SLAVE + 1, 2),
        (MASTER + 1, 1),
        (SLAVE + 1, 1),
        (MASTER + 1, 0xff),
        (SLAVE + 1, 0xff),
    ];
    for (port, value) in writes {
        // SAFETY: these are the 8259s' ports on every PC, and we rely on none of their interrupts.
        unsafe { Port::<u8>::new(port).write(value) };
    }
}
