//! The hypervisor's own page tables: W^X for each section, the direct map, and the virtual area. No identity map.

use super::direct::{DIRECT_BASE, direct};
use super::frames::{self, Frames};
use super::image::Image;
use super::lock::IrqLock;
use super::map::Range;
use super::owner::Owner;
use super::virt::AREA_BASE;
use crate::base::{GIB, Hpa, MIB, PAGE_SIZE};
use x86_64::structures::paging::mapper::MapToError;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageSize, PageTable, PageTableFlags as F, PhysFrame, Size1GiB,
    Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

/// What a page may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Read and execute.
    Text,
    /// Read.
    ReadOnly,
    /// Read and write.
    Data,
    /// Read and write, uncached.
    Device,
    /// Read and write, write-combining: PAT entry 1.
    WriteCombining,
    /// Read, uncached.
    DeviceReadOnly,
}

/// Why a mapping was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// No frame for a page table.
    OutOfMemory,
    /// Something is mapped there already.
    Occupied,
    /// The range is empty of sense: it wraps, does not fit, or belongs to somebody.
    BadRange,
}

/// What the CPU offers for page tables.
#[derive(Clone, Copy, Debug)]
pub struct PagingFeatures {
    /// EFER.NXE is on.
    pub no_execute: bool,
    /// 1 GiB pages.
    pub gib_pages: bool,
    /// Bits of a host-physical address; higher ones are reserved in page tables.
    pub phys_bits: u8,
}

struct Kernel {
    root: Hpa,
    features: PagingFeatures,
}

static KERNEL: IrqLock<Option<Kernel>> = IrqLock::new(None);

/// Builds the tables for the image and all RAM, and the top of the virtual area. Frames for them come from the
/// allocator, lowest first, so below 4 GiB, where the boot tables show them.
pub fn build(image: &Image, features: PagingFeatures) -> Result<(), MapError> {
    let root = table_frame().ok_or(MapError::OutOfMemory)?.leak();
    let kernel = Kernel { root, features };
    for section in [(image.text(), Protection::Text), (image.rodata(), Protection::ReadOnly)] {
        kernel.map_image(image, section.0, section.1)?;
    }
    kernel.map_image(image, image.data(), Protection::Data)?;

    // Text and constants must not be writable through the direct map: the image is left out of it.
    let hole = image.frames();
    let mut bank = 0;
    while let Some(ram) = frames::ram_bank(bank) {
        bank += 1;
        kernel.map_direct(Range { start: ram.start, end: ram.end.min(hole.start.max(ram.start)) })?;
        kernel.map_direct(Range { start: ram.start.max(hole.end.min(ram.end)), end: ram.end })?;
    }

    // Tables that share the upper half by copying its root entries (AP start) must see later device mappings.
    let area = VirtAddr::new(AREA_BASE).p4_index();
    let table = table_frame().ok_or(MapError::OutOfMemory)?.leak();
    kernel.with_mapper(|m| {
        m.level_4_table_mut()[area].set_addr(PhysAddr::new(table.raw()), F::PRESENT | F::WRITABLE);
    });
    *KERNEL.lock() = Some(kernel);
    Ok(())
}

/// Loads the tables on this core. `hw::cr` has turned on NX and write protection before.
pub fn activate() {
    let root = kernel_root();
    // SAFETY: the tables map the image, its stacks, and all RAM exactly as the boot tables or the trampoline's did,
    // less the identity map, which nothing uses since the jump to the higher half.
    unsafe { core::arch::asm!("mov cr3, {}", in(reg) root.raw(), options(nostack, preserves_flags)) };
}

/// HPA of the top-level table.
pub fn kernel_root() -> Hpa {
    with_kernel(|k| k.root)
}

/// Maps one page of the virtual area.
pub(super) fn map_page(at: u64, hpa: Hpa, protection: Protection) -> Result<(), MapError> {
    with_kernel(|k| k.map::<Size4KiB>(at, hpa.raw(), protection))
}

/// Takes away what [`map_page`] mapped at `at`. Other cores may still have it in their TLBs.
pub(super) fn unmap_page(at: u64) {
    with_kernel(|k| {
        k.with_mapper(|mapper| {
            if let Ok((_, flush)) = mapper.unmap(Page::<Size4KiB>::containing_address(VirtAddr::new(at))) {
                flush.flush();
            }
        })
    });
}

/// Top-level table, below 4 GiB, for cores that start: the kernel's upper half, and `page` where its HPA is. A CPU
/// that turns paging on executes the next instruction at the same address.
pub fn trampoline_root(page: Hpa) -> Result<Hpa, MapError> {
    let four_gib = Hpa::new(4 * GIB);
    let mut root = frames::alloc_below(1, four_gib, Owner::PageTable).ok_or(MapError::OutOfMemory)?;
    root.zero();
    let kernel = kernel_root();
    let upper = 256..512;
    // SAFETY: the kernel's top-level table is a frame of page table, in the direct map, and is only read here.
    let entries = unsafe { core::slice::from_raw_parts(direct(kernel).cast::<u64>(), 512) };
    root.as_mut_slice::<u64>()[upper.clone()].copy_from_slice(&entries[upper]);
    let root = root.leak();
    let features = with_kernel(|k| k.features);
    Kernel { root, features }.map::<Size4KiB>(page.raw(), page.raw(), Protection::Text)?;
    Ok(root)
}

fn with_kernel<R>(f: impl FnOnce(&Kernel) -> R) -> R {
    match &*KERNEL.lock() {
        Some(kernel) => f(kernel),
        None => panic!("the kernel's page tables are used before they are built"),
    }
}

impl Kernel {
    fn with_mapper<R>(&self, f: impl FnOnce(&mut OffsetPageTable<'_>) -> R) -> R {
        // SAFETY: `root` is a page table frame of ours, reached through the direct map. Only this function makes
        // references into the tables: before `KERNEL` is set the builder is alone, later its lock is held (or the
        // root is the trampoline's, whose lower half nobody else knows).
        let root = unsafe { &mut *direct(self.root).cast::<PageTable>() };
        // SAFETY: all table frames are RAM, which is at this distance in the boot tables and in the final ones.
        f(&mut unsafe { OffsetPageTable::new(root, VirtAddr::new(DIRECT_BASE)) })
    }

    fn flags(&self, protection: Protection) -> F {
        let flags = F::PRESENT
            | match protection {
                Protection::Text => return F::PRESENT,
                Protection::ReadOnly => F::empty(),
                Protection::Data => F::WRITABLE,
                Protection::Device => F::WRITABLE | F::NO_CACHE | F::WRITE_THROUGH,
                Protection::WriteCombining => F::WRITABLE | F::WRITE_THROUGH,
                Protection::DeviceReadOnly => F::NO_CACHE | F::WRITE_THROUGH,
            };
        if self.features.no_execute { flags | F::NO_EXECUTE } else { flags }
    }

    fn map<S>(&self, at: u64, hpa: u64, protection: Protection) -> Result<(), MapError>
    where
        S: PageSize + core::fmt::Debug,
        for<'a> OffsetPageTable<'a>: Mapper<S>,
    {
        if hpa >> self.features.phys_bits != 0 {
            return Err(MapError::BadRange);
        }
        let page = Page::<S>::containing_address(VirtAddr::try_new(at).map_err(|_| MapError::BadRange)?);
        let frame = PhysFrame::<S>::containing_address(PhysAddr::try_new(hpa).map_err(|_| MapError::BadRange)?);
        let flags = self.flags(protection);
        self.with_mapper(|mapper| {
            // SAFETY: callers map fresh addresses only (an occupied one is an error), to the image, to RAM in its
            // one place in the direct map, to frames they own, or to devices: no reference changes its meaning.
            let mapped = unsafe {
                let parents = F::PRESENT | F::WRITABLE;
                mapper.map_to_with_table_flags(page, frame, flags, parents, &mut TableFrames)
            };
            match mapped {
                Ok(flush) => {
                    // The entry was not present before, and what is not present is not in the TLB.
                    flush.ignore();
                    Ok(())
                }
                Err(MapToError::FrameAllocationFailed) => Err(MapError::OutOfMemory),
                Err(_) => Err(MapError::Occupied),
            }
        })
    }

    fn map_image(&self, image: &Image, section: super::image::Section, protection: Protection) -> Result<(), MapError> {
        let guards = image.guards();
        for at in section.step_by(PAGE_SIZE as usize).filter(|at| !guards.contains(at)) {
            self.map::<Size4KiB>(at, image.hpa(at).raw(), protection)?;
        }
        Ok(())
    }

    /// Shows a range of RAM in the direct map with the largest pages that fit.
    fn map_direct(&self, range: Range) -> Result<(), MapError> {
        let mut at = range.start;
        while at < range.end {
            let fits = |size: u64| at.is_multiple_of(size) && range.end - at >= size;
            let virt = DIRECT_BASE + at;
            at += if self.features.gib_pages && fits(GIB) {
                self.map::<Size1GiB>(virt, at, Protection::Data)?;
                GIB
            } else if fits(2 * MIB) {
                self.map::<Size2MiB>(virt, at, Protection::Data)?;
                2 * MIB
            } else {
                self.map::<Size4KiB>(virt, at, Protection::Data)?;
                PAGE_SIZE
            };
        }
        Ok(())
    }
}

fn table_frame() -> Option<Frames> {
    frames::alloc_zeroed(Owner::PageTable)
}

struct TableFrames;

// SAFETY: each frame comes from the allocator, unused, and is leaked to the tables for good.
unsafe impl FrameAllocator<Size4KiB> for TableFrames {
    fn allocate_frame(&mut self) -> Option<PhysFrame<Size4KiB>> {
        // `map_to` zeroes new tables itself.
        let frame = frames::alloc(Owner::PageTable)?;
        Some(PhysFrame::containing_address(PhysAddr::new(frame.leak().raw())))
    }
}
