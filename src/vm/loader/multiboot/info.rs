//! The Multiboot information ("Boot information format"): one block of memory with all that its pointers point to.

use alloc::vec::Vec;

use crate::vm::loader::description::Module;
use crate::vm::loader::{Boot, LoadError, MemoryMap, c_string, put};

/// Bytes of the structure, to the end of its framebuffer fields, which stay 0.
const STRUCTURE: usize = 120;
/// Bytes of a line of the module list.
const MODULE: usize = 16;
/// Bytes of a line of the memory map, with its length field.
const LINE: usize = 24;

const FLAGS: usize = 0;
const MEM_LOWER: usize = 4;
const MEM_UPPER: usize = 8;
const CMDLINE: usize = 16;
const MODS_COUNT: usize = 20;
const MODS_ADDR: usize = 24;
const MMAP_LENGTH: usize = 44;
const MMAP_ADDR: usize = 48;
const BOOT_LOADER_NAME: usize = 64;

/// Fields that are valid: memory, command line, modules, memory map, boot loader's name.
const VALID: u32 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9;

/// The name by which the kernel knows who loaded it.
const NAME: &str = "hv";

/// What it will hold. Its length is known before its place.
pub struct Info {
    modules: usize,
    /// Length of the memory map in bytes.
    map: usize,
    /// Command line, our name, and each module's string, all with their zero.
    strings: Vec<Vec<u8>>,
}

impl Info {
    /// For these modules.
    pub fn new(boot: &Boot<'_>, modules: &[Module<'_>]) -> Result<Self, LoadError> {
        let lines = [boot.command_line, NAME].into_iter().chain(modules.iter().map(|module| module.command_line));
        let strings = lines.map(c_string).collect::<Result<_, _>>()?;
        Ok(Self { modules: modules.len(), map: boot.map.e820().len() * LINE, strings })
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.strings_at() + self.strings.iter().map(Vec::len).sum::<usize>()
    }

    /// Structure, module list, memory map, strings: in this order.
    fn strings_at(&self) -> usize {
        STRUCTURE + self.modules * MODULE + self.map
    }

    /// Its bytes, to be at `at`, with each module's start and end.
    pub fn build(&self, at: u64, map: &MemoryMap, modules: &[(u64, u64)]) -> Vec<u8> {
        // All addresses are below 4 GiB: `Room` has no others.
        let address = |offset: usize| low(at.wrapping_add(offset as u64));
        let mut bytes = alloc::vec![0; self.len()];
        let mut strings = Vec::new();
        let mut next = self.strings_at();
        for string in &self.strings {
            put(&mut bytes, next, string);
            strings.push(address(next));
            next += string.len();
        }
        let mut strings = strings.into_iter();
        let command_line = strings.next().unwrap_or_default();
        let name = strings.next().unwrap_or_default();

        let list = STRUCTURE;
        for (i, ((start, end), string)) in modules.iter().zip(strings).enumerate() {
            let line = list + i * MODULE;
            put(&mut bytes, line, &low(*start));
            put(&mut bytes, line + 4, &low(*end));
            put(&mut bytes, line + 8, &string);
        }
        let lines = list + self.modules * MODULE;
        for (i, line) in map.e820().iter().enumerate() {
            let place = lines + i * LINE;
            // The length field does not count itself.
            put(&mut bytes, place, &low(LINE as u64 - 4));
            put(&mut bytes, place + 4, &line.start.raw().to_le_bytes());
            put(&mut bytes, place + 12, &line.bytes.to_le_bytes());
            put(&mut bytes, place + 20, &line.kind.number().to_le_bytes());
        }
        for (field, value) in [
            (FLAGS, VALID.to_le_bytes()),
            (MEM_LOWER, map.lower_kib().to_le_bytes()),
            (MEM_UPPER, map.upper_kib().to_le_bytes()),
            (CMDLINE, command_line),
            (MODS_COUNT, low(self.modules as u64)),
            (MODS_ADDR, address(list)),
            (MMAP_LENGTH, low(self.map as u64)),
            (MMAP_ADDR, address(lines)),
            (BOOT_LOADER_NAME, name),
        ] {
            put(&mut bytes, field, &value);
        }
        bytes
    }
}

/// The low 32 bits.
const fn low(value: u64) -> [u8; 4] {
    (value as u32).to_le_bytes()
}
