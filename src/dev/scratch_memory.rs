//! A page of device memory that holds what was written: a guest tests memory-mapped I/O on it.

use crate::base::PAGE_SIZE;

/// Storage of one page, reached only through the emulator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScratchMemory {
    bytes: [u8; PAGE_SIZE as usize],
}

impl ScratchMemory {
    /// A page that holds 0.
    pub const fn new() -> Self {
        Self { bytes: [0; PAGE_SIZE as usize] }
    }

    /// The guest read `to.len()` bytes at `offset`. Past the page it reads all ones.
    #[inline]
    pub fn read(&self, offset: u16, to: &mut [u8]) {
        let mut stored = self.bytes.get(usize::from(offset)..).unwrap_or_default().iter();
        for byte in to {
            *byte = stored.next().copied().unwrap_or(0xff);
        }
    }

    /// The guest wrote `from` at `offset`. Past the page it is dropped.
    #[inline]
    pub fn write(&mut self, offset: u16, from: &[u8]) {
        for (stored, &byte) in self.bytes.get_mut(usize::from(offset)..).unwrap_or_default().iter_mut().zip(from) {
            *stored = byte;
        }
    }
}

impl Default for ScratchMemory {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_written_and_ends() {
        let mut memory = ScratchMemory::new();
        memory.write(4094, &[1, 2, 3]);
        memory.write(4096, &[4]);
        memory.write(u16::MAX, &[5]);
        let mut bytes = [0xaa; 5];
        memory.read(4093, &mut bytes);
        assert_eq!(bytes, [0, 1, 2, 0xff, 0xff]);
        memory.read(u16::MAX, &mut bytes);
        assert_eq!(bytes, [0xff; 5]);
    }
}
