//! The kernel's virtual area: devices and stacks, each behind an unmapped page.

#[cfg(target_os = "none")]
pub use bare::*;

/// Where the area begins.
pub const AREA_BASE: u64 = 0xffff_c000_0000_0000;
/// Its size in bytes: what one entry of the top-level page table maps.
pub const AREA_SIZE: u64 = 512 << 30;

#[cfg(target_os = "none")]
mod bare {
    use super::super::frames;
    use super::super::lock::IrqLock;
    use super::super::owner::Owner;
    use super::super::tables::{self, MapError, Protection};
    use super::{AREA_BASE, AREA_SIZE};
    use crate::base::{Hpa, PAGE_SIZE};

    /// The next free address of the area. Nothing in it is ever unmapped.
    static NEXT: IrqLock<u64> = IrqLock::new(AREA_BASE);

    /// How a device's memory is accessed.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum DeviceKind {
        /// Each access as it is written: registers.
        Uncached,
        /// Writes may be joined and reordered: framebuffers. Entry 1 of the PAT, see `hw::cr`.
        WriteCombining,
        /// Only reads, uncached: firmware tables outside of RAM.
        ReadOnly,
    }

    /// Maps `len` bytes of a device at `hpa` for good; where they are. RAM that the allocator knows as usable is refused.
    pub fn map_device(hpa: Hpa, len: u64, kind: DeviceKind) -> Result<*mut u8, MapError> {
        let protection = match kind {
            DeviceKind::Uncached => Protection::Device,
            DeviceKind::WriteCombining => Protection::WriteCombining,
            DeviceKind::ReadOnly => Protection::DeviceReadOnly,
        };
        let first = hpa.page();
        let pages = hpa.page_offset().checked_add(len).ok_or(MapError::BadRange)?.div_ceil(PAGE_SIZE);
        let at = reserve(pages)?;
        for page in 0..pages {
            let target = first.checked_add(page * PAGE_SIZE).ok_or(MapError::BadRange)?;
            if !matches!(frames::owner(target), Owner::Hole | Owner::Firmware) {
                return Err(MapError::BadRange);
            }
            tables::map_page(at + page * PAGE_SIZE, target, protection)?;
        }
        Ok((at + hpa.page_offset()) as *mut u8)
    }

    /// A stack of `bytes` (a multiple of 4096) with an unmapped page under it; the address of its top.
    pub fn stack(bytes: u64) -> Result<u64, MapError> {
        let pages = bytes.div_ceil(PAGE_SIZE);
        let at = reserve(pages)?;
        for page in 0..pages {
            let frame = frames::alloc(Owner::Stack).ok_or(MapError::OutOfMemory)?.leak();
            tables::map_page(at + page * PAGE_SIZE, frame, Protection::Data)?;
        }
        Ok(at + pages * PAGE_SIZE)
    }

    /// One page of addresses with nothing mapped.
    pub(in crate::mem) fn window() -> Result<u64, MapError> {
        reserve(1)
    }

    /// Addresses for `pages` pages, after one that stays unmapped.
    fn reserve(pages: u64) -> Result<u64, MapError> {
        let mut next = NEXT.lock();
        let at = *next + PAGE_SIZE;
        let end = pages.checked_mul(PAGE_SIZE).and_then(|b| at.checked_add(b)).ok_or(MapError::BadRange)?;
        if end > AREA_BASE + AREA_SIZE {
            return Err(MapError::BadRange);
        }
        *next = end;
        Ok(at)
    }
}
