//! The guest's own page tables, walked as its CPU walks them (SDM 3A "Paging").
//!
//! Protection keys are not checked: PKRU is not part of [`CpuState`], and a device's pages are the kernel's.

use crate::base::cpu::{cr0, cr4, efer, rflags};
use crate::base::{Access, CpuState, Gpa, Gva, PAGE_SIZE};
use crate::emu::{Fault, World};

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NX: u64 = 1 << 63;
/// Bits 51:12, for a physical address width of 52.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Bits of a page fault's error code (SDM 3A "Interrupt 14—Page-Fault Exception (#PF)").
mod error {
    pub const PROTECTION: u32 = 1 << 0;
    pub const WRITE: u32 = 1 << 1;
    pub const USER: u32 = 1 << 2;
    pub const RESERVED: u32 = 1 << 3;
    pub const FETCH: u32 = 1 << 4;
}

/// The four paging structures (SDM 3A "Paging Modes and Control Bits").
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Legacy,
    Pae,
    Four,
    Five,
}

impl Format {
    const fn of(cpu: &CpuState) -> Self {
        match (cpu.efer & efer::LMA != 0, cpu.cr4 & cr4::LA57 != 0, cpu.cr4 & cr4::PAE != 0) {
            (true, true, _) => Self::Five,
            (true, false, _) => Self::Four,
            (false, _, true) => Self::Pae,
            (false, _, false) => Self::Legacy,
        }
    }

    const fn levels(self) -> usize {
        match self {
            Self::Legacy => 2,
            Self::Pae => 3,
            Self::Four => 4,
            Self::Five => 5,
        }
    }

    /// Where the top table starts.
    const fn root(self, cr3: u64) -> u64 {
        match self {
            Self::Legacy => cr3 & 0xffff_f000,
            Self::Pae => cr3 & 0xffff_ffe0,
            Self::Four | Self::Five => cr3 & ADDRESS,
        }
    }

    /// How many address bits one table decides, and the bytes of an entry.
    const fn table(self) -> (u32, usize) {
        match self {
            Self::Legacy => (10, 4),
            _ => (9, 8),
        }
    }

    /// A page-directory-pointer-table entry of PAE paging: without rights and without an accessed flag.
    const fn is_pdpte(self, level: usize) -> bool {
        matches!(self, Self::Pae) && level == 3
    }

    /// Whether `entry` maps a page rather than naming a table.
    const fn maps(self, level: usize, entry: u64, cpu: &CpuState) -> bool {
        let large = match (self, level) {
            (_, 1) => return true,
            (Self::Legacy, 2) => cpu.cr4 & cr4::PSE != 0,
            (_, 2) | (Self::Four | Self::Five, 3) => true,
            _ => false,
        };
        large && entry & LARGE != 0
    }

    /// The bits that must be 0 in a present entry (SDM 3A, the tables of each format's entries).
    const fn reserved(self, level: usize, maps: bool, cpu: &CpuState) -> u64 {
        let nx = if cpu.efer & efer::NXE == 0 { NX } else { 0 };
        let high = 0x7ff << 52;
        match (self, level, maps) {
            (Self::Legacy, 2, true) => 1 << 21,
            (Self::Legacy, ..) => 0,
            // Not bits 5 and 6: QEMU treats a PDPTE like any other entry and sets its accessed flag.
            (Self::Pae, 3, _) => NX | high | 0x186,
            (Self::Pae, 2, true) => nx | high | 0x001f_e000,
            (Self::Pae, ..) => nx | high,
            (_, 4 | 5, _) => nx | LARGE,
            (_, 3, true) => nx | 0x3fff_e000,
            (_, 2, true) => nx | 0x001f_e000,
            _ => nx,
        }
    }

    /// The start of the page that `entry` maps, and its size in bytes.
    const fn page(self, level: usize, entry: u64) -> (u64, u64) {
        match (self, level) {
            // PSE-36: bits 20:13 of the entry are bits 39:32 of the address.
            (Self::Legacy, 2) => (entry & 0xffc0_0000 | (entry >> 13 & 0xff) << 32, 1 << 22),
            (_, 2) => (entry & ADDRESS & !0x1f_ffff, 1 << 21),
            (_, 3) => (entry & ADDRESS & !0x3fff_ffff, 1 << 30),
            _ => (entry & ADDRESS, PAGE_SIZE),
        }
    }
}

/// What the entries of a walk allow together (SDM 3A "Determination of Access Rights").
#[derive(Clone, Copy)]
struct Rights {
    user: bool,
    write: bool,
    fetch: bool,
}

impl Rights {
    const ALL: Self = Self { user: true, write: true, fetch: true };

    fn and(self, entry: u64) -> Self {
        Self {
            user: self.user && entry & USER != 0,
            write: self.write && entry & WRITABLE != 0,
            fetch: self.fetch && entry & NX == 0,
        }
    }

    fn allow(self, cpu: &CpuState, access: Access, user: bool) -> bool {
        if user {
            return self.user
                && match access {
                    Access::Read => true,
                    Access::Write => self.write,
                    Access::Fetch => self.fetch,
                };
        }
        // AC overrides SMAP for explicit accesses only; a supervisor access at CPL 3 is an implicit one.
        let explicit = cpu.rflags & rflags::AC != 0 && cpu.cpl < 3;
        let data = !self.user || cpu.cr4 & cr4::SMAP == 0 || explicit;
        match access {
            Access::Read => data,
            Access::Write => data && (self.write || cpu.cr0 & cr0::WP == 0),
            Access::Fetch => self.fetch && !(self.user && cpu.cr4 & cr4::SMEP != 0),
        }
    }
}

/// The guest-physical address behind the linear address `gva` for this access, in user or supervisor mode.
///
/// Accessed and dirty flags are set as the CPU sets them, once the access is known to be allowed. Only the byte that
/// holds them is written. The address is taken to be canonical: [`crate::emu::segment::linear`] has checked it.
/// A PAE guest's PDPTEs are read from memory each time, so that a reserved bit in one is a page fault here.
///
/// SDM 3A "Hierarchical Paging Structures: an Overview", "Access Rights", "Accessed and Dirty Flags".
pub fn translate<W: World>(cpu: &CpuState, world: &mut W, gva: Gva, access: Access, user: bool) -> Result<Gpa, Fault> {
    let at = if cpu.efer & efer::LMA == 0 { gva.raw() & 0xffff_ffff } else { gva.raw() };
    if !cpu.paging() {
        return Ok(Gpa::new(at));
    }
    let format = Format::of(cpu);
    let (index_bits, entry_bytes) = format.table();
    let fault = |why: u32| Fault::page(why | error_code(cpu, access, user), at);
    let mut table = format.root(cpu.cr3);
    let mut rights = Rights::ALL;
    let mut flags = Flags::default();
    for level in (1..=format.levels()).rev() {
        let index = at >> (12 + index_bits * (level as u32 - 1)) & ((1 << index_bits) - 1);
        let place = Gpa::new(table + index * entry_bytes as u64);
        let entry = read_entry(world, place, entry_bytes);
        if entry & PRESENT == 0 {
            return Err(fault(0));
        }
        let maps = format.maps(level, entry, cpu);
        if entry & format.reserved(level, maps, cpu) != 0 {
            return Err(fault(error::PROTECTION | error::RESERVED));
        }
        if !format.is_pdpte(level) {
            rights = rights.and(entry);
            let dirty = if maps && access == Access::Write { DIRTY } else { 0 };
            flags.note(level, place, entry, ACCESSED | dirty);
        }
        if maps {
            if !rights.allow(cpu, access, user) {
                return Err(fault(error::PROTECTION));
            }
            flags.write(world);
            let (page, size) = format.page(level, entry);
            return Ok(Gpa::new(page | at & (size - 1)));
        }
        table = entry & ADDRESS;
    }
    // Every entry of level 1 maps a page, so that the loop has returned.
    Err(fault(0))
}

/// The part of the error code that describes the access.
fn error_code(cpu: &CpuState, access: Access, user: bool) -> u32 {
    let nx = cpu.cr4 & cr4::PAE != 0 && cpu.efer & efer::NXE != 0;
    let what = match access {
        Access::Write => error::WRITE,
        Access::Fetch if nx || cpu.cr4 & cr4::SMEP != 0 => error::FETCH,
        Access::Read | Access::Fetch => 0,
    };
    what | if user { error::USER } else { 0 }
}

/// Reads one entry; those of 4 bytes have zeros above.
fn read_entry<W: World>(world: &mut W, place: Gpa, bytes: usize) -> u64 {
    let mut entry = [0; 8];
    if let Some(part) = entry.get_mut(..bytes) {
        world.read(place, part);
    }
    u64::from_le_bytes(entry)
}

/// The low bytes of the entries whose accessed or dirty flag a walk has to set, top level last.
#[derive(Default)]
struct Flags([Option<(Gpa, u8)>; 5]);

impl Flags {
    fn note(&mut self, level: usize, place: Gpa, entry: u64, set: u64) {
        if entry & set != set
            && let Some(slot) = self.0.get_mut(level.wrapping_sub(1))
        {
            *slot = Some((place, (entry | set) as u8));
        }
    }

    /// From the top down: where one entry serves two levels, the leaf's flags stay.
    fn write<W: World>(&self, world: &mut W) {
        for (place, byte) in self.0.iter().rev().flatten() {
            world.write(*place, &[*byte]);
        }
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
