//! Where the hypervisor's own image is: the symbols of `linker.ld`.

use super::map::Range;
use crate::base::{Hpa, PAGE_SIZE};

/// Distance between the linked physical and virtual addresses (`KERNEL_VMA` in `linker.ld`).
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

unsafe extern "C" {
    static __image_start: u8;
    static __image_end: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __data_start: u8;
    static __data_end: u8;
    static __stack_guard_main: u8;
    static __stack_guard_nmi: u8;
    static __stack_guard_df: u8;
    static __stack_guard_mc: u8;
}

/// The image in memory.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// What to add to a linked physical address to get the HPA.
    load_delta: u64,
}

/// Virtual addresses of the pages of one kind of section, `end` not included.
pub type Section = core::ops::Range<u64>;

impl Image {
    /// The image as the entry code found it: loaded `load_delta` bytes above its linked address.
    pub const fn new(load_delta: u64) -> Self {
        Self { load_delta }
    }

    /// The HPA of a virtual address in the image.
    pub const fn hpa(&self, address: u64) -> Hpa {
        Hpa::new((address - KERNEL_BASE) + self.load_delta)
    }

    /// The frames of the whole image, boot code and stacks included.
    pub fn frames(&self) -> Range {
        let start = self.hpa(address(&raw const __image_start)).raw();
        Range { start, end: self.hpa(address(&raw const __image_end)).raw() }
    }

    /// Code.
    pub fn text(&self) -> Section {
        address(&raw const __text_start)..address(&raw const __text_end)
    }

    /// Constants.
    pub fn rodata(&self) -> Section {
        address(&raw const __rodata_start)..address(&raw const __rodata_end)
    }

    /// Variables and the boot core's stacks.
    pub fn data(&self) -> Section {
        address(&raw const __data_start)..address(&raw const __data_end)
    }

    /// The pages among [`Image::data`] that must stay unmapped.
    pub fn guards(&self) -> [u64; 4] {
        [
            address(&raw const __stack_guard_main),
            address(&raw const __stack_guard_nmi),
            address(&raw const __stack_guard_df),
            address(&raw const __stack_guard_mc),
        ]
    }

    /// Whether a code address is in the image.
    pub fn is_text(&self, at: u64) -> bool {
        self.text().contains(&at)
    }
}

fn address(symbol: *const u8) -> u64 {
    debug_assert!((symbol as u64).is_multiple_of(PAGE_SIZE));
    symbol as u64
}
