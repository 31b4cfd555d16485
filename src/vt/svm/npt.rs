//! The format of nested page-table entries: those of long-mode paging, walked as user accesses
//! (APM 2 "Nested Paging", "Nested Table Walk").

use crate::base::Hpa;
use crate::vt::nested::{Format, Leaf, MemoryType, PageSize};

/// Nested page tables.
#[derive(Clone, Copy, Debug)]
pub struct Npt;

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
/// Guest accesses are user accesses to the nested walk: without this bit every one of them faults.
const USER: u64 = 1 << 2;
const WRITE_THROUGH: u64 = 1 << 3;
const CACHE_DISABLE: u64 = 1 << 4;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

impl Format for Npt {
    const NAME: &'static str = "NPT";

    fn table(at: Hpa) -> u64 {
        at.raw() & ADDRESS | PRESENT | WRITE | USER
    }

    fn leaf(leaf: Leaf, size: PageSize) -> u64 {
        let mut entry = leaf.hpa.raw() & ADDRESS | PRESENT | USER;
        if leaf.writable {
            entry |= WRITE;
        }
        if !leaf.executable {
            entry |= NO_EXECUTE;
        }
        if leaf.memory_type == MemoryType::Uncached {
            // PCD and PWT choose entry 3 of the host's PAT, which is UC after reset and which the host leaves so.
            entry |= WRITE_THROUGH | CACHE_DISABLE;
        }
        if size != PageSize::Size4K {
            entry |= LARGE;
        }
        entry
    }

    fn is_present(entry: u64) -> bool {
        entry & PRESENT != 0
    }

    fn is_large(entry: u64) -> bool {
        entry & LARGE != 0
    }

    fn address(entry: u64) -> Hpa {
        Hpa::new(entry & ADDRESS)
    }

    fn rights(entry: u64) -> [bool; 3] {
        let usable = entry & PRESENT != 0 && entry & USER != 0;
        [usable, usable && entry & WRITE != 0, usable && entry & NO_EXECUTE == 0]
    }

    fn decode_leaf(entry: u64) -> Leaf {
        Leaf {
            hpa: Self::address(entry),
            writable: entry & WRITE != 0,
            executable: entry & NO_EXECUTE == 0,
            memory_type: if entry & CACHE_DISABLE != 0 { MemoryType::Uncached } else { MemoryType::WriteBack },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_the_manuals() {
        assert_eq!(Npt::table(Hpa::new(0x3000)), 0x3007);
        assert_eq!(Npt::leaf(Leaf::ram(Hpa::new(0x20_0000)), PageSize::Size2M), 0x20_0087);
        let device = Leaf { executable: false, memory_type: MemoryType::Uncached, ..Leaf::ram(Hpa::new(0x1000)) };
        assert_eq!(Npt::leaf(device, PageSize::Size4K), 1 << 63 | 0x101f);
    }
}
