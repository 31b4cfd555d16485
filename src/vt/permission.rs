//! Permission maps: which ports and MSRs a guest may use without an exit.

use crate::base::PAGE_SIZE;

/// The I/O permission map of both vendors: one bit a port, 1 = exit.
///
/// SVM reads 8 KiB and 3 bits of it (a wide access at port 0xffff goes on into the 3 bits; APM 2 "I/O Permissions Map"),
/// VMX takes the first 4 KiB as bitmap A and the next as bitmap B (SDM 3C "I/O-Bitmap Addresses").
pub struct IoMap<'a>(&'a mut [u8]);

impl<'a> IoMap<'a> {
    /// Frames that the map takes.
    pub const FRAMES: usize = 3;

    /// A map in `bytes` that denies every port. `None` if there are fewer than [`IoMap::FRAMES`] × 4 KiB.
    pub fn new(bytes: &'a mut [u8]) -> Option<Self> {
        Some(Self(deny_all(bytes, Self::FRAMES)?))
    }

    /// Opens one port.
    pub fn open(&mut self, port: u16) {
        clear(self.0, usize::from(port));
    }

    /// Whether an access of `width` bytes at `port` leaves the guest: if any of its ports is denied.
    pub fn denies(&self, port: u16, width: u32) -> bool {
        (u32::from(port)..u32::from(port) + width).any(|p| is_set(self.0, p as usize))
    }
}

/// The first `frames` frames of `bytes`, filled with ones.
pub(super) fn deny_all(bytes: &mut [u8], frames: usize) -> Option<&mut [u8]> {
    let bytes = bytes.get_mut(..frames * PAGE_SIZE as usize)?;
    bytes.fill(0xff);
    Some(bytes)
}

/// Clears a bit of a map.
pub(super) fn clear(map: &mut [u8], bit: usize) {
    if let Some(byte) = map.get_mut(bit / 8) {
        *byte &= !(1 << (bit % 8));
    }
}

/// Whether a bit of a map is set; past its end all are.
pub(super) fn is_set(map: &[u8], bit: usize) -> bool {
    map.get(bit / 8).is_none_or(|byte| byte >> (bit % 8) & 1 != 0)
}

/// What a guest may do with an MSR without an exit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsrAccess {
    /// The MSR.
    pub msr: u32,
    /// RDMSR stays in the guest.
    pub read: bool,
    /// WRMSR stays in the guest.
    pub write: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec;

    proptest! {
        #[test]
        fn as_a_set_of_ports(open in proptest::collection::btree_set(any::<u16>(), 0..40), probes: [u16; 8]) {
            let mut bytes = vec![0; 3 * 4096];
            let mut map = IoMap::new(&mut bytes).unwrap();
            for p in &open {
                map.open(*p);
            }
            let near = open.iter().flat_map(|p| [*p, p.wrapping_sub(1), p.wrapping_add(1)]).chain(probes);
            for p in near.collect::<BTreeSet<u16>>() {
                for width in [1, 2, 4] {
                    let naive = (0..width).any(|i| !u16::try_from(u32::from(p) + i).is_ok_and(|q| open.contains(&q)));
                    prop_assert_eq!(map.denies(p, width), naive);
                }
            }
        }
    }

    #[test]
    fn too_small_a_map_is_refused() {
        assert!(IoMap::new(&mut [0; 4096]).is_none());
    }
}
