//! Interrupts of the host. They are off except in [`window`].

use crate::hw::machine_check;
use core::arch::asm;

/// The local APIC's timer.
pub const TIMER: u8 = 0x20;
/// A kick by another core: "look at your pending events".
pub const KICK: u8 = 0x21;
/// Where the legacy interrupt controllers would deliver, were they not masked.
pub const LEGACY: u8 = 0x30;
/// The last of those vectors.
pub const LEGACY_LAST: u8 = LEGACY + 15;
/// The local APIC's error interrupt.
pub const LAPIC_ERROR: u8 = 0xfe;
/// The local APIC's spurious interrupt.
pub const SPURIOUS: u8 = 0xff;

/// Command ports of the two 8259s; the mask is at the next one.
const MASTER: u16 = 0x20;
const SLAVE: u16 = 0xa0;

/// Takes all interrupts that are pending on this core.
#[inline]
pub fn window() {
    // SAFETY: the handlers save all registers and touch only atomics. STI holds interrupts off for one instruction:
    // the NOP is that one, and they come before CLI.
    unsafe { asm!("sti", "nop", "cli", options(nostack)) };
}

/// Waits for an interrupt, and takes it.
#[inline]
pub fn wait() {
    // SAFETY: as in `window`; STI holds interrupts off until HLT waits for them, so that none is missed in between.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
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

/// Lets input `irq` (0 to 15) of the legacy interrupt controllers interrupt the executing core, at [`LEGACY`] + `irq`.
pub fn open_legacy(irq: u8) {
    use x86_64::instructions::port::Port;
    // An input of the slave needs the master's input 2.
    let both = if irq < 8 { [(MASTER, irq), (MASTER, irq)] } else { [(SLAVE, irq - 8), (MASTER, 2)] };
    for (chip, input) in both {
        let mut mask = Port::<u8>::new(chip + 1);
        // SAFETY: the 8259s are masked by `silence_legacy`; the vector has a handler, which ends the interrupt.
        unsafe {
            let old = mask.read();
            mask.write(old & !(1 << input));
        }
    }
    super::lapic::take_legacy();
}

/// Ends an interrupt of the legacy interrupt controllers at `vector`, unless it is a spurious one
/// (8259A "Interrupt Sequence", "Read ISR").
#[cfg(target_os = "none")]
pub(super) fn end_of_legacy(vector: u8) {
    use x86_64::instructions::port::Port;
    const READ_ISR: u8 = 0x0b;
    const END: u8 = 0x20;
    let irq = vector.wrapping_sub(LEGACY);
    let slave = irq >= 8;
    // SAFETY: these are the 8259s' ports.
    unsafe {
        let mut command = Port::<u8>::new(if slave { SLAVE } else { MASTER });
        command.write(READ_ISR);
        if command.read() >> (irq & 7) & 1 != 0 {
            command.write(END);
        }
        // The master has its input 2 in service, also for a spurious interrupt of the slave.
        if slave {
            Port::<u8>::new(MASTER).write(END);
        }
    }
}

/// Moves the legacy interrupt controllers' vectors away from the exceptions and masks all of them.
pub fn silence_legacy() {
    use x86_64::instructions::port::Port;
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
