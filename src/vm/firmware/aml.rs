//! The DSDT: devices that can't be found by asking them (ACPI 6, "ACPI Source Language Reference").

use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Name, Package, Path, ResourceTemplate, Scope,
};
use acpi_tables::sdt::Sdt;
use alloc::format;
use alloc::vec::Vec;

use super::acpi::{OEM, OEM_REVISION, OEM_TABLE, bytes};

/// Bytes of a table's header.
const HEADER: u32 = 36;
/// Revision 2: integers have 64 bits.
const REVISION: u8 = 2;
/// The value of SLP_TYP that turns the machine off.
const SOFT_OFF: u8 = 5;
/// What of memory is the PCI bus's: from the end of the RAM below 4 GiB at its most to the I/O APIC, in bytes.
const WINDOW: (u32, u32) = (0xc000_0000, 0xfebf_ffff);

/// The DSDT of so many CPUs.
pub(super) fn dsdt(cpus: u8) -> Sdt {
    let mut dsdt = Sdt::new(*b"DSDT", HEADER, REVISION, OEM, OEM_TABLE, OEM_REVISION);
    let off = Package::new([&SOFT_OFF as &dyn Aml, &SOFT_OFF, &0u8, &0u8].to_vec());
    dsdt.append_slice(&bytes(&Name::new("_S5_".into(), &off)));
    dsdt.append_slice(&system_bus(cpus));
    dsdt
}

/// \_SB: the PCI bus with what is on its ISA bridge, and the processors.
fn system_bus(cpus: u8) -> Vec<u8> {
    let mut inside = pci();
    for cpu in 0..cpus {
        let (id, uid) = (Name::new("_HID".into(), &"ACPI0007"), Name::new("_UID".into(), &cpu));
        let path = Path::new(&format!("C{cpu:03X}"));
        inside.extend(bytes(&Device::new(path, [&id as &dyn Aml, &uid].to_vec())));
    }
    Scope::raw("_SB_".into(), inside)
}

/// \_SB.PCI0, and its children COM1 and RTC.
fn pci() -> Vec<u8> {
    let bus = AddressSpace::new_bus_number(0u16, 0u16);
    let (low, high) = (AddressSpace::new_io(0u16, 0xcf7, None), AddressSpace::new_io(0xd00u16, 0xffff, None));
    // The bus's own configuration ports: it uses them itself and hands them to no device.
    let configuration = IO::new(0xcf8, 0xcf8, 1, 8);
    let (first, last) = WINDOW;
    let memory = AddressSpace::new_memory(AddressSpaceCacheable::NotCacheable, true, first, last, None);
    let resources = ResourceTemplate::new([&bus as &dyn Aml, &low, &configuration, &high, &memory].to_vec());
    let names: [Name; 4] = [
        Name::new("_HID".into(), &EISAName::new("PNP0A03")),
        Name::new("_UID".into(), &0u8),
        Name::new("_BBN".into(), &0u8),
        Name::new("_CRS".into(), &resources),
    ];
    let com1 = isa("COM1", "PNP0501", IO::new(0x3f8, 0x3f8, 1, 8), 4);
    let rtc = isa("RTC_", "PNP0B00", IO::new(0x70, 0x70, 1, 2), 8);
    let mut inside: Vec<&dyn Aml> = Vec::new();
    for name in &names {
        inside.push(name);
    }
    inside.push(&com1);
    inside.push(&rtc);
    bytes(&Device::new("PCI0".into(), inside))
}

/// Bytes of AML that are ready.
struct Ready(Vec<u8>);

impl Aml for Ready {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        sink.vec(&self.0);
    }
}

/// A device with ports and one edge-triggered, active-high, unshared interrupt.
fn isa(name: &str, id: &str, ports: IO, line: u32) -> Ready {
    let interrupt = Interrupt::new(true, true, false, false, line);
    let resources = ResourceTemplate::new([&ports as &dyn Aml, &interrupt].to_vec());
    let id = Name::new("_HID".into(), &EISAName::new(id));
    let uid = Name::new("_UID".into(), &0u8);
    let has = Name::new("_CRS".into(), &resources);
    Ready(bytes(&Device::new(Path::new(name), [&id as &dyn Aml, &uid, &has].to_vec())))
}
