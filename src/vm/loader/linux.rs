//! Linux kernels: the x86 boot protocol from version 2.10 (Linux, Documentation/arch/x86/boot.rst), by the 64-bit or
//! the 32-bit entry. Nothing of the kernel's real-mode part is run.
//!
//! Version 2.10 is the first that says how much memory a kernel needs and where it wants to be; before, a loader had to
//! guess.

mod header;
mod zero_page;

use alloc::vec::Vec;

use crate::base::{Gpa, Gpr, GprFile, MIB, PAGE_SIZE};
use crate::vm::loader::description::Protocol;
use crate::vm::loader::entry::{self, Bits, Selectors};
use crate::vm::loader::room::{ANYWHERE, Room, Wish, align_up};
use crate::vm::loader::{Boot, Entry, LoadError, Memory, Part, c_string, put};
use header::Header;

/// __BOOT_CS and __BOOT_DS.
const SELECTORS: Selectors = Selectors { code: 0x10, data: 0x18 };
/// The 64-bit entry: so many bytes behind the load address.
const ENTRY_64: u64 = 0x200;
/// A page that holds an initrd's first byte.
const INITRD_ALIGN: u64 = PAGE_SIZE;

/// Where the parts are.
struct Layout {
    kernel: u64,
    initrd: Option<(u64, u64)>,
    command_line: u64,
}

/// Loads a bzImage, with an initial RAM disk if there is one that is not empty. Without `protocol`, a kernel is entered
/// in 64-bit mode if it can be.
pub fn load(
    memory: &mut dyn Memory,
    boot: &Boot<'_>,
    kernel: &[u8],
    initrd: Option<&[u8]>,
    protocol: Option<Protocol>,
) -> Result<Entry, LoadError> {
    let header = Header::read(kernel)?;
    let bits = match protocol {
        Some(Protocol::Bits64) if !header.kernel_64() => {
            return Err(LoadError::No64BitEntry { xloadflags: header.xloadflags });
        }
        Some(Protocol::Bits32) => Bits::B32,
        _ if header.kernel_64() => Bits::B64,
        _ => Bits::B32,
    };
    let (bytes, most) = (boot.command_line.len() as u64, header.cmdline_size);
    if bytes > u64::from(most) {
        return Err(LoadError::LongCommandLine { bytes, most });
    }
    let line = c_string(boot.command_line)?;
    let payload = header.payload(kernel, if bits == Bits::B64 { ENTRY_64 } else { 0 })?;
    let mut room = Room::new(memory, boot.map);

    let gdt = entry::table(SELECTORS, bits);
    let gdt_at = room.lowest(Part::DescriptorTable, Wish::low(PAGE_SIZE))?;
    let zero_page_at = room.lowest(Part::Information, Wish::low(PAGE_SIZE))?;
    let line_at = room.lowest(Part::CommandLine, Wish::low(line.len() as u64))?;
    let tables_at = match bits {
        Bits::B64 => room.lowest(Part::PageTables, Wish::low(TABLES * PAGE_SIZE))?.raw(),
        Bits::B32 => 0,
    };
    let kernel_at = place_kernel(&mut room, &header, payload.len() as u64)?;
    let initrd = initrd.filter(|bytes| !bytes.is_empty());
    let initrd_at = initrd.map(|bytes| {
        let below = u64::from(header.initrd_addr_max).saturating_add(1);
        room.highest(Part::Initrd, Wish { bytes: bytes.len() as u64, align: INITRD_ALIGN, from: MIB, below })
    });
    let initrd_at = initrd_at.transpose()?;

    let layout = Layout {
        kernel: kernel_at.raw(),
        initrd: initrd_at.zip(initrd).map(|(at, bytes)| (at.raw(), bytes.len() as u64)),
        command_line: line_at.raw(),
    };
    room.write(gdt_at, &gdt)?;
    room.write(zero_page_at, &zero_page::build(header.bytes, &layout, boot))?;
    room.write(line_at, &line)?;
    room.write(kernel_at, payload)?;
    if let Some((at, bytes)) = initrd_at.zip(initrd) {
        room.write(at, bytes)?;
    }

    let gdt = (gdt_at.raw(), gdt.len());
    let state = match bits {
        Bits::B64 => {
            room.write(Gpa::new(tables_at), &identity(tables_at))?;
            entry::long(kernel_at.raw().saturating_add(ENTRY_64), SELECTORS, gdt, tables_at)
        }
        Bits::B32 => entry::protected(kernel_at.raw(), SELECTORS, gdt),
    };
    // EBP, EDI and EBX are 0 in the 32-bit protocol; the others may be anything.
    let mut gprs = GprFile::default();
    gprs.set(Gpr::Rsi, zero_page_at.raw());
    Ok(Entry { state, gprs })
}

/// Takes memory for the kernel and for what it needs before it reads its memory map.
///
/// A kernel that is loaded below its preferred address moves itself up to it, so there is no point in a lower one; and
/// a kernel that can't be relocated runs there alone.
fn place_kernel(room: &mut Room<'_>, header: &Header<'_>, payload: u64) -> Result<Gpa, LoadError> {
    let bytes = payload.max(u64::from(header.init_size));
    let preferred = header.pref_address;
    if !header.relocatable {
        return room.take(Part::Kernel, preferred, bytes, header::PREF_ADDRESS);
    }
    let align = u64::from(header.kernel_alignment);
    let outside =
        LoadError::NotRam { part: Part::Kernel, at: Gpa::new(preferred), bytes, offset: header::PREF_ADDRESS };
    let from = align_up(preferred.max(MIB), align).ok_or(outside)?;
    room.lowest(Part::Kernel, Wish { bytes, align, from, below: ANYWHERE })
}

/// Tables that map the first 4 GiB to themselves: one of level 4, one of level 3, four of level 2.
const TABLES: u64 = 6;

/// Those tables, to be at `at`, by pages of 2 MiB (SDM 3A "4-Level Paging").
fn identity(at: u64) -> Vec<u8> {
    const TABLE: u64 = 0b11;
    const PAGE_2M: u64 = 0b1000_0011;
    let table = |n: u64| at.wrapping_add(n * PAGE_SIZE);
    let mut bytes = alloc::vec![0; (TABLES * PAGE_SIZE) as usize];
    put(&mut bytes, 0, &(table(1) | TABLE).to_le_bytes());
    let directories = (0..4).map(|n| table(2 + n) | TABLE);
    let pages = (0..4 * 512).map(|n| (n * 2 * MIB) | PAGE_2M);
    // The directories follow each other, so their entries are one row.
    for (start, entries) in [(1, directories.collect::<Vec<_>>()), (2, pages.collect())] {
        for (i, entry) in entries.iter().enumerate() {
            put(&mut bytes, (start * PAGE_SIZE) as usize + 8 * i, &entry.to_le_bytes());
        }
    }
    bytes
}
