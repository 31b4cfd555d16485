//! What a guest finds besides its CPU: RAM, the nested tables that show it, and devices on a bus.

use crate::base::{Gpa, Hpa, PAGE_SIZE, Width};
use crate::dev::bus::{Bus, LOCAL_APIC};
use crate::emu::World;
use crate::hw::time;
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;
use crate::mem::ram::GuestRam;
use crate::vm::machine::VmError;
use crate::vt::audit::{Audit, Trespass, audit};
use crate::vt::nested::{Leaf, MapError, NestedTable, PageSize};
use crate::vt::tables::TablePool;
use crate::vt::{Loaded, Translation, Vendor};

/// The board of a VM.
pub struct Board<V: Vendor> {
    vm: u16,
    ram: GuestRam,
    nested: NestedTable<V::Table, TablePool>,
    /// What is mapped where the local APIC's registers are, if the CPU keeps it. What the guest reads and writes there is not in it.
    apic_access: Option<Frames>,
    /// The devices.
    pub bus: Bus,
}

/// What was found at a guest-physical address that faulted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// RAM, mapped now.
    Ram,
    /// RAM that was mapped already: the access may be one that the mapping does not allow.
    Mapped,
    /// No RAM: a device, or nothing.
    Device,
    /// RAM, but no frame left for a table.
    OutOfTables,
}

impl<V: Vendor> Board<V> {
    /// A board for guest number `vm` with RAM in `ranges` (start and length in bytes). `apic_by_cpu`: the CPU
    /// keeps its local APIC.
    pub fn new(caps: &V::Caps, vm: u16, ranges: &[(Gpa, u64)], bus: Bus, apic_by_cpu: bool) -> Result<Self, VmError> {
        let ram = GuestRam::new(vm, ranges, V::large_pages(caps)).map_err(|_| VmError::OutOfMemory)?;
        let pool = TablePool::new(vm, TablePool::worst_case(ram.bytes(), ranges.len() as u64 + 1));
        let mut nested = pool.and_then(NestedTable::new).ok_or(VmError::OutOfMemory)?;
        for (gpa, frames) in ram.large_pages() {
            nested.map(gpa, PageSize::Size2M, Leaf::ram(frames)).map_err(|_| VmError::OutOfMemory)?;
        }
        let apic_access =
            if apic_by_cpu { Some(frames::alloc_zeroed(Owner::Guest(vm)).ok_or(VmError::OutOfMemory)?) } else { None };
        let mut board = Self { vm, ram, nested, apic_access, bus };
        board.show_apic(true);
        Ok(board)
    }

    /// The frame behind the local APIC's page, if the CPU keeps it.
    pub fn apic_access(&self) -> Option<Hpa> {
        self.apic_access.as_ref().map(Frames::hpa)
    }

    /// Has the local APIC's page there, or not, for the CPU that keeps it. What is cached is to be flushed.
    pub fn show_apic(&mut self, shown: bool) {
        if let Some(frame) = &self.apic_access {
            if shown {
                let leaf = Leaf { executable: false, ..Leaf::ram(frame.hpa()) };
                // It is mapped already, or there is a table for it.
                let _ = self.nested.map(LOCAL_APIC, PageSize::Size4K, leaf);
            } else {
                self.nested.unmap(LOCAL_APIC);
            }
        }
    }

    /// The nested table's root.
    pub fn nested_root(&self) -> Hpa {
        self.nested.root()
    }

    /// Maps all RAM now, so that no access faults it in later; `executable` as a guest needs it, or not, as a mistake has it.
    pub fn map_all(&mut self, executable: bool) -> Result<(), VmError> {
        let ranges: arrayvec::ArrayVec<_, 8> = self.ram.ranges().collect();
        for (base, bytes) in ranges {
            for offset in (0..bytes).step_by(PAGE_SIZE as usize) {
                let page = base.checked_add(offset).ok_or(VmError::OutOfMemory)?;
                let frame = self.ram.touch(page).ok_or(VmError::OutOfMemory)?;
                let leaf = Leaf { executable, ..Leaf::ram(frame) };
                match self.nested.map(page, PageSize::Size4K, leaf) {
                    Ok(()) | Err(MapError::Occupied) => {}
                    Err(_) => return Err(VmError::OutOfMemory),
                }
            }
        }
        Ok(())
    }

    /// The entries of the nested table on the way to `gpa`, from the root down: level and entry.
    pub fn nested_path(&self, gpa: Gpa) -> arrayvec::ArrayVec<(u32, u64), 4> {
        self.nested.path(gpa)
    }

    /// Maps the page at `gpa` if it is RAM.
    #[inline(always)]
    pub fn fault_in(&mut self, gpa: Gpa) -> Found {
        let Some(frame) = self.ram.touch(gpa) else { return Found::Device };
        match self.nested.map(gpa.page(), PageSize::Size4K, Leaf::ram(frame)) {
            Ok(()) => Found::Ram,
            // Another CPU of this guest was faster, or the fault was an old one.
            Err(MapError::Occupied) => Found::Mapped,
            Err(MapError::OutOfTables | MapError::Misaligned | MapError::OutOfRange) => Found::OutOfTables,
        }
    }

    /// The frame behind the page at `gpa`, if it is RAM.
    pub fn frame(&mut self, gpa: Gpa) -> Option<Hpa> {
        self.ram.touch(gpa)
    }

    /// Copies an image into RAM at `at`.
    pub fn load(&mut self, at: Gpa, image: &[u8]) -> Result<(), VmError> {
        let mut done = 0;
        while let Some(rest) = image.get(done..).filter(|r| !r.is_empty()) {
            let to = at.checked_add(done as u64).ok_or(VmError::OutOfMemory)?;
            match self.ram.write(to, rest) {
                0 => return Err(VmError::OutOfMemory),
                n => done += n,
            }
        }
        Ok(())
    }

    /// Proves that the nested tables reach this guest's own frames only.
    pub fn audit(&self) -> Result<Audit, Trespass> {
        audit(&self.nested, self.vm, frames::owner)
    }

    /// Sixteen bytes at RIP, if its page of RAM can be found in a few steps; past the page's end they are zeros.
    #[inline(always)]
    pub fn code16(&self, cpu: &Loaded<'_, V>) -> Option<[u64; 2]> {
        let at = self.code_at(cpu)?;
        if at.page_offset() <= PAGE_SIZE - 16 { self.ram.read16(at) } else { self.last_of_page(at) }
    }

    #[inline(never)]
    fn last_of_page(&self, at: Gpa) -> Option<[u64; 2]> {
        let start = Gpa::new(at.page().raw() | (PAGE_SIZE - 16));
        let [low, high] = self.ram.read16(start)?;
        let bytes = (u128::from(high) << 64 | u128::from(low)) >> (8 * (at.raw() - start.raw()));
        Some([bytes as u64, (bytes >> 64) as u64])
    }

    /// How many bytes there are from RIP to the end of its page.
    pub fn code_room(&self, cpu: &Loaded<'_, V>) -> Option<u64> {
        Some(PAGE_SIZE - self.code_at(cpu)?.page_offset())
    }

    /// Four bytes at RIP as a little-endian number, likewise.
    #[inline(always)]
    pub fn code(&self, cpu: &Loaded<'_, V>) -> Option<u32> {
        self.ram.read4(self.code_at(cpu)?)
    }

    /// Where the instruction at RIP is, for one that the CPU has just fetched: rights and reserved bits are not asked for again
    /// (SDM 3A "4-Level Paging and 5-Level Paging").
    #[inline(always)]
    fn code_at(&self, cpu: &Loaded<'_, V>) -> Option<Gpa> {
        const PRESENT: u64 = 1 << 0;
        const LARGE: u64 = 1 << 7;
        const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
        let (linear, translation) = V::code(cpu);
        let mut table = match translation {
            Translation::Off => return Some(Gpa::new(linear)),
            Translation::FourLevel(cr3) => cr3 & ADDRESS,
            Translation::Other => return None,
        };
        for shift in [39, 30, 21, 12] {
            let entry = self.ram.read8(Gpa::new(table | (linear >> shift & 511) << 3))?;
            if entry & PRESENT == 0 {
                return None;
            }
            if shift == 12 || shift != 39 && entry & LARGE != 0 {
                let inside = (1 << shift) - 1;
                return Some(Gpa::new(entry & ADDRESS & !inside | linear & inside));
            }
            table = entry & ADDRESS;
        }
        None
    }
}

impl<V: Vendor> World for Board<V> {
    #[inline(always)]
    fn read(&mut self, gpa: Gpa, to: &mut [u8]) {
        if self.ram.read(gpa, to) != to.len() {
            self.bus.mmio_read(gpa, to, time::tsc);
        }
    }

    #[inline(always)]
    fn write(&mut self, gpa: Gpa, from: &[u8]) {
        if self.ram.write(gpa, from) != from.len() {
            self.bus.mmio_write(gpa, from, time::tsc);
        }
    }

    #[inline(always)]
    fn fetch_ram(&mut self, gpa: Gpa, to: &mut [u8]) -> usize {
        self.ram.read(gpa, to)
    }

    #[inline(always)]
    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        self.bus.port_in(port, width, time::tsc)
    }

    #[inline(always)]
    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        self.bus.port_out(port, width, value, time::tsc);
    }

    fn pause(&self) -> bool {
        self.bus.attention().any()
    }
}
