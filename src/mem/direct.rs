//! The direct map: all RAM, writable and not executable, at one fixed distance from its host-physical address.

use crate::base::Hpa;

/// Where HPA 0 appears.
pub const DIRECT_BASE: u64 = 0xffff_8000_0000_0000;
/// One past the highest HPA that the direct map can show: 64 TiB, up to the kernel's virtual area.
pub const DIRECT_LIMIT: u64 = super::virt::AREA_BASE - DIRECT_BASE;

/// Where RAM at `hpa` appears in the kernel's address space. Only a number: whether something is mapped there is up to
/// who owns the frame. The hypervisor's own image is not in the direct map, nor are holes and devices.
#[inline(always)]
pub const fn direct(hpa: Hpa) -> *mut u8 {
    (DIRECT_BASE + (hpa.raw() & (DIRECT_LIMIT - 1))) as *mut u8
}

/// The HPA of a pointer into the direct map, or `None` for any other pointer.
#[inline]
pub fn direct_hpa<T: ?Sized>(ptr: *const T) -> Option<Hpa> {
    let offset = (ptr.cast::<u8>() as u64).checked_sub(DIRECT_BASE)?;
    (offset < DIRECT_LIMIT).then(|| Hpa::new(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for raw in [0, 0x1000, 0x1_2345_6000, DIRECT_LIMIT - 1] {
            assert_eq!(direct_hpa(direct(Hpa::new(raw))), Some(Hpa::new(raw)));
        }
        assert_eq!(direct_hpa(core::ptr::null::<u8>()), None);
        assert_eq!(direct_hpa(super::super::virt::AREA_BASE as *const u8), None);
    }
}
