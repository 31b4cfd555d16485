//! The header in a Multiboot kernel, and kernels that are loaded by its addresses.

use super::{Piece, Plan};
use crate::vm::loader::{LoadError, Part, u32_at};

/// The header's first field.
const MAGIC: u32 = 0x1bad_b002;
/// That of Multiboot 2.
const MAGIC_2: u32 = 0xe852_50d6;
/// It is in so many of the first bytes.
const SEARCH: usize = 8192;

/// Flag 16: load addresses are in the header.
const ADDRESSES: u32 = 1 << 16;
/// A kernel that sets one of these must not be loaded by whoever does not know it.
const REQUIREMENTS: u32 = 0xffff;
/// Flag 0: modules are aligned to pages. Flag 1: memory is described. Both always hold.
const KNOWN: u32 = 0b11;

/// Fields of the header, from its beginning.
const HEADER_ADDR: usize = 12;
const LOAD_ADDR: usize = 16;
const LOAD_END_ADDR: usize = 20;
const BSS_END_ADDR: usize = 24;
const ENTRY_ADDR: usize = 28;

/// A header whose checksum is right.
pub struct Header {
    /// Where it is in the image.
    pub offset: usize,
    flags: u32,
}

impl Header {
    /// Finds it.
    pub fn find(image: &[u8]) -> Result<Self, LoadError> {
        let start = image.get(..SEARCH).unwrap_or(image);
        let (mut wrong, mut newer) = (None, None);
        for offset in (0..start.len()).step_by(4) {
            match u32_at(start, offset) {
                Some(MAGIC) => {}
                Some(MAGIC_2) => {
                    newer = newer.or(Some(offset as u64));
                    continue;
                }
                _ => continue,
            }
            let (Some(flags), Some(checksum)) = (u32_at(start, offset + 4), u32_at(start, offset + 8)) else {
                let (needs, has) = (12, (start.len() - offset) as u64);
                wrong = wrong.or(Some(LoadError::Short {
                    what: "the Multiboot header",
                    offset: offset as u64,
                    needs,
                    has,
                }));
                continue;
            };
            let sum = MAGIC.wrapping_add(flags).wrapping_add(checksum);
            if sum != 0 {
                wrong = wrong.or(Some(LoadError::Checksum { offset: offset as u64 + 8, sum }));
                continue;
            }
            let unknown = flags & REQUIREMENTS & !KNOWN;
            if unknown != 0 {
                return Err(LoadError::RequiredFlags { offset: offset as u64 + 4, flags: unknown });
            }
            return Ok(Self { offset, flags });
        }
        Err(wrong.unwrap_or(LoadError::NoHeader { newer }))
    }

    /// Whether the kernel is loaded by the header's addresses.
    pub const fn has_addresses(&self) -> bool {
        self.flags & ADDRESSES != 0
    }

    /// What is loaded where by the header's addresses: one piece of the file, and zeros behind it.
    pub fn plan<'a>(&self, image: &'a [u8]) -> Result<Plan<'a>, LoadError> {
        let place = |field: usize| self.offset.saturating_add(field);
        let read = |field: usize| {
            let has = image.len().saturating_sub(self.offset) as u64;
            let what = "the Multiboot header";
            u32_at(image, place(field)).ok_or(LoadError::Short { what, offset: self.offset as u64, needs: 32, has })
        };
        let wrong = |what, field: usize, value| LoadError::HeaderAddress { what, offset: place(field) as u64, value };
        let header = read(HEADER_ADDR)?;
        let load = read(LOAD_ADDR)?;
        let load_end = read(LOAD_END_ADDR)?;
        let bss_end = read(BSS_END_ADDR)?;
        let entry = read(ENTRY_ADDR)?;

        // The header is as far from the first byte that is loaded as header_addr from load_addr.
        let before = header.checked_sub(load).ok_or(wrong("load_addr is above header_addr", LOAD_ADDR, load))?;
        let first = self.offset.checked_sub(before as usize);
        let first = first.ok_or(wrong("load_addr is before the file's beginning", LOAD_ADDR, load))?;
        let rest = image.get(first..).unwrap_or_default();
        let bytes = match load_end {
            0 => rest,
            end => {
                let length = end.checked_sub(load);
                let length = length.ok_or(wrong("load_end_addr is below load_addr", LOAD_END_ADDR, end))? as usize;
                let (needs, has) = (length as u64, rest.len() as u64);
                let short = LoadError::Short { what: "what the header loads", offset: first as u64, needs, has };
                rest.get(..length).ok_or(short)?
            }
        };
        let length = bytes.len() as u64;
        let size = match bss_end {
            0 => length,
            end => {
                let size = u64::from(end).checked_sub(u64::from(load)).filter(|&size| size >= length);
                size.ok_or(wrong("bss_end_addr is below the end of what is loaded", BSS_END_ADDR, end))?
            }
        };
        let offset = place(LOAD_ADDR) as u64;
        let piece = Piece { part: Part::Kernel, at: load.into(), bytes, size, offset };
        let pieces = alloc::vec![piece];
        Ok(Plan { pieces, entry: entry.into(), entry_offset: place(ENTRY_ADDR) as u64 })
    }
}
