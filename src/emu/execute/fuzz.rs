//! The emulator over arbitrary bytes: no panic, bounded work.

use super::{Step, step};
use crate::base::{CpuState, Gpa, Gpr, GprFile, SegmentRegister, Width};
use crate::emu::{Fault, World};

/// Memory that repeats a few bytes of input: whatever the guest's tables say, they lead somewhere.
struct Bytes<'a> {
    memory: &'a [u8],
    written: [u8; 64],
    /// Calls into the world so far.
    work: u64,
}

impl Bytes<'_> {
    fn at(&self, gpa: Gpa, i: usize) -> u8 {
        let n = (gpa.raw() as usize).wrapping_add(i);
        let byte = self.memory.get(n % self.memory.len().max(1)).copied().unwrap_or(0xff);
        byte ^ self.written.get(n % 64).copied().unwrap_or(0)
    }
}

impl World for Bytes<'_> {
    fn read(&mut self, gpa: Gpa, to: &mut [u8]) {
        self.work += 1;
        assert!(gpa.page_offset() as usize + to.len() <= 4096, "a read crosses a page");
        for (i, byte) in to.iter_mut().enumerate() {
            *byte = self.at(gpa, i);
        }
    }

    fn write(&mut self, gpa: Gpa, from: &[u8]) {
        self.work += 1;
        assert!(gpa.page_offset() as usize + from.len() <= 4096, "a write crosses a page");
        for (i, byte) in from.iter().enumerate() {
            if let Some(slot) = self.written.get_mut((gpa.raw() as usize).wrapping_add(i) % 64) {
                *slot ^= byte & 0x60;
            }
        }
    }

    fn fetch_ram(&mut self, gpa: Gpa, to: &mut [u8]) -> usize {
        self.work += 1;
        if gpa.page_number() % 16 == 15 {
            return 0;
        }
        for (i, byte) in to.iter_mut().enumerate() {
            *byte = self.at(gpa, i);
        }
        to.len()
    }

    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        self.work += 1;
        (port as u32).wrapping_mul(0x0101_0101) & width.mask() as u32
    }

    fn port_out(&mut self, _port: u16, _width: Width, _value: u32) {
        self.work += 1;
    }

    fn pause(&self) -> bool {
        false
    }
}

/// Takes numbers off the front of the input; zeros after its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let count = self.0.len().min(8);
        let (head, tail) = self.0.split_at(count);
        for (to, from) in bytes.iter_mut().zip(head) {
            *to = *from;
        }
        self.0 = tail;
        u64::from_le_bytes(bytes)
    }

    fn segment(&mut self) -> SegmentRegister {
        let (base, rest) = (self.number(), self.number());
        SegmentRegister {
            selector: rest as u16,
            attrib: (rest >> 16) as u16,
            // Half of the limits are wide open: otherwise few instructions come further than here.
            limit: if rest >> 63 == 0 { u32::MAX } else { (rest >> 32) as u32 },
            base,
        }
    }
}

/// Builds a CPU and memory from `bytes` and executes up to 8 instructions. Asserts what must hold for every guest:
/// bounded work, and RIP and RFLAGS that stay where an instruction did not complete.
pub fn fuzz(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut cpu = CpuState::real_mode(0, 0);
    (cpu.rip, cpu.rflags, cpu.cr0) = (input.number(), input.number(), input.number());
    (cpu.cr3, cpu.cr4, cpu.efer) = (input.number(), input.number(), input.number());
    cpu.cpl = input.number() as u8 & 3;
    for segment in &mut cpu.segments {
        *segment = input.segment();
    }
    let mut gprs = GprFile::default();
    for r in Gpr::ALL {
        gprs.set(r, input.number());
    }
    let mut world = Bytes { memory: input.0, written: [0; 64], work: 0 };
    for _ in 0..8 {
        let (before, registers) = (cpu, gprs);
        let work = world.work;
        let result: Result<Step, Fault> = step(&mut cpu, &mut gprs, &mut world);
        assert!(world.work - work < 64 * 1024, "unbounded work");
        match result {
            Ok(Step::Done) => {}
            Ok(Step::Continue) | Err(_) => assert_eq!(cpu, before),
            Ok(Step::NotEmulated) => assert_eq!((cpu, gprs), (before, registers)),
        }
        if result != Ok(Step::Done) && result != Ok(Step::Continue) {
            break;
        }
    }
}
