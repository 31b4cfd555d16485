//! Leaf 0xd: which register states XCR0 can enable and how large their save area is (SDM 1 "Managing State Using the
//! XSAVE Feature Set").

use super::{Answer, ZERO};

/// x87 and SSE: the legacy region.
pub(super) const LEGACY: u64 = 0b11;
/// The upper halves of the YMM registers.
pub(super) const AVX: u64 = 1 << 2;
/// MPX's bound registers and their configuration: offered together or not at all.
const MPX: u64 = 0b11 << 3;
/// Opmask, ZMM_Hi256 and Hi16_ZMM: offered together or not at all.
pub(super) const AVX512: u64 = 0b111 << 5;
/// The rights of the protection keys.
pub(super) const PKRU: u64 = 1 << 9;
/// The legacy region (512 bytes) and the XSAVE header (64 bytes).
const BASE_SIZE: u32 = 512 + 64;
/// Subleaf 1 EAX.
const XSAVEC: u32 = 1 << 1;
pub(super) const XSAVES: u32 = 1 << 3;
/// Components up to PKRU.
const COMPONENTS: usize = 10;

/// The sizes of an XSAVE area for one value of XCR0, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Sizes {
    standard: u32,
    compacted: u32,
}

/// Leaf 0xd.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Xsave {
    allowed: u64,
    subleaves: [Answer; COMPONENTS],
}

impl Xsave {
    /// The XCR0 bits that the guest may set; 0 where XSAVE is not offered.
    pub const fn allowed(&self) -> u64 {
        self.allowed
    }

    pub fn slot(&mut self, subleaf: u32) -> Option<&mut Answer> {
        self.subleaves.get_mut(subleaf as usize)
    }

    #[inline]
    pub fn lookup(&self, subleaf: u32, xcr0: u64) -> Answer {
        let [eax, ebx, ecx, edx] = self.subleaves.get(subleaf as usize).copied().unwrap_or(ZERO);
        match subleaf {
            0 if self.allowed != 0 => [eax, self.measure(xcr0).standard, ecx, edx],
            // Zero without a compacted format. IA32_XSS is always 0 and adds nothing.
            1 if eax & (XSAVEC | XSAVES) != 0 => [eax, self.measure(xcr0).compacted, ecx, edx],
            _ => [eax, ebx, ecx, edx],
        }
    }

    /// Finishes the leaf once its rows are in: `host` is EAX of the host's subleaf 0, or 0 without XSAVE.
    pub fn settle(&mut self, host: u32) {
        self.allowed = offered(u64::from(host));
        if self.allowed == 0 {
            *self = Self::default();
            return;
        }
        for (bit, subleaf) in self.subleaves.iter_mut().enumerate().skip(2) {
            if self.allowed >> bit & 1 == 0 {
                *subleaf = ZERO;
            }
        }
        let largest = self.measure(self.allowed).standard;
        self.subleaves[0] = [self.allowed as u32, 0, largest, 0];
    }

    /// Whether XSAVES is offered.
    pub const fn has_xsaves(&self) -> bool {
        let [_, [eax, ..], ..] = self.subleaves;
        eax & XSAVES != 0
    }

    /// SDM 1 "Standard Form of XSAVE Area"/"Compacted Form of XSAVE Area".
    fn measure(&self, xcr0: u64) -> Sizes {
        let mut sizes = Sizes { standard: BASE_SIZE, compacted: BASE_SIZE };
        let xcr0 = xcr0 & self.allowed;
        let enabled = self.subleaves.iter().enumerate().skip(2).filter(|(bit, _)| xcr0 >> bit & 1 != 0);
        for (_, &[size, offset, flags, _]) in enabled {
            sizes.standard = sizes.standard.max(offset.saturating_add(size));
            let start = if flags & 0b10 != 0 { sizes.compacted.saturating_add(63) & !63 } else { sizes.compacted };
            sizes.compacted = start.saturating_add(size);
        }
        sizes
    }
}

/// What of the host's XCR0 bits is offered: a set that XSETBV could enable as a whole (SDM 2C "XSETBV—Set Extended
/// Control Register"). AMX's bits 17 and 18 are not: Linux and others enable that state by IA32_XFD only.
const fn offered(host: u64) -> u64 {
    if host & LEGACY != LEGACY {
        return 0;
    }
    let avx512 = if host & AVX != 0 && host & AVX512 == AVX512 { AVX512 } else { 0 };
    let mpx = if host & MPX == MPX { MPX } else { 0 };
    LEGACY | host & (AVX | PKRU) | avx512 | mpx
}
