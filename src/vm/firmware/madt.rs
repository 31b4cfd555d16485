//! The MADT: CPUs and interrupt controllers (ACPI 6, "Multiple APIC Description Table").

use acpi_tables::madt::{EnabledStatus, IoApic, ProcessorLocalApic};
use acpi_tables::sdt::Sdt;

use super::acpi::{OEM, OEM_REVISION, OEM_TABLE, bytes};
use super::{IO_APIC, LOCAL_APIC, SCI};

/// Bytes of a table's header.
const HEADER: u32 = 36;
const REVISION: u8 = 5;
/// PCAT_COMPAT: there are two 8259s too.
const PCAT_COMPAT: u32 = 1;
/// MPS INTI flags: level-triggered, active high; all as the bus has it.
const LEVEL_HIGH: u16 = 3 << 2 | 1;
const AS_THE_BUS: u16 = 0;
/// The ISA bus.
const ISA: u8 = 0;
/// All processors.
const ALL: u8 = 0xff;

/// The MADT of so many CPUs.
///
/// The `acpi_tables` crate's own MADT can't say that there are 8259s; only its structures are used.
pub(super) fn madt(cpus: u8) -> Sdt {
    let mut madt = Sdt::new(*b"APIC", HEADER, REVISION, OEM, OEM_TABLE, OEM_REVISION);
    madt.append_slice(&LOCAL_APIC.to_le_bytes());
    madt.append_slice(&PCAT_COMPAT.to_le_bytes());
    for id in 0..cpus {
        madt.append_slice(&bytes(&ProcessorLocalApic::new(id, id, EnabledStatus::Enabled)));
    }
    madt.append_slice(&bytes(&IoApic::new(cpus, IO_APIC, 0)));
    // The PIT's line is on pin 2: pin 0 is the 8259s'.
    madt.append_slice(&source_override(0, 2, AS_THE_BUS));
    madt.append_slice(&source_override(SCI, SCI, LEVEL_HIGH));
    madt.append_slice(&local_nmi(ALL, AS_THE_BUS, 1));
    madt
}

/// ISA line `line` goes to interrupt `gsi` (ACPI 6, "Interrupt Source Override Structure").
fn source_override(line: u8, gsi: u8, flags: u16) -> [u8; 10] {
    let [low, high] = flags.to_le_bytes();
    [2, 10, ISA, line, gsi, 0, 0, 0, low, high]
}

/// The NMI is at this input of a processor's local APIC (ACPI 6, "Local APIC NMI Structure").
fn local_nmi(processor: u8, flags: u16, input: u8) -> [u8; 6] {
    let [low, high] = flags.to_le_bytes();
    [4, 6, processor, low, high, input]
}
