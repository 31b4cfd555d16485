//! A world for tests: RAM in a vector, nothing above it, ports that keep a record.

use crate::base::cpu::{cr0, cr4, efer};
use crate::base::{CpuState, Gpa, SegmentRegister, Width};
use crate::emu::World;
use std::vec;
use std::vec::Vec;

/// 1 MiB of RAM.
pub const SIZE: usize = 1 << 20;
/// Where tests put page tables and code, above all data.
pub const TABLES: u64 = 0x8_0000;
pub const CODE: u64 = 0xf_0000;

#[derive(Clone)]
pub struct Ram {
    pub bytes: Vec<u8>,
    pub out: Vec<(u16, Width, u32)>,
    pub reads: u32,
    pub writes: u32,
    pub end_after: usize,
}

impl Ram {
    pub fn new() -> Self {
        Self { bytes: vec![0; SIZE], out: Vec::new(), reads: 0, writes: 0, end_after: usize::MAX }
    }

    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        self.bytes[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub fn get(&self, at: u64, width: Width) -> u64 {
        let mut bytes = [0; 8];
        for (i, b) in bytes.iter_mut().take(width as usize).enumerate() {
            *b = self.bytes.get(at as usize + i).copied().unwrap_or(0xff);
        }
        u64::from_le_bytes(bytes)
    }
}

/// What port reads give, one after the other.
pub fn input(n: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b9) ^ 0x1234_5678
}

impl World for Ram {
    fn read(&mut self, gpa: Gpa, to: &mut [u8]) {
        assert!(gpa.page_offset() as usize + to.len() <= 4096 && !to.is_empty());
        for (i, b) in to.iter_mut().enumerate() {
            *b = self.bytes.get(gpa.raw() as usize + i).copied().unwrap_or(0xff);
        }
    }
    fn write(&mut self, gpa: Gpa, from: &[u8]) {
        self.writes += 1;
        assert!(gpa.page_offset() as usize + from.len() <= 4096 && !from.is_empty());
        for (i, b) in from.iter().enumerate() {
            if let Some(slot) = self.bytes.get_mut(gpa.raw() as usize + i) {
                *slot = *b;
            }
        }
    }
    fn fetch_ram(&mut self, gpa: Gpa, to: &mut [u8]) -> usize {
        if gpa.raw() as usize >= SIZE {
            return 0;
        }
        self.read(gpa, to);
        to.len()
    }
    fn port_in(&mut self, _port: u16, width: Width) -> u32 {
        self.reads += 1;
        input(self.reads) & width.mask() as u32
    }
    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        self.out.push((port, width, value));
    }
    fn pause(&self) -> bool {
        self.out.len() >= self.end_after
    }
}

/// A CPU at privilege level 0 in protected mode of 16 or 32 bits or in 64-bit mode, with flat segments, about to
/// execute what is at [`CODE`]. Paging is on, and maps RAM to itself less the pages in `missing`.
pub fn flat(bits: u32, ram: &mut Ram, missing: &[u64]) -> CpuState {
    let mut cpu = CpuState::real_mode(0, 0);
    let (code, data) = match bits {
        16 => (0x89b, 0x893),
        32 => (0xc9b, 0xc93),
        _ => (0xa9b, 0xc93),
    };
    for s in &mut cpu.segments {
        *s = SegmentRegister { selector: 16, attrib: data, limit: u32::MAX, base: 0 };
    }
    cpu.segments[1].attrib = code;
    cpu.rip = CODE;
    cpu.cr0 |= cr0::PE | cr0::PG | cr0::WP;
    cpu.cr3 = TABLES;
    let table = |n: u64| TABLES + n * 0x1000;
    let leaf = if bits == 64 {
        cpu.cr4 |= cr4::PAE;
        cpu.efer = efer::LMA | efer::LME;
        for n in 0..3 {
            ram.put(table(n), &(table(n + 1) | 0x67).to_le_bytes());
        }
        table(3)
    } else {
        ram.put(table(0), &(table(1) as u32 | 0x67).to_le_bytes());
        table(1)
    };
    for page in 0..256u64 {
        let entry = page << 12 | if missing.contains(&page) { 0 } else { 0x67 };
        let bytes = if bits == 64 { 8 } else { 4 };
        ram.put(leaf + page * bytes, &entry.to_le_bytes()[..bytes as usize]);
    }
    cpu
}
