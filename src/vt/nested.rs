//! Nested page tables: guest-physical to host-physical, four levels, one builder for EPT and NPT.

use core::marker::PhantomData;

use arrayvec::ArrayVec;

use crate::base::{Gpa, Hpa, PAGE_SIZE};

/// How a leaf's memory is cached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryType {
    /// Write-back: RAM.
    WriteBack,
    /// Uncached: device memory.
    Uncached,
}

/// What a leaf maps to, and the rights it gives. Every leaf is readable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Where the page is.
    pub hpa: Hpa,
    /// May the guest write it.
    pub writable: bool,
    /// May the guest execute it.
    pub executable: bool,
    /// Its memory type.
    pub memory_type: MemoryType,
}

impl Leaf {
    /// Guest RAM: all rights, write-back.
    pub const fn ram(hpa: Hpa) -> Self {
        Self { hpa, writable: true, executable: true, memory_type: MemoryType::WriteBack }
    }
}

/// The size of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PageSize {
    /// 4 KiB, in a level 1 table.
    Size4K = 0,
    /// 2 MiB, in a level 2 table.
    Size2M = 1,
    /// 1 GiB, in a level 3 table.
    Size1G = 2,
}

impl PageSize {
    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        PAGE_SIZE << (9 * self as u32)
    }
}

/// What differs between EPT and NPT.
pub trait Format: Copy {
    /// The name for logs.
    const NAME: &'static str;
    /// An entry that points to the table at `at`, with all rights.
    fn table(at: Hpa) -> u64;
    /// An entry that maps a page of `size`.
    fn leaf(leaf: Leaf, size: PageSize) -> u64;
    /// Whether the CPU would follow this entry.
    fn is_present(entry: u64) -> bool;
    /// Whether a present entry above level 1 is a leaf.
    fn is_large(entry: u64) -> bool;
    /// Where a present entry points.
    fn address(entry: u64) -> Hpa;
    /// The rights that an entry gives: read, write, execute.
    fn rights(entry: u64) -> [bool; 3];
    /// What a leaf entry says.
    fn decode_leaf(entry: u64) -> Leaf;
}

/// The memory that tables live in: frames by the direct map, or a map in a test.
pub trait TableMemory {
    /// Entry `index` (0 to 511) of the table at `table`.
    fn read(&self, table: Hpa, index: usize) -> u64;
    /// Sets an entry.
    fn write(&mut self, table: Hpa, index: usize, entry: u64);
    /// A new table of 512 zero entries; `None` when those set aside are used up.
    fn new_table(&mut self) -> Option<Hpa>;
}

/// Why a page was not mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// GPA or HPA is no multiple of the page size.
    Misaligned,
    /// The GPA is past the 48 bits that four levels translate.
    OutOfRange,
    /// Something is mapped there already.
    Occupied,
    /// No frame left for a table.
    OutOfTables,
}

/// A present entry that a walk over all tables meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visit {
    /// A table (the root included).
    Table(Hpa),
    /// A page.
    Page {
        /// Where the guest sees it.
        gpa: Gpa,
        /// How large it is.
        size: PageSize,
        /// What it maps to.
        leaf: Leaf,
    },
}

/// A four-level nested table.
#[derive(Debug)]
pub struct NestedTable<F, M> {
    root: Hpa,
    memory: M,
    format: PhantomData<F>,
}

/// Levels count down from 4, the root, to 1.
const ROOT_LEVEL: u32 = 4;

const fn index(gpa: Gpa, level: u32) -> usize {
    (gpa.raw() >> (12 + 9 * (level - 1)) & 511) as usize
}

impl<F: Format, M: TableMemory> NestedTable<F, M> {
    /// An empty table; `None` when `memory` has no frame for the root.
    pub fn new(mut memory: M) -> Option<Self> {
        let root = memory.new_table()?;
        Some(Self { root, memory, format: PhantomData })
    }

    /// Where the root table is: what EPTP or nCR3 is made from.
    pub const fn root(&self) -> Hpa {
        self.root
    }

    /// Maps one page of `size` at `gpa`.
    pub fn map(&mut self, gpa: Gpa, size: PageSize, leaf: Leaf) -> Result<(), MapError> {
        if !gpa.is_aligned(size.bytes()) || !leaf.hpa.is_aligned(size.bytes()) {
            return Err(MapError::Misaligned);
        }
        if gpa.raw() >> 48 != 0 || leaf.hpa.raw() >> 52 != 0 {
            return Err(MapError::OutOfRange);
        }
        let leaf_level = 1 + size as u32;
        let mut table = self.root;
        let mut level = ROOT_LEVEL;
        while level > leaf_level {
            let i = index(gpa, level);
            let entry = self.memory.read(table, i);
            table = if !F::is_present(entry) {
                let new = self.memory.new_table().ok_or(MapError::OutOfTables)?;
                self.memory.write(table, i, F::table(new));
                new
            } else if level < ROOT_LEVEL && F::is_large(entry) {
                return Err(MapError::Occupied);
            } else {
                F::address(entry)
            };
            level -= 1;
        }
        let i = index(gpa, level);
        if F::is_present(self.memory.read(table, i)) {
            return Err(MapError::Occupied);
        }
        self.memory.write(table, i, F::leaf(leaf, size));
        Ok(())
    }

    /// Takes the page of 4 KiB at `gpa` out again; false where there is none. What the CPU has cached of it is not flushed.
    pub fn unmap(&mut self, gpa: Gpa) -> bool {
        let path = self.path(gpa);
        let [.., (2, table), (1, entry)] = path.as_slice() else { return false };
        let mapped = F::is_present(*entry);
        if mapped {
            self.memory.write(F::address(*table), index(gpa, 1), 0);
        }
        mapped
    }

    /// The page that holds `gpa`, if one is mapped.
    pub fn lookup(&self, gpa: Gpa) -> Option<(Leaf, PageSize)> {
        if gpa.raw() >> 48 != 0 {
            return None;
        }
        let mut table = self.root;
        let mut level = ROOT_LEVEL;
        loop {
            let entry = self.memory.read(table, index(gpa, level));
            if !F::is_present(entry) {
                return None;
            }
            match Self::leaf_size(level, entry) {
                Some(size) => return Some((F::decode_leaf(entry), size)),
                None => table = F::address(entry),
            }
            level -= 1;
        }
    }

    /// The entries on the way to `gpa`, from the root down: level and entry. The last one maps the page, or is not present.
    pub fn path(&self, gpa: Gpa) -> ArrayVec<(u32, u64), 4> {
        let mut path = ArrayVec::new();
        let mut table = self.root;
        for level in (1..=ROOT_LEVEL).rev() {
            let entry = self.memory.read(table, index(gpa, level));
            path.push((level, entry));
            if !F::is_present(entry) || Self::leaf_size(level, entry).is_some() {
                break;
            }
            table = F::address(entry);
        }
        path
    }

    /// The size of the page that a present entry of a table at `level` maps; `None` where it points to a table.
    fn leaf_size(level: u32, entry: u64) -> Option<PageSize> {
        match (level, F::is_large(entry)) {
            (1, _) => Some(PageSize::Size4K),
            (2, true) => Some(PageSize::Size2M),
            (3, true) => Some(PageSize::Size1G),
            _ => None,
        }
    }

    /// Shows every table and every mapped page to `see`, in the order of guest-physical addresses; stops at the
    /// first error that `see` returns.
    pub fn visit<E>(&self, see: &mut impl FnMut(Visit) -> Result<(), E>) -> Result<(), E> {
        self.visit_table(self.root, ROOT_LEVEL, Gpa::new(0), see)
    }

    fn visit_table<E>(
        &self,
        table: Hpa,
        level: u32,
        base: Gpa,
        see: &mut impl FnMut(Visit) -> Result<(), E>,
    ) -> Result<(), E> {
        see(Visit::Table(table))?;
        for i in 0..512 {
            let entry = self.memory.read(table, i);
            if !F::is_present(entry) {
                continue;
            }
            let gpa = Gpa::new(base.raw() | (i as u64) << (12 + 9 * (level - 1)));
            match Self::leaf_size(level, entry) {
                Some(size) => see(Visit::Page { gpa, size, leaf: F::decode_leaf(entry) })?,
                None => self.visit_table(F::address(entry), level - 1, gpa, see)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::vt::{svm::npt::Npt, vmx::ept::Ept};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    /// Tables in a map from address to entries.
    pub(crate) struct FakeMemory {
        tables: BTreeMap<u64, Vec<u64>>,
        limit: usize,
    }

    impl FakeMemory {
        pub(crate) fn with_limit(limit: usize) -> Self {
            Self { tables: BTreeMap::new(), limit }
        }
    }

    impl TableMemory for FakeMemory {
        fn read(&self, table: Hpa, index: usize) -> u64 {
            self.tables[&table.raw()][index]
        }
        fn write(&mut self, table: Hpa, index: usize, entry: u64) {
            self.tables.get_mut(&table.raw()).unwrap()[index] = entry;
        }
        fn new_table(&mut self) -> Option<Hpa> {
            if self.tables.len() == self.limit {
                return None;
            }
            let at = 0x10_0000 + self.tables.len() as u64 * PAGE_SIZE;
            self.tables.insert(at, std::vec![0; 512]);
            Some(Hpa::new(at))
        }
    }

    type Page = (Gpa, PageSize, Leaf);

    fn pages() -> impl Strategy<Value = Vec<Page>> {
        let size = prop_oneof![Just(PageSize::Size4K), Just(PageSize::Size2M), Just(PageSize::Size1G)];
        // Few distinct places, so that pages collide and nest.
        let page = (size, 0..4u64, 0..4u64, 0..4u64, any::<bool>(), any::<bool>(), any::<bool>());
        let page = page.prop_map(|(size, g, m, k, writable, executable, uncached)| {
            let gpa = (g << 30 | m << 21 | k << 12) & !(size.bytes() - 1);
            let memory_type = if uncached { MemoryType::Uncached } else { MemoryType::WriteBack };
            let hpa = Hpa::new(gpa ^ 0x40_0000_0000);
            (Gpa::new(gpa), size, Leaf { hpa, writable, executable, memory_type })
        });
        proptest::collection::vec(page, 0..24)
    }

    /// The builder against a list of what was mapped: same refusals, same translations, same visits.
    fn behaves_as_a_list<F: Format>(pages: &[Page]) {
        let overlap = |a: u64, an: u64, b: u64, bn: u64| a < b + bn && b < a + an;
        let mut table = NestedTable::<F, _>::new(FakeMemory::with_limit(usize::MAX)).unwrap();
        let mut list: Vec<Page> = Vec::new();
        for &(gpa, size, leaf) in pages {
            // What is mapped in the way, as page or as a table of smaller pages, covers some of the same addresses.
            let taken = list.iter().any(|(g, s, _)| overlap(g.raw(), s.bytes(), gpa.raw(), size.bytes()));
            assert_eq!(table.map(gpa, size, leaf), if taken { Err(MapError::Occupied) } else { Ok(()) });
            if !taken {
                list.push((gpa, size, leaf));
            }
        }
        for (gpa, size, leaf) in &list {
            for probe in [gpa.raw(), gpa.raw() + size.bytes() - 1] {
                assert_eq!(table.lookup(Gpa::new(probe)), Some((*leaf, *size)));
            }
        }
        list.sort_by_key(|(g, ..)| *g);
        let mut seen = Vec::new();
        let see = &mut |v| {
            if let Visit::Page { gpa, size, leaf } = v {
                seen.push((gpa, size, leaf));
            }
            Ok::<(), ()>(())
        };
        table.visit(see).unwrap();
        assert_eq!(seen, list);
    }

    proptest! {
        #[test]
        fn ept_translates_what_was_mapped(pages in pages()) {
            behaves_as_a_list::<Ept>(&pages);
        }

        #[test]
        fn npt_translates_what_was_mapped(pages in pages()) {
            behaves_as_a_list::<Npt>(&pages);
        }
    }

    #[test]
    fn limits() {
        let mut t = NestedTable::<Ept, _>::new(FakeMemory::with_limit(3)).unwrap();
        let leaf = Leaf::ram(Hpa::new(0x1000));
        assert_eq!(t.map(Gpa::new(1), PageSize::Size4K, leaf), Err(MapError::Misaligned));
        assert_eq!(t.map(Gpa::new(0x1000), PageSize::Size2M, leaf), Err(MapError::Misaligned));
        assert_eq!(t.map(Gpa::new(1 << 48), PageSize::Size4K, leaf), Err(MapError::OutOfRange));
        assert_eq!(t.map(Gpa::new(0), PageSize::Size4K, leaf), Err(MapError::OutOfTables));
        assert_eq!(t.lookup(Gpa::new(u64::MAX)), None);
    }
}
