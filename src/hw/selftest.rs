//! Breaking the hypervisor on purpose, to see what it says.

/// Writes to an address where nothing is mapped.
pub fn fault() -> ! {
    // SAFETY: nothing is mapped there: the write faults and changes nothing.
    unsafe { core::ptr::without_provenance_mut::<u8>(0xdead_0000).write_volatile(1) };
    panic!("a write to nowhere did not fault");
}

/// Runs the stack into its guard page.
pub fn stack_overflow() -> ! {
    #[inline(never)]
    #[expect(unconditional_recursion)]
    fn deeper(depth: u64) -> u64 {
        let mut room = [depth; 32];
        // The address escapes, so every call keeps its frame.
        core::hint::black_box(&mut room);
        deeper(depth + 1) + room[depth as usize % 32]
    }
    panic!("{} calls did not overflow the stack", deeper(0));
}
