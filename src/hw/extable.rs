//! Instructions that may fault: a table of pairs, where it faults and where to go on.

use crate::hw::trap::TrapFrame;

/// One entry, as inline assembly puts it into the section `.extable`.
#[repr(C)]
struct Entry {
    /// Address of the instruction that may raise #GP or #PF.
    at: u64,
    /// Where to go on if it does.
    to: u64,
}

unsafe extern "C" {
    static __extable_start: Entry;
    static __extable_end: Entry;
}

/// If a general-protection exception or page fault is one that was reckoned with, sends the code to its fixup.
pub(super) fn fix(frame: &mut TrapFrame) -> bool {
    if !matches!(frame.vector, 13 | 14) {
        return false;
    }
    let (start, end) = (&raw const __extable_start, &raw const __extable_end);
    let count = (end as usize - start as usize) / size_of::<Entry>();
    // SAFETY: linker.ld puts the two symbols around the entries, and nothing else, in read-only memory.
    let entries = unsafe { core::slice::from_raw_parts(start, count) };
    match entries.iter().find(|e| e.at == frame.rip) {
        Some(entry) => {
            frame.rip = entry.to;
            true
        }
        None => false,
    }
}
