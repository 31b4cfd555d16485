//! What a Linux kernel finds.

use std::vec;
use std::vec::Vec;

use super::images::{CODE, PAYLOAD, SETUP, boot, bzimage, get, map, set};
use crate::base::cpu::{cr0, cr4, efer, rflags};
use crate::base::{Gpr, MIB, Mode, Segment};
use crate::vm::loader::fuzz::{Ram, check};
use crate::vm::loader::{Entry, LoadError, Part, Protocol, load_linux};

fn load(memory: u64, image: &[u8], initrd: Option<&[u8]>, protocol: Option<Protocol>) -> (Entry, Ram) {
    let map = map(memory);
    check(&map, |ram| load_linux(ram, &boot(&map, "console=ttyS0"), image, initrd, protocol)).expect("it loads")
}

fn error(image: &[u8]) -> LoadError {
    error_in(64, image, None, None)
}

fn error_in(memory: u64, image: &[u8], initrd: Option<&[u8]>, protocol: Option<Protocol>) -> LoadError {
    let map = map(memory);
    let mut ram = Ram::new(&map);
    load_linux(&mut ram, &boot(&map, "a"), image, initrd, protocol).expect_err("it does not load")
}

fn changed(offset: usize, value: u64, bytes: usize) -> Vec<u8> {
    let mut image = bzimage();
    set(&mut image, offset, value, bytes);
    image
}

#[test]
fn by_the_64_bit_entry() {
    let (Entry { state, gprs }, ram) = load(64, &bzimage(), None, None);
    assert_eq!((state.mode(), state.rip), (Mode::Long64, 16 * MIB + 0x200));
    assert_eq!(state.cr0, cr0::PE | cr0::PG | cr0::NE | cr0::ET);
    assert_eq!((state.cr4, state.efer), (cr4::PAE, efer::LME | efer::LMA));
    assert_eq!(state.rflags, rflags::FIXED);
    assert_eq!((state.segment(Segment::Cs).selector, state.segment(Segment::Ss).selector), (0x10, 0x18));
    assert_eq!((state.tr.attrib & 0xf, state.idtr.limit), (0xb, 0));
    // The descriptors that the CPU would load are those that it has.
    let gdt = ram.read(state.gdtr.base, state.gdtr.limit as usize + 1);
    assert_eq!(gdt.len(), 0x20);
    assert_eq!(get(&gdt[0x10..0x18]), 0x00af_9b00_0000_ffff);
    assert_eq!(get(&gdt[0x18..0x20]), 0x00cf_9300_0000_ffff);
    // So are the tables: every page of the first 4 GiB is mapped to itself.
    let entry = |table: u64, index: u64| get(&ram.read((table & !0xfff) + 8 * index, 8));
    for address in (0..4096 * MIB).step_by(2 << 20).map(|page| page + 0x1234) {
        let pdpt = entry(state.cr3, address >> 39 & 511);
        let directory = entry(pdpt, address >> 30 & 511);
        assert!(directory & 0x83 == 3 && pdpt & 0x83 == 3);
        let page = entry(directory, address >> 21 & 511);
        assert_eq!(page, (address & !0x1f_ffff) | 0x83);
    }
    assert_eq!(entry(state.cr3, 1), 0);
    assert_eq!(ram.read(16 * MIB + 0x200, 1), [CODE]);
    assert_eq!(ram.read(16 * MIB + PAYLOAD as u64 - 1, 2), [CODE, 0]);
    assert!(ram.is_written(gprs.get(Gpr::Rsi)));
}

#[test]
fn by_the_32_bit_entry() {
    for (image, protocol) in [(bzimage(), Some(Protocol::Bits32)), (changed(0x236, 0, 2), None)] {
        let (Entry { state, gprs }, ram) = load(64, &image, None, protocol);
        assert_eq!((state.mode(), state.rip), (Mode::Protected32, 16 * MIB));
        assert_eq!((state.cr0, state.cr4, state.efer), (cr0::PE | cr0::NE | cr0::ET, 0, 0));
        assert_eq!([Gpr::Rbp, Gpr::Rdi, Gpr::Rbx].map(|r| gprs.get(r)), [0; 3]);
        assert_eq!(get(&ram.read(state.gdtr.base + 0x10, 8)), 0x00cf_9b00_0000_ffff);
        assert_eq!(state.segments.map(|s| (s.base, s.limit)), [(0, u32::MAX); 6]);
        // The compiler's word for the kernel's: HdrS is in the zero page.
        assert_eq!(ram.read(gprs.get(Gpr::Rsi) + 0x202, 4), b"HdrS");
    }
}

#[test]
fn the_zero_page() {
    let initrd = vec![0x1d; 5000];
    let (entry, ram) = load(64, &bzimage(), Some(&initrd), None);
    let page = ram.read(entry.gprs.get(Gpr::Rsi), 4096);
    let field = |offset: usize, bytes: usize| get(&page[offset..offset + bytes]);
    assert_eq!((field(0x210, 1), field(0x211, 1)), (0xff, 1));
    assert_eq!((field(0x1fe, 2), field(0x206, 2), field(0x268, 4)), (0xaa55, 0x020f, 0x1234));
    assert_eq!(page[0x26c..0x2d0], [0; 0x2d0 - 0x26c]);
    assert_eq!(page[..0x70], [0; 0x70]);
    assert_eq!((field(0x070, 8), field(0x1e0, 4)), (0xf_0000, 63 * 1024));
    assert_eq!(field(0x214, 4), 16 * MIB);
    // The RAM disk is as high as it can be.
    assert_eq!((field(0x218, 4), field(0x21c, 4)), (64 * MIB - 0x2000, 5000));
    assert_eq!(ram.read(64 * MIB - 0x2000, 5001), [&initrd[..], &[0]].concat());
    assert_eq!(ram.read(field(0x228, 4), 14), b"console=ttyS0\0");
    assert_eq!(field(0x0c0, 12), 0);
    // Low, reserved, firmware, high, and the two APICs.
    assert_eq!(field(0x1e8, 1), 6);
    assert_eq!([field(0x2d0, 8), field(0x2d8, 8), field(0x2e0, 4)], [0, 0x9f000, 1]);
    assert_eq!([field(0x30c, 8), field(0x314, 8), field(0x31c, 4)], [MIB, 63 * MIB, 1]);
}

#[test]
fn an_empty_ram_disk_is_none() {
    let (entry, ram) = load(64, &bzimage(), Some(&[]), None);
    assert_eq!(ram.read(entry.gprs.get(Gpr::Rsi) + 0x218, 8), [0; 8]);
}

#[test]
fn where_a_kernel_goes() {
    // A preferred address that is misaligned or below 1 MiB: the lowest that is aligned above.
    assert_eq!(load(64, &changed(0x258, 0x100_1000, 8), None, None).0.state.rip, 18 * MIB + 0x200);
    assert_eq!(load(64, &changed(0x258, 0, 8), None, None).0.state.rip, 2 * MIB + 0x200);
    // The last place: up to the end of RAM.
    assert_eq!(load(20, &bzimage(), None, None).0.state.rip, 16 * MIB + 0x200);
    assert!(matches!(error_in(19, &bzimage(), None, None), LoadError::NoRoom { part: Part::Kernel, .. }));
    // The disk is not put into what the kernel needs to unpack itself.
    let disk = [1];
    assert!(matches!(error_in(20, &bzimage(), Some(&vec![1; 16 << 20]), None), LoadError::NoRoom { .. }));
    let (entry, ram) = load(20, &bzimage(), Some(&disk), None);
    assert_eq!(get(&ram.read(entry.gprs.get(Gpr::Rsi) + 0x218, 4)), 16 * MIB - 0x1000);
    // A kernel that can't be moved runs where it must, whatever its alignment says.
    let mut fixed = changed(0x234, 0, 1);
    set(&mut fixed, 0x230, 0_u64, 4);
    assert_eq!(load(64, &fixed, None, None).0.state.rip, 16 * MIB + 0x200);
    set(&mut fixed, 0x258, 62 * MIB, 8);
    assert!(matches!(error(&fixed), LoadError::NotRam { part: Part::Kernel, offset: 0x258, .. }));
}

#[test]
fn the_highest_address_of_a_ram_disk() {
    let (entry, ram) = load(64, &changed(0x22c, 0xff_ffff, 4), Some(&[1; 10]), None);
    assert_eq!(get(&ram.read(entry.gprs.get(Gpr::Rsi) + 0x218, 4)), 16 * MIB - 0x1000);
}

#[test]
fn images_that_are_refused() {
    assert!(matches!(error(&[]), LoadError::Short { .. }));
    assert!(matches!(error(b"\x7fELF"), LoadError::Short { .. }));
    assert_eq!(error(&changed(0x1fe, 0, 2)), LoadError::NoBootFlag { found: 0 });
    assert_eq!(error(&changed(0x202, 1, 4)), LoadError::NoSetupHeader { found: 1 });
    assert_eq!(error(&changed(0x206, 0x0209, 2)), LoadError::OldProtocol { version: 0x0209 });
    assert_eq!(error(&changed(0x201, 0x61, 1)), LoadError::ShortHeader { end: 0x263 });
    assert_eq!(error(&changed(0x211, 0, 1)), LoadError::LoadedLow { loadflags: 0 });
    for alignment in [0, 3, 0xffff_ffff] {
        assert!(matches!(error(&changed(0x230, alignment, 4)), LoadError::Alignment { .. }));
    }
    let no_64 = changed(0x236, 0b10, 2);
    let wanted = Some(Protocol::Bits64);
    assert_eq!(error_in(64, &no_64, None, wanted), LoadError::No64BitEntry { xloadflags: 2 });
    // Before 2.12, there are no xloadflags.
    assert_eq!(error_in(64, &changed(0x206, 0x20b, 2), None, wanted), LoadError::No64BitEntry { xloadflags: 0 });
    assert_eq!(error(&changed(0x238, 0, 4)), LoadError::LongCommandLine { bytes: 1, most: 0 });
    let cut = &bzimage()[..SETUP + PAYLOAD - 1];
    let (needs, has) = (PAYLOAD as u64, PAYLOAD as u64 - 1);
    let what = "the kernel's protected-mode code";
    assert_eq!(error(cut), LoadError::Short { what, offset: SETUP as u64, needs, has });
    // Without a length, it must at least have an entry.
    let mut empty = changed(0x1f4, 0, 4);
    empty.truncate(SETUP + 0x200);
    assert!(matches!(error(&empty), LoadError::Short { needs: 0x201, has: 0x200, .. }));
    for huge in [u64::MAX, u64::MAX - 0xfff_ffff, 1 << 63] {
        let error = error(&changed(0x258, huge, 8));
        assert!(matches!(error, LoadError::NotRam { .. } | LoadError::NoRoom { .. }), "{error}");
    }
    let map = map(64);
    let line = "a\0b";
    let error = load_linux(&mut Ram::new(&map), &boot(&map, line), &bzimage(), None, None);
    assert_eq!(error, Err(LoadError::NulInCommandLine { index: 1 }));
}
