//! What a Multiboot kernel finds.

use std::string::ToString;
use std::vec::Vec;

use super::images::{CODE, HEADER, addressed_kernel, boot, elf_kernel, get, map, set};
use crate::base::cpu::{cr0, rflags};
use crate::base::{Gpr, MIB, Mode};
use crate::vm::loader::fuzz::{Ram, check};
use crate::vm::loader::{Entry, LoadError, Module, Part, load_multiboot};

const MODULES: [Module<'_>; 3] = [
    Module { command_line: "first one", bytes: &[1; 5000] },
    Module { command_line: "", bytes: &[] },
    Module { command_line: "third", bytes: &[3; 1] },
];

fn load(image: &[u8], modules: &[Module<'_>]) -> (Entry, Ram) {
    let map = map(16);
    check(&map, |ram| load_multiboot(ram, &boot(&map, "quiet"), image, modules)).expect("it loads")
}

fn error(image: &[u8]) -> LoadError {
    let map = map(16);
    load_multiboot(&mut Ram::new(&map), &boot(&map, ""), image, &MODULES).expect_err("it does not load")
}

fn changed(mut image: Vec<u8>, offset: usize, value: u64, bytes: usize) -> Vec<u8> {
    set(&mut image, offset, value, bytes);
    image
}

#[test]
fn an_elf_kernel_and_its_modules() {
    let (Entry { state, gprs }, ram) = load(&elf_kernel(), &MODULES);
    // The entry is a virtual address in the file.
    assert_eq!((state.mode(), state.rip), (Mode::Protected32, 0x10_0010));
    assert_eq!((state.cr0 & (cr0::PE | cr0::PG), state.rflags), (cr0::PE, rflags::FIXED));
    assert_eq!(gprs.get(Gpr::Rax), 0x2bad_b002);
    assert_eq!(ram.read(0x10_0010, 1), [CODE]);
    assert_eq!(ram.read(0x20_03ff, 2), [0, 0xda]);
    assert_eq!(ram.read(0x20_04ff, 2), [0xda, 0]);

    let word = |at: u64| get(&ram.read(at, 4));
    let info = gprs.get(Gpr::Rbx);
    let field = |offset: u64| word(info + offset);
    assert_eq!(field(0), 0b10_0100_1101);
    assert_eq!((field(4), field(8)), (636, 15 * 1024));
    assert_eq!(ram.read(field(16), 6), b"quiet\0");
    assert_eq!(ram.read(field(64), 3), b"hv\0");
    assert_eq!(field(20), 3);
    let module = |i: u64| (word(field(24) + 16 * i), word(field(24) + 16 * i + 4), word(field(24) + 16 * i + 8));
    // Behind the kernel's zeros, each at a page.
    assert_eq!((module(0).0, module(0).1), (0x20_4000, 0x20_4000 + 5000));
    assert_eq!(module(1).0, module(1).1);
    assert_eq!((module(2).0, module(2).1), (0x20_6000, 0x20_6001));
    assert_eq!(ram.read(module(2).0, 2), [3, 0]);
    assert_eq!(ram.read(module(0).2, 10), b"first one\0");
    assert_eq!(ram.read(module(1).2, 1), [0]);
    assert_eq!(ram.read(module(2).2, 6), b"third\0");
    // The memory map, walked as the specification says.
    let (mut at, end) = (field(48), field(48) + field(44));
    let mut lines = Vec::new();
    while at < end {
        lines.push((get(&ram.read(at + 4, 8)), get(&ram.read(at + 12, 8)), word(at + 20)));
        at += word(at) + 4;
    }
    let expected: Vec<_> =
        map(16).e820().iter().map(|l| (l.start.raw(), l.bytes, u64::from(l.kind.number()))).collect();
    assert_eq!((at, lines), (end, expected));
}

#[test]
fn an_entry_may_be_physical() {
    assert_eq!(load(&changed(elf_kernel(), 24, 0x10_0020, 4), &[]).0.state.rip, 0x10_0020);
    // In the zeros at the end.
    assert_eq!(load(&changed(elf_kernel(), 24, 0x20_33ff, 4), &[]).0.state.rip, 0x20_33ff);
    let outside = LoadError::KernelEntry { entry: 0x20_3400, offset: 24 };
    assert_eq!(error(&changed(elf_kernel(), 24, 0x20_3400, 4)), outside);
}

#[test]
fn a_kernel_in_low_memory() {
    // It takes all where the information would be.
    let mut image = changed(elf_kernel(), 52 + 12, 0x1000, 4);
    set(&mut image, 52 + 20, 0x9e000_u64, 4);
    set(&mut image, 24, 0x1000_u64, 4);
    let (entry, ram) = load(&image, &MODULES);
    assert!(entry.gprs.get(Gpr::Rbx) > 0x20_6000);
    assert!(ram.is_written(entry.state.gdtr.base));
}

#[test]
fn a_kernel_by_addresses() {
    let (entry, ram) = load(&addressed_kernel(), &MODULES);
    assert_eq!(entry.state.rip, 0x10_1080);
    // 0x10 bytes before the header to 0x100 behind that.
    assert_eq!(ram.read(0x10_1010, 4), 0x1bad_b002_u32.to_le_bytes());
    assert_eq!(ram.read(0x10_10ff, 2), [CODE, 0]);
    let list = get(&ram.read(entry.gprs.get(Gpr::Rbx) + 24, 4));
    assert_eq!(get(&ram.read(list, 4)), 0x10_2000);
    // No ends: the whole file, and nothing behind it.
    let whole = changed(changed(addressed_kernel(), 0x34, 0, 4), 0x38, 0, 4);
    assert_eq!(load(&whole, &[]).1.read(0x10_1000 + 0x1f0 - 1, 2), [CODE, 0]);
}

#[test]
fn headers_that_are_refused() {
    assert_eq!(error(&[]), LoadError::NoHeader { newer: None });
    let mut late = std::vec![0; 8192 - 0x28];
    late.extend(addressed_kernel());
    assert!(matches!(error(&late), LoadError::Short { what: "the Multiboot header", .. }));
    late.splice(0..0, [0; 64]);
    assert_eq!(error(&late), LoadError::NoHeader { newer: None });
    let newer = changed(elf_kernel(), HEADER, 0xe852_50d6, 4);
    assert_eq!(error(&newer), LoadError::NoHeader { newer: Some(HEADER as u64) });
    let sum = changed(elf_kernel(), HEADER + 8, 0, 4);
    assert!(matches!(error(&sum), LoadError::Checksum { offset: 0x1008, sum: 0x1bad_b005 }));
    // A wrong one does not hide a right one behind it.
    let decoy = changed(elf_kernel(), 0x800, 0x1bad_b002, 4);
    load(&decoy, &[]);
    let mut graphics = changed(elf_kernel(), HEADER + 4, 0b100, 4);
    set(&mut graphics, HEADER + 8, 0x1bad_b006_u32.wrapping_neg(), 4);
    assert_eq!(error(&graphics), LoadError::RequiredFlags { offset: 0x1004, flags: 4 });
    assert!(error(&graphics).to_string().contains("flag 2, at byte 0x1004"));
}

#[test]
fn addresses_that_are_refused() {
    let with = |field: usize, value: u64| error(&changed(addressed_kernel(), 0x2c + 4 * field, value, 4));
    let is_address = |error| matches!(error, LoadError::HeaderAddress { .. });
    assert!(is_address(with(0, 0x10_0fff)));
    assert!(is_address(with(0, 0x10_1021)));
    assert!(is_address(with(2, 0x10_0fff)));
    assert!(is_address(with(3, 0x10_10ff)));
    assert!(matches!(with(2, 0xffff_ffff), LoadError::Short { .. }));
    assert!(matches!(with(3, 0xffff_ffff), LoadError::NotRam { part: Part::Kernel, .. }));
    assert!(matches!(with(4, 0x10_2000), LoadError::KernelEntry { .. }));
}

#[test]
fn elf_files_that_are_refused() {
    let with = |offset, value, bytes| error(&changed(elf_kernel(), offset, value, bytes));
    assert_eq!(with(0, 0, 4), LoadError::NotElf { header: HEADER as u64 });
    assert_eq!(with(4, 2, 1), LoadError::Elf64);
    assert!(matches!(with(5, 2, 1), LoadError::NotElf { .. }));
    assert!(matches!(with(16, 3, 2), LoadError::Elf { offset: 16, value: 3, .. }));
    assert!(matches!(with(18, 62, 2), LoadError::Elf { offset: 18, .. }));
    assert!(matches!(with(42, 56, 2), LoadError::Elf { offset: 42, .. }));
    assert_eq!(with(44, 0, 2), LoadError::NoSegments);
    assert!(matches!(with(44, 0xffff, 2), LoadError::Short { .. }));
    assert!(matches!(with(28, 0xffff_fff0, 4), LoadError::Short { .. }));
    assert!(matches!(with(52 + 4, 0xffff_fff0, 4), LoadError::Short { .. }));
    assert!(matches!(with(52 + 20, 0x3ff, 4), LoadError::SegmentSize { number: 0, offset: 52, .. }));
    assert!(matches!(with(52 + 20, 0xffff_ffff, 4), LoadError::NotRam { part: Part::Segment(0), .. }));
    // Into the hole, the firmware's tables, and each other.
    assert!(matches!(with(52 + 12, 0xa0000, 4), LoadError::NotRam { .. }));
    assert!(matches!(with(52 + 12, 0xf0000, 4), LoadError::NotRam { .. }));
    let overlap = with(52 + 64 + 12, 0x10_03ff, 4);
    assert!(matches!(overlap, LoadError::Overlap { part: Part::Segment(2), other: Part::Segment(0), .. }));
    assert_eq!(overlap.offset(), Some(52 + 64));
}

#[test]
fn too_many_segments() {
    let mut image = elf_kernel();
    let table = image.len();
    for i in 0..65_u32 {
        for word in [1, 0x1000, 0, 0x10_0000 + 0x100 * i, 0x100, 0x100, 5, 0] {
            image.extend(word.to_le_bytes());
        }
    }
    set(&mut image, 28, table as u64, 4);
    set(&mut image, 44, 65_u64, 2);
    set(&mut image, 24, 0x10_0000_u64, 4);
    assert_eq!(error(&image), LoadError::ManySegments { most: 64 });
    set(&mut image, 44, 64_u64, 2);
    load(&image, &MODULES);
}

#[test]
fn modules_that_do_not_fit() {
    let map = map(16);
    let big = std::vec![1; 14 * MIB as usize];
    let modules = [Module { command_line: "", bytes: &big }];
    let error = load_multiboot(&mut Ram::new(&map), &boot(&map, ""), &elf_kernel(), &modules);
    assert!(matches!(error, Err(LoadError::NoRoom { part: Part::Module(1), .. })));
}
