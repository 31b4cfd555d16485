//! Known-good VMCSs, one for each mode of the guest: where tests of rules begin.

use crate::vt::doctor::{Field, State};
use crate::vt::vmx::caps::VmxCaps;
use crate::vt::vmx::case::{Launch, Pointed, VmxCase, VmxCpu};
use crate::vt::vmx::state::F;

/// The guest's mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Real-address mode, by "unrestricted guest".
    Real,
    /// Protected mode without paging, by "unrestricted guest".
    Unpaged,
    /// Protected mode with 32-bit paging, without "unrestricted guest".
    Protected,
    /// Protected mode with PAE paging under EPT.
    Pae,
    /// Virtual-8086 mode.
    Virtual8086,
    /// 64-bit mode.
    Long,
    /// Compatibility mode.
    Compatibility,
}

impl Mode {
    pub(crate) const ALL: [Self; 7] =
        [Self::Real, Self::Unpaged, Self::Protected, Self::Pae, Self::Virtual8086, Self::Long, Self::Compatibility];
}

/// A CPU that has nearly everything: allowed 0-settings as real CPUs have them, all defined bits allowed to be 1.
pub(crate) fn cpu() -> VmxCpu {
    VmxCpu {
        caps: VmxCaps {
            basic: 0x12 | 0x1000 << 32 | 6 << 50 | 1 << 54 | 1 << 55,
            pin: 0x16 | 0xff << 32,
            primary: 0x0400_6172 | 0xfff9_fffe << 32,
            secondary: 0x03ff_ffff << 32,
            exit: 0x0003_6dfb | 0x31ff_ffff << 32,
            entry: 0x11fb | 0x0077_ffff << 32,
            misc: 0x2000_01e5 | 1 << 30 | 4 << 16,
            cr0_fixed0: 0x8000_0021,
            cr0_fixed1: 0xffff_ffff,
            cr4_fixed0: 0x2000,
            cr4_fixed1: 0x01f7_7fff,
            ept_vpid: 0xf01_0673_4141,
            ..VmxCaps::default()
        },
        phys_bits: 39,
        ..VmxCpu::default()
    }
}

/// A VMCS with every field that breaks no rule and draws no advice.
pub(crate) fn good(mode: Mode) -> VmxCase {
    let mut s = State::default();
    for field in F::ALL {
        s.set(*field, 0);
    }
    let mut set = |pairs: &[(F, u64)]| pairs.iter().for_each(|(field, value)| s.set(*field, *value));
    let unrestricted = matches!(mode, Mode::Real | Mode::Unpaged);
    let ia32e = matches!(mode, Mode::Long | Mode::Compatibility);
    // Controls, as this hypervisor sets them.
    set(&[
        (F::Vpid, 1),
        (F::PinBased, 0x16 | 0b1001),
        (F::Primary, 0x0400_6172 | 1 << 3 | 1 << 7 | 1 << 25 | 1 << 28 | 1 << 31),
        (F::Secondary, 1 << 1 | 1 << 3 | 1 << 5 | u64::from(unrestricted) << 7),
        (F::ExitControls, 0x0003_6dff | 1 << 9 | 0b1111 << 18),
        (F::EntryControls, 0x11ff | 0b11 << 14 | u64::from(ia32e) << 9),
        (F::IoBitmapA, 0x10_0000),
        (F::IoBitmapB, 0x10_1000),
        (F::MsrBitmaps, 0x10_2000),
        (F::Eptp, 0x20_0000 | 0x1e),
        (F::LinkPointer, u64::MAX),
        (F::Cr0Mask, !0xa),
        (F::Cr4Mask, u64::MAX),
        (F::TscMultiplier, 1 << 48),
    ]);
    // The host, in 64-bit mode.
    set(&[
        (F::HostCr0, 0x8001_0031),
        (F::HostCr3, 0x30_0000),
        (F::HostCr4, 0x2020),
        (F::HostEfer, 0xd00),
        (F::HostPat, 0x0007_0406_0007_0406),
        (F::HostCsSelector, 8),
        (F::HostSsSelector, 16),
        (F::HostTrSelector, 24),
        (F::HostTrBase, 0xffff_ffff_8010_0000),
        (F::HostGdtrBase, 0xffff_ffff_8011_0000),
        (F::HostIdtrBase, 0xffff_ffff_8012_0000),
        (F::HostRip, 0xffff_ffff_8020_0000),
        (F::HostRsp, 0xffff_ffff_8030_0000),
    ]);
    // The guest.
    set(&[
        (F::Pat, 0x0007_0406_0007_0406),
        (F::Dr7, 0x400),
        (F::Rflags, 2),
        (F::Rip, 0x7c00),
        (F::Rsp, 0x7c00),
        (F::Cr4, 0x2000),
        (F::GdtrBase, 0x1000),
        (F::GdtrLimit, 0x7f),
        (F::IdtrBase, 0x2000),
        (F::IdtrLimit, 0xfff),
        (F::LdtrRights, 1 << 16),
        (F::TrSelector, 0x40),
        (F::TrRights, 0x8b),
        (F::TrLimit, 0x67),
        (F::TrBase, 0x3000),
    ]);
    let (code, data, limit) = match mode {
        Mode::Real => (0x9b, 0x93, 0xffff),
        Mode::Virtual8086 => (0xf3, 0xf3, 0xffff),
        Mode::Long => (0xa09b, 0xc093, 0xffff_ffff),
        Mode::Unpaged | Mode::Protected | Mode::Pae | Mode::Compatibility => (0xc09b, 0xc093, 0xffff_ffff),
    };
    for n in 0..6 {
        let selector = if matches!(mode, Mode::Real | Mode::Virtual8086) { 0 } else { 16 - 8 * u64::from(n == 1) };
        let rights = if n == 1 { code } else { data };
        set(&[
            (F::EsSelector.nth(n), selector),
            (F::EsRights.nth(n), rights),
            (F::EsLimit.nth(n), limit),
            (F::EsBase.nth(n), 0),
        ]);
    }
    match mode {
        Mode::Real => set(&[(F::Cr0, 0x30), (F::TrRights, 0x8b), (F::IdtrBase, 0), (F::IdtrLimit, 0x3ff)]),
        Mode::Unpaged => set(&[(F::Cr0, 0x31)]),
        Mode::Protected => set(&[(F::Cr0, 0x8000_0031), (F::Cr3, 0x5000)]),
        Mode::Virtual8086 => set(&[(F::Cr0, 0x8000_0031), (F::Cr3, 0x5000), (F::Rflags, 2 | 1 << 17 | 3 << 12)]),
        Mode::Pae => set(&[(F::Cr0, 0x8000_0031), (F::Cr3, 0x5000), (F::Cr4, 0x2020), (F::Pdpte0, 0x6001)]),
        Mode::Long | Mode::Compatibility => {
            set(&[(F::Cr0, 0x8000_0031), (F::Cr3, 0x5000), (F::Cr4, 0x2020), (F::Efer, 0xd00)]);
        }
    }
    VmxCase {
        launch: Launch::Vmlaunch,
        pointed: Pointed::default(),
        vmcs: 0x40_0000,
        vmxon: 0x41_0000,
        ..VmxCase::new(s, cpu())
    }
}
