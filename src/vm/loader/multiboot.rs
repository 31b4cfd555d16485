//! Multiboot kernels (Multiboot Specification 0.6.96): ELF32 files, or any file whose header has load addresses.

mod elf32;
mod header;
mod info;

use alloc::vec::Vec;

use crate::base::{Gpa, Gpr, GprFile, PAGE_SIZE};
use crate::vm::loader::description::Module;
use crate::vm::loader::entry::{self, Selectors};
use crate::vm::loader::room::{ANYWHERE, Room, Wish};
use crate::vm::loader::{Boot, Entry, LoadError, Memory, Part};
use header::Header;

/// What the kernel finds in EAX.
const MAGIC: u64 = 0x2bad_b002;
/// The protocol leaves them open; these are those of the first two descriptors.
const SELECTORS: Selectors = Selectors { code: 0x08, data: 0x10 };
/// The information is not below this: kernels have their own low things at the beginning of memory.
const LOWEST_INFORMATION: u64 = 0x10000;

/// What of the image goes where.
struct Piece<'a> {
    part: Part,
    at: u64,
    bytes: &'a [u8],
    /// Its length in memory.
    size: u64,
    /// Where the image says so.
    offset: u64,
}

/// A kernel's pieces and its entry, a physical address.
struct Plan<'a> {
    pieces: Vec<Piece<'a>>,
    entry: u64,
    /// Where the image names the entry.
    entry_offset: u64,
}

/// Loads a kernel and, page by page behind it, its modules.
pub fn load(
    memory: &mut dyn Memory,
    boot: &Boot<'_>,
    image: &[u8],
    modules: &[Module<'_>],
) -> Result<Entry, LoadError> {
    let header = Header::find(image)?;
    let plan = if header.has_addresses() { header.plan(image)? } else { elf32::plan(image, header.offset)? };
    let starts = |piece: &Piece<'_>| plan.entry.checked_sub(piece.at).is_some_and(|offset| offset < piece.size);
    if !plan.pieces.iter().any(starts) {
        return Err(LoadError::KernelEntry { entry: plan.entry, offset: plan.entry_offset });
    }

    let mut room = Room::new(memory, boot.map);
    let mut end = 0;
    for piece in &plan.pieces {
        room.take(piece.part, piece.at, piece.size, piece.offset)?;
        end = piece.at.saturating_add(piece.size).max(end);
    }
    let mut places = Vec::new();
    for (number, module) in (1..).zip(modules) {
        let bytes = module.bytes.len() as u64;
        let wish = Wish { bytes, align: PAGE_SIZE, from: end, below: ANYWHERE };
        let at = room.lowest(Part::Module(number), wish)?.raw();
        places.push((at, at.saturating_add(bytes)));
        end = at.saturating_add(bytes).max(end);
    }

    let info = info::Info::new(boot, modules)?;
    let bytes = info.len() as u64;
    let low = Wish { from: LOWEST_INFORMATION, ..Wish::low(bytes) };
    let behind = Wish { from: end, below: ANYWHERE, ..low };
    let info_at = room.lowest(Part::Information, low).or_else(|_| room.lowest(Part::Information, behind))?;
    let gdt = entry::table(SELECTORS, entry::Bits::B32);
    let low = Wish::low(gdt.len() as u64);
    let behind = Wish { from: end, below: ANYWHERE, ..low };
    let part = Part::DescriptorTable;
    let gdt_at = room.lowest(part, low).or_else(|_| room.lowest(part, behind))?;

    for piece in &plan.pieces {
        room.write(Gpa::new(piece.at), piece.bytes)?;
    }
    for (module, (start, _)) in modules.iter().zip(&places) {
        room.write(Gpa::new(*start), module.bytes)?;
    }
    room.write(info_at, &info.build(info_at.raw(), boot.map, &places))?;
    room.write(gdt_at, &gdt)?;

    let mut gprs = GprFile::default();
    gprs.set(Gpr::Rax, MAGIC);
    gprs.set(Gpr::Rbx, info_at.raw());
    Ok(Entry { state: entry::protected(plan.entry, SELECTORS, (gdt_at.raw(), gdt.len())), gprs })
}
