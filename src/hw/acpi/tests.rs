//! Hand-made tables, broken ones, and random bytes.

use super::*;
use crate::hw::end::Reset;
use proptest::prelude::*;
use std::{string::ToString, vec, vec::Vec};

/// Tables at their addresses.
#[derive(Default)]
struct Memory(Vec<(u64, Vec<u8>)>);

impl PhysRead for Memory {
    fn read(&self, from: Hpa, buffer: &mut [u8]) -> bool {
        self.0.iter().any(|(start, bytes)| {
            let Some(offset) = from.raw().checked_sub(*start) else { return false };
            let Some(rest) = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..) else { return false };
            let fits = rest.len() >= buffer.len();
            if fits {
                buffer.copy_from_slice(&rest[..buffer.len()]);
            }
            fits
        })
    }
}

fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = vec![0; HEADER as usize];
    table[..4].copy_from_slice(signature);
    table.extend(body);
    let length = table.len() as u32;
    table[4..8].copy_from_slice(&length.to_le_bytes());
    fix(&mut table, 9);
    table
}

fn fix(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = bytes.iter().fold(0u8, |sum, &b| sum.wrapping_sub(b));
}

fn rsdp(revision: u8, rsdt: u32, xsdt: u64) -> Vec<u8> {
    let mut bytes = b"RSD PTR \0OEMOEM".to_vec();
    bytes.push(revision);
    bytes.extend(rsdt.to_le_bytes());
    fix(&mut bytes, 8);
    if revision >= 2 {
        bytes.extend(36u32.to_le_bytes());
        bytes.extend(xsdt.to_le_bytes());
        bytes.extend([0; 4]);
        fix(&mut bytes, 32);
    }
    bytes
}

fn lapic(id: u8, flags: u8) -> Vec<u8> {
    vec![0, 8, id, id, flags, 0, 0, 0]
}

fn x2apic(id: u32, flags: u8) -> Vec<u8> {
    [&[9, 16, 0, 0][..], &id.to_le_bytes(), &[flags, 0, 0, 0], &id.to_le_bytes()].concat()
}

fn madt(entries: &[u8]) -> Vec<u8> {
    table(b"APIC", &[&0xfee0_0000u32.to_le_bytes(), &[1, 0, 0, 0][..], entries].concat())
}

/// A machine with this table only.
fn with(table_bytes: Vec<u8>) -> (Memory, Vec<u8>) {
    let root = table(b"XSDT", &[0x9999u64.to_le_bytes(), 0x5000u64.to_le_bytes()].concat());
    (Memory(vec![(0x4000, root), (0x5000, table_bytes)]), rsdp(2, 0, 0x4000))
}

fn cores(entries: &[u8]) -> Cores<4> {
    let (memory, rsdp) = with(madt(entries));
    Acpi::open(&memory, &rsdp).unwrap().madt().unwrap().enabled_cores()
}

#[test]
fn both_kinds_of_root() {
    let body = [0x5000u32.to_le_bytes(), 0x6000u32.to_le_bytes()].concat();
    let mut memory = Memory(vec![(0x3000, table(b"RSDT", &body)), (0x6000, madt(&lapic(3, 1)))]);
    let ids = |memory: &Memory, rsdp: &[u8]| {
        Acpi::open(memory, rsdp).and_then(|a| a.madt()).map(|m| m.enabled_cores::<4>().apic_ids.to_vec())
    };
    assert_eq!(ids(&memory, &rsdp(0, 0x3000, 0)), Ok(vec![3]));
    // A bad XSDT is no reason to give up.
    assert_eq!(ids(&memory, &rsdp(2, 0x3000, 0x4000)), Ok(vec![3]));
    assert_eq!(ids(&memory, &rsdp(2, 0, 0x4000)), Err(AcpiError::Unreadable(Hpa::new(0x4000))));
    memory.0.push((0x4000, table(b"XSDT", &0x7000u64.to_le_bytes())));
    memory.0.push((0x7000, madt(&lapic(5, 1))));
    assert_eq!(ids(&memory, &rsdp(2, 0x3000, 0x4000)), Ok(vec![5]));
}

#[test]
fn a_bad_rsdp_is_refused() {
    let memory = Memory::default();
    let good = rsdp(2, 0x3000, 0);
    for end in 0..20 {
        assert_eq!(Acpi::open(&memory, &good[..end]).err(), Some(AcpiError::Rsdp));
    }
    for at in 0..20 {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert_eq!(Acpi::open(&memory, &bad).err(), Some(AcpiError::Rsdp));
    }
    assert_eq!(Acpi::open(&memory, &rsdp(0, 0, 0)).err(), Some(AcpiError::Rsdp));
}

#[test]
fn a_bad_table_is_named() {
    let error = |table: Vec<u8>| {
        let (memory, rsdp) = with(table);
        Acpi::open(&memory, &rsdp).unwrap().madt().err().unwrap()
    };
    let mut bad = madt(&lapic(0, 1));
    bad[40] ^= 1;
    assert_eq!(error(bad).to_string(), "the ACPI table APIC has a wrong checksum");
    assert_eq!(error(table(b"APIC", &[0; 7])), AcpiError::Length(Signature::MADT, 43));
    assert_eq!(error(table(b"HPET", &[])), AcpiError::Missing(Signature::MADT));
    for length in [0, 35, LONGEST + 1, u32::MAX] {
        let mut bad = madt(&[]);
        bad[4..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(error(bad), AcpiError::Length(Signature::MADT, length));
    }
}

#[test]
fn enabled_cores_each_once() {
    let entries =
        [lapic(0, 1), vec![1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], lapic(2, 0), lapic(4, 1), lapic(255, 1)].concat();
    let entries = [entries, x2apic(4, 1), x2apic(300, 1), x2apic(6, 2)].concat();
    let found = cores(&entries);
    assert_eq!((&found.apic_ids[..], found.left_out, found.error), (&[0, 4, 300][..], 0, None));
    let many = (0..9).flat_map(|id| lapic(id, 1)).collect::<Vec<_>>();
    assert_eq!((cores(&many).apic_ids.len(), cores(&many).left_out), (4, 5));
}

#[test]
fn impossible_entries_end_the_list_with_an_error() {
    let first = lapic(1, 1);
    for bad in [&[0, 0][..], &[7, 0], &[7, 1], &[0, 7, 0, 0, 0, 0, 0], &[0, 9, 1, 1, 1, 0, 0, 0], &[0], &[9, 8, 0, 0]] {
        let found = cores(&[&first, bad].concat());
        assert_eq!(found.apic_ids[..], [1], "{bad:?}");
        assert_eq!(found.error, Some(AcpiError::Entry(Signature::MADT, 52)), "{bad:?}");
    }
}

#[test]
fn the_lapic_address_can_be_wide() {
    let address = |entries: &[u8]| {
        let (memory, rsdp) = with(madt(entries));
        Acpi::open(&memory, &rsdp).unwrap().madt().unwrap().lapic_address()
    };
    assert_eq!(address(&[]), Ok(Hpa::new(0xfee0_0000)));
    let wide = [&[5, 12, 0, 0][..], &0x12_3456_7000u64.to_le_bytes()].concat();
    assert_eq!(address(&wide), Ok(Hpa::new(0x12_3456_7000)));
    assert!(address(&[5, 0]).is_err());
}

fn fadt(length: usize, set: &[(usize, &[u8])]) -> Result<Fadt, AcpiError> {
    let mut body = vec![0; length - HEADER as usize];
    for (at, bytes) in set {
        body[at - 36..][..bytes.len()].copy_from_slice(bytes);
    }
    let (memory, rsdp) = with(table(b"FACP", &body));
    Acpi::open(&memory, &rsdp).unwrap().fadt()
}

#[test]
fn fixed_hardware() {
    let ports: [(usize, &[u8]); 3] = [(76, &[8, 6]), (64, &[4, 6]), (112, &[0, 1])];
    let old = fadt(116, &ports).unwrap();
    assert_eq!(old.pm_timer, Some(PmTimer { port: 0x608, wide: true }));
    assert_eq!((old.reset, old.pm1a_control, old.pm1b_control), (None, Some(0x604), None));
    let gas = |space: u8, address: u64| [&[space, 8, 0, 1][..], &address.to_le_bytes()].concat();
    let (timer, reset) = (gas(1, 0x1808), gas(1, 0xcf9));
    let new: [(usize, &[u8]); 4] = [(112, &[0, 4]), (116, &reset), (128, &[6]), (208, &timer)];
    let new = fadt(276, &[&ports[..2], &new].concat()).unwrap();
    assert_eq!(new.pm_timer, Some(PmTimer { port: 0x1808, wide: false }));
    assert_eq!(new.reset, Some(Reset::Port { port: 0xcf9, value: 6 }));
    let pci = gas(2, 0x1f_0000_0044 | 3 << 16);
    let new = fadt(276, &[(112, &[0, 4]), (116, &pci), (128, &[1])]).unwrap();
    assert_eq!(new.reset, Some(Reset::Pci { device: 31, function: 3, offset: 0x44, value: 1 }));
    assert_eq!(fadt(276, &[]), Ok(Fadt::default()));
    assert!(fadt(100, &[]).is_err());
}

proptest! {
    #[test]
    fn any_entries_come_to_an_end(entries in prop::collection::vec(any::<u8>(), 0..300)) {
        let (memory, rsdp) = with(madt(&entries));
        let madt = Acpi::open(&memory, &rsdp).unwrap().madt().unwrap();
        prop_assert!(madt.cores().count() <= entries.len() / 2 + 1);
        let _ = madt.lapic_address();
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        pointer in prop::collection::vec(any::<u8>(), 0..40), bytes in prop::collection::vec(any::<u8>(), 0..400),
        good_pointer: bool, root: bool, fadt: bool,
    ) {
        // As random as can be, but with a sum that lets the reader go on.
        let mut bytes = bytes;
        if bytes.len() >= HEADER as usize {
            bytes[..4].copy_from_slice(if root { b"XSDT" } else if fadt { b"FACP" } else { b"APIC" });
            let length = bytes.len() as u32;
            bytes[4..8].copy_from_slice(&length.to_le_bytes());
            fix(&mut bytes, 9);
        }
        let xsdt = table(b"XSDT", &0x5000u64.to_le_bytes());
        let memory = Memory(vec![(0x4000, if root { bytes.clone() } else { xsdt }), (0x5000, bytes)]);
        let pointer = if good_pointer { rsdp(2, 0, 0x4000) } else { pointer };
        if let Ok(acpi) = Acpi::open(&memory, &pointer) {
            if let Ok(madt) = acpi.madt() {
                madt.cores().for_each(drop);
            }
            let _ = acpi.fadt();
        }
    }
}
