//! A guest's RAM: frames that are set aside when the VM is made and given to pages when they are first touched.

use alloc::vec::Vec;
use core::arch::asm;

use arrayvec::ArrayVec;

use crate::base::{Gpa, Hpa, PAGE_SIZE};
use crate::mem::direct::{DIRECT_BASE, direct};
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;

/// How many ranges a guest's RAM may have.
const RANGES: usize = 4;
/// How many frames are zeroed when the VM is made; the others when they are given out.
const READY: usize = 256;

/// Consecutive pages of RAM.
#[derive(Debug)]
struct Range {
    base: Gpa,
    /// Frame number of each page; 0 while it has none. Frame 0 is never a guest's.
    frames: Vec<u64>,
}

/// The RAM of one guest. Its content is copied in and out, never borrowed: another vCPU may write it at any time.
#[derive(Debug)]
pub struct GuestRam {
    ranges: ArrayVec<Range, RANGES>,
    /// All frames of this guest; the first `used` are given to pages.
    frames: Vec<Frames>,
    used: usize,
}

/// Why there is no RAM for a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RamError {
    /// Fewer free frames than asked for.
    OutOfMemory,
    /// A range is empty, unaligned, or past the end of the address space; or there are too many.
    BadRange,
}

impl GuestRam {
    /// RAM of guest `vm` in `ranges` (start and length in bytes, multiples of 4 KiB, not overlapping).
    pub fn new(vm: u16, ranges: &[(Gpa, u64)]) -> Result<Self, RamError> {
        let mut ram = Self { ranges: ArrayVec::new(), frames: Vec::new(), used: 0 };
        let mut total = 0usize;
        for &(base, bytes) in ranges {
            let good = bytes != 0 && bytes % PAGE_SIZE == 0 && base.is_aligned(PAGE_SIZE);
            if !good || base.checked_add(bytes).is_none() {
                return Err(RamError::BadRange);
            }
            let pages = (bytes / PAGE_SIZE) as usize;
            let mut frames = Vec::new();
            frames.try_reserve_exact(pages).map_err(|_| RamError::OutOfMemory)?;
            frames.resize(pages, 0);
            ram.ranges.try_push(Range { base, frames }).map_err(|_| RamError::BadRange)?;
            total += pages;
        }
        ram.frames.try_reserve_exact(total).map_err(|_| RamError::OutOfMemory)?;
        for i in 0..total {
            let mut frame = frames::alloc(Owner::Guest(vm)).ok_or(RamError::OutOfMemory)?;
            if i < READY {
                frame.zero();
            }
            ram.frames.push(frame);
        }
        Ok(ram)
    }

    /// The ranges: start and length in bytes.
    pub fn ranges(&self) -> impl Iterator<Item = (Gpa, u64)> {
        self.ranges.iter().map(|r| (r.base, r.frames.len() as u64 * PAGE_SIZE))
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.frames.len() as u64 * PAGE_SIZE
    }

    /// The place in `frames` of a range for the page of `gpa`.
    #[inline(always)]
    fn slot(&self, gpa: Gpa) -> Option<(usize, usize)> {
        for (i, r) in self.ranges.iter().enumerate() {
            let page = gpa.raw().wrapping_sub(r.base.raw()) / PAGE_SIZE;
            if page < r.frames.len() as u64 {
                return Some((i, page as usize));
            }
        }
        None
    }

    /// Whether there is RAM at `gpa`.
    #[inline(always)]
    pub fn contains(&self, gpa: Gpa) -> bool {
        self.slot(gpa).is_some()
    }

    /// The frame of the page at `gpa`, if it is RAM and has been touched.
    #[inline(always)]
    pub fn frame(&self, gpa: Gpa) -> Option<Hpa> {
        let (range, page) = self.slot(gpa)?;
        let number = *self.ranges.get(range)?.frames.get(page)?;
        (number != 0).then_some(Hpa::new(number * PAGE_SIZE))
    }

    /// The frame of the page at `gpa`, given to it now if it has none; `None` where there is no RAM.
    #[inline(always)]
    pub fn touch(&mut self, gpa: Gpa) -> Option<Hpa> {
        let (range, page) = self.slot(gpa)?;
        let number = self.ranges.get_mut(range)?.frames.get_mut(page)?;
        if *number == 0 {
            // There are as many frames as pages, so one is left for each page that has none.
            let frame = self.frames.get_mut(self.used)?;
            if self.used >= READY {
                frame.zero();
            }
            *number = frame.hpa().page_number();
            self.used += 1;
        }
        Some(Hpa::new(*number * PAGE_SIZE))
    }

    /// Where the `bytes` bytes at `gpa` are, if they are in one page of the first range that has been touched.
    #[inline(always)]
    fn at(&self, gpa: Gpa, bytes: u64) -> Option<*const u8> {
        let range = self.ranges.first()?;
        let number = *range.frames.get((gpa.raw().wrapping_sub(range.base.raw()) / PAGE_SIZE) as usize)?;
        let there = number != 0 && gpa.page_offset() <= PAGE_SIZE - bytes;
        there.then(|| (DIRECT_BASE.wrapping_add(number * PAGE_SIZE) | gpa.page_offset()) as *const u8)
    }

    /// Four bytes at `gpa` as a little-endian number, if they are in one page of the first range that has been touched.
    #[inline(always)]
    pub fn read4(&self, gpa: Gpa) -> Option<u32> {
        let from = self.at(gpa, 4)?;
        let word: u32;
        // SAFETY: the frame is this guest's, mapped in the direct map, and the four bytes are inside it. Assembly for the
        // reason that `copy` gives.
        unsafe { asm!("mov {0:e}, [{1}]", out(reg) word, in(reg) from, options(nostack, readonly)) };
        Some(word)
    }

    /// Sixteen bytes, likewise.
    #[inline(always)]
    pub fn read16(&self, gpa: Gpa) -> Option<[u64; 2]> {
        let from = self.at(gpa, 16)?;
        let (low, high): (u64, u64);
        // SAFETY: as in `read4`, with sixteen bytes.
        unsafe {
            asm!("mov {0}, [{2}]", "mov {1}, [{2} + 8]", out(reg) low, out(reg) high, in(reg) from,
                options(nostack, readonly));
        }
        Some([low, high])
    }

    /// Copies guest memory at `gpa` into `to`. Nothing crosses a page here: only the part in the page of `gpa` is
    /// copied. Returns how many bytes; 0 where there is no RAM. A page that was never touched reads as zeros.
    #[inline(always)]
    pub fn read(&self, gpa: Gpa, to: &mut [u8]) -> usize {
        let len = to.len().min((PAGE_SIZE - gpa.page_offset()) as usize);
        let Some(to) = to.get_mut(..len) else { return 0 };
        match self.frame(gpa) {
            Some(frame) => {
                // SAFETY: the frame is this guest's (owned by `frames`), mapped in the direct map, and the offset and
                // length stay inside it; `to` is the host's.
                unsafe { copy(to.as_mut_ptr(), direct(frame).wrapping_add(gpa.page_offset() as usize), len) }
            }
            None if self.contains(gpa) => to.fill(0),
            None => return 0,
        }
        len
    }

    /// Copies `from` into guest memory at `gpa`, up to the end of its page. Returns how many bytes; 0 where there is
    /// no RAM.
    #[inline(always)]
    pub fn write(&mut self, gpa: Gpa, from: &[u8]) -> usize {
        let len = from.len().min((PAGE_SIZE - gpa.page_offset()) as usize);
        let Some(frame) = self.touch(gpa) else { return 0 };
        // SAFETY: as in `read`, the other way round.
        unsafe { copy(direct(frame).wrapping_add(gpa.page_offset() as usize), from.as_ptr(), len) }
        len
    }
}

/// Copies between host and guest memory. Assembly, because the guest's other CPUs may write the bytes meanwhile: a
/// copy that the compiler sees would be a data race.
///
/// # Safety
/// `len` bytes at `from` are readable and at `to` writable, and no reference exists to the guest's side.
#[inline(always)]
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller's; the direction flag is clear by the ABI.
    unsafe {
        match len {
            1 => {
                asm!("mov {t:l}, [{0}]", "mov [{1}], {t:l}", in(reg) from, in(reg) to, t = out(reg) _, options(nostack))
            }
            2 => {
                asm!("mov {t:x}, [{0}]", "mov [{1}], {t:x}", in(reg) from, in(reg) to, t = out(reg) _, options(nostack))
            }
            4 => {
                asm!("mov {t:e}, [{0}]", "mov [{1}], {t:e}", in(reg) from, in(reg) to, t = out(reg) _, options(nostack))
            }
            8 => asm!("mov {t}, [{0}]", "mov [{1}], {t}", in(reg) from, in(reg) to, t = out(reg) _, options(nostack)),
            _ => {
                asm!("rep movsb", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") len => _, options(nostack))
            }
        }
    }
}
