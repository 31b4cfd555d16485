//! The isolation audit: proves by the frame owners that a guest's nested tables reach its own frames only.

use core::fmt;
use core::ops::Add;

use super::nested::{Format, NestedTable, TableMemory, Visit};
use crate::base::{Hpa, PAGE_SIZE};
use crate::mem::owner::Owner;

/// What the audit walked over.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Audit {
    /// Tables, the root included.
    pub tables: u64,
    /// Leaves.
    pub leaves: u64,
    /// Frames of 4 KiB under the leaves.
    pub frames: u64,
}

impl Add for Audit {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            tables: self.tables + other.tables,
            leaves: self.leaves + other.leaves,
            frames: self.frames + other.frames,
        }
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tables, {} pages", self.tables, self.leaves)
    }
}

/// A frame that the guest must not reach, or must not reach this way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trespass {
    /// The frame.
    pub frame: Hpa,
    /// Whose it is.
    pub owner: Owner,
    /// Whose it should be.
    pub expected: Owner,
}

impl fmt::Display for Trespass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the frame at HPA {:#x} belongs to {:?}, not to {:?}", self.frame, self.owner, self.expected)
    }
}

/// Walks all of `table`, which belongs to guest `vm`: every table's frame must be its nested table's, every mapped
/// frame its own, as `owner_of` says.
pub fn audit<F: Format, M: TableMemory>(
    table: &NestedTable<F, M>,
    vm: u16,
    owner_of: impl Fn(Hpa) -> Owner,
) -> Result<Audit, Trespass> {
    let mut sum = Audit::default();
    let check = |frame: Hpa, expected: Owner| {
        let owner = owner_of(frame);
        if owner == expected { Ok(()) } else { Err(Trespass { frame, owner, expected }) }
    };
    table.visit(&mut |v| {
        match v {
            Visit::Table(at) => {
                check(at, Owner::NestedTable(vm))?;
                sum.tables += 1;
            }
            Visit::Page { size, leaf, .. } => {
                for offset in (0..size.bytes()).step_by(PAGE_SIZE as usize) {
                    check(Hpa::new(leaf.hpa.raw() + offset), Owner::Guest(vm))?;
                }
                sum.leaves += 1;
                sum.frames += size.bytes() / PAGE_SIZE;
            }
        }
        Ok(())
    })?;
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Gpa;
    use crate::vt::nested::tests::FakeMemory;
    use crate::vt::nested::{Leaf, PageSize};
    use crate::vt::vmx::ept::Ept;

    fn owner(hpa: Hpa) -> Owner {
        match hpa.raw() {
            0x10_0000..0x20_0000 => Owner::NestedTable(7),
            0x40_0000..0x60_0000 => Owner::Guest(7),
            0x60_0000 => Owner::Guest(8),
            _ => Owner::Kernel,
        }
    }

    fn table(pages: &[(u64, PageSize, u64)]) -> NestedTable<Ept, FakeMemory> {
        let mut t = NestedTable::new(FakeMemory::with_limit(99)).unwrap();
        for &(gpa, size, hpa) in pages {
            t.map(Gpa::new(gpa), size, Leaf::ram(Hpa::new(hpa))).unwrap();
        }
        t
    }

    #[test]
    fn own_frames_are_counted() {
        let t = table(&[(0, PageSize::Size2M, 0x40_0000), (0x8000_0000, PageSize::Size4K, 0x40_5000)]);
        assert_eq!(audit(&t, 7, owner), Ok(Audit { tables: 5, leaves: 2, frames: 513 }));
    }

    #[test]
    fn a_frame_of_the_host_or_of_another_guest_is_named() {
        let t = table(&[(0, PageSize::Size4K, 0x60_0000)]);
        assert_eq!(audit(&t, 7, owner).unwrap_err().owner, Owner::Guest(8));
        let t = table(&[(0, PageSize::Size4K, 0x3f_f000)]);
        assert_eq!(audit(&t, 7, owner).unwrap_err().frame, Hpa::new(0x3f_f000));
        // Right kind of owner, but of another VM's tables.
        assert_eq!(audit(&table(&[]), 8, owner).unwrap_err().expected, Owner::NestedTable(8));
    }
}
