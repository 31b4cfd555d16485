//! Addresses that never convert silently: guest-physical, guest-virtual (linear) and host-physical.

use core::fmt;

/// One kibibyte, in bytes.
pub const KIB: u64 = 1 << 10;
/// One mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;
/// One gibibyte, in bytes.
pub const GIB: u64 = 1 << 30;
/// The size of a frame and of the smallest page, in bytes.
pub const PAGE_SIZE: u64 = 4 * KIB;

/// What host-physical and guest-physical addresses have in common.
pub trait PhysAddr: Copy + Ord + fmt::Debug {
    /// The address as a number of bytes from 0.
    fn raw(self) -> u64;
    /// The address at `raw` bytes from 0.
    fn from_raw(raw: u64) -> Self;
}

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The address at `raw` bytes from 0.
            #[inline(always)]
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// The address as a number of bytes from 0.
            #[inline(always)]
            pub const fn raw(self) -> u64 {
                self.0
            }

            /// The address `bytes` further on, or `None` past the end of the 64-bit space.
            #[inline(always)]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// The start of the 4 KiB page that holds this address.
            #[inline(always)]
            pub const fn page(self) -> Self {
                Self(self.0 & !(PAGE_SIZE - 1))
            }

            /// The number of the 4 KiB page that holds this address.
            #[inline(always)]
            pub const fn page_number(self) -> u64 {
                self.0 / PAGE_SIZE
            }

            /// The offset in its 4 KiB page, in bytes.
            #[inline(always)]
            pub const fn page_offset(self) -> u64 {
                self.0 & (PAGE_SIZE - 1)
            }

            /// Whether the address is a multiple of `align`, a power of two in bytes.
            #[inline(always)]
            pub const fn is_aligned(self, align: u64) -> bool {
                self.0 & (align - 1) == 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address! {
    /// A guest-physical address, in bytes. It comes from a guest and is an allegation until a nested table or
    /// the guest's RAM has confirmed it.
    Gpa
}
address! {
    /// A guest-virtual (linear) address, in bytes: after segmentation, before the guest's paging.
    Gva
}
address! {
    /// A host-physical address, in bytes: what the memory bus sees.
    Hpa
}

impl PhysAddr for Gpa {
    #[inline(always)]
    fn raw(self) -> u64 {
        self.0
    }
    #[inline(always)]
    fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

impl PhysAddr for Hpa {
    #[inline(always)]
    fn raw(self) -> u64 {
        self.0
    }
    #[inline(always)]
    fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_end_of_the_space() {
        assert_eq!(Gpa::new(u64::MAX).checked_add(1), None);
        assert_eq!(Gpa::new(u64::MAX - 1).checked_add(1), Some(Gpa::new(u64::MAX)));
    }

    #[test]
    fn page_parts_make_the_address_again() {
        for raw in [0, 1, 0xfff, 0x1000, 0x1234_5678, u64::MAX] {
            let a = Hpa::new(raw);
            assert_eq!(a.page().raw() + a.page_offset(), raw);
            assert_eq!(a.page_number() * PAGE_SIZE, a.page().raw());
            assert!(a.page().is_aligned(PAGE_SIZE));
        }
    }
}
