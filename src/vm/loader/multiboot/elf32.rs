//! Kernels that are ELF32 files, loaded by the physical addresses of their program headers.

use alloc::vec::Vec;

use elf::abi::{EI_NIDENT, EM_386, ET_EXEC, EV_CURRENT, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};

use super::{Piece, Plan};
use crate::vm::loader::{LoadError, Part};

/// More segments than a kernel has.
const MOST_SEGMENTS: usize = 64;
/// Lengths of the file header and of a program header.
const EHDR: usize = 52;
const PHDR: u64 = 32;

/// Where fields of the file header are.
const E_TYPE: u64 = 16;
const E_MACHINE: u64 = 18;
const E_VERSION: u64 = 20;
const E_ENTRY: u64 = 24;
const E_PHENTSIZE: u64 = 42;

/// What is loaded where. `header` is where the Multiboot header is.
pub fn plan(image: &[u8], header: usize) -> Result<Plan<'_>, LoadError> {
    let not_elf = LoadError::NotElf { header: header as u64 };
    let file = file_header(image, not_elf)?;
    let field = |what, offset, value| Err(LoadError::Elf { what, offset, value });
    match &file {
        f if f.e_type != ET_EXEC => return field("the ELF file is no executable", E_TYPE, f.e_type.into()),
        f if f.e_machine != EM_386 => return field("the ELF file is not for x86", E_MACHINE, f.e_machine.into()),
        f if f.version != u32::from(EV_CURRENT) => return field("unknown version of ELF", E_VERSION, f.version.into()),
        f if f.e_phnum == 0 || f.e_phoff == 0 => return Err(LoadError::NoSegments),
        f if u64::from(f.e_phentsize) != PHDR => {
            return field("program headers of an unknown length", E_PHENTSIZE, f.e_phentsize.into());
        }
        _ => {}
    }
    let bytes = u64::from(file.e_phnum) * PHDR;
    let table = slice(image, "the program headers", file.e_phoff, bytes)?;
    let table = SegmentTable::new(LittleEndian, Class::ELF32, table);

    let mut plan = Plan { pieces: Vec::new(), entry: file.e_entry, entry_offset: E_ENTRY };
    let mut by_virtual = None;
    for (number, segment) in (0..file.e_phnum).zip(table.iter()) {
        if segment.p_type != PT_LOAD || segment.p_memsz == 0 {
            continue;
        }
        if plan.pieces.len() == MOST_SEGMENTS {
            return Err(LoadError::ManySegments { most: MOST_SEGMENTS });
        }
        let offset = file.e_phoff.saturating_add(u64::from(number) * PHDR);
        plan.pieces.push(piece(image, &segment, number, offset)?);
        let inside = file.e_entry.checked_sub(segment.p_vaddr).filter(|&offset| offset < segment.p_memsz);
        by_virtual = by_virtual.or(inside.map(|offset| segment.p_paddr.saturating_add(offset)));
    }
    if plan.pieces.is_empty() {
        return Err(LoadError::NoSegments);
    }
    // Kernels that run at other addresses than they are loaded at: some name the entry's physical address, others the
    // virtual one, and boot loaders take both.
    let physical = |p: &Piece<'_>| file.e_entry.checked_sub(p.at).is_some_and(|offset| offset < p.size);
    if !plan.pieces.iter().any(physical) {
        plan.entry = by_virtual.unwrap_or(plan.entry);
    }
    Ok(plan)
}

/// The header of an ELF32 file in the byte order of x86.
fn file_header(image: &[u8], not_elf: LoadError) -> Result<FileHeader<LittleEndian>, LoadError> {
    let ident = image.get(..EI_NIDENT).ok_or(not_elf)?;
    let ident = parse_ident::<LittleEndian>(ident).map_err(|_| not_elf)?;
    if ident.1 == Class::ELF64 {
        return Err(LoadError::Elf64);
    }
    let (needs, has) = (EHDR as u64, image.len() as u64);
    let short = LoadError::Short { what: "the ELF header", offset: 0, needs, has };
    FileHeader::parse_tail(ident, image.get(EI_NIDENT..EHDR).ok_or(short)?).map_err(|_| short)
}

fn piece<'a>(image: &'a [u8], segment: &ProgramHeader, number: u16, offset: u64) -> Result<Piece<'a>, LoadError> {
    let ProgramHeader { p_filesz: in_file, p_memsz: in_memory, .. } = *segment;
    if in_file > in_memory {
        return Err(LoadError::SegmentSize { number, offset, in_file, in_memory });
    }
    let bytes = slice(image, "a segment", segment.p_offset, in_file)?;
    Ok(Piece { part: Part::Segment(number), at: segment.p_paddr, bytes, size: in_memory, offset })
}

/// So many bytes of the image.
fn slice<'a>(image: &'a [u8], what: &'static str, offset: u64, needs: u64) -> Result<&'a [u8], LoadError> {
    let has = (image.len() as u64).saturating_sub(offset);
    let short = LoadError::Short { what, offset, needs, has };
    let (Ok(start), Ok(length)) = (usize::try_from(offset), usize::try_from(needs)) else { return Err(short) };
    // Where nothing is needed, it does not matter from where.
    if length == 0 {
        return Ok(&[]);
    }
    image.get(start..).and_then(|rest| rest.get(..length)).ok_or(short)
}
