//! What a guest finds besides its CPU: RAM, the nested tables that show it, and devices on a bus.

use crate::base::{Gpa, Hpa, PAGE_SIZE, Width};
use crate::dev::bus::Bus;
use crate::emu::World;
use crate::mem::frames;
use crate::mem::ram::GuestRam;
use crate::vm::machine::VmError;
use crate::vt::Vendor;
use crate::vt::audit::{Audit, Trespass, audit};
use crate::vt::nested::{Leaf, MapError, NestedTable, PageSize};
use crate::vt::tables::TablePool;

/// The board of a VM.
pub struct Board<V: Vendor> {
    vm: u16,
    ram: GuestRam,
    nested: NestedTable<V::Table, TablePool>,
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
    /// A board for guest number `vm` with RAM in `ranges` (start and length in bytes).
    pub fn new(vm: u16, ranges: &[(Gpa, u64)], bus: Bus) -> Result<Self, VmError> {
        let ram = GuestRam::new(vm, ranges).map_err(|_| VmError::OutOfMemory)?;
        let pool = TablePool::new(vm, TablePool::worst_case(ram.bytes(), ranges.len() as u64));
        let nested = pool.and_then(NestedTable::new).ok_or(VmError::OutOfMemory)?;
        Ok(Self { vm, ram, nested, bus })
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

    /// Sixteen bytes at `at`, if they are in one page of RAM that has been touched.
    #[inline(always)]
    pub fn code16(&self, at: Gpa) -> Option<[u64; 2]> {
        self.ram.read16(at)
    }

    /// Four instruction bytes at `at` as a little-endian number, if they are in one page of RAM that has been touched.
    #[inline(always)]
    pub fn code(&self, at: Gpa) -> Option<u32> {
        self.ram.read4(at)
    }
}

impl<V: Vendor> World for Board<V> {
    #[inline(always)]
    fn read(&mut self, gpa: Gpa, to: &mut [u8]) {
        if self.ram.read(gpa, to) != to.len() {
            self.bus.mmio_read(gpa, to);
        }
    }

    #[inline(always)]
    fn write(&mut self, gpa: Gpa, from: &[u8]) {
        if self.ram.write(gpa, from) != from.len() {
            self.bus.mmio_write(gpa, from);
        }
    }

    #[inline(always)]
    fn fetch_ram(&mut self, gpa: Gpa, to: &mut [u8]) -> usize {
        self.ram.read(gpa, to)
    }

    #[inline(always)]
    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        self.bus.port_in(port, width)
    }

    #[inline(always)]
    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        self.bus.port_out(port, width, value);
    }

    fn pause(&self) -> bool {
        self.bus.ended().is_some() || self.bus.has_line()
    }
}
