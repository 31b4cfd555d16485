//! The kernel's own symbols, as the boot loader left them in memory, for backtraces.

use core::fmt;

use elf::abi::{SHN_UNDEF, SHT_SYMTAB, STT_FUNC, STT_NOTYPE};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::string_table::StringTable;
use elf::symbol::SymbolTable;
use multiboot2::ElfSectionsTag;
use spin::Once;

use crate::base::Hpa;

/// Bytes of memory that hold a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Where it begins.
    pub address: Hpa,
    /// Its length in bytes.
    pub length: usize,
}

/// Finds `.symtab` and its names among the sections that the boot loader loaded. `None` if the image is stripped.
///
/// Both lie outside of the image and anywhere in RAM: nobody must take that memory before [`install`]'s slices are
/// given up, which is never.
pub fn locate(tag: &ElfSectionsTag) -> Option<(Place, Place)> {
    // The iterator panics for sizes other than those of the ELF specification.
    const ENTRY: u32 = size_of::<elf::section::Elf64_Shdr>() as u32;
    if tag.entry_size() != ENTRY {
        return None;
    }
    // A section that was not loaded has address 0.
    let place = |s: elf::section::SectionHeader| {
        let length = usize::try_from(s.sh_size).ok()?;
        (s.sh_addr != 0).then_some(Place { address: Hpa::new(s.sh_addr), length })
    };
    let symbols = tag.sections().find(|section| section.sh_type == SHT_SYMTAB)?;
    let names = tag.sections().nth(symbols.sh_link as usize)?;
    Some((place(symbols)?, place(names)?))
}

/// A symbol table with its names.
pub struct Symbols<'a> {
    symbols: SymbolTable<'a, LittleEndian>,
    names: StringTable<'a>,
}

impl<'a> Symbols<'a> {
    /// Wraps the contents of `.symtab` and `.strtab`.
    pub fn new(symbols: &'a [u8], names: &'a [u8]) -> Self {
        Self { symbols: SymbolTable::new(LittleEndian, Class::ELF64, symbols), names: StringTable::new(names) }
    }

    /// How many symbols there are.
    pub fn count(&self) -> usize {
        self.symbols.len()
    }

    /// The function that `address` is in; or, if that is in none that tells its length (assembly), the nearest label
    /// before it.
    pub fn find(&self, address: u64) -> Option<Symbol<'a>> {
        let mut best: Option<(bool, u64, u32)> = None;
        for symbol in self.symbols.iter() {
            let code = matches!(symbol.st_symtype(), STT_FUNC | STT_NOTYPE);
            if !code || symbol.st_shndx == SHN_UNDEF || symbol.st_name == 0 || symbol.st_value > address {
                continue;
            }
            let inside = address - symbol.st_value < symbol.st_size;
            if (!inside && symbol.st_size != 0) || best.is_some_and(|b| (b.0, b.1) >= (inside, symbol.st_value)) {
                continue;
            }
            best = Some((inside, symbol.st_value, symbol.st_name));
        }
        let (_, start, name) = best?;
        let name = self.names.get(name as usize).ok()?;
        Some(Symbol { name, offset: address - start })
    }
}

/// A place in a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol<'a> {
    /// The function's name, as the compiler wrote it.
    pub name: &'a str,
    /// Bytes from its start.
    pub offset: u64,
}

impl fmt::Display for Symbol<'_> {
    /// The name as in the source, without the hash, and the offset.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}+{:#x}", rustc_demangle::demangle(self.name), self.offset)
    }
}

static SYMBOLS: Once<Symbols<'static>> = Once::new();

/// Keeps the contents of `.symtab` and `.strtab` for [`installed`].
pub fn install(symbols: &'static [u8], names: &'static [u8]) {
    SYMBOLS.call_once(|| Symbols::new(symbols, names));
}

/// The kernel's symbols, if they are installed. Never waits.
pub fn installed() -> Option<&'static Symbols<'static>> {
    SYMBOLS.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{string::ToString, vec::Vec};

    const NAMES: &[u8] = b"\0_RNvCs1234_2hv4main\0asm_entry\0_ZN2hv5other17h0123456789abcdefE\0DATA\0";

    fn symbol(name: &str, kind: u8, section: u16, value: u64, size: u64) -> Vec<u8> {
        let at = NAMES.windows(name.len()).position(|w| w == name.as_bytes()).unwrap() as u32;
        [&at.to_le_bytes()[..], &[kind, 0], &section.to_le_bytes(), &value.to_le_bytes(), &size.to_le_bytes()].concat()
    }

    fn table() -> Vec<u8> {
        [
            symbol("asm_entry", 0, 1, 0x1000, 0),
            symbol("_RNv", 2, 1, 0x1100, 0x80),
            symbol("_ZN2hv5other", 2, 1, 0x1200, 0x10),
            symbol("DATA", 1, 2, 0x1204, 0x1000),
            symbol("DATA", 2, 0, 0x1204, 0x1000),
        ]
        .concat()
    }

    #[test]
    fn finds_functions_and_labels() {
        let table = table();
        let symbols = Symbols::new(&table, NAMES);
        let show = |address| symbols.find(address).map(|s| s.to_string());
        assert_eq!(show(0xfff), None);
        assert_eq!(show(0x1004).unwrap(), "asm_entry+0x4");
        assert_eq!(show(0x1100).unwrap(), "hv::main+0x0");
        assert_eq!(show(0x117f).unwrap(), "hv::main+0x7f");
        assert_eq!(show(0x1180).unwrap(), "asm_entry+0x180", "past the function's end");
        assert_eq!(show(0x1208).unwrap(), "hv::other+0x8", "neither data nor undefined symbols");
        assert_eq!(symbols.count(), 5);
    }

    fn tag(entry_size: u32, sections: &[(u32, u64, u64, u32)]) -> Option<(Place, Place)> {
        let mut bytes = Vec::new();
        for &(kind, address, size, link) in sections {
            let words = [u64::from(kind) << 32, 0, address, 0, size, u64::from(link), 0, 0];
            bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        }
        // The tag, laid out as the boot loader does: type, size, number, entry size, index of the names, headers.
        let head = [9, 20 + bytes.len() as u32, sections.len() as u32, entry_size, 0];
        let mut tag: Vec<u8> = head.iter().flat_map(|w| w.to_le_bytes()).collect();
        tag.extend(&bytes);
        tag.resize(tag.len().next_multiple_of(8), 0);
        let end = [0u32, 8].map(u32::to_le_bytes).concat();
        let total = 8 + tag.len() + end.len();
        let info = [&(total as u32).to_le_bytes()[..], &[0; 4], &tag, &end].concat();
        // In words, for its alignment.
        let words: Vec<u64> = info.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect();
        // SAFETY: the vector is aligned to 8, as long as its first word says, and outlives the information.
        let info = unsafe { multiboot2::BootInformation::load(words.as_ptr().cast()) }.unwrap();
        locate(info.elf_sections_tag().unwrap())
    }

    #[test]
    fn locates_the_table_and_its_names() {
        let sections = [(0, 0, 0, 0), (3, 0x9000, 0x10, 0), (2, 0x5000, 0x48, 3), (3, 0x7000, 0x30, 0)];
        let place = |address, length| Place { address: Hpa::new(address), length };
        assert_eq!(tag(64, &sections), Some((place(0x5000, 0x48), place(0x7000, 0x30))));
        assert_eq!(tag(40, &sections), None);
        assert_eq!(tag(64, &sections[..2]), None);
        assert_eq!(tag(64, &sections[..3]), None);
        assert_eq!(tag(64, &[(2, 0, 0x48, 1), (3, 0x7000, 0x30, 0)]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_trouble(
            table in prop::collection::vec(any::<u8>(), 0..200), names in prop::collection::vec(any::<u8>(), 0..50),
            address: u64,
        ) {
            let symbols = Symbols::new(&table, &names);
            if let Some(symbol) = symbols.find(address) {
                let _ = symbol.to_string();
            }
        }
    }
}
