//! A vCPU's VMCB and its permission maps: how they are set up and made current.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

use super::caps::SvmCaps;
use super::case::{SvmCase, SvmCpu};
use super::core::SvmCore;
use super::exit;
use super::msr_map::MsrMap;
use super::state::{self, F};
use super::vmcb::{Clean, V_INTR_MASKING, Vmcb, misc1, misc2, misc3, tlb};
use crate::base::{GprFile, TscRatio};
use crate::hw::host::host_state;
use crate::hw::msr;
use crate::mem::frames::Frames;
use crate::vt::contract::{Setup, Trouble};
use crate::vt::doctor::{Field, State};
use crate::vt::exit::INTERCEPTED_EXCEPTIONS;
use crate::vt::maps;
use crate::vt::resident::Resident;
use crate::vt::speculation::Guard;
use crate::vt::tags::{Flush, Tag};

/// CR0's selective intercept covers its writes; all of CR4 and CR8 is decided in common code.
const CR_WRITES: u32 = 1 << (16 + 4) | 1 << (16 + 8);
/// The guest must not see the CR4 bits that the host keeps set for itself, nor V_TPR in CR8.
const CR_READS: u32 = 1 << 4 | 1 << 8;

/// The MSR of the TSC ratio.
const TSC_RATIO: u32 = 0xc000_0104;

/// Offset of the state save area in a VMCB.
const SAVE_AREA: usize = core::mem::offset_of!(Vmcb, save);

/// The PAT that the CPU uses while a guest runs: write-back in all eight entries. A page that the host has write-back must not
/// be uncached for the guest, or the guest sees what was in memory before the host's writes left the cache.
const WRITE_BACK_PAT: u64 = 0x0606_0606_0606_0606;

/// How far the guest's handling of an NMI is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NmiHandling {
    /// None is handled.
    No,
    /// Its handler runs.
    Handler,
    /// Its IRET, at this RIP, is about to be executed.
    Iret(u64),
}

/// A vCPU.
pub struct SvmVcpu {
    pub(super) gprs: GprFile,
    pub(super) resident: Resident,
    pub(super) guard: Guard,
    pub(super) caps: SvmCaps,
    /// CR4 as the guest sees it: without what the host keeps set.
    pub(super) guest_cr4: u64,
    /// EFER as the guest sees it, but for LMA.
    pub(super) guest_efer: u64,
    /// CD and NW of CR0 as the guest sees them; for the CPU they stay clear.
    pub(super) guest_cr0_cache: u64,
    /// The PAT as the guest sees it.
    pub(super) guest_pat: u64,
    /// An NMI is being handled. SVM does not block others by itself: IRET is intercepted until then.
    pub(super) nmi: NmiHandling,
    /// EVENTINJ of the last injection: after an entry the VMCB does not have it any more.
    pub(super) injected: u64,
    tsc: TscRatio,
    /// HPA of the VMCB that holds the core's VMSAVE state, set by `load`.
    pub(super) host: u64,
    /// Where `frame` is in the direct map: asked for several times an exit.
    vmcb: *mut Vmcb,
    vmcb_hpa: u64,
    _frame: Frames,
    _io_map: Frames,
    _msr_map: Frames,
    asid: Tag,
}

impl SvmVcpu {
    /// Allocates and fills what does not depend on the core.
    pub fn new(caps: &SvmCaps, setup: &Setup) -> Result<Self, Trouble> {
        let io_map = maps::io_map(setup)?;
        let mut msr_map = maps::frames(MsrMap::FRAMES)?;
        let mut msrs = MsrMap::new(msr_map.as_mut_slice()).ok_or(Trouble::OutOfMemory)?;
        for access in setup.open_msrs {
            msrs.open(*access);
        }
        let mut frame = maps::frames(1)?;
        frame.zero();
        let mut vcpu = Self {
            gprs: GprFile::default(),
            resident: Resident::new()?,
            guard: Guard::of_new_vcpu(),
            caps: *caps,
            guest_cr4: 0,
            guest_efer: 0,
            guest_cr0_cache: 0,
            guest_pat: setup.pat,
            nmi: NmiHandling::No,
            injected: 0,
            tsc: setup.tsc,
            host: 0,
            vmcb: frame.ptr().cast(),
            vmcb_hpa: frame.hpa().raw(),
            _frame: frame,
            _io_map: io_map,
            _msr_map: msr_map,
            asid: Tag::default(),
        };
        let (io, msr) = (vcpu._io_map.hpa().raw(), vcpu._msr_map.hpa().raw());
        let c = &mut vcpu.vmcb_mut().control;
        c.intercept_cr = CR_READS | CR_WRITES;
        c.intercept_exceptions = INTERCEPTED_EXCEPTIONS;
        c.intercept_misc1 = misc1::INTR
            | misc1::NMI
            | misc1::INIT
            | misc1::CR0_SELECTIVE_WRITE
            | misc1::RDPMC
            | misc1::CPUID
            | misc1::INVD
            | misc1::HLT
            | misc1::INVLPGA
            | misc1::IOIO
            | misc1::MSR
            | misc1::TASK_SWITCH
            | misc1::SHUTDOWN;
        c.intercept_misc2 = misc2::VMRUN
            | misc2::VMMCALL
            | misc2::VMLOAD
            | misc2::VMSAVE
            | misc2::STGI
            | misc2::CLGI
            | misc2::SKINIT
            | misc2::ICEBP
            | misc2::WBINVD
            | misc2::MONITOR
            | misc2::MWAIT
            | misc2::XSETBV
            | misc2::RDPRU;
        c.intercept_misc3 = misc3::INVLPGB | misc3::MCOMMIT | misc3::TLBSYNC;
        c.iopm_base = io;
        c.msrpm_base = msr;
        c.v_intr = V_INTR_MASKING;
        c.nested_control = 1;
        c.n_cr3 = setup.nested_root.raw();
        let s = &mut vcpu.vmcb_mut().save;
        s.g_pat = WRITE_BACK_PAT;
        s.dr6 = 0xffff_0ff0;
        s.dr7 = 0x400;
        Ok(vcpu)
    }

    /// The VMCB.
    #[inline(always)]
    pub(super) fn vmcb(&self) -> &Vmcb {
        // SAFETY: the frame is a whole, aligned VMCB (every bit pattern is one), ours alone as long as `_frame` is; the CPU
        // writes it only during VMRUN and VMSAVE, which need the vCPU exclusively.
        unsafe { &*self.vmcb }
    }

    /// The VMCB, to be changed. Who changes state clears its clean bit.
    #[inline(always)]
    pub(super) fn vmcb_mut(&mut self) -> &mut Vmcb {
        // SAFETY: as in `vmcb`.
        unsafe { &mut *self.vmcb }
    }

    /// The VMCB as the entry doctor sees it: with the event that a refused VMRUN should have injected.
    pub(super) fn case(&self) -> SvmCase {
        // SAFETY: as in `vmcb`; the block is 4 KiB of plain bytes.
        let bytes = unsafe { core::slice::from_raw_parts(self.vmcb.cast::<u8>(), size_of::<Vmcb>()) };
        let mut state: State<F> = state::from_bytes(bytes);
        if exit::is_invalid(self.vmcb().control.exit_code) {
            state.set(F::EventInj, self.injected);
            // Some emulators save the host's state then, as if the guest had run: what it was entered with is gone.
            if self.vmcb().save.cr3 == host_state().cr3 {
                F::ALL.iter().filter(|f| f.offset() >= SAVE_AREA).for_each(|f| state.remove(*f));
            }
        }
        let cpu = SvmCpu::read(&self.caps, |leaf, subleaf| {
            let r = __cpuid_count(leaf, subleaf);
            [r.eax, r.ebx, r.ecx, r.edx]
        });
        SvmCase { vmcb: self.vmcb_hpa, host_cr3: host_state().cr3, ..SvmCase::new(state, cpu) }
    }

    /// Writes a field, whatever it is.
    pub(super) fn poke(&mut self, field: F, value: u64) {
        if field == F::EventInj {
            self.injected = value;
        }
        self.vmcb_mut().control.clean = Clean::empty();
        // SAFETY: as in `vmcb_mut`; every bit pattern is a VMCB.
        let bytes = unsafe { core::slice::from_raw_parts_mut(self.vmcb.cast::<u8>(), size_of::<Vmcb>()) };
        field.write(bytes, value);
    }

    /// Sets or clears an intercept of the first word of miscellaneous ones.
    pub(super) fn set_intercept(&mut self, bit: u32, set: bool) {
        let control = &mut self.vmcb_mut().control;
        let wanted = if set { control.intercept_misc1 | bit } else { control.intercept_misc1 & !bit };
        if wanted != control.intercept_misc1 {
            control.intercept_misc1 = wanted;
            control.clean.remove(Clean::INTERCEPTS);
        }
    }

    /// How fast the TSC of guests runs on this core (APM 2 "TSC Ratio MSR").
    fn set_ratio(&self, ratio: TscRatio) {
        if self.tsc != TscRatio::ONE {
            // SAFETY: CPUID has the MSR (a ratio that is not one is only given then); it changes what guests read, nothing else.
            unsafe { msr::write(TSC_RATIO, ratio.bits()) };
        }
    }

    /// HPA of the VMCB.
    #[inline(always)]
    pub(super) fn vmcb_hpa(&self) -> u64 {
        self.vmcb_hpa
    }

    /// Makes it current on this core.
    pub fn load(&mut self, core: &mut SvmCore) {
        let flush = core.asids.renew(&mut self.asid);
        let by_asid = core.caps.flush_by_asid();
        let asid = self.asid.number;
        let c = &mut self.vmcb_mut().control;
        c.asid = asid;
        // A fresh number of this generation has no translations: they went when the generation began.
        c.tlb_control = match flush {
            Flush::All => tlb::FLUSH_ALL,
            Flush::Tag if by_asid => tlb::FLUSH_ASID,
            Flush::Tag | Flush::Nothing => tlb::NOTHING,
        };
        // Another core's caches of this VMCB, or another VMCB at this address, are none of ours.
        c.clean = Clean::empty();
        self.host = core.host_vmcb.hpa().raw();
        self.resident.load();
        self.set_ratio(self.tsc);
        self.guard.load(&mut core.guard);
        // SAFETY: SVM is on (the core proves it), and the frame is one of ours. VMSAVE writes state only.
        unsafe { asm!("vmsave rax", in("rax") self.host, options(nostack)) }
    }

    /// Takes it off this core.
    pub fn unload(&mut self) {
        self.resident.save();
        self.set_ratio(TscRatio::ONE);
    }
}
