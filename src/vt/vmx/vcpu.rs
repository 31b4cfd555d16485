//! A vCPU's VMCS and its permission maps: how they are set up and made current.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

use arrayvec::ArrayVec;
use x86::msr::{IA32_CSTAR, IA32_FMASK, IA32_KERNEL_GSBASE, IA32_LSTAR, IA32_STAR};

use super::apic::VirtualApic;
use super::caps::{VmxCaps, secondary};
use super::case::{Launch, MsrEntry, VmxCase, VmxCpu};
use super::controls::Controls;
use super::core::{VmxCore, region, vmclear, vmptrld};
use super::current::Current;
use super::error::VmFail;
use super::exit::FieldReader;
use super::field::{Natural, TSC_MULTIPLIER, control, guest, host, ro};
use super::msr_map::MsrMap;
use super::run::{self, Registers};
use super::state::F;
use crate::base::cpu::cr0;
use crate::base::{ApicMode, GprFile, Hpa, PAGE_SIZE, TscRatio};
use crate::hw::host::host_state;
use crate::hw::msr;
use crate::hw::time;
use crate::mem::frames::{self, Frames};
use crate::mem::{direct, owner::Owner};
use crate::vt::contract::{Setup, Trouble};
use crate::vt::exit::INTERCEPTED_EXCEPTIONS;
use crate::vt::maps;
use crate::vt::resident::Resident;
use crate::vt::speculation::Guard;
use crate::vt::tags::{Flush, Tag};
use crate::vt::vmx::ept;

/// MSRs of SYSCALL and SWAPGS: the VMCS does not hold them, the hypervisor does not use them, so they stay in the CPU
/// while the vCPU is loaded.
const SYSCALL_MSRS: [u32; 5] = [IA32_STAR, IA32_LSTAR, IA32_CSTAR, IA32_FMASK, IA32_KERNEL_GSBASE];

/// A vCPU.
pub struct VmxVcpu {
    pub(super) regs: Registers,
    /// How the stub enters: whether the VMCS is launched, and whether VERW comes first.
    pub(super) how: u64,
    /// What the stub said last.
    pub(super) result: u64,
    /// What was chosen when the vCPU was made.
    pub(super) controls: Controls,
    /// The pin-based and the primary controls as they are in the VMCS: windows and the timer come and go.
    pub(super) pin: u32,
    pub(super) primary: u32,
    /// The local APIC that the CPU keeps for the guest.
    pub(super) apic: Option<VirtualApic>,
    /// When the VMX-preemption timer ends the guest's run: a TSC of the host. Counts while its control is set.
    pub(super) timer: u64,
    pub(super) resident: Resident,
    pub(super) guard: Guard,
    pub(super) caps: VmxCaps,
    /// DR6 and CR2 are not in the VMCS either.
    dr6: u64,
    cr2: u64,
    syscall: [u64; SYSCALL_MSRS.len()],
    vmcs: Frames,
    io_map: Frames,
    msr_map: Frames,
    pub(super) eptp: u64,
    pat: u64,
    tsc: TscRatio,
    initialised: bool,
    vpid: Tag,
}

impl VmxVcpu {
    /// Allocates and fills what does not depend on the core.
    pub fn new(caps: &VmxCaps, setup: &Setup) -> Result<Self, Trouble> {
        let mut controls = Controls::new(caps).map_err(Trouble::Controls)?;
        if caps.invvpid().is_none() {
            controls.secondary &= !secondary::VPID;
        }
        if setup.tsc != TscRatio::ONE {
            controls.secondary |= secondary::TSC_SCALING;
        }
        let access = setup.apic_access.filter(|_| caps.virtual_apic());
        let apic = access.map(VirtualApic::new).transpose()?;
        if apic.is_some() {
            controls.primary = VirtualApic::primary(caps, controls.primary);
        }
        let io_map = maps::io_map(setup)?;
        let mut msr_map = maps::frames(MsrMap::FRAMES)?;
        let mut msrs = MsrMap::new(msr_map.as_mut_slice()).ok_or(Trouble::OutOfMemory)?;
        for access in setup.open_msrs {
            msrs.open(*access);
        }
        Ok(Self {
            regs: Registers { gprs: GprFile::default(), host_rsp: 0 },
            how: if Guard::verw() { run::VERW } else { 0 },
            result: run::EXITED,
            controls,
            pin: controls.pin,
            primary: controls.primary,
            apic,
            timer: u64::MAX,
            resident: Resident::new()?,
            guard: Guard::of_new_vcpu(),
            caps: *caps,
            dr6: 0xffff_0ff0,
            cr2: 0,
            syscall: [0; SYSCALL_MSRS.len()],
            vmcs: region(caps).ok_or(Trouble::OutOfMemory)?,
            io_map,
            msr_map,
            eptp: ept::pointer(setup.nested_root, caps.ept_accessed_dirty()),
            pat: setup.pat,
            tsc: setup.tsc,
            initialised: false,
            vpid: Tag::default(),
        })
    }

    /// The current VMCS, which is this one's.
    #[inline(always)]
    pub(super) fn current(&self) -> Current {
        // SAFETY: called through `Loaded` only (and in `load` after VMPTRLD), so this vCPU's VMCS is current.
        unsafe { Current::new() }
    }

    /// The VMCS as the entry doctor sees it.
    pub fn case(&self, core: &VmxCore) -> VmxCase {
        let v = self.current();
        let error = v.read(ro::INSTRUCTION_ERROR);
        let mut state = core.fields.clone();
        for (field, _) in core.fields.iter() {
            state.set(field, v.read_any(field.encoding()).unwrap_or(0));
        }
        if self.regs.host_rsp == 0 {
            // The run stub has yet to write it.
            state.remove(F::HostRsp);
        }
        let cpu = VmxCpu::read(&self.caps, |leaf, subleaf| {
            let r = __cpuid_count(leaf, subleaf);
            [r.eax, r.ebx, r.ecx, r.edx]
        });
        let refused = self.result == run::FAIL_VALID;
        let entry_msrs = msr_area(state.get(F::EntryMsrLoadAddress), state.get(F::EntryMsrLoadCount));
        VmxCase {
            entry_msrs,
            launch: match error {
                4 if refused => Launch::Vmlaunch,
                5 if refused => Launch::Vmresume,
                _ => Launch::Unknown,
            },
            launched: refused && error == 4,
            after_mov_ss: refused && error == 26,
            vmcs: self.vmcs.hpa().raw(),
            vmxon: core.region().raw(),
            ..VmxCase::new(state, cpu)
        }
    }

    /// Makes it current on this core.
    pub fn load(&mut self, core: &mut VmxCore) -> Result<(), Trouble> {
        let at = self.vmcs.hpa();
        vmclear(at).map_err(|e| Trouble::Vmx("VMCLEAR", e))?;
        self.how &= !run::LAUNCHED;
        vmptrld(at).map_err(|e| Trouble::Vmx("VMPTRLD", e))?;
        let flush = core.vpids.renew(&mut self.vpid);
        self.write_all().map_err(|e| Trouble::Vmx("VMWRITE", e))?;
        match flush {
            Flush::Nothing => {}
            Flush::Tag => core.invvpid(Some(self.vpid.number as u16)),
            Flush::All => core.invvpid(None),
        }
        // The root's frame may have been another guest's before: what is cached of that must go.
        core.invept(self.eptp);
        self.load_registers();
        self.guard.load(&mut core.guard);
        Ok(())
    }

    /// Takes it off this core.
    pub fn unload(&mut self) {
        self.save_registers();
        if let Err(e) = vmclear(self.vmcs.hpa()) {
            log::warn!("VMCLEAR failed: {e}");
        }
    }

    /// The secondary controls, as the local APIC's mode has them.
    fn secondary(&self) -> u32 {
        self.apic.as_ref().map_or(self.controls.secondary, |apic| apic.secondary(self.controls.secondary))
    }

    /// The guest reaches its local APIC in another way now.
    pub(super) fn set_apic_mode(&mut self, mode: ApicMode, enabled: bool) {
        if let (Some(apic), Some(mut map)) = (&mut self.apic, MsrMap::of(self.msr_map.as_mut_slice())) {
            apic.set_mode(mode, enabled, &mut map);
        }
        self.current().write(control::SECONDARY, self.secondary());
    }

    /// Sets or clears a bit of the pin-based controls.
    #[inline(always)]
    pub(super) fn set_pin(&mut self, bit: u32, set: bool) {
        let wanted = if set { self.pin | bit } else { self.pin & !bit };
        if wanted != self.pin {
            self.pin = wanted;
            self.current().write(control::PIN_BASED, wanted);
        }
    }

    /// Sets or clears a bit of the primary controls.
    #[inline(always)]
    pub(super) fn set_primary(&mut self, bit: u32, set: bool) {
        let wanted = if set { self.primary | bit } else { self.primary & !bit };
        if wanted != self.primary {
            self.primary = wanted;
            self.current().write(control::PRIMARY, wanted);
        }
    }

    /// Has the VMX-preemption timer count what is left until the time is over; nothing where it is over.
    #[inline(always)]
    pub(super) fn set_preemption_timer(&self) {
        let left = self.timer.saturating_sub(time::tsc()) >> (self.caps.misc as u32 & 0x1f);
        self.current().write(guest::PREEMPTION_TIMER, left.min(u64::from(u32::MAX)) as u32);
    }

    /// Whether guests' translations are tagged.
    pub(super) fn uses_vpid(&self) -> bool {
        self.controls.secondary & secondary::VPID != 0
    }

    fn load_registers(&self) {
        self.resident.load();
        // SAFETY: the hypervisor uses neither these MSRs, nor CR2 (its own page faults end it), nor DR6.
        unsafe {
            for (m, value) in SYSCALL_MSRS.into_iter().zip(self.syscall) {
                msr::write(m, value);
            }
            asm!("mov cr2, {}", "mov dr6, {}", in(reg) self.cr2, in(reg) self.dr6, options(nostack, nomem));
        }
    }

    fn save_registers(&mut self) {
        self.resident.save();
        // SAFETY: every CPU with long mode has these MSRs; reading CR2 and DR6 has no effect.
        unsafe {
            for (m, value) in SYSCALL_MSRS.into_iter().zip(&mut self.syscall) {
                *value = msr::read(m);
            }
            asm!("mov {}, cr2", "mov {}, dr6", out(reg) self.cr2, out(reg) self.dr6, options(nostack, nomem));
        }
    }

    fn write_all(&mut self) -> Result<(), VmFail> {
        if !self.initialised {
            self.write_controls()?;
            self.initialised = true;
        }
        if self.uses_vpid() {
            self.current().try_write(control::VPID, self.vpid.number as u16)?;
        }
        self.regs.host_rsp = 0;
        self.write_host()
    }

    /// Controls, permission maps, EPT pointer, and guest fields that stay as they are.
    fn write_controls(&self) -> Result<(), VmFail> {
        let v = self.current();
        let c = &self.controls;
        v.try_write(control::PIN_BASED, c.pin)?;
        v.try_write(control::PRIMARY, c.primary)?;
        v.try_write(control::SECONDARY, self.secondary())?;
        if let Some(apic) = &self.apic {
            apic.write(v)?;
        }
        v.try_write(control::EXIT, c.exit)?;
        v.try_write(control::ENTRY, c.entry)?;
        v.try_write(control::EXCEPTION_BITMAP, INTERCEPTED_EXCEPTIONS)?;
        v.try_write(control::PF_ERROR_MASK, 0)?;
        v.try_write(control::PF_ERROR_MATCH, 0)?;
        v.try_write(control::CR3_TARGET_COUNT, 0)?;
        v.try_write(control::EXIT_MSR_STORE_COUNT, 0)?;
        v.try_write(control::EXIT_MSR_LOAD_COUNT, 0)?;
        v.try_write(control::ENTRY_MSR_LOAD_COUNT, 0)?;
        v.try_write(control::ENTRY_INTERRUPTION_INFO, 0)?;
        v.try_write(control::TSC_OFFSET, 0)?;
        if c.secondary & secondary::TSC_SCALING != 0 {
            v.try_write(TSC_MULTIPLIER, self.tsc.bits() << 16)?;
        }
        if c.secondary & secondary::XSAVES != 0 {
            v.try_write(control::XSS_EXITING_BITMAP, 0)?;
        }
        let io = self.io_map.hpa().raw();
        v.try_write(control::IO_BITMAP_A, io)?;
        v.try_write(control::IO_BITMAP_B, io + PAGE_SIZE)?;
        v.try_write(control::MSR_BITMAPS, self.msr_map.hpa().raw())?;
        v.try_write(control::EPTP, self.eptp)?;
        // Every CR0 bit but TS and MP is decided in common code, as SVM's selective intercept has it; every CR4 bit is.
        v.try_write(control::CR0_GUEST_HOST_MASK, Natural(!(cr0::TS | cr0::MP)))?;
        v.try_write(control::CR4_GUEST_HOST_MASK, Natural(u64::MAX))?;
        v.try_write(guest::LINK_POINTER, u64::MAX)?;
        v.try_write(guest::DEBUGCTL, 0)?;
        v.try_write(guest::PAT, self.pat)?;
        v.try_write(guest::INTERRUPTIBILITY, 0)?;
        v.try_write(guest::ACTIVITY, 0)?;
        v.try_write(guest::PENDING_DEBUG, Natural(0))?;
        v.try_write(guest::DR7, Natural(0x400))?;
        v.try_write(guest::SYSENTER_CS, 0)?;
        v.try_write(guest::SYSENTER_ESP, Natural(0))?;
        v.try_write(guest::SYSENTER_EIP, Natural(0))
    }

    /// The host-state area: this core's, complete, so that an exit needs nothing restored by hand.
    fn write_host(&self) -> Result<(), VmFail> {
        let v = self.current();
        let h = host_state();
        v.try_write(host::CR0, Natural(h.cr0))?;
        v.try_write(host::CR3, Natural(h.cr3))?;
        v.try_write(host::CR4, Natural(h.cr4))?;
        v.try_write(host::CS_SELECTOR, h.cs)?;
        v.try_write(host::SS_SELECTOR, h.ss)?;
        v.try_write(host::DS_SELECTOR, h.ds)?;
        v.try_write(host::ES_SELECTOR, h.es)?;
        v.try_write(host::FS_SELECTOR, h.fs)?;
        v.try_write(host::GS_SELECTOR, h.gs)?;
        v.try_write(host::TR_SELECTOR, h.tr)?;
        v.try_write(host::FS_BASE, Natural(h.fs_base))?;
        v.try_write(host::GS_BASE, Natural(h.gs_base))?;
        v.try_write(host::TR_BASE, Natural(h.tr_base))?;
        v.try_write(host::GDTR_BASE, Natural(h.gdtr.base))?;
        v.try_write(host::IDTR_BASE, Natural(h.idtr.base))?;
        v.try_write(host::SYSENTER_CS, h.sysenter_cs as u32)?;
        v.try_write(host::SYSENTER_ESP, Natural(h.sysenter_esp))?;
        v.try_write(host::SYSENTER_EIP, Natural(h.sysenter_eip))?;
        v.try_write(host::PAT, h.pat)?;
        v.try_write(host::EFER, h.efer)?;
        v.try_write(host::RIP, Natural(run::exit_point as *const () as u64))
    }
}

/// The entries of an MSR area at HPA `address`, as many as the doctor looks at; none where it is not in a frame that control
/// structures or guests have.
fn msr_area(address: u64, count: u64) -> ArrayVec<MsrEntry, 16> {
    const BYTES: u64 = size_of::<[u64; 2]>() as u64;
    let owned = |at: u64| matches!(frames::owner(Hpa::new(at)), Owner::Vt | Owner::Guest(_));
    (0..count.min(16))
        .map_while(|i| address.checked_add(i * BYTES))
        .take_while(|at| at % BYTES == 0 && owned(*at))
        .map(|at| {
            // SAFETY: an aligned entry in a frame of RAM, which the direct map shows; a copy of plain words.
            let [index, value] = unsafe { direct(Hpa::new(at)).cast::<[u64; 2]>().read_volatile() };
            MsrEntry { index: index as u32, reserved: (index >> 32) as u32, value }
        })
        .collect()
}
