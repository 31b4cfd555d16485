//! The tables are read back as a guest's kernel would read them.

use super::*;
use crate::base::Hpa;
use crate::hw::acpi::{Acpi, Fadt, PhysRead, PmTimer};
use crate::hw::end::Reset;
use std::{vec, vec::Vec};

impl PhysRead for Firmware {
    fn read(&self, from: Hpa, buffer: &mut [u8]) -> bool {
        let bytes =
            from.raw().checked_sub(BASE).and_then(|start| self.image.get(start as usize..)?.get(..buffer.len()));
        bytes.inspect(|bytes| buffer.copy_from_slice(bytes)).is_some()
    }
}

impl Firmware {
    fn bytes(&self, at: u64, count: usize) -> &[u8] {
        &self.image[(at - BASE) as usize..][..count]
    }

    fn word(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.bytes(at, 4).try_into().unwrap())
    }

    fn root(&self) -> &[u8] {
        self.bytes(self.rsdp.raw(), 36)
    }

    /// An ACPI table by its signature: those of the XSDT, and those that the FADT leads to.
    fn table(&self, signature: &[u8; 4]) -> (u64, &[u8]) {
        let xsdt = u64::from_le_bytes(self.root()[24..32].try_into().unwrap());
        let count = (self.word(xsdt + 4) - 36) / 8;
        let mut all = vec![xsdt];
        all.extend((0..count).map(|i| u64::from(self.word(xsdt + 36 + 8 * u64::from(i)))));
        let fadt = all[1];
        all.extend([36, 40].map(|field| u64::from(self.word(fadt + field))));
        let at = all.into_iter().find(|at| self.bytes(*at, 4) == signature).unwrap();
        (at, self.bytes(at, self.word(at + 4) as usize))
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, b| sum.wrapping_add(*b))
}

#[test]
fn our_own_reader_understands_them() {
    for cpus in [0, 1, 2, 15, 16, u32::MAX] {
        let firmware = build(cpus);
        assert!(firmware.image.len() <= ROOM);
        let acpi = Acpi::open(&firmware, firmware.root()).unwrap();
        let cores = acpi.madt().unwrap().enabled_cores::<16>();
        assert_eq!(cores.error, None);
        assert!(cores.apic_ids.iter().copied().eq(0..cpus.clamp(1, MOST_CPUS)));
        assert_eq!(acpi.madt().unwrap().lapic_address(), Ok(Hpa::new(0xfee0_0000)));
        let wanted = Fadt {
            pm_timer: Some(PmTimer { port: 0x608, wide: true }),
            reset: Some(Reset::Port { port: 0xcf9, value: 6 }),
            pm1a_control: Some(0x604),
            pm1b_control: None,
        };
        assert_eq!(acpi.fadt(), Ok(wanted));
    }
}

#[test]
fn the_root_is_where_it_is_looked_for() {
    let firmware = build(1);
    let found: Vec<_> = firmware.image.chunks(16).enumerate().filter(|(_, c)| c.starts_with(b"RSD PTR ")).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(firmware.rsdp.raw(), BASE + 16 * found[0].0 as u64);
    let root = firmware.root();
    assert_eq!((sum(&root[..20]), sum(root), root[15]), (0, 0, 2));
}

#[test]
fn sums_alignment_and_order() {
    let firmware = build(3);
    let mut ends = Vec::new();
    for signature in [b"XSDT", b"FACP", b"APIC", b"DSDT"] {
        let (at, table) = firmware.table(signature);
        assert_eq!(sum(table), 0, "{signature:?}");
        ends.push((at, at + table.len() as u64));
    }
    let (at, facs) = firmware.table(b"FACS");
    assert_eq!((at % 64, facs.len()), (0, 64));
    ends.push((at, at + 64));
    ends.sort_unstable();
    assert!(ends.windows(2).all(|pair| pair[0].1 <= pair[1].0), "no table overlaps another");
}

#[test]
fn fixed_hardware() {
    let firmware = build(1);
    let (_, fadt) = firmware.table(b"FACP");
    assert_eq!((fadt.len(), fadt[8]), (276, 6));
    let half = |at: usize| u16::from_le_bytes([fadt[at], fadt[at + 1]]);
    let word = |at: usize| u32::from_le_bytes(fadt[at..at + 4].try_into().unwrap());
    // SCI_INT, SMI_CMD, ACPI_ENABLE; PM1a event, PM1a control, timer; their lengths; century; boot architecture.
    assert_eq!((half(46), word(48), fadt[52]), (9, 0, 0));
    assert_eq!([word(56), word(60), word(64), word(68), word(76)], [0x600, 0, 0x604, 0, 0x608]);
    assert_eq!([fadt[88], fadt[89], fadt[90], fadt[91], fadt[92], fadt[93]], [4, 2, 0, 4, 0, 0]);
    assert_eq!((fadt[108], half(109)), (0x32, 0b101));
    // WBINVD, C1, no sleep button, RTC not fixed, 32-bit timer, reset; a power button.
    assert_eq!(word(112), 1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 10);
    assert_eq!(fadt[116..129], [1, 8, 0, 1, 0xf9, 0xc, 0, 0, 0, 0, 0, 0, 6]);
    assert_eq!(fadt[148..160], [1, 32, 0, 2, 0, 6, 0, 0, 0, 0, 0, 0]);
    assert_eq!(fadt[172..184], [1, 16, 0, 2, 4, 6, 0, 0, 0, 0, 0, 0]);
    assert_eq!(fadt[208..220], [1, 32, 0, 3, 8, 6, 0, 0, 0, 0, 0, 0]);
    assert!(fadt[132..148].iter().all(|byte| *byte == 0), "the 32-bit addresses are the ones");
}

#[test]
fn interrupt_controllers() {
    let firmware = build(2);
    let (_, madt) = firmware.table(b"APIC");
    assert_eq!(madt[36..44], [0, 0, 0xe0, 0xfe, 1, 0, 0, 0]);
    let entries = [
        &[0, 8, 0, 0, 1, 0, 0, 0][..],
        &[0, 8, 1, 1, 1, 0, 0, 0],
        &[1, 12, 2, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
        &[2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
        &[2, 10, 0, 9, 9, 0, 0, 0, 0xd, 0],
        &[4, 6, 0xff, 0, 0, 1],
    ];
    assert_eq!(madt[44..], entries.concat());
}

#[test]
fn the_dsdt_names_what_it_should() {
    let firmware = build(2);
    let (_, dsdt) = firmware.table(b"DSDT");
    let has = |needle: &[u8]| dsdt.windows(needle.len()).any(|w| w == needle);
    // Name (_S5, Package () {5, 5, 0, 0})
    assert!(has(&[8, b'_', b'S', b'5', b'_', 0x12, 8, 4, 0xa, 5, 0xa, 5, 0, 0]));
    for name in [&b"PCI0"[..], b"_BBN", b"COM1", b"RTC_", b"C000", b"C001", b"ACPI0007\0"] {
        assert!(has(name), "{name:?}");
    }
    assert!(!has(b"C002"));
    // PNP0A03, PNP0501, PNP0B00 as EISA IDs.
    for id in [[0x41, 0xd0, 0x0a, 0x03], [0x41, 0xd0, 0x05, 0x01], [0x41, 0xd0, 0x0b, 0x00]] {
        assert!(has(&id), "{id:x?}");
    }
    // The memory window: its type, then granularity, first, last, translation, length.
    let window = [0u32, 0xc000_0000, 0xfebf_ffff, 0, 0x3ec0_0000].map(u32::to_le_bytes);
    assert!(has(window.as_flattened()));
}

#[test]
fn the_mp_table() {
    for cpus in [1, 2, 15] {
        let firmware = build(cpus);
        let at = firmware.image.chunks(16).position(|c| c.starts_with(b"_MP_")).unwrap() as u64 * 16 + BASE;
        let pointer = firmware.bytes(at, 16);
        // One paragraph, version 1.4, a configuration table, no IMCR.
        assert_eq!((sum(pointer), &pointer[8..10], &pointer[11..]), (0, &[1, 4][..], &[0; 5][..]));
        let table = u64::from(firmware.word(at + 4));
        let length = firmware.word(table + 4) as u16;
        let bytes = firmware.bytes(table, length.into());
        assert_eq!((&bytes[..4], bytes[6], sum(bytes)), (&b"PCMP"[..], 4, 0));
        assert_eq!(firmware.word(table + 36), 0xfee0_0000);
        let count = u16::from_le_bytes([bytes[34], bytes[35]]);
        let (mut rest, mut kinds, mut pins) = (&bytes[44..], Vec::new(), Vec::new());
        for _ in 0..count {
            let (entry, next) = rest.split_at(if rest[0] == 0 { 20 } else { 8 });
            kinds.push(entry[0]);
            match entry {
                [0, id, version, flags, ..] => {
                    assert_eq!((*version, *flags), (0x14, if *id == 0 { 3 } else { 1 }));
                    assert_eq!(usize::from(*id), kinds.len() - 1);
                }
                [2, id, ..] => assert_eq!((u32::from(*id), &entry[3..]), (cpus, &[1, 0, 0, 0xc0, 0xfe][..])),
                [3, 0, low, 0, 0, line, apic, pin] => {
                    assert_eq!((u32::from(*apic), *low), (cpus, if *line == 9 { 0xd } else { 0 }));
                    pins.push((*line, *pin));
                }
                [4, kind, 0, 0, 0, 0, 0xff, input] => assert!([(3, 0), (1, 1)].contains(&(*kind, *input))),
                [1, 0, name @ ..] => assert_eq!(name, b"ISA   "),
                other => panic!("{other:?}"),
            }
            rest = next;
        }
        assert!(rest.is_empty() && kinds.is_sorted());
        let wanted: Vec<_> = (0..16).filter(|l| *l != 2).map(|l| (l, if l == 0 { 2 } else { l })).collect();
        assert_eq!(pins, wanted);
    }
}
