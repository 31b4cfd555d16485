//! One fuzz input run through all loaders.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::base::cpu::cr0;
use crate::base::{Gpa, MIB, PAGE_SIZE};
use crate::vm::loader::description::{Module, Protocol, group};
use crate::vm::loader::{Boot, Entry, LoadError, Memory, MemoryMap, OutsideRam};
use crate::vm::loader::{flat, linux, load, multiboot};

/// RAM of a guest that is being loaded, which does not forgive: what is no RAM or not the guest's to use, and what was
/// written before, must not be written.
pub struct Ram {
    usable: Vec<(u64, u64)>,
    pages: BTreeMap<u64, Box<[u8; PAGE_SIZE as usize]>>,
    /// Start and end of what was written.
    written: BTreeMap<u64, u64>,
}

impl Ram {
    /// As `map` says.
    pub fn new(map: &MemoryMap) -> Self {
        let lines = map.e820();
        let usable = lines.iter().filter(|line| line.kind.number() == 1).map(|line| (line.start.raw(), line.end()));
        Self { usable: usable.collect(), pages: BTreeMap::new(), written: BTreeMap::new() }
    }

    /// `bytes` bytes at `at`, zeros where nothing was written.
    pub fn read(&self, at: u64, bytes: usize) -> Vec<u8> {
        let byte = |at: u64| {
            let page = self.pages.get(&(at / PAGE_SIZE));
            page.and_then(|page| page.get((at % PAGE_SIZE) as usize)).copied().unwrap_or(0)
        };
        (0..bytes as u64).map(|offset| byte(at.wrapping_add(offset))).collect()
    }

    /// Whether `at` was written.
    pub fn is_written(&self, at: u64) -> bool {
        self.written.range(..=at).next_back().is_some_and(|(_, &end)| at < end)
    }

    /// Whether `at` is usable RAM.
    pub fn is_usable(&self, at: u64) -> bool {
        self.usable.iter().any(|&(start, end)| (start..end).contains(&at))
    }
}

impl Memory for Ram {
    fn write(&mut self, at: Gpa, bytes: &[u8]) -> Result<(), OutsideRam> {
        let start = at.raw();
        let end = start.checked_add(bytes.len() as u64);
        let inside = end.filter(|&end| self.usable.iter().any(|range| range.0 <= start && end <= range.1));
        assert!(inside.is_some(), "{} bytes written at {at}, which is not usable RAM", bytes.len());
        let Some(end) = inside else { return Err(OutsideRam { at }) };
        let before = self.written.range(..end).next_back();
        assert!(before.is_none_or(|(_, &last)| last <= start), "written twice: {start:#x} to {end:#x}");
        self.written.insert(start, end);
        let (mut place, mut rest) = (start, bytes);
        while !rest.is_empty() {
            let page = self.pages.entry(place / PAGE_SIZE).or_insert_with(|| Box::new([0; PAGE_SIZE as usize]));
            let room = page.get_mut((place % PAGE_SIZE) as usize..).unwrap_or_default();
            let length = room.len().min(rest.len());
            let (now, later) = rest.split_at(length);
            if let Some(to) = room.get_mut(..length) {
                to.copy_from_slice(now);
            }
            (place, rest) = (place.saturating_add(length as u64), later);
        }
        Ok(())
    }
}

/// Takes text and forgets it, so that all of it is made.
struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

/// Runs `bytes`, any bytes at all, through the reader of descriptions and through all loaders. Panics if one of them
/// writes what it must not, or starts a guest where there is nothing.
pub fn fuzz(bytes: &[u8]) {
    let memory = match bytes.last() {
        Some(n @ 1..=64) => u64::from(*n) * MIB,
        _ => 256 * MIB,
    };
    let Some(map) = MemoryMap::new(memory) else { return };
    let text = String::from_utf8_lossy(bytes.get(..4096).unwrap_or(bytes));
    let line = text.lines().next().unwrap_or("");
    let boot = Boot { map: &map, rsdp: map.firmware().0, command_line: line };
    let (front, back) = bytes.split_at(bytes.len() / 2);

    for (initrd, protocol) in [(None, None), (Some(back), Some(Protocol::Bits32)), (Some(back), Some(Protocol::Bits64))]
    {
        check(&map, |ram| linux::load(ram, &boot, bytes, initrd, protocol));
    }
    let modules = [Module { command_line: line, bytes: front }, Module { command_line: "", bytes: back }];
    check(&map, |ram| multiboot::load(ram, &boot, bytes, &[]));
    check(&map, |ram| multiboot::load(ram, &boot, bytes, &modules));
    let address = |word: usize| bytes.get(word..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
    for at in [0x7c00, address(0), address(0) % (2 * MIB)] {
        for entry in [at, address(8), at.wrapping_add(address(8) % 0x1_0000)] {
            check(&map, |ram| flat::load(ram, &map, bytes, Gpa::new(at), Gpa::new(entry)));
        }
    }
    match group(text.lines().map(|line| (line, front))) {
        Ok(specs) => {
            for spec in specs.iter().take(16) {
                if let Some(map) = MemoryMap::new(spec.memory) {
                    check(&map, |ram| load(spec, ram, &map, Gpa::new(0)));
                }
            }
        }
        Err(error) => {
            let _ = write!(Nowhere, "{error}");
        }
    }
}

/// Runs a loader and looks at what it made.
pub fn check(map: &MemoryMap, loader: impl FnOnce(&mut Ram) -> Result<Entry, LoadError>) -> Option<(Entry, Ram)> {
    let mut ram = Ram::new(map);
    match loader(&mut ram) {
        Ok(entry) => {
            let [_, cs, ..] = entry.state.segments;
            let first = cs.base.wrapping_add(entry.state.rip);
            assert!(ram.is_usable(first), "the guest starts at {first:#x}, which is not usable RAM");
            if entry.state.cr0 & cr0::PE != 0 {
                // What the CPU would load into CS is what it has there.
                let descriptor = entry.state.gdtr.base.wrapping_add(cs.selector.into());
                assert!(ram.is_written(descriptor), "no descriptor at {descriptor:#x}");
                let attrib = ram.read(descriptor.wrapping_add(5), 1);
                assert!(attrib.first() == Some(&(cs.attrib as u8)), "a descriptor that is not that of CS");
            }
            Some((entry, ram))
        }
        Err(error) => {
            assert!(!matches!(error, LoadError::Refused { .. }), "{error}");
            let _ = write!(Nowhere, "{error} {:?}", error.offset());
            None
        }
    }
}
