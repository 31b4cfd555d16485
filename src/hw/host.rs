//! What a VM exit must find again on this core.

use crate::base::DescriptorTable;
use crate::hw::{msr, percpu};
use x86::msr::{IA32_EFER, IA32_FS_BASE, IA32_GS_BASE, IA32_SYSENTER_CS, IA32_SYSENTER_EIP, IA32_SYSENTER_ESP};
use x86_64::instructions::segmentation::{CS, DS, ES, FS, GS, SS, Segment};
use x86_64::instructions::tables::{sgdt, sidt};
use x86_64::registers::control::{Cr0, Cr3, Cr4};

/// The state of the executing core as the VMCS host-state area asks for it (SDM 3C "Host-State Area").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct HostState {
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub cs: u16,
    pub ss: u16,
    pub ds: u16,
    pub es: u16,
    pub fs: u16,
    pub gs: u16,
    pub tr: u16,
    pub fs_base: u64,
    pub gs_base: u64,
    pub tr_base: u64,
    /// Base and limit. A VM exit loads the base and sets the limit to 0xffff.
    pub gdtr: DescriptorTable,
    /// Base and limit. A VM exit loads the base and sets the limit to 0xffff.
    pub idtr: DescriptorTable,
    pub sysenter_cs: u64,
    pub sysenter_esp: u64,
    pub sysenter_eip: u64,
    pub pat: u64,
    pub efer: u64,
}

/// Reads the executing core's state.
pub fn host_state() -> HostState {
    let (frame, flags) = Cr3::read_raw();
    let (gdtr, idtr) = (sgdt(), sidt());
    let table = |t: x86_64::structures::DescriptorTablePointer| DescriptorTable {
        base: t.base.as_u64(),
        limit: u32::from(t.limit),
    };
    // All CPUs with VMX or SVM have PAT and SYSENTER, but an emulated one may lie: what is not there is 0.
    let msr_or_0 = |msr| msr::try_read(msr).unwrap_or(0);
    HostState {
        cr0: Cr0::read_raw(),
        cr3: frame.start_address().as_u64() | u64::from(flags),
        cr4: Cr4::read_raw(),
        cs: CS::get_reg().0,
        ss: SS::get_reg().0,
        ds: DS::get_reg().0,
        es: ES::get_reg().0,
        fs: FS::get_reg().0,
        gs: GS::get_reg().0,
        tr: crate::hw::descriptors::TSS.0,
        fs_base: msr::read(IA32_FS_BASE),
        gs_base: msr::read(IA32_GS_BASE),
        tr_base: percpu::this().descriptors.tss_base(),
        gdtr: table(gdtr),
        idtr: table(idtr),
        sysenter_cs: msr_or_0(IA32_SYSENTER_CS),
        sysenter_esp: msr_or_0(IA32_SYSENTER_ESP),
        sysenter_eip: msr_or_0(IA32_SYSENTER_EIP),
        pat: msr_or_0(msr::PAT),
        efer: msr::read(IA32_EFER),
    }
}
