//! The last part of the log, kept in memory.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A ring of the last `N` bytes that were logged.
///
/// Its layout is fixed so that a debugger or a memory dump can be read without this code: eight bytes that mark it (from
/// the first write on: an empty ring is all zeros and takes no room in the image), the number of bytes ever written
/// (little-endian), then the bytes; the next one goes to index `written % N`.
#[repr(C)]
pub struct Ring<const N: usize> {
    mark: AtomicU64,
    written: AtomicU64,
    bytes: [AtomicU8; N],
}

impl<const N: usize> Ring<N> {
    /// What a ring starts with, to be found in a memory dump.
    pub const MARK: [u8; 8] = *b"HVLOG\0\0\x01";

    /// An empty ring.
    pub const fn new() -> Self {
        Self { mark: AtomicU64::new(0), written: AtomicU64::new(0), bytes: [const { AtomicU8::new(0) }; N] }
    }

    /// How many bytes were ever written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Appends `bytes`. Two writers at once may mix their bytes, so there is a lock above this.
    pub fn write(&self, bytes: &[u8]) {
        let start = self.written.load(Ordering::Relaxed);
        self.mark.store(u64::from_le_bytes(Self::MARK), Ordering::Relaxed);
        let mut at = (start % N as u64) as usize;
        for &byte in bytes {
            self.bytes[at].store(byte, Ordering::Relaxed);
            at = if at + 1 == N { 0 } else { at + 1 };
        }
        self.written.store(start + bytes.len() as u64, Ordering::Release);
    }

    /// Copies bytes from position `from` (counted from the first byte ever written) to `buffer`. Returns the position
    /// of the first byte copied, later than `from` where older ones are overwritten already, and how many there are.
    pub fn read(&self, from: u64, buffer: &mut [u8]) -> (u64, usize) {
        let written = self.written();
        let start = from.clamp(written.saturating_sub(N as u64), written);
        let count = (written - start).min(buffer.len() as u64) as usize;
        let mut at = (start % N as u64) as usize;
        for byte in &mut buffer[..count] {
            *byte = self.bytes[at].load(Ordering::Relaxed);
            at = if at + 1 == N { 0 } else { at + 1 };
        }
        (start, count)
    }
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn contents<const N: usize>(ring: &Ring<N>) -> Vec<u8> {
        let (mut all, mut from, mut part) = (Vec::new(), 0, [0; 3]);
        loop {
            let (start, count) = ring.read(from, &mut part);
            if count == 0 {
                return all;
            }
            all.extend_from_slice(&part[..count]);
            from = start + count as u64;
        }
    }

    #[test]
    fn layout_is_what_a_debugger_script_expects() {
        assert_eq!(core::mem::offset_of!(Ring<16>, written), 8);
        assert_eq!(core::mem::offset_of!(Ring<16>, bytes), 16);
    }

    proptest! {
        #[test]
        fn keeps_the_last_bytes(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let ring = Ring::<16>::new();
            for part in &parts {
                ring.write(part);
            }
            let all = parts.concat();
            prop_assert_eq!(ring.written(), all.len() as u64);
            prop_assert_eq!(contents(&ring), &all[all.len().saturating_sub(16)..]);
        }
    }
}
