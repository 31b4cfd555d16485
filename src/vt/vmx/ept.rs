//! The format of EPT entries (SDM 3C "Extended Page-Table Mechanism").

use crate::base::Hpa;
use crate::vt::nested::{Format, Leaf, MemoryType, PageSize};

/// Extended page tables.
#[derive(Clone, Copy, Debug)]
pub struct Ept;

const READ: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const EXECUTE: u64 = 1 << 2;
/// The guest's PAT does not count: a page that the host has write-back must not be uncached for the guest, or the guest sees
/// what was in memory before the host's writes left the cache.
const IGNORE_PAT: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

impl Format for Ept {
    const NAME: &'static str = "EPT";

    fn table(at: Hpa) -> u64 {
        at.raw() & ADDRESS | READ | WRITE | EXECUTE
    }

    fn leaf(leaf: Leaf, size: PageSize) -> u64 {
        let memory_type = match leaf.memory_type {
            MemoryType::Uncached => 0,
            MemoryType::WriteBack => 6 << 3 | IGNORE_PAT,
        };
        let mut entry = leaf.hpa.raw() & ADDRESS | READ | memory_type;
        if leaf.writable {
            entry |= WRITE;
        }
        if leaf.executable {
            entry |= EXECUTE;
        }
        if size != PageSize::Size4K {
            entry |= LARGE;
        }
        entry
    }

    fn is_present(entry: u64) -> bool {
        entry & (READ | WRITE | EXECUTE) != 0
    }

    fn is_large(entry: u64) -> bool {
        entry & LARGE != 0
    }

    fn address(entry: u64) -> Hpa {
        Hpa::new(entry & ADDRESS)
    }

    fn rights(entry: u64) -> [bool; 3] {
        [READ, WRITE, EXECUTE].map(|bit| entry & bit != 0)
    }

    fn decode_leaf(entry: u64) -> Leaf {
        Leaf {
            hpa: Self::address(entry),
            writable: entry & WRITE != 0,
            executable: entry & EXECUTE != 0,
            memory_type: if entry >> 3 & 7 == 6 { MemoryType::WriteBack } else { MemoryType::Uncached },
        }
    }
}

/// The EPT pointer for a 4-level table at `root`, its own accesses write-back
/// (SDM 3C "Extended-Page-Table Pointer (EPTP)").
pub const fn pointer(root: Hpa, accessed_dirty: bool) -> u64 {
    const WRITE_BACK: u64 = 6;
    const WALK_LENGTH_4: u64 = 3 << 3;
    let ad = if accessed_dirty { 1 << 6 } else { 0 };
    root.raw() & ADDRESS | WRITE_BACK | WALK_LENGTH_4 | ad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_the_manuals() {
        assert_eq!(pointer(Hpa::new(0x1000), false), 0x101e);
        assert_eq!(pointer(Hpa::new(0x1000), true), 0x105e);
        assert_eq!(Ept::leaf(Leaf::ram(Hpa::new(0x20_0000)), PageSize::Size2M), 0x20_00f7);
        assert_eq!(Ept::table(Hpa::new(0x3000)), 0x3007);
    }
}
