//! The MSR bitmaps of VMX: one frame, four parts of 1 KiB (SDM 3C "MSR-Bitmap Address").

use crate::base::PAGE_SIZE;
use crate::vt::permission::{MsrAccess, clear, deny_all, is_set};

/// One bit an MSR, 1 = exit. MSRs outside the two ranges always exit.
pub struct MsrMap<'a>(&'a mut [u8]);

/// RDMSR's bits are in the first half, WRMSR's this many bits further on.
const WRITE: usize = 0x800 * 8;

impl<'a> MsrMap<'a> {
    /// Frames that the map takes.
    pub const FRAMES: usize = 1;

    /// A map in `bytes` that denies every MSR. `None` if there are fewer than 4 KiB.
    pub fn new(bytes: &'a mut [u8]) -> Option<Self> {
        Some(Self(deny_all(bytes, Self::FRAMES)?))
    }

    /// A map that is in `bytes` already.
    pub fn of(bytes: &'a mut [u8]) -> Option<Self> {
        bytes.get_mut(..Self::FRAMES * PAGE_SIZE as usize).map(Self)
    }

    /// Opens an MSR as `access` says, and closes it for the rest.
    pub fn set(&mut self, access: MsrAccess) {
        if let Some(bit) = Self::bit(access.msr) {
            for at in [bit, bit + WRITE] {
                if let Some(byte) = self.0.get_mut(at / 8) {
                    *byte |= 1 << (at % 8);
                }
            }
            self.open(access);
        }
    }

    /// The bit that denies RDMSR.
    const fn bit(msr: u32) -> Option<usize> {
        match msr {
            0..=0x1fff => Some(msr as usize),
            0xc000_0000..=0xc000_1fff => Some(0x400 * 8 + (msr & 0x1fff) as usize),
            _ => None,
        }
    }

    /// Opens an MSR as `access` says. Says whether the map has a place for it.
    pub fn open(&mut self, access: MsrAccess) -> bool {
        let Some(bit) = Self::bit(access.msr) else { return false };
        if access.read {
            clear(self.0, bit);
        }
        if access.write {
            clear(self.0, bit + WRITE);
        }
        true
    }

    /// Whether RDMSR (or WRMSR) of `msr` leaves the guest.
    pub fn denies(&self, msr: u32, write: bool) -> bool {
        Self::bit(msr).is_none_or(|bit| is_set(self.0, bit + if write { WRITE } else { 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    crate::vt::permission_tests!(MsrMap, [0..0x2000u32, 0xc000_0000..0xc000_2000u32]);

    #[test]
    fn the_parts_stand_where_the_manual_says() {
        let mut bytes = std::vec![0; 4096];
        let mut map = MsrMap::new(&mut bytes).unwrap();
        map.open(MsrAccess { msr: 0x10, read: true, write: false });
        map.open(MsrAccess { msr: 0xc000_0080, read: false, write: true });
        assert_eq!(bytes[2], 0xfe);
        assert_eq!(bytes[0xc00 + 0x10], 0xfe);
    }
}
