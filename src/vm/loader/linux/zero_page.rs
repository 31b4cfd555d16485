//! The zero page, `struct boot_params` (Linux, Documentation/arch/x86/zero-page.rst).
//!
//! What is not written stays 0: no display (screen_info), no BIOS data, no EFI.

use alloc::vec::Vec;

use super::Layout;
use super::header::{CMD_LINE_PTR, CODE32_START, LOADFLAGS, RAMDISK_IMAGE, RAMDISK_SIZE, START, TYPE_OF_LOADER};
use crate::base::PAGE_SIZE;
use crate::vm::loader::{Boot, put};

const ACPI_RSDP_ADDR: usize = 0x070;
const EXT_RAMDISK_IMAGE: usize = 0x0c0;
const EXT_RAMDISK_SIZE: usize = 0x0c4;
const EXT_CMD_LINE_PTR: usize = 0x0c8;
const ALT_MEM_K: usize = 0x1e0;
const E820_ENTRIES: usize = 0x1e8;
const E820_TABLE: usize = 0x2d0;
/// Bytes of a line of the memory map.
const E820_LINE: usize = 20;

/// A boot loader without a number of its own.
const UNKNOWN_LOADER: u8 = 0xff;
/// loadflags that a loader says, and we do not: QUIET_FLAG, KEEP_SEGMENTS, CAN_USE_HEAP; and the kernel's KASLR_FLAG.
const LOADER_FLAGS: u8 = 0b1110_0010;

/// The zero page, with the setup header as it is in the image, and with what a loader adds to it.
pub fn build(header: &[u8], layout: &Layout, boot: &Boot<'_>) -> Vec<u8> {
    let mut page = alloc::vec![0; PAGE_SIZE as usize];
    put(&mut page, START, header);
    put(&mut page, TYPE_OF_LOADER, &[UNKNOWN_LOADER]);
    if let Some(flags) = page.get_mut(LOADFLAGS) {
        *flags &= !LOADER_FLAGS;
    }
    let (initrd, initrd_size) = layout.initrd.unwrap_or_default();
    put(&mut page, CODE32_START, &low(layout.kernel));
    for (field, extension, value) in [
        (RAMDISK_IMAGE, EXT_RAMDISK_IMAGE, initrd),
        (RAMDISK_SIZE, EXT_RAMDISK_SIZE, initrd_size),
        (CMD_LINE_PTR, EXT_CMD_LINE_PTR, layout.command_line),
    ] {
        put(&mut page, field, &low(value));
        put(&mut page, extension, &low(value >> 32));
    }
    put(&mut page, ACPI_RSDP_ADDR, &boot.rsdp.raw().to_le_bytes());
    put(&mut page, ALT_MEM_K, &boot.map.upper_kib().to_le_bytes());
    let lines = boot.map.e820();
    // At most eight.
    put(&mut page, E820_ENTRIES, &[lines.len() as u8]);
    for (i, line) in lines.iter().enumerate() {
        let at = E820_TABLE + i * E820_LINE;
        put(&mut page, at, &line.start.raw().to_le_bytes());
        put(&mut page, at + 8, &line.bytes.to_le_bytes());
        put(&mut page, at + 16, &line.kind.number().to_le_bytes());
    }
    page
}

/// The low 32 bits.
const fn low(value: u64) -> [u8; 4] {
    (value as u32).to_le_bytes()
}
