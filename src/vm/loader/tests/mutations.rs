//! Good images with bytes changed, and any bytes at all.

use std::vec::Vec;

use proptest::prelude::*;

use super::images::{SETUP, addressed_kernel, boot, bzimage, elf_kernel, map, set};
use crate::vm::loader::fuzz::{check, fuzz};
use crate::vm::loader::{Module, Protocol, load_linux, load_multiboot};

/// Numbers near which things go wrong.
const EXTREMES: [u64; 20] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0x1000,
    0x7fff,
    0xffff,
    0x9_f000,
    0xa_0000,
    0xf_0000,
    0x10_0000,
    0x3ff_f000,
    0x400_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_f000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Loads `image` by all loaders that it may be for, into a small VM and a bigger one.
fn try_all(image: &[u8]) -> bool {
    let modules = [Module { command_line: "m", bytes: image }, Module { command_line: "", bytes: &[] }];
    let mut loaded = false;
    for memory in [1, 64] {
        let map = map(memory);
        let boot = boot(&map, "a b");
        for protocol in [None, Some(Protocol::Bits32), Some(Protocol::Bits64)] {
            loaded |= check(&map, |ram| load_linux(ram, &boot, image, Some(image), protocol)).is_some();
        }
        loaded |= check(&map, |ram| load_multiboot(ram, &boot, image, &modules)).is_some();
    }
    loaded
}

#[test]
fn every_field_extreme() {
    let (mut loaded, mut tries) = (0, 0);
    let headers = [(bzimage(), 0x1f1..0x270), (elf_kernel(), 0..52 + 3 * 32), (addressed_kernel(), 0x20..0x40)];
    for (image, fields) in headers {
        assert!(try_all(&image));
        for offset in fields {
            for value in EXTREMES {
                for bytes in [1, 4, 8] {
                    if bytes < 8 && value >> (8 * bytes) != 0 {
                        continue;
                    }
                    let mut image = image.clone();
                    set(&mut image, offset, value, bytes);
                    loaded += u32::from(try_all(&image));
                    tries += 1;
                }
            }
        }
    }
    // The loaders are neither blind nor squeamish.
    assert!(loaded > tries / 10 && loaded < tries * 9 / 10, "{loaded} of {tries} were loaded");
}

#[test]
fn every_length() {
    for image in [bzimage(), elf_kernel(), addressed_kernel()] {
        let ends =
            (0..image.len()).filter(|&end| end < 0x300 || end % 61 == 0 || end % 512 < 2 || image.len() - end < 4);
        for end in ends {
            let loaded = try_all(&image[..end]);
            // What is behind 0x100 bytes of the image without ELF is not loaded.
            assert!(!loaded || end >= 0x110 && image.len() == 0x200, "loaded with {end} of {} bytes", image.len());
        }
        fuzz(&image);
    }
    assert!(try_all(&bzimage()[..]) && !try_all(&bzimage()[..SETUP]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1500)))]

    #[test]
    fn several_changes(
        which in 0..3_usize,
        changes in prop::collection::vec((0..0x280_usize, prop::sample::select(&EXTREMES[..]), 1..9_usize), 1..6),
        length in prop::option::of(0..0x2c00_usize),
    ) {
        let mut image = [bzimage(), elf_kernel(), addressed_kernel()][which].clone();
        for (offset, value, bytes) in changes {
            // The setup header begins late.
            let offset = if which == 0 { 0x1f1 + offset % 0x80 } else { offset % 0x98 };
            set(&mut image, offset, value, bytes);
        }
        image.truncate(length.unwrap_or(image.len()));
        try_all(&image);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz(&bytes);
    }

    #[test]
    fn any_text(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..24)) {
        let text: Vec<u8> = words.concat().bytes().collect();
        fuzz(&text);
    }
}

/// What descriptions are made of.
const WORDS: [&str; 30] = [
    "linux ",
    "initrd ",
    "multiboot ",
    "module ",
    "flat ",
    "\n",
    "\nlinux ",
    "\nflat ",
    "name=a ",
    "name= ",
    "memory=1M ",
    "memory=0x40M ",
    "memory=18446744073709551615G ",
    "core=1 ",
    "budget=0 ",
    "budget=99999999999 ",
    "console=raw ",
    "expect=exit:3 ",
    "expect=haltt ",
    "protocol=32 ",
    "at=0 ",
    "at=0x9efff ",
    "entry=0 ",
    "entry=0xfffff ",
    "-- ",
    "--",
    "= ",
    "/boot/x ",
    "\u{fffd}é=ü ",
    "=\t",
];
