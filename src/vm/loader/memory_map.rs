//! Where a VM has RAM, and what it is told of it: a PC's memory map.

use arrayvec::ArrayVec;

use crate::base::{GIB, Gpa, KIB, MIB, PAGE_SIZE};

/// The least memory of a VM, in bytes.
pub const MIN_MEMORY: u64 = MIB;
/// The most memory of a VM, in bytes: what a four-level nested table reaches, with room to spare.
pub const MAX_MEMORY: u64 = 1024 * GIB;

/// The last page below the hole of the display: where a PC's firmware has its extended data.
const EXTENDED_DATA: u64 = 0x9f000;
/// The display's memory, which this PC has not.
const HOLE: u64 = 0xa0000;
/// Option ROMs and the system ROM, which guests search for what firmware offers: RAM, so that their search costs no exits.
const ROM: u64 = 0xc0000;
/// The part of it that has the tables of the firmware.
const FIRMWARE: u64 = 0xf0000;
/// The hole below 4 GiB, for devices.
const DEVICES: u64 = 3 * GIB;
/// The registers of the I/O APIC.
const IO_APIC: u64 = 0xfec0_0000;
/// The registers of the local APICs.
const LOCAL_APIC: u64 = 0xfee0_0000;

/// What a range of addresses is to the guest: the numbers of the BIOS call E820 (ACPI "Query System Address Map").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum E820Kind {
    /// RAM for every purpose.
    Usable = 1,
    /// Not to be used.
    Reserved = 2,
    /// Tables of ACPI: RAM for every purpose after they were read.
    Acpi = 3,
}

impl E820Kind {
    /// The number.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// A line of the memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct E820 {
    /// Where it begins.
    pub start: Gpa,
    /// Its length in bytes.
    pub bytes: u64,
    /// What it is.
    pub kind: E820Kind,
}

impl E820 {
    const fn new(start: u64, end: u64, kind: E820Kind) -> Self {
        Self { start: Gpa::new(start), bytes: end.saturating_sub(start), kind }
    }

    /// The first address behind it.
    pub const fn end(&self) -> u64 {
        self.start.raw().saturating_add(self.bytes)
    }
}

/// The memory map of a VM.
///
/// RAM begins at 0. The addresses of the display are missing from it, and what does not fit below 3 GiB
/// continues at 4 GiB, so that devices have the last gibibyte before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryMap {
    memory: u64,
}

impl MemoryMap {
    /// The map of a VM with `memory` bytes of RAM, of which those of the hole for the display (128 KiB) are
    /// lost. `None` if that is no multiple of 4 KiB, below [`MIN_MEMORY`] or above [`MAX_MEMORY`].
    pub const fn new(memory: u64) -> Option<Self> {
        if Self::is_valid(memory) { Some(Self { memory }) } else { None }
    }

    /// Whether a VM may have so much memory, in bytes.
    pub const fn is_valid(memory: u64) -> bool {
        memory >= MIN_MEMORY && memory <= MAX_MEMORY && memory.is_multiple_of(PAGE_SIZE)
    }

    /// The end of RAM below 4 GiB.
    pub const fn low_end(&self) -> Gpa {
        Gpa::new(if self.memory < DEVICES { self.memory } else { DEVICES })
    }

    /// The end of RAM above 4 GiB, if there is any.
    pub const fn high_end(&self) -> Option<Gpa> {
        if self.memory > DEVICES { Some(Gpa::new(4 * GIB + (self.memory - DEVICES))) } else { None }
    }

    /// Where the firmware's tables go, ACPI's too: start and length in bytes. RAM, but reserved in the guest's eyes.
    pub const fn firmware(&self) -> (Gpa, u64) {
        (Gpa::new(FIRMWARE), MIB - FIRMWARE)
    }

    /// All RAM, for whoever allocates it: start and length in bytes.
    pub fn ram(&self) -> ArrayVec<(Gpa, u64), 3> {
        let mut ranges = ArrayVec::new();
        ranges.push((Gpa::new(0), HOLE));
        ranges.push((Gpa::new(ROM), self.low_end().raw() - ROM));
        if let Some(end) = self.high_end() {
            ranges.push((Gpa::new(4 * GIB), end.raw() - 4 * GIB));
        }
        ranges
    }

    /// What the guest is told, in the order of addresses.
    pub fn e820(&self) -> ArrayVec<E820, 8> {
        let mut lines = ArrayVec::new();
        lines.push(E820::new(0, EXTENDED_DATA, E820Kind::Usable));
        lines.push(E820::new(EXTENDED_DATA, HOLE, E820Kind::Reserved));
        lines.push(E820::new(ROM, MIB, E820Kind::Reserved));
        if self.memory > MIB {
            lines.push(E820::new(MIB, self.low_end().raw(), E820Kind::Usable));
        }
        lines.push(E820::new(IO_APIC, IO_APIC + PAGE_SIZE, E820Kind::Reserved));
        lines.push(E820::new(LOCAL_APIC, LOCAL_APIC + PAGE_SIZE, E820Kind::Reserved));
        if let Some(end) = self.high_end() {
            lines.push(E820::new(4 * GIB, end.raw(), E820Kind::Usable));
        }
        lines
    }

    /// Usable RAM below 640 KiB, in KiB.
    pub const fn lower_kib(&self) -> u32 {
        (EXTENDED_DATA / KIB) as u32
    }

    /// Usable RAM from 1 MiB to the first hole, in KiB.
    pub const fn upper_kib(&self) -> u32 {
        // At most 3 GiB.
        ((self.low_end().raw() - MIB) / KIB) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_that_are_refused() {
        for memory in [0, 4095, MIB - PAGE_SIZE, MIB + 1, MAX_MEMORY + PAGE_SIZE, u64::MAX] {
            assert_eq!(MemoryMap::new(memory), None, "{memory:#x}");
        }
    }

    #[test]
    fn the_smallest_has_nothing_above_one_mebibyte() {
        let map = MemoryMap::new(MIB).unwrap();
        assert_eq!(map.ram()[..], [(Gpa::new(0), 0xa0000), (Gpa::new(0xc0000), 0x40000)]);
        assert!(map.e820().iter().all(|line| line.start.raw() != MIB));
        assert_eq!((map.lower_kib(), map.upper_kib()), (636, 0));
    }

    #[test]
    fn a_big_one_continues_at_four_gibibytes() {
        let map = MemoryMap::new(5 * GIB).unwrap();
        assert_eq!(map.ram()[1..], [(Gpa::new(0xc0000), 3 * GIB - 0xc0000), (Gpa::new(4 * GIB), 2 * GIB)]);
        assert_eq!(map.e820().last(), Some(&E820::new(4 * GIB, 6 * GIB, E820Kind::Usable)));
        assert_eq!(MemoryMap::new(3 * GIB).unwrap().high_end(), None);
    }

    proptest! {
        #[test]
        fn lines_are_in_order_and_usable_ones_are_ram(pages in 256..MAX_MEMORY / PAGE_SIZE) {
            let map = MemoryMap::new(pages * PAGE_SIZE).unwrap();
            let lines = map.e820();
            prop_assert!(lines.windows(2).all(|pair| pair[0].end() <= pair[1].start.raw()));
            prop_assert!(lines.iter().all(|line| line.bytes > 0));
            let ram = map.ram();
            for line in lines.iter().filter(|line| line.kind == E820Kind::Usable) {
                let inside = |&(start, bytes): &(Gpa, u64)| start <= line.start && line.end() <= start.raw() + bytes;
                prop_assert!(ram.iter().any(inside));
            }
            // All of it is there, but for the hole.
            prop_assert_eq!(ram.iter().map(|range| range.1).sum::<u64>(), pages * PAGE_SIZE - (ROM - HOLE));
            let (start, bytes) = map.firmware();
            prop_assert!(ram.iter().any(|r| r.0 <= start && start.raw() + bytes <= r.0.raw() + r.1));
        }
    }
}
