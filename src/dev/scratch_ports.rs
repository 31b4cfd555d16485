//! Eight byte ports that hold what was written: a guest tests IN, OUT, INS and OUTS on them.

/// How many ports.
pub const PORTS: usize = 8;

/// Storage of one byte per port. A wide access is one byte access after the other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ScratchPorts {
    bytes: [u8; PORTS],
}

impl ScratchPorts {
    /// Ports that hold 0.
    pub const fn new() -> Self {
        Self { bytes: [0; PORTS] }
    }

    /// The guest read the port at `offset`, 0 to 7.
    #[inline]
    pub fn read(&self, offset: u16) -> u8 {
        self.bytes.get(usize::from(offset)).copied().unwrap_or(0xff)
    }

    /// The guest wrote `byte` to the port at `offset`, 0 to 7.
    #[inline]
    pub fn write(&mut self, offset: u16, byte: u8) {
        if let Some(stored) = self.bytes.get_mut(usize::from(offset)) {
            *stored = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_holds_its_own() {
        let mut ports = ScratchPorts::new();
        (0..9).for_each(|i| ports.write(i, i as u8 + 1));
        (0..8).for_each(|i| assert_eq!(ports.read(i), i as u8 + 1));
        assert_eq!(ports.read(8), 0xff);
    }
}
