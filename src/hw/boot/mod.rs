//! Multiboot headers and the way from the loader's 32-bit entry to `kernel_main` in the higher half.

use crate::base::Hpa;
use crate::hw::percpu::Stacks;

core::arch::global_asm!(include_str!("boot.S"));

unsafe extern "C" {
    static __stack_top_main: u8;
    static __stack_top_nmi: u8;
    static __stack_top_df: u8;
    static __stack_top_mc: u8;
}

/// What the entry code hands over.
#[derive(Clone, Copy, Debug)]
pub struct Handover {
    /// HPA of the Multiboot2 boot information.
    pub info: Hpa,
    /// How far above its linked address the image was loaded, in bytes.
    pub load_delta: u64,
    /// The TSC at the entry.
    pub tsc: u64,
}

/// The boot core's stacks, in the image; each has an unmapped page under it once the kernel's page tables are on.
pub(super) fn stacks() -> Stacks {
    Stacks {
        main: &raw const __stack_top_main as u64,
        nmi: &raw const __stack_top_nmi as u64,
        double_fault: &raw const __stack_top_df as u64,
        machine_check: &raw const __stack_top_mc as u64,
    }
}

/// Makes `$main`, a `fn(Handover) -> !`, what `boot.S` calls in the higher half: on the boot core, with interrupts off,
/// the first 4 GiB in the direct map, and no exception handlers yet.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn kernel_main(info: u64, load_delta: u64, tsc: u64) -> ! {
            let main: fn($crate::hw::boot::Handover) -> ! = $main;
            main($crate::hw::boot::Handover { info: $crate::base::Hpa::new(info), load_delta, tsc })
        }
    };
}
