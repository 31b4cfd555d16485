//! A queue of bytes at one port: a guest tests string I/O of all widths on it, order and count included.

use super::ring::Ring;
use crate::base::Width;

/// How many bytes the queue holds.
pub const CAPACITY: usize = 256;

/// The queue: a wide device, all of whose bytes are at one port.
#[derive(Clone, Debug)]
pub struct Fifo {
    queue: Ring<u8, CAPACITY>,
}

impl Fifo {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { queue: Ring::new(0) }
    }

    /// The guest read the port: the oldest bytes, the oldest lowest, and all ones for each byte that is not there.
    #[inline]
    pub fn read(&mut self, width: Width) -> u32 {
        let mut bytes = [0; 4];
        for byte in bytes.iter_mut().take(width as usize) {
            *byte = self.queue.pop().unwrap_or(0xff);
        }
        u32::from_le_bytes(bytes)
    }

    /// The guest wrote the low `width` of `value`: its bytes are queued, the lowest first, as far as there is room.
    #[inline]
    pub fn write(&mut self, width: Width, value: u32) {
        for byte in value.to_le_bytes().into_iter().take(width as usize) {
            let _ = self.queue.push(byte);
        }
    }
}

impl Default for Fifo {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_at_any_width() {
        let mut fifo = Fifo::new();
        fifo.write(Width::B4, 0x0403_0201);
        fifo.write(Width::B1, 0xffff_ff05);
        fifo.write(Width::B2, 0xffff_0706);
        assert_eq!(fifo.read(Width::B2), 0x0201);
        assert_eq!(fifo.read(Width::B1), 0x03);
        assert_eq!(fifo.read(Width::B4), 0x0706_0504);
        assert_eq!(fifo.read(Width::B4), 0xffff_ffff);
        assert_eq!(fifo.read(Width::B1), 0xff);
    }

    #[test]
    fn a_read_past_the_end_is_filled_with_ones() {
        let mut fifo = Fifo::new();
        fifo.write(Width::B1, 0);
        assert_eq!(fifo.read(Width::B4), 0xffff_ff00);
    }

    #[test]
    fn what_does_not_fit_is_dropped() {
        let mut fifo = Fifo::new();
        (0..CAPACITY - 2).for_each(|_| fifo.write(Width::B1, 1));
        fifo.write(Width::B4, 0x0504_0302);
        (0..CAPACITY - 2).for_each(|_| assert_eq!(fifo.read(Width::B1), 1));
        assert_eq!(fifo.read(Width::B4), 0xffff_0302);
    }
}
