//! Configuration space as a guest scans it.

use super::pci::{ADDRESS, DATA, Pci};
use crate::base::Width;
use proptest::prelude::*;

fn config(p: &mut Pci, address: u32) -> u32 {
    p.write(ADDRESS, Width::B4, address);
    p.read(DATA, Width::B4)
}

#[test]
fn the_host_bridge_is_alone() {
    let mut p = Pci::new();
    assert_eq!(config(&mut p, 0x8000_0000), 0x1237_8086);
    assert_eq!(config(&mut p, 0x8000_0008), 0x0600_0002);
    assert_eq!(config(&mut p, 0x8000_000c), 0);
    for at in (0x10..0x100).step_by(4) {
        assert_eq!(config(&mut p, 0x8000_0000 | at), 0);
    }
    for function in 1..0x1_0000 {
        assert_eq!(config(&mut p, 0x8000_0000 | function << 8), u32::MAX);
    }
    assert_eq!(config(&mut p, 0), u32::MAX);
}

#[test]
fn parts_of_a_doubleword() {
    let mut p = Pci::new();
    p.write(ADDRESS, Width::B4, 0x8000_0000);
    assert_eq!((p.read(0xcfc, Width::B2), p.read(0xcfe, Width::B2)), (0x8086, 0x1237));
    assert_eq!([0xcfc, 0xcfd, 0xcfe, 0xcff].map(|a| p.read(a, Width::B1)), [0x86, 0x80, 0x37, 0x12]);
    assert_eq!((p.read(0xcff, Width::B2), p.read(0xcfd, Width::B4)), (0xff12, 0xff12_3780));
}

#[test]
fn the_address_latches_whole_doublewords_only() {
    let mut p = Pci::new();
    p.write(ADDRESS, Width::B4, 0xffff_ffff);
    assert_eq!(p.read(ADDRESS, Width::B4), 0x80ff_fffc);
    p.write(ADDRESS, Width::B1, 0);
    p.write(ADDRESS, Width::B2, 0);
    p.write(0xcf9, Width::B1, 6);
    assert_eq!(p.read(ADDRESS, Width::B4), 0x80ff_fffc);
    assert_eq!((p.read(ADDRESS, Width::B2), p.read(0xcfa, Width::B1)), (0xffff, 0xff));
}

#[test]
fn command_register() {
    let mut p = Pci::new();
    assert_eq!(config(&mut p, 0x8000_0004), 0x0280_0006);
    p.write(DATA, Width::B4, 0xffff_ffff);
    assert_eq!(p.read(DATA, Width::B4), 0x0280_0146);
    p.write(0xcfd, Width::B1, 0);
    assert_eq!(p.read(DATA, Width::B2), 0x0046);
    p.write(0xcfe, Width::B2, 0xffff);
    p.write(DATA, Width::B2, 0x100);
    assert_eq!(p.read(DATA, Width::B4), 0x0280_0106);
}

proptest! {
    #[test]
    fn any_accesses(
        ops in prop::collection::vec(
            (0xcf6u16..0xd02, prop::sample::select(std::vec![Width::B1, Width::B2, Width::B4, Width::B8]),
             prop_oneof![any::<u32>(), 0x8000_0000u32..0x8000_0100], any::<bool>()), 0..100)
    ) {
        let mut p = Pci::new();
        for (port, width, value, write) in ops {
            if write {
                p.write(port, width, value);
            }
            prop_assert!(u64::from(p.read(port, width)) <= width.mask());
            prop_assert_eq!(config(&mut p.clone(), 0x8000_0000), 0x1237_8086);
            prop_assert_eq!(config(&mut p.clone(), 0x8000_0004) & !0x140, 0x0280_0006);
        }
    }
}
