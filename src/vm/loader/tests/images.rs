//! Good images, built by hand.

use std::vec;
use std::vec::Vec;

use crate::base::{Gpa, MIB};
use crate::vm::loader::{Boot, MemoryMap, put};

/// Where the images' code is filled with this.
pub const CODE: u8 = 0xf4;

/// A VM of `memory` mebibytes.
pub fn map(memory: u64) -> MemoryMap {
    MemoryMap::new(memory * MIB).unwrap()
}

/// For it.
pub fn boot<'a>(map: &'a MemoryMap, command_line: &'a str) -> Boot<'a> {
    Boot { map, rsdp: Gpa::new(0xf_0000), command_line }
}

/// Overwrites a field.
pub fn set(image: &mut [u8], offset: usize, value: impl Into<u64>, bytes: usize) {
    let value = value.into().to_le_bytes();
    put(image, offset, &value[..bytes]);
}

/// A little-endian number of up to eight bytes.
pub fn get(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

/// Bytes of the bzImage's protected-mode code.
pub const PAYLOAD: usize = 0x2000;
/// Bytes of its boot sector and setup code.
pub const SETUP: usize = 5 * 512;

/// A relocatable 64-bit kernel, protocol 2.15, that prefers 16 MiB and needs 4 MiB.
pub fn bzimage() -> Vec<u8> {
    let mut image = vec![0; SETUP];
    for (offset, value, bytes) in [
        (0x1f1, 4, 1),
        (0x1f4, PAYLOAD as u64 / 16, 4),
        (0x1fa, 0xffff, 2),
        (0x1fe, 0xaa55, 2),
        (0x200, 0x6aeb, 2),
        (0x202, 0x5372_6448, 4),
        (0x206, 0x020f, 2),
        (0x210, 0x77, 1),
        (0x211, 0b1000_0001, 1),
        (0x214, 0x10_0000, 4),
        (0x22c, 0x7fff_ffff, 4),
        (0x230, 0x20_0000, 4),
        (0x234, 1, 1),
        (0x235, 21, 1),
        (0x236, 0b11, 2),
        (0x238, 2047, 4),
        (0x258, 16 * MIB, 8),
        (0x260, 4 * MIB, 4),
        (0x268, 0x1234, 4),
    ] {
        set(&mut image, offset, value, bytes);
    }
    image.extend(vec![CODE; PAYLOAD]);
    image
}

/// Where the ELF kernel's Multiboot header is.
pub const HEADER: usize = 0x1000;

/// The Multiboot header with these flags.
fn header(flags: u32) -> [u8; 12] {
    let mut header = [0; 12];
    set(&mut header, 0, 0x1bad_b002_u32, 4);
    set(&mut header, 4, flags, 4);
    set(&mut header, 8, 0x1bad_b002_u32.wrapping_add(flags).wrapping_neg(), 4);
    header
}

/// An ELF32 kernel: code at 1 MiB, then data with zeros behind it at 2 MiB, virtual addresses 3 GiB higher; and a note.
pub fn elf_kernel() -> Vec<u8> {
    let mut image = vec![0; 0x1000];
    put(&mut image, 0, b"\x7fELF\x01\x01\x01");
    for (offset, value, bytes) in [
        (16, 2, 2),
        (18, 3, 2),
        (20, 1, 4),
        (24, 0xc010_0010_u64, 4),
        (28, 52, 4),
        (40, 52, 2),
        (42, 32, 2),
        (44, 3, 2),
    ] {
        set(&mut image, offset, value, bytes);
    }
    // Type, offset in the file, virtual, physical, bytes in the file, in memory, flags, alignment.
    for (i, header) in [
        [1, 0x1000, 0xc010_0000_u64, 0x10_0000, 0x400, 0x400, 5, 0x1000],
        [4, 0, 0, 0, 0, 0, 4, 4],
        [1, 0x1400, 0xc020_0400, 0x20_0400, 0x100, 0x3000, 6, 0x1000],
    ]
    .iter()
    .enumerate()
    {
        for (j, value) in header.iter().enumerate() {
            set(&mut image, 52 + 32 * i + 4 * j, *value, 4);
        }
    }
    image.extend([CODE; 0x400]);
    image.extend([0xda; 0x100]);
    put(&mut image, HEADER, &header(0b11));
    image
}

/// A kernel that is no ELF file, loaded to 0x101000 by the header at byte 0x20 of it, with zeros behind it.
pub fn addressed_kernel() -> Vec<u8> {
    let mut image = vec![CODE; 0x200];
    put(&mut image, 0x20, &header(1 << 16));
    for (i, value) in [0x10_1010_u32, 0x10_1000, 0x10_1100, 0x10_2000, 0x10_1080].into_iter().enumerate() {
        set(&mut image, 0x2c + 4 * i, value, 4);
    }
    image
}
