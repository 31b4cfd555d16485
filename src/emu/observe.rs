//! Looking at a guest without touching it: the instruction at CS:RIP in words, and the entries of a page walk.

use alloc::string::String;
use core::fmt;

use arrayvec::ArrayVec;
use iced_x86::{Decoder, DecoderOptions, FastFormatter};

use crate::base::cpu::{cr4, efer};
use crate::base::{Access, CpuState, Gpa, Gva, Width};
use crate::emu::decode::{self, Fetched};
use crate::emu::walk::translate;
use crate::emu::{Fault, World};

/// A world that notes what page walks read, takes nothing but RAM for memory, and drops all writes.
struct Observer<'w, W> {
    world: &'w mut W,
    entries: ArrayVec<(Gpa, u64), 5>,
}

impl<W: World> World for Observer<'_, W> {
    fn read(&mut self, gpa: Gpa, to: &mut [u8]) {
        if self.world.fetch_ram(gpa, to) < to.len() {
            to.fill(0xff);
        }
        let mut entry = [0; 8];
        entry.iter_mut().zip(&*to).for_each(|(place, byte)| *place = *byte);
        // A walk reads five entries at most.
        let _ = self.entries.try_push((gpa, u64::from_le_bytes(entry)));
    }

    fn write(&mut self, _: Gpa, _: &[u8]) {}

    fn fetch_ram(&mut self, gpa: Gpa, to: &mut [u8]) -> usize {
        self.world.fetch_ram(gpa, to)
    }

    fn port_in(&mut self, _: u16, width: Width) -> u32 {
        width.mask() as u32
    }

    fn port_out(&mut self, _: u16, _: Width, _: u32) {}

    fn pause(&self) -> bool {
        true
    }
}

/// What a walk of the guest's own page tables met.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The level of the first entry: 5 to 2.
    top: usize,
    /// Where each entry is, and what it is, from the top down.
    entries: ArrayVec<(Gpa, u64), 5>,
    /// Where the walk led.
    pub result: Result<Gpa, Fault>,
}

/// Walks the guest's page tables for an access in user or supervisor mode, and changes nothing in them.
pub fn walk<W: World>(cpu: &CpuState, world: &mut W, gva: Gva, access: Access, user: bool) -> Walk {
    let mut observer = Observer { world, entries: ArrayVec::new() };
    let result = translate(cpu, &mut observer, gva, access, user);
    let top = match (cpu.efer & efer::LMA != 0, cpu.cr4 & cr4::LA57 != 0, cpu.cr4 & cr4::PAE != 0) {
        (true, true, _) => 5,
        (true, false, _) => 4,
        (false, _, true) => 3,
        (false, _, false) => 2,
    };
    Walk { top, entries: observer.entries, result }
}

/// `level 4 0x11023 rwx-, level 3 0x0 not present -> #PF`: what each entry allows, u for user mode.
impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (_, entry)) in self.entries.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}level {} {entry:#x} ", self.top.saturating_sub(i))?;
            if entry & 1 == 0 {
                f.write_str("not present")?;
                continue;
            }
            let mark = |bit: u32, name| if entry >> bit & 1 != 0 { name } else { "-" };
            write!(f, "r{}{}{}", mark(1, "w"), if entry >> 63 == 0 { "x" } else { "-" }, mark(2, "u"))?;
        }
        match &self.result {
            Ok(gpa) => write!(f, " -> GPA {gpa}"),
            Err(_) => f.write_str(" -> #PF"),
        }
    }
}

/// The instruction at CS:RIP.
#[derive(Clone, Debug)]
pub struct Seen {
    fetched: Option<Fetched>,
    length: usize,
    text: String,
}

/// Reads the instruction at CS:RIP, and changes nothing.
pub fn instruction<W: World>(cpu: &CpuState, world: &mut W) -> Seen {
    let mut observer = Observer { world, entries: ArrayVec::new() };
    let mut seen = Seen { fetched: None, length: 0, text: String::new() };
    if let Ok(fetched) = decode::fetch(cpu, &mut observer)
        && let Ok(mut decoder) = Decoder::try_with_ip(cpu.mode().bits(), fetched.bytes(), cpu.rip, DecoderOptions::NONE)
    {
        let instruction = decoder.decode();
        FastFormatter::new().format(&instruction, &mut seen.text);
        seen.length = instruction.len();
        seen.fetched = Some(fetched);
    }
    seen
}

/// `a2 00 05  mov [500h],al`.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(fetched) = &self.fetched else { return f.write_str("(can't be read)") };
        for byte in fetched.bytes().iter().take(self.length) {
            write!(f, "{byte:02x} ")?;
        }
        write!(f, " {}", self.text)
    }
}
