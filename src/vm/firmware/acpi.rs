//! The ACPI tables with fixed layouts: RSDP, XSDT, FADT, FACS; and where all tables are (ACPI 6, "ACPI System
//! Description Tables").

use acpi_tables::facs::FACS;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, fadt::PmProfile};
use alloc::vec::Vec;

use super::{Image, SCI, aml, madt};

/// Who made the tables.
pub(super) const OEM: [u8; 6] = *b"HVHV  ";
/// What for.
pub(super) const OEM_TABLE: [u8; 8] = *b"HVGUEST ";
/// Which version.
pub(super) const OEM_REVISION: u32 = 1;
/// The size of an RSDP of revision 2.
pub(super) const RSDP_BYTES: usize = 36;

/// The power-management blocks' ports and their sizes in bytes.
const PM1_EVENT: (u16, u8) = (0x600, 4);
const PM1_CONTROL: (u16, u8) = (0x604, 2);
const PM_TIMER: (u16, u8) = (0x608, 4);
/// The reset register of PCs, and what resets by it.
const RESET: (u16, u8) = (0xcf9, 6);
/// Where the CMOS RAM has the century.
const CENTURY: u8 = 0x32;
/// IAPC_BOOT_ARCH (ACPI 6, "IA-PC Boot Architecture Flags"): there are devices on an ISA bus; no keyboard controller,
/// no VGA; there may be MSIs, and no ASPM is there to be left alone.
const BOOT_ARCHITECTURE: u16 = LEGACY_DEVICES | NO_VGA;
const LEGACY_DEVICES: u16 = 1 << 0;
const NO_VGA: u16 = 1 << 2;

/// The bytes of a table.
pub(super) fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

/// Puts all tables but the RSDP into the image; the address of the XSDT.
pub(super) fn place(image: &mut Image, cpus: u8) -> u32 {
    let facs = image.put(&bytes(&FACS::new()), 64);
    let dsdt = image.put(&bytes(&aml::dsdt(cpus)), 16);
    let fadt = image.put(&fadt(facs, dsdt), 16);
    let madt = image.put(&bytes(&madt::madt(cpus)), 16);
    let mut xsdt = XSDT::new(OEM, OEM_TABLE, OEM_REVISION);
    xsdt.add_entry(fadt.into());
    xsdt.add_entry(madt.into());
    image.put(&bytes(&xsdt), 16)
}

pub(super) fn rsdp(xsdt: u32) -> Vec<u8> {
    bytes(&Rsdp::new(OEM, xsdt.into()))
}

/// The FADT (ACPI 6, "Fixed ACPI Description Table"). Ports are told in the old fields and in the new ones, the tables'
/// addresses only in the old ones: both lie below 4 GiB, and one of the two must be 0.
///
/// No SMI_CMD: the machine is always in ACPI mode. PWR_BUTTON is 0, so there is a power button among the fixed
/// hardware; SLP_BUTTON is 1, so there is no sleep button. FIX_RTC is 1: the clock does not wake.
fn fadt(facs: u32, dsdt: u32) -> Vec<u8> {
    let port = |(port, _): (u16, u8)| u32::from(port).into();
    let block = |(port, bytes): (u16, u8), size| {
        GAS::new(AddressSpace::SystemIo, bytes.saturating_mul(8), 0, size, port.into())
    };
    let mut fadt = FADTBuilder::new(OEM, OEM_TABLE, OEM_REVISION)
        .firmware_ctrl_32(facs)
        .dsdt_32(dsdt)
        .preferred_pm_profile(PmProfile::EnterpriseServer)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        .flag(Flags::SlpButton)
        .flag(Flags::FixRtc)
        .flag(Flags::TmrValExt)
        .flag(Flags::ResetRegSup);
    fadt.sci_int = u16::from(SCI).into();
    (fadt.pm1a_evt_blk, fadt.pm1_evt_len) = (port(PM1_EVENT), PM1_EVENT.1);
    (fadt.pm1a_cnt_blk, fadt.pm1_cnt_len) = (port(PM1_CONTROL), PM1_CONTROL.1);
    (fadt.pm_tmr_blk, fadt.pm_tmr_len) = (port(PM_TIMER), PM_TIMER.1);
    fadt.x_pm1a_evt_blk = block(PM1_EVENT, AccessSize::WordAccess);
    fadt.x_pm1a_cnt_blk = block(PM1_CONTROL, AccessSize::WordAccess);
    fadt.x_pm_tmr_blk = block(PM_TIMER, AccessSize::DwordAccess);
    fadt.reset_reg = block((RESET.0, 1), AccessSize::ByteAccess);
    fadt.reset_value = RESET.1;
    // Latencies above these limits say that there is no C2 and no C3.
    fadt.p_lvl2_lat = 0xfff.into();
    fadt.p_lvl3_lat = 0xfff.into();
    fadt.century = CENTURY;
    fadt.iapc_boot_arch = BOOT_ARCHITECTURE.into();
    bytes(&fadt.finalize())
}
