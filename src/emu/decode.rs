//! Reading the guest's instruction: the bytes at CS:RIP, and what they mean.

use crate::base::{Access, CpuState, Mode, PAGE_SIZE, Segment};
use crate::emu::segment::{self, linear};
use crate::emu::walk::translate;
use crate::emu::{Fault, World};
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction};

/// The most bytes that an instruction has (SDM 2A "Instruction Format").
pub const MAX: usize = 15;

/// Instruction bytes: as many of [`MAX`] as could be fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// The bytes; only the first `len` count.
    pub bytes: [u8; MAX],
    /// How many there are.
    pub len: usize,
    /// What stopped the fetch short of [`MAX`]: raised only if the instruction needs more than `len` bytes.
    pub then: Option<Fault>,
}

impl Fetched {
    /// The bytes that were fetched.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    /// All but the first.
    fn tail(&self) -> &[u8] {
        self.bytes().get(1..).unwrap_or(&[])
    }
}

/// Fetches the bytes at CS:RIP, up to the CS limit; where there is no RAM they are FF, as the bus reads.
///
/// SDM 3A "Limit Checking"; the offset is not cut to 16 bits, so that running past a 64-KiB segment is a #GP(0).
pub fn fetch<W: World>(cpu: &CpuState, world: &mut W) -> Result<Fetched, Fault> {
    let mut fetched = Fetched { bytes: [0; MAX], len: 0, then: None };
    // Each round fetches at least one byte.
    while fetched.len < MAX {
        match fetch_piece(cpu, world, &mut fetched) {
            Ok(()) => {}
            Err(fault) if fetched.len == 0 => return Err(fault),
            Err(fault) => {
                fetched.then = Some(fault);
                break;
            }
        }
    }
    Ok(fetched)
}

/// Fetches what follows in one page.
fn fetch_piece<W: World>(cpu: &CpuState, world: &mut W, fetched: &mut Fetched) -> Result<(), Fault> {
    let mode = cpu.mode();
    let bits = segment::linear_bits(mode);
    let offset = next_rip(cpu, fetched.len as u64);
    let gva = linear(cpu, Segment::Cs, offset, 1, Access::Fetch, bits)?;
    let gpa = translate(cpu, world, gva, Access::Fetch, cpu.cpl == 3)?;
    let in_page = PAGE_SIZE - gva.page_offset();
    let in_segment = match mode {
        Mode::Long64 => u64::MAX,
        _ => (cpu.segment(Segment::Cs).limit as u64).saturating_sub(offset) + 1,
    };
    let Some(rest) = fetched.bytes.get_mut(fetched.len..) else { return Ok(()) };
    let room = (rest.len() as u64).min(in_page).min(in_segment) as usize;
    let Some(piece) = rest.get_mut(..room) else { return Ok(()) };
    let count = match world.fetch_ram(gpa, piece).min(room) {
        0 => {
            piece.fill(0xff);
            room
        }
        count => count,
    };
    fetched.len += count;
    Ok(())
}

/// Fetches and decodes the instruction at CS:RIP.
///
/// An invalid one is #UD, one of more than 15 bytes #GP(0) (SDM 3A "Interrupt 13—General Protection Exception (#GP)").
pub fn decode<W: World>(cpu: &CpuState, world: &mut W) -> Result<Instruction, Fault> {
    let fetched = fetch(cpu, world)?;
    let (instruction, error) = decode_bytes(cpu, fetched.bytes());
    match error {
        DecoderError::None => Ok(instruction),
        DecoderError::NoMoreBytes => Err(fetched.then.unwrap_or(Fault::gp(0))),
        // With 15 bytes at hand the decoder calls both invalid; an instruction that would need a 16th does so still
        // when one of its prefixes is taken away.
        _ if fetched.len == MAX && instruction.len() == MAX => match decode_bytes(cpu, fetched.tail()).1 {
            DecoderError::NoMoreBytes => Err(Fault::gp(0)),
            _ => Err(Fault::UD),
        },
        _ => Err(Fault::UD),
    }
}

fn decode_bytes(cpu: &CpuState, bytes: &[u8]) -> (Instruction, DecoderError) {
    match Decoder::try_with_ip(cpu.mode().bits(), bytes, cpu.rip, DecoderOptions::NONE) {
        Ok(mut decoder) => (decoder.decode(), decoder.last_error()),
        Err(_) => (Instruction::default(), DecoderError::InvalidInstruction),
    }
}

/// Decodes one instruction, so that the decoder's tables are built (and their memory taken) at boot.
pub fn force_tables() {
    if let Ok(mut decoder) = Decoder::try_new(64, &[0x90], DecoderOptions::NONE) {
        let _ = decoder.decode();
    }
}

/// How many bytes the instruction at CS:RIP has.
pub fn length<W: World>(cpu: &CpuState, world: &mut W) -> Result<u64, Fault> {
    decode(cpu, world).map(|i| i.len() as u64)
}

/// RIP `length` bytes further on. It wraps at 32 bits outside 64-bit mode, not at 16: there the limit of CS stops it.
pub fn next_rip(cpu: &CpuState, length: u64) -> u64 {
    cpu.rip.wrapping_add(length) & segment::mask(segment::linear_bits(cpu.mode()))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
