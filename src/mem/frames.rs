//! Frames of RAM as owned values: who holds a [`Frames`] owns those frames, and dropping it gives them back.

use super::direct::{DIRECT_LIMIT, direct};
use super::frame_map::FrameMap;
use super::lock::IrqLock;
use super::map::{self, Entry, Range};
use super::owner::Owner;
use crate::base::{GIB, Hpa, MIB, PAGE_SIZE};
use core::mem::{ManuallyDrop, size_of};

static FRAMES: IrqLock<Option<FrameMap<'static>>> = IrqLock::new(None);

/// The least RAM that is enough, in bytes. A machine with 32 MiB has this much left by its firmware.
pub const LEAST_RAM: u64 = 28 * MIB;

/// Why there is no frame allocator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InitError {
    /// The map has less than [`LEAST_RAM`] of usable memory: this many bytes.
    TooLittle(u64),
    /// No place below 4 GiB for this many bytes of owner words.
    NoPlace(u64),
}

/// Makes the frame allocator from the firmware's map. `claims` are ranges in use already, with their owners: the
/// image, the boot information, modules. Call once, while the first 4 GiB are in the direct map.
pub fn init(
    entries: impl Iterator<Item = Entry> + Clone,
    claims: impl Iterator<Item = (Range, Owner)> + Clone,
) -> Result<(), InitError> {
    // What the direct map cannot show is no RAM for us.
    let entries = entries.filter(|e| e.range().end <= DIRECT_LIMIT);
    let usable = map::usable(entries.clone());
    if usable.total() < LEAST_RAM {
        return Err(InitError::TooLittle(usable.total()));
    }
    let count = FrameMap::words_for(&map::ram(entries.clone()));
    let bytes = (count * size_of::<u16>()) as u64;
    let taken = entries.clone().filter(|e| e.kind != map::EntryKind::Usable).map(|e| e.range());
    let avoid = taken.chain(claims.clone().map(|c| c.0));
    let at = map::place(&usable, avoid, bytes, MIB, 4 * GIB).ok_or(InitError::NoPlace(bytes))?;
    // SAFETY: `place` chose usable RAM below 4 GiB, which the boot tables show in the direct map, outside of all that
    // is in use; the claim below keeps it ours for good. Any content makes valid u16s.
    let words = unsafe { core::slice::from_raw_parts_mut(direct(Hpa::new(at)).cast::<u16>(), count) };
    let mut map = FrameMap::new(entries, words);
    for (range, owner) in claims {
        map.claim(range, owner);
    }
    map.claim(Range::new(at, bytes), Owner::Kernel);
    *FRAMES.lock() = Some(map);
    Ok(())
}

/// Consecutive frames of RAM, owned. Dropping gives them back; their content is whatever was there.
#[derive(Debug)]
pub struct Frames {
    hpa: Hpa,
    count: u64,
    owner: Owner,
}

impl Frames {
    /// HPA of the first frame.
    pub const fn hpa(&self) -> Hpa {
        self.hpa
    }

    /// How many frames.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their size in bytes.
    pub const fn bytes(&self) -> usize {
        (self.count * PAGE_SIZE) as usize
    }

    /// Who the allocator says owns them.
    pub const fn owner(&self) -> Owner {
        self.owner
    }

    /// Where they are in the direct map.
    pub const fn ptr(&self) -> *mut u8 {
        direct(self.hpa)
    }

    /// Fills them with zeroes.
    pub fn zero(&mut self) {
        self.as_mut_slice::<u64>().fill(0);
    }

    /// Their content as whole `T`s.
    pub fn as_slice<T: Plain>(&self) -> &[T] {
        // SAFETY: the frames are RAM, in the direct map, and ours as long as `self` is; page-aligned, so aligned for
        // any `Plain`, for which all bit patterns are valid.
        unsafe { core::slice::from_raw_parts(self.ptr().cast(), self.bytes() / size_of::<T>()) }
    }

    /// Their content as whole `T`s, to write.
    pub fn as_mut_slice<T: Plain>(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`, and `&mut self` makes this the only reference that came from this handle.
        unsafe { core::slice::from_raw_parts_mut(self.ptr().cast(), self.bytes() / size_of::<T>()) }
    }

    /// Keeps the frames for as long as the machine runs; their HPA.
    pub fn leak(self) -> Hpa {
        ManuallyDrop::new(self).hpa
    }

    /// A handle for frames that [`Frames::leak`] gave away.
    ///
    /// # Safety
    /// `hpa`, `count` and `owner` are those of a leaked handle, and this is the only new handle made from it.
    pub const unsafe fn from_leaked(hpa: Hpa, count: u64, owner: Owner) -> Self {
        Self { hpa, count, owner }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let freed = with(|map| map.free(self.hpa.page_number(), self.count, self.owner));
        debug_assert!(freed, "frames at {} were not {:?}'s", self.hpa, self.owner);
    }
}

/// Numbers: all bit patterns are valid, no padding, aligned to at most a page.
pub trait Plain: sealed::Sealed + Copy {}
mod sealed {
    pub trait Sealed {}
}
macro_rules! plain {
    ($($t:ty)*) => { $(impl sealed::Sealed for $t {} impl Plain for $t {})* };
}
plain!(u8 u16 u32 u64);

fn with<R>(f: impl FnOnce(&mut FrameMap<'static>) -> R) -> R {
    match &mut *FRAMES.lock() {
        Some(map) => f(map),
        None => panic!("the frame allocator is used before it is made"),
    }
}

fn handle(first: u64, count: u64, owner: Owner) -> Frames {
    Frames { hpa: Hpa::new(first * PAGE_SIZE), count, owner }
}

/// One frame, not zeroed.
pub fn alloc(owner: Owner) -> Option<Frames> {
    with(|map| map.alloc(owner)).map(|first| handle(first, 1, owner))
}

/// One frame full of zeroes.
pub fn alloc_zeroed(owner: Owner) -> Option<Frames> {
    let mut frame = alloc(owner)?;
    frame.zero();
    Some(frame)
}

/// `count` consecutive frames, the first aligned to `align` bytes (a power of two), not zeroed.
pub fn alloc_run(count: u64, align: u64, owner: Owner) -> Option<Frames> {
    with(|map| map.alloc_run(count, (align / PAGE_SIZE).max(1), owner)).map(|first| handle(first, count, owner))
}

/// `count` consecutive frames that end at or below `limit`: the only way to frames below 1 MiB.
pub fn alloc_below(count: u64, limit: Hpa, owner: Owner) -> Option<Frames> {
    with(|map| map.alloc_below(count, limit.page_number(), owner)).map(|first| handle(first, count, owner))
}

/// The owner of the frame that holds `hpa`.
pub fn owner(hpa: Hpa) -> Owner {
    with(|map| map.owner(hpa.page_number()))
}

/// How many frames each kind of owner has, in the order of [`Owner::kind`].
pub fn counts() -> [u64; Owner::KINDS] {
    with(|map| map.counts())
}

/// How many bytes are free.
pub fn free_bytes() -> u64 {
    counts()[Owner::Free.kind()] * PAGE_SIZE
}

/// How many bytes of RAM have an owner word.
pub fn ram_bytes() -> u64 {
    counts().iter().sum::<u64>() * PAGE_SIZE
}

/// The `index`th bank of RAM in ascending order.
pub(super) fn ram_bank(index: usize) -> Option<Range> {
    with(|map| map.ram().nth(index))
}

/// Puts `value` into frames of its own, for as long as the machine runs.
pub fn leak_value<T>(value: T, owner: Owner) -> Option<&'static mut T> {
    const { assert!(core::mem::align_of::<T>() <= PAGE_SIZE as usize) };
    let frames = alloc_run((size_of::<T>() as u64).div_ceil(PAGE_SIZE).max(1), PAGE_SIZE, owner)?;
    let ptr = frames.ptr().cast::<T>();
    frames.leak();
    // SAFETY: the frames are RAM of at least this size, page-aligned, in the direct map, and leaked, so nobody else's
    // for ever; `write` makes them a valid `T`.
    unsafe {
        ptr.write(value);
        Some(&mut *ptr)
    }
}
