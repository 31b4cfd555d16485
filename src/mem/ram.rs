//! A guest's RAM: large pages where it can be, and frames that are set aside when the VM is made and given to pages when they are
//! first touched.

use alloc::vec::Vec;
use core::arch::asm;

use arrayvec::ArrayVec;

use crate::base::{Gpa, Hpa, MIB, PAGE_SIZE};
use crate::mem::direct::{DIRECT_BASE, direct};
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;

/// What one large page maps.
pub const LARGE: u64 = 2 * MIB;
/// Small pages of a large one.
const PAGES: usize = (LARGE / PAGE_SIZE) as usize;
/// How many single frames are zeroed when the VM is made; the others when they are given out. Large pages are zeroed at once.
const READY: usize = 256;

/// Where a page of the guest is in the host's direct map, or one of the two below.
type Place = u64;
/// RAM that has no frame yet.
const UNTOUCHED: Place = 0;
/// No RAM.
const NO_RAM: Place = 1;

/// The RAM of one guest. Its content is copied in and out, never borrowed: another vCPU may write it at any time.
#[derive(Debug)]
pub struct GuestRam {
    /// By guest-physical page number, up to the end of RAM: one look for each access, and two thousandths of the RAM's size.
    pages: Vec<Place>,
    /// Single frames of this guest; the first `used` are given to pages.
    frames: Vec<Frames>,
    used: usize,
    /// Whole large pages, and where the guest sees them.
    large: Vec<(Gpa, Frames)>,
    ranges: ArrayVec<(Gpa, u64), 8>,
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
    /// RAM of guest `vm` in `ranges` (start and length in bytes, multiples of 4 KiB, not overlapping). `large`: what can be in
    /// large pages is, as far as the host has such.
    pub fn new(vm: u16, ranges: &[(Gpa, u64)], large: bool) -> Result<Self, RamError> {
        let mut ram =
            Self { pages: Vec::new(), frames: Vec::new(), used: 0, large: Vec::new(), ranges: ArrayVec::new() };
        let mut end = 0;
        for &(base, bytes) in ranges {
            let good = bytes != 0 && bytes % PAGE_SIZE == 0 && base.is_aligned(PAGE_SIZE);
            let last = base.checked_add(bytes).filter(|_| good).ok_or(RamError::BadRange)?;
            ram.ranges.try_push((base, bytes)).map_err(|_| RamError::BadRange)?;
            end = last.raw().max(end);
        }
        let pages = usize::try_from(end.div_ceil(LARGE) * LARGE / PAGE_SIZE).map_err(|_| RamError::OutOfMemory)?;
        ram.pages.try_reserve_exact(pages).map_err(|_| RamError::OutOfMemory)?;
        for base in (0..end).step_by(LARGE as usize) {
            ram.fill(vm, Gpa::new(base), large)?;
        }
        Ok(ram)
    }

    /// Finds frames for the [`LARGE`] bytes at `base`.
    fn fill(&mut self, vm: u16, base: Gpa, large: bool) -> Result<(), RamError> {
        let ranges = self.ranges.clone();
        let is_ram = |at: u64| ranges.iter().any(|(start, bytes)| at.wrapping_sub(start.raw()) < *bytes);
        let pages = || (base.raw()..).step_by(PAGE_SIZE as usize).take(PAGES);
        let count = pages().filter(|at| is_ram(*at)).count();
        if large
            && count == PAGES
            && let Some(mut run) = frames::alloc_run(PAGES as u64, LARGE, Owner::Guest(vm))
        {
            run.zero();
            let first = place(run.hpa());
            self.large.try_reserve(1).map_err(|_| RamError::OutOfMemory)?;
            self.large.push((base, run));
            self.pages.extend((first..).step_by(PAGE_SIZE as usize).take(PAGES));
            return Ok(());
        }
        self.pages.extend(pages().map(|at| if is_ram(at) { UNTOUCHED } else { NO_RAM }));
        self.frames.try_reserve(count).map_err(|_| RamError::OutOfMemory)?;
        for _ in 0..count {
            let mut frame = frames::alloc(Owner::Guest(vm)).ok_or(RamError::OutOfMemory)?;
            if self.frames.len() < READY {
                frame.zero();
            }
            self.frames.push(frame);
        }
        Ok(())
    }

    /// The ranges: start and length in bytes.
    pub fn ranges(&self) -> impl Iterator<Item = (Gpa, u64)> {
        self.ranges.iter().copied()
    }

    /// The large pages: where the guest sees each, and where it is.
    pub fn large_pages(&self) -> impl Iterator<Item = (Gpa, Hpa)> {
        self.large.iter().map(|(gpa, run)| (*gpa, run.hpa()))
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.frames.len() as u64 * PAGE_SIZE + self.large.len() as u64 * LARGE
    }

    #[inline(always)]
    fn place(&self, gpa: Gpa) -> Place {
        self.pages.get(page(gpa)).copied().unwrap_or(NO_RAM)
    }

    /// Where the page at `gpa` is in the direct map, if it is RAM and has been touched.
    #[inline(always)]
    fn touched(&self, gpa: Gpa) -> Option<u64> {
        Some(self.place(gpa)).filter(|place| *place > NO_RAM)
    }

    /// Whether there is RAM at `gpa`.
    #[inline(always)]
    pub fn contains(&self, gpa: Gpa) -> bool {
        self.place(gpa) != NO_RAM
    }

    /// The frame of the page at `gpa`, given to it now if it has none; `None` where there is no RAM.
    #[inline(always)]
    pub fn touch(&mut self, gpa: Gpa) -> Option<Hpa> {
        let page = self.pages.get_mut(page(gpa))?;
        if *page == UNTOUCHED {
            // There are as many frames as pages, so one is left for each page that has none.
            let frame = self.frames.get_mut(self.used)?;
            if self.used >= READY {
                frame.zero();
            }
            *page = place(frame.hpa());
            self.used += 1;
        }
        (*page != NO_RAM).then_some(Hpa::new(page.wrapping_sub(DIRECT_BASE)))
    }

    /// Where the `bytes` bytes at `gpa` are, if they are in one page that has been touched.
    #[inline(always)]
    fn at(&self, gpa: Gpa, bytes: u64) -> Option<*const u8> {
        let page = self.touched(gpa)?;
        let inside = gpa.page_offset() <= PAGE_SIZE - bytes;
        inside.then_some((page | gpa.page_offset()) as *const u8)
    }

    /// Four bytes at `gpa` as a little-endian number, if they are in one page that has been touched.
    #[inline(always)]
    pub fn read4(&self, gpa: Gpa) -> Option<u32> {
        let from = self.at(gpa, 4)?;
        let word: u32;
        // SAFETY: the frame is this guest's, mapped in the direct map, and the four bytes are inside it. Assembly for the
        // reason that `copy` gives.
        unsafe { asm!("mov {0:e}, [{1}]", out(reg) word, in(reg) from, options(nostack, readonly)) };
        Some(word)
    }

    /// Eight bytes at `gpa`, which is a multiple of eight, likewise.
    #[inline(always)]
    pub fn read8(&self, gpa: Gpa) -> Option<u64> {
        // Aligned, so inside its page.
        let at = gpa.raw() & !7;
        let from = (self.touched(gpa)? | at & (PAGE_SIZE - 1)) as *const u8;
        let word: u64;
        // SAFETY: as in `read4`, with eight bytes.
        unsafe { asm!("mov {0}, [{1}]", out(reg) word, in(reg) from, options(nostack, readonly)) };
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
        match self.touched(gpa) {
            Some(page) => {
                // SAFETY: the frame is this guest's (owned by `frames` or `large`), mapped in the direct map, and the offset and
                // length stay inside it; `to` is the host's.
                unsafe { copy(to.as_mut_ptr(), (page | gpa.page_offset()) as *const u8, len) }
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

/// The number of its page.
#[inline(always)]
const fn page(gpa: Gpa) -> usize {
    (gpa.raw() / PAGE_SIZE) as usize
}

#[inline(always)]
const fn place(frame: Hpa) -> Place {
    DIRECT_BASE.wrapping_add(frame.raw())
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
