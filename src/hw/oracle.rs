//! Port 0xE9, through which an emulator is told what we are about to do. Bochs (`port_e9_hack`) writes what it gets there to the
//! stream that its log can go to as well; QEMU (`-debugcon`) to a file. On a real PC nothing is there.

use x86_64::instructions::port::Port;

/// Tells it something.
pub fn tell(bytes: &[u8]) {
    for byte in bytes {
        // SAFETY: no device of a PC is at this port but the emulators' debug console.
        unsafe { Port::new(0xe9).write(*byte) };
    }
}
