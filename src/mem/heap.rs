//! The kernel heap: for boot and for making VMs. Nothing allocates while a guest runs.

use super::frames;
use super::lock::IrqLock;
use super::owner::Owner;
use crate::base::{MIB, PAGE_SIZE};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use linked_list_allocator::Heap;

struct KernelHeap(IrqLock<Heap>);

#[cfg_attr(feature = "kernel", global_allocator)]
static HEAP: KernelHeap = KernelHeap(IrqLock::new(Heap::empty()));

// SAFETY: `Heap` hands out disjoint blocks of the layouts asked for, under a lock; it reports failure by null.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.0.lock().allocate_first_fit(layout) {
            Ok(block) => block.as_ptr(),
            Err(()) => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if let Some(ptr) = NonNull::new(ptr) {
            // SAFETY: the caller's contract is that `ptr` came from `alloc` with this `layout`.
            unsafe { self.0.lock().deallocate(ptr, layout) }
        }
    }
}

/// Gives the heap its memory: 1/32 of RAM up to 16 MiB, beyond that 1/128, since a guest's RAM takes 1/512 of its size here; or half
/// of it, and so on, if no run of frames is so long. Returns its size in bytes, or `None` if there is not a MiB. Call once.
pub fn init() -> Option<u64> {
    let ram = frames::ram_bytes();
    let mut bytes = (ram / 32).clamp(MIB, (ram / 128).max(16 * MIB)).next_multiple_of(PAGE_SIZE);
    let run = loop {
        if let Some(run) = frames::alloc_run(bytes / PAGE_SIZE, PAGE_SIZE, Owner::Heap) {
            break run;
        }
        bytes = (bytes / 2).next_multiple_of(PAGE_SIZE);
        if bytes < MIB {
            return None;
        }
    };
    let bottom = run.ptr();
    run.leak();
    // SAFETY: the run is RAM in the direct map, `bytes` long, leaked: the heap's for good.
    unsafe { HEAP.0.lock().init(bottom, bytes as usize) };
    Some(bytes)
}

/// Bytes in use and bytes free.
pub fn usage() -> (usize, usize) {
    let heap = HEAP.0.lock();
    (heap.used(), heap.free())
}
