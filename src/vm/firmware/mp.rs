//! The MP table (MultiProcessor Specification 1.4, "MP Configuration Table").

use alloc::vec::Vec;

use super::{IO_APIC, LOCAL_APIC, SCI, checksum};

/// The size of the floating pointer structure.
pub(super) const POINTER_BYTES: usize = 16;
/// The size of the configuration table's header.
const HEADER: usize = 44;
/// Version 1.4.
const REVISION: u8 = 4;

/// The version of integrated APICs.
const APIC_VERSION: u8 = 0x14;
/// The I/O APIC's version register, bits 7:0.
const IO_APIC_VERSION: u8 = 0x11;
/// Enabled; bootstrap processor.
const ENABLED: u8 = 1;
const BOOTSTRAP: u8 = 2;
/// A processor with APIC and FPU that can do everything asked for here: family 6. The guest asks CPUID for the rest.
const SIGNATURE: u32 = 0x600;
const FEATURES: u32 = 1 << 9 | 1;

/// Interrupt types (MultiProcessor Specification 1.4, "I/O Interrupt Assignment Entries").
const INT: u8 = 0;
const NMI: u8 = 1;
const EXT_INT: u8 = 3;
/// Polarity and trigger mode: as the bus has it; level-triggered, active high.
const AS_THE_BUS: u16 = 0;
const LEVEL_HIGH: u16 = 3 << 2 | 1;
/// The ISA bus's number. There is no other bus here: PCI's interrupts are told by ACPI, or are MSIs.
const ISA: u8 = 0;
/// All local APICs.
const ALL: u8 = 0xff;

/// The floating pointer structure for a table at this address. There is a table, so the default configuration is 0; no
/// IMCR.
pub(super) fn pointer(table: u32) -> [u8; POINTER_BYTES] {
    let [a, b, c, d] = table.to_le_bytes();
    let mut pointer = [b'_', b'M', b'P', b'_', a, b, c, d, 1, REVISION, 0, 0, 0, 0, 0, 0];
    let sum = checksum(&pointer);
    let [.., to, _, _, _, _, _] = &mut pointer;
    *to = sum;
    pointer
}

/// The configuration table.
pub(super) fn table(cpus: u8) -> Vec<u8> {
    let entries = entries(cpus);
    let length = (HEADER + entries.iter().map(|entry| entry.len()).sum::<usize>()) as u16;
    let count = entries.len() as u16;
    let header = |sum: u8| {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(b"PCMP");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&[REVISION, sum]);
        bytes.extend_from_slice(b"HVHV    HVGUEST     ");
        // No OEM table.
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&LOCAL_APIC.to_le_bytes());
        // No extended entries.
        bytes.extend_from_slice(&[0; 4]);
        for entry in &entries {
            bytes.extend_from_slice(entry);
        }
        bytes
    };
    header(checksum(&header(0)))
}

/// The entries, by type in ascending order as the specification wants them.
fn entries(cpus: u8) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    for id in 0..cpus {
        let flags = if id == 0 { ENABLED | BOOTSTRAP } else { ENABLED };
        let mut entry = [0, id, APIC_VERSION, flags].to_vec();
        entry.extend_from_slice(&SIGNATURE.to_le_bytes());
        entry.extend_from_slice(&FEATURES.to_le_bytes());
        entry.extend_from_slice(&[0; 8]);
        entries.push(entry);
    }
    entries.push([&[1, ISA][..], b"ISA   "].concat());
    entries.push([&[2, cpus, IO_APIC_VERSION, ENABLED][..], &IO_APIC.to_le_bytes()].concat());
    // Line 2 is the 8259s' cascade, and no line of its own; its pin has the PIT.
    for line in (0..16).filter(|line| *line != 2) {
        let pin = if line == 0 { 2 } else { line };
        let flags = if line == SCI { LEVEL_HIGH } else { AS_THE_BUS };
        entries.push(interrupt(3, INT, flags, line, cpus, pin));
    }
    entries.push(interrupt(4, EXT_INT, AS_THE_BUS, 0, ALL, 0));
    entries.push(interrupt(4, NMI, AS_THE_BUS, 0, ALL, 1));
    entries
}

/// An interrupt of the ISA bus, at an input of the I/O APIC (`entry` 3) or of local APICs (4).
fn interrupt(entry: u8, kind: u8, flags: u16, line: u8, apic: u8, input: u8) -> Vec<u8> {
    let [low, high] = flags.to_le_bytes();
    [entry, kind, low, high, ISA, line, apic, input].to_vec()
}
