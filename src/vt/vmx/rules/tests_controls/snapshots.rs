//! What breaks each rule about launching, control fields, the host and MSR loading, and no other.

use crate::vt::vmx::case::{Launch, MsrEntry, VmxCase};
use crate::vt::vmx::rules::fixture::Mode;
use crate::vt::vmx::state::F;

impl VmxCase {
    pub(super) fn put(&mut self, field: F, value: u64) -> &mut Self {
        self.state.set(field, value);
        self
    }

    pub(super) fn on(&mut self, field: F, bits: u64) -> &mut Self {
        let value = self.get(field) | bits;
        self.put(field, value)
    }

    pub(super) fn off(&mut self, field: F, bits: u64) -> &mut Self {
        let value = self.get(field) & !bits;
        self.put(field, value)
    }

    pub(super) fn tpr(&mut self) -> &mut Self {
        self.on(F::Primary, 1 << 21)
    }

    pub(super) fn posted(&mut self) -> &mut Self {
        self.tpr().on(F::PinBased, 1 << 7).on(F::Secondary, 1 << 9).on(F::ExitControls, 1 << 15)
    }

    pub(super) fn vmfunc(&mut self) -> &mut Self {
        self.cpu.caps.vmfunc = 1;
        self.on(F::Secondary, 1 << 13).put(F::VmfuncControls, 1)
    }

    pub(super) fn cet(&mut self) -> &mut Self {
        self.on(F::ExitControls, 1 << 28)
    }

    /// Makes the host one of 32 bits.
    pub(super) fn host32(&mut self) -> &mut Self {
        self.cpu.ia32e = false;
        self.off(F::ExitControls, 1 << 9).put(F::HostEfer, 0).put(F::HostRip, 0x1000)
    }

    pub(super) fn msr(&mut self, index: u32, value: u64) -> &mut Self {
        self.entry_msrs.push(MsrEntry { index, value, reserved: 0 });
        let count = self.entry_msrs.len() as u64;
        self.put(F::EntryMsrLoadCount, count)
    }
}

/// Ends a chain of changes.
pub(super) const fn only(_: &mut VmxCase) {}

pub(super) type Change = fn(&mut VmxCase);

/// A rule, the guest's mode to begin with, and what breaks the rule.
pub(super) const SNAPSHOTS: &[(&str, Mode, Change)] = &[
    ("launch.mov-ss", Mode::Long, |c| c.after_mov_ss = true),
    ("launch.not-clear", Mode::Long, |c| c.launched = true),
    ("launch.not-launched", Mode::Long, |c| c.launch = Launch::Vmresume),
    ("control.pin.reserved", Mode::Long, |c| only(c.off(F::PinBased, 2))),
    ("control.pin.reserved", Mode::Long, |c| only(c.on(F::PinBased, 1 << 8))),
    ("control.primary.reserved", Mode::Long, |c| only(c.on(F::Primary, 1 << 18))),
    ("control.secondary.reserved", Mode::Long, |c| only(c.on(F::Secondary, 1 << 26))),
    ("control.tertiary.reserved", Mode::Long, |c| {
        c.cpu.caps.primary |= 1 << (32 + 17);
        c.on(F::Primary, 1 << 17).put(F::TertiaryControls, 1);
    }),
    ("control.cr3-target-count", Mode::Long, |c| only(c.put(F::Cr3TargetCount, 5))),
    ("control.io-bitmap-a", Mode::Long, |c| only(c.on(F::IoBitmapA, 8))),
    ("control.io-bitmap-b", Mode::Long, |c| only(c.on(F::IoBitmapB, 1 << 39))),
    ("control.msr-bitmaps", Mode::Long, |c| only(c.on(F::MsrBitmaps, 0x800))),
    ("control.msr-bitmaps", Mode::Long, |c| {
        c.cpu.caps.basic |= 1 << 48;
        c.on(F::MsrBitmaps, 1 << 32);
    }),
    ("control.nmi.virtual-needs-exiting", Mode::Long, |c| only(c.off(F::PinBased, 8).on(F::PinBased, 1 << 5))),
    ("control.nmi.window-needs-virtual", Mode::Long, |c| only(c.on(F::Primary, 1 << 22))),
    ("control.vpid", Mode::Long, |c| only(c.put(F::Vpid, 0))),
    ("control.shadowing.vmread-bitmap", Mode::Long, |c| only(c.on(F::Secondary, 1 << 14).put(F::VmreadBitmap, 1))),
    ("control.shadowing.vmwrite-bitmap", Mode::Long, |c| only(c.on(F::Secondary, 1 << 14).put(F::VmwriteBitmap, 1))),
    ("control.ve.address", Mode::Long, |c| only(c.on(F::Secondary, 1 << 18).put(F::VeInfoAddress, 0x10))),
    ("control.pt.tracing", Mode::Long, |c| {
        c.tracing = true;
        c.on(F::EntryControls, 1 << 18);
    }),
    ("control.pt.guest-physical", Mode::Long, |c| only(c.on(F::Secondary, 1 << 24))),
    ("control.tsc-multiplier", Mode::Long, |c| only(c.on(F::Secondary, 1 << 25).put(F::TscMultiplier, 0))),
    ("control.tpr.virtual-apic-address", Mode::Long, |c| only(c.tpr().put(F::VirtualApicAddress, 0x123))),
    ("control.tpr.threshold-reserved", Mode::Long, |c| only(c.tpr().put(F::TprThreshold, 0x10))),
    ("control.tpr.threshold-vtpr", Mode::Long, |c| {
        c.pointed.virtual_tpr = Some(0x3f);
        c.tpr().put(F::TprThreshold, 4);
    }),
    ("control.apic.access-address", Mode::Long, |c| only(c.on(F::Secondary, 1).put(F::ApicAccessAddress, 4))),
    ("control.apic.needs-tpr-shadow", Mode::Long, |c| only(c.on(F::Secondary, 1 << 8))),
    ("control.apic.needs-tpr-shadow", Mode::Long, |c| {
        c.cpu.caps.primary |= 1 << (32 + 17);
        c.cpu.caps.tertiary = 1 << 4;
        c.on(F::Primary, 1 << 17).put(F::TertiaryControls, 1 << 4);
    }),
    ("control.apic.accesses-or-x2apic", Mode::Long, |c| only(c.tpr().on(F::Secondary, 1 | 1 << 4))),
    ("control.apic.delivery-needs-exiting", Mode::Long, |c| {
        c.tpr().on(F::Secondary, 1 << 9).off(F::PinBased, 1);
    }),
    ("control.posted.needs-delivery", Mode::Long, |c| only(c.posted().off(F::Secondary, 1 << 9))),
    ("control.posted.needs-acknowledge", Mode::Long, |c| only(c.posted().off(F::ExitControls, 1 << 15))),
    ("control.posted.vector", Mode::Long, |c| only(c.posted().put(F::PostedVector, 256))),
    ("control.posted.descriptor", Mode::Long, |c| only(c.posted().put(F::PostedDescriptor, 32))),
    ("control.eptp.memory-type", Mode::Long, |c| only(c.put(F::Eptp, 0x20_001d))),
    ("control.eptp.memory-type", Mode::Long, |c| c.cpu.caps.ept_vpid &= !(1 << 14)),
    ("control.eptp.walk-length", Mode::Long, |c| only(c.put(F::Eptp, 0x20_0026))),
    ("control.eptp.accessed-dirty", Mode::Long, |c| {
        c.cpu.caps.ept_vpid &= !(1 << 21);
        c.on(F::Eptp, 1 << 6);
    }),
    ("control.eptp.shadow-stack", Mode::Long, |c| only(c.on(F::Eptp, 1 << 7))),
    ("control.eptp.reserved", Mode::Long, |c| only(c.on(F::Eptp, 1 << 8))),
    ("control.eptp.reserved", Mode::Long, |c| only(c.on(F::Eptp, 1 << 39))),
    ("control.pml.needs-ept", Mode::Protected, |c| only(c.off(F::Secondary, 2).on(F::Secondary, 1 << 17))),
    ("control.pml.address", Mode::Long, |c| only(c.on(F::Secondary, 1 << 17).put(F::PmlAddress, 8))),
    ("control.unrestricted-guest.needs-ept", Mode::Real, |c| only(c.off(F::Secondary, 2))),
    ("control.mode-based-execute.needs-ept", Mode::Protected, |c| {
        c.off(F::Secondary, 2).on(F::Secondary, 1 << 22);
    }),
    ("control.spp.needs-ept", Mode::Protected, |c| only(c.off(F::Secondary, 2).on(F::Secondary, 1 << 23))),
    ("control.spp.table", Mode::Long, |c| only(c.on(F::Secondary, 1 << 23).put(F::SppTable, 1))),
    ("control.vmfunc.reserved", Mode::Long, |c| only(c.vmfunc().put(F::VmfuncControls, 2))),
    ("control.vmfunc.switching-needs-ept", Mode::Protected, |c| only(c.vmfunc().off(F::Secondary, 2))),
    ("control.vmfunc.eptp-list", Mode::Long, |c| only(c.vmfunc().put(F::EptpListAddress, 1))),
    ("control.exit.reserved", Mode::Long, |c| only(c.off(F::ExitControls, 1))),
    ("control.exit.preemption-timer", Mode::Long, |c| only(c.on(F::ExitControls, 1 << 22))),
    ("control.exit.msr-store.address", Mode::Long, |c| {
        c.put(F::ExitMsrStoreCount, 1).put(F::ExitMsrStoreAddress, 8);
    }),
    ("control.exit.msr-store.end", Mode::Long, |c| {
        c.put(F::ExitMsrStoreCount, 2).put(F::ExitMsrStoreAddress, (1 << 39) - 16);
    }),
    ("control.exit.msr-load.address", Mode::Long, |c| {
        c.put(F::ExitMsrLoadCount, 1).put(F::ExitMsrLoadAddress, 1 << 39);
    }),
    ("control.exit.msr-load.end", Mode::Long, |c| {
        c.cpu.phys_bits = 32;
        c.put(F::ExitMsrLoadCount, 0xffff_ffff);
    }),
    ("control.entry.reserved", Mode::Long, |c| only(c.on(F::EntryControls, 1 << 23))),
    ("control.entry.msr-load.address", Mode::Long, |c| {
        c.put(F::EntryMsrLoadCount, 1).put(F::EntryMsrLoadAddress, 8);
    }),
    ("control.entry.msr-load.end", Mode::Long, |c| {
        c.put(F::EntryMsrLoadCount, 2).put(F::EntryMsrLoadAddress, (1 << 39) - 16);
    }),
    ("control.entry.smm", Mode::Long, |c| only(c.on(F::EntryControls, 1 << 10))),
    ("control.entry.smm-both", Mode::Long, |c| {
        c.in_smm = true;
        c.on(F::EntryControls, 3 << 10);
    }),
    ("control.event.type", Mode::Long, |c| only(c.put(F::EntryInfo, 0x8000_0120))),
    ("control.event.type", Mode::Long, |c| {
        c.cpu.caps.primary &= !(1 << (32 + 27));
        c.put(F::EntryInfo, 0x8000_0700);
    }),
    ("control.event.vector", Mode::Long, |c| only(c.put(F::EntryInfo, 0x8000_0203))),
    ("control.event.vector", Mode::Long, |c| only(c.put(F::EntryInfo, 0x8000_0320))),
    ("control.event.vector", Mode::Long, |c| only(c.put(F::EntryInfo, 0x8000_0701))),
    ("control.event.error-code-needed", Mode::Long, |c| only(c.put(F::EntryInfo, 0x8000_030d))),
    ("control.event.error-code-unwanted", Mode::Long, |c| only(c.put(F::EntryInfo, 0x8000_0b06))),
    ("control.event.error-code-unwanted", Mode::Real, |c| only(c.put(F::EntryInfo, 0x8000_0b0d))),
    ("control.event.reserved", Mode::Long, |c| only(c.put(F::EntryInfo, 0x8000_1020))),
    ("control.event.nested", Mode::Long, |c| {
        c.cpu.caps.basic |= 1 << 58;
        c.put(F::EntryInfo, 0x8000_2020);
    }),
    ("control.event.error-code-high", Mode::Long, |c| {
        c.put(F::EntryInfo, 0x8000_0b0d).put(F::EntryErrorCode, 0x1_0000);
    }),
    ("control.event.instruction-length", Mode::Long, |c| {
        c.put(F::EntryInfo, 0x8000_0480).put(F::EntryInstructionLength, 16);
    }),
    ("control.event.instruction-length", Mode::Long, |c| {
        c.cpu.caps.misc &= !(1 << 30);
        c.put(F::EntryInfo, 0x8000_0603);
    }),
    ("host.cr0.fixed", Mode::Long, |c| only(c.off(F::HostCr0, 0x20))),
    ("host.cr4.fixed", Mode::Long, |c| only(c.off(F::HostCr4, 0x2000))),
    ("host.cr4.cet-needs-wp", Mode::Long, |c| only(c.on(F::HostCr4, 1 << 23).off(F::HostCr0, 1 << 16))),
    ("host.cr3.physical", Mode::Long, |c| only(c.on(F::HostCr3, 1 << 39))),
    ("host.sysenter-esp.canonical", Mode::Long, |c| only(c.put(F::HostSysenterEsp, 1 << 47))),
    ("host.sysenter-eip.canonical", Mode::Long, |c| only(c.put(F::HostSysenterEip, 1 << 63))),
    ("host.perf-global.reserved", Mode::Long, |c| {
        c.on(F::ExitControls, 1 << 12).put(F::HostPerfGlobalCtrl, 1 << 60);
    }),
    ("host.pat.types", Mode::Long, |c| only(c.put(F::HostPat, 2))),
    ("host.efer.reserved", Mode::Long, |c| only(c.on(F::HostEfer, 2))),
    ("host.efer.mode", Mode::Long, |c| only(c.off(F::HostEfer, 1 << 8))),
    ("host.efer.mode", Mode::Protected, |c| only(c.host32().put(F::HostEfer, 1 << 8))),
    ("host.s-cet.reserved", Mode::Long, |c| only(c.cet().put(F::HostSCet, 0x40))),
    ("host.s-cet.state", Mode::Long, |c| only(c.cet().put(F::HostSCet, 0xc00))),
    ("host.ssp.aligned", Mode::Long, |c| only(c.cet().put(F::HostSsp, 1))),
    ("host.ssp-table.canonical", Mode::Long, |c| only(c.cet().put(F::HostSspTable, 1 << 60))),
    ("host.pkrs.high", Mode::Long, |c| only(c.on(F::ExitControls, 1 << 29).put(F::HostPkrs, 1 << 32))),
    ("host.selectors.rpl-ti", Mode::Long, |c| only(c.put(F::HostDsSelector, 4))),
    ("host.cs.null", Mode::Long, |c| only(c.put(F::HostCsSelector, 0))),
    ("host.tr.null", Mode::Long, |c| only(c.put(F::HostTrSelector, 0))),
    ("host.ss.null", Mode::Protected, |c| only(c.host32().put(F::HostSsSelector, 0))),
    ("host.fs-base.canonical", Mode::Long, |c| only(c.put(F::HostFsBase, 1 << 60))),
    ("host.gs-base.canonical", Mode::Long, |c| only(c.put(F::HostGsBase, 1 << 60))),
    ("host.gdtr-base.canonical", Mode::Long, |c| only(c.put(F::HostGdtrBase, 1 << 60))),
    ("host.idtr-base.canonical", Mode::Long, |c| only(c.put(F::HostIdtrBase, 1 << 60))),
    ("host.tr-base.canonical", Mode::Long, |c| only(c.put(F::HostTrBase, 1 << 60))),
    ("host.size.outside-ia32e", Mode::Protected, |c| c.cpu.ia32e = false),
    ("host.size.in-ia32e", Mode::Protected, |c| {
        c.host32();
        c.cpu.ia32e = true;
    }),
    ("host.size.guest", Mode::Long, |c| only(c.host32())),
    ("host.size.pcide", Mode::Protected, |c| only(c.host32().on(F::HostCr4, 1 << 17))),
    ("host.size.pae", Mode::Long, |c| only(c.off(F::HostCr4, 0x20))),
    ("host.size.rip", Mode::Long, |c| only(c.put(F::HostRip, 1 << 60))),
    ("host.size.rip", Mode::Protected, |c| only(c.host32().put(F::HostRip, 1 << 32))),
    ("host.size.s-cet", Mode::Long, |c| only(c.cet().put(F::HostSCet, 1 << 60))),
    ("host.size.ssp", Mode::Protected, |c| only(c.host32().cet().put(F::HostSsp, 1 << 32))),
    ("msr-load.fs-gs-base", Mode::Long, |c| only(c.msr(0xc000_0101, 0))),
    ("msr-load.x2apic", Mode::Long, |c| only(c.msr(0xc000_0102, 0).msr(0x8ff, 0))),
    ("msr-load.smm", Mode::Long, |c| only(c.msr(0x9b, 0))),
    ("msr-load.reserved", Mode::Long, |c| {
        c.msr(0xc000_0102, 0);
        c.entry_msrs[0].reserved = 1;
    }),
    ("msr-load.read-only", Mode::Long, |c| only(c.msr(0x480, 0))),
    ("msr-load.canonical", Mode::Long, |c| only(c.msr(0xc000_0082, 1 << 60))),
    ("msr-load.efer", Mode::Long, |c| only(c.msr(0xc000_0080, 0x502))),
    ("msr-load.efer-lme", Mode::Long, |c| only(c.msr(0xc000_0080, 0))),
    ("msr-load.efer-lme", Mode::Protected, |c| only(c.msr(0xc000_0080, 0x100))),
    ("msr-load.pat", Mode::Long, |c| only(c.msr(0x277, 2))),
    ("msr-load.debugctl", Mode::Long, |c| only(c.msr(0x1d9, 1 << 32))),
    ("msr-load.perf-global", Mode::Long, |c| only(c.msr(0x38f, 1 << 60))),
    ("msr-load.tsc-aux", Mode::Long, |c| only(c.msr(0xc000_0103, 1 << 32))),
    ("advice.msr-load.microcode", Mode::Long, |c| only(c.msr(0x79, 0))),
];

/// Rules that cannot be broken alone, with the one that is broken too. An IA-32e mode guest of a host that is not in
/// 64-bit mode after VM exits: either the host is in IA-32e mode, and should be 64-bit, or it is not, and no guest may
/// be.
pub(super) const PAIRS: &[(&str, &str)] = &[("host.size.guest", "host.size.outside-ia32e")];
