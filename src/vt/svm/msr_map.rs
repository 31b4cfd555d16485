//! The MSR permission map of SVM: two frames, two bits an MSR (APM 2 "MSR Intercepts").

use crate::vt::permission::{MsrAccess, clear, deny_all, is_set};

/// Bit 2n denies RDMSR, bit 2n + 1 WRMSR, in vectors of 2 KiB; the last vector is reserved.
pub struct MsrMap<'a>(&'a mut [u8]);

impl<'a> MsrMap<'a> {
    /// Frames that the map takes.
    pub const FRAMES: usize = 2;

    /// A map in `bytes` that denies every MSR. `None` if there are fewer than 8 KiB.
    pub fn new(bytes: &'a mut [u8]) -> Option<Self> {
        Some(Self(deny_all(bytes, Self::FRAMES)?))
    }

    /// The bit that denies RDMSR; the next one denies WRMSR.
    const fn bit(msr: u32) -> Option<usize> {
        let vector = match msr {
            0..=0x1fff => 0,
            0xc000_0000..=0xc000_1fff => 1,
            0xc001_0000..=0xc001_1fff => 2,
            _ => return None,
        };
        Some(vector * 0x800 * 8 + 2 * (msr & 0x1fff) as usize)
    }

    /// Opens an MSR as `access` says. Says whether the map has a place for it.
    pub fn open(&mut self, access: MsrAccess) -> bool {
        let Some(bit) = Self::bit(access.msr) else { return false };
        if access.read {
            clear(self.0, bit);
        }
        if access.write {
            clear(self.0, bit + 1);
        }
        true
    }

    /// Whether RDMSR (or WRMSR) of `msr` leaves the guest.
    pub fn denies(&self, msr: u32, write: bool) -> bool {
        Self::bit(msr).is_none_or(|bit| is_set(self.0, bit + usize::from(write)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    crate::vt::permission_tests!(MsrMap, [0..0x2000u32, 0xc000_0000..0xc000_2000u32, 0xc001_0000..0xc001_2000u32]);

    #[test]
    fn the_vectors_stand_where_the_manual_says() {
        let mut bytes = std::vec![0; 8192];
        let mut map = MsrMap::new(&mut bytes).unwrap();
        map.open(MsrAccess { msr: 0x10, read: true, write: false });
        map.open(MsrAccess { msr: 0xc000_0080, read: false, write: true });
        map.open(MsrAccess { msr: 0xc001_0015, read: true, write: true });
        assert_eq!(bytes[4], 0xfe);
        assert_eq!(bytes[0x800 + 0x20], 0xfd);
        assert_eq!(bytes[0x1000 + 5], 0xf3);
    }
}
