//! SVM as a [`Vendor`].

use core::arch::asm;

use arrayvec::ArrayVec;

use super::caps::SvmCaps;
use super::case::SvmCase;
use super::core::SvmCore;
use super::mistakes;
use super::npt::Npt;
use super::state::F;
use super::vcpu::{NmiHandling, SvmVcpu};
use super::vmcb::{Clean, V_IRQ, VmcbSegment, misc1, tlb};
use super::{exit, run};
use crate::base::cpu::{cr0, cr4, efer, rflags};
use crate::base::{ApicMode, CpuState, DescriptorTable, Event, EventKind, Gpr, GprFile, Gva, Hpa, SegmentRegister};
use crate::hw::{irq, time};
use crate::vt::contract::{APIC_WORDS, ControlRegisters, Loaded, Setup, Translation, Trouble, Vendor};
use crate::vt::doctor::Class;
use crate::vt::doctor::mistake::{Mistake, Misuse, Scene};
use crate::vt::exit::Exit;

/// AMD-V.
pub struct Svm;

/// The L attribute of a segment in the VMCB.
const ATTRIB_LONG: u16 = 1 << 9;
/// Reads and writes of CR0 in `intercept_cr`.
const CR0_ACCESSES: u32 = 1 << 16 | 1;

/// After how many microseconds a guest that could not take an NMI is asked again.
const NMI_PATIENCE_US: u64 = 2;

type Cpu<'a> = Loaded<'a, Svm>;

impl Vendor for Svm {
    const NAME: &'static str = "svm";
    const HYPERCALL: u32 = 2;
    type Caps = SvmCaps;
    type Core = SvmCore;
    type Vcpu = SvmVcpu;
    type Table = Npt;
    type Case = SvmCase;
    const MISTAKES: &'static [Mistake<F>] = mistakes::ALL;

    fn enable(caps: &SvmCaps) -> Result<SvmCore, Trouble> {
        SvmCore::on(caps)
    }

    fn disable(core: &mut SvmCore) {
        core.off();
    }

    fn large_pages(_: &SvmCaps) -> bool {
        // Nested tables are those of long mode.
        true
    }

    fn guest_xsaves(_: &SvmCaps) -> bool {
        // Nothing intercepts them.
        true
    }

    fn virtual_apic(_: &SvmCaps) -> bool {
        // AVIC is not used.
        false
    }

    fn tsc_scaling(caps: &SvmCaps) -> bool {
        caps.tsc_scaling()
    }

    fn create(caps: &SvmCaps, setup: &Setup) -> Result<SvmVcpu, Trouble> {
        SvmVcpu::new(caps, setup)
    }

    fn load(vcpu: &mut SvmVcpu, core: &mut SvmCore) -> Result<(), Trouble> {
        vcpu.load(core);
        Ok(())
    }

    fn unload(vcpu: &mut SvmVcpu) {
        vcpu.unload();
    }

    #[inline(always)]
    fn enter(cpu: &mut Cpu<'_>) {
        let vcpu = &mut *cpu.vcpu;
        let rax = vcpu.gprs.get(Gpr::Rax);
        vcpu.vmcb_mut().save.rax = rax;
        if vcpu.guard.is_due() {
            enter_guarded(vcpu, cpu.core);
        } else {
            run_guest(vcpu);
        }
        let rax = vcpu.vmcb().save.rax;
        vcpu.gprs.set(Gpr::Rax, rax);
        let control = &mut vcpu.vmcb_mut().control;
        control.tlb_control = tlb::NOTHING;
        control.event_inj = 0;
        control.clean = Clean::ALL;
    }

    #[inline(always)]
    fn exit(cpu: &Cpu<'_>) -> Exit {
        exit::decode(&cpu.vcpu.vmcb().control)
    }

    fn attend(cpu: &mut Cpu<'_>, exit: &Exit) {
        match exit {
            // An intercepted machine check is not delivered: the host gets it now. An NMI was still pending and came
            // with STGI.
            Exit::MachineCheck => irq::raise_machine_check_handler(),
            Exit::Interrupt => irq::window(),
            Exit::NmiWindow => {
                // The handler is about to return.
                let rip = cpu.vcpu.vmcb().save.rip;
                if cpu.vcpu.nmi == NmiHandling::Handler {
                    cpu.vcpu.nmi = NmiHandling::Iret(rip);
                }
                cpu.vcpu.set_intercept(misc1::IRET, false);
            }
            Exit::InterruptWindow => {}
            _ => {}
        }
    }

    #[inline(always)]
    fn gprs<'a>(cpu: &'a mut Cpu<'_>) -> &'a mut GprFile {
        &mut cpu.vcpu.gprs
    }

    #[inline(always)]
    fn rip(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.vmcb().save.rip
    }

    #[inline(always)]
    fn next_rip(cpu: &Cpu<'_>) -> Option<u64> {
        cpu.vcpu.caps.next_rip().then_some(cpu.vcpu.vmcb().control.next_rip)
    }

    #[inline(always)]
    fn port_next_rip(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.vmcb().control.exit_info_2
    }

    #[inline(always)]
    fn advance(cpu: &mut Cpu<'_>, rip: u64) -> bool {
        let vmcb = cpu.vcpu.vmcb_mut();
        vmcb.save.rip = rip;
        vmcb.control.interrupt_shadow &= !1;
        vmcb.save.rflags & rflags::TF != 0
    }

    #[inline(always)]
    fn code(cpu: &Cpu<'_>) -> (u64, Translation) {
        let s = &cpu.vcpu.vmcb().save;
        let [_, cs, ..] = &s.segments;
        // LMA is LME and PG together: see `controls`.
        let paging = s.cr0 & cr0::PG != 0;
        if paging && s.efer & efer::LME != 0 && cs.attrib & ATTRIB_LONG != 0 {
            let four = s.cr4 & cr4::LA57 == 0;
            return (s.rip, if four { Translation::FourLevel(s.cr3) } else { Translation::Other });
        }
        let linear = cs.base.wrapping_add(s.rip) & 0xffff_ffff;
        (linear, if paging { Translation::Other } else { Translation::Off })
    }

    #[inline(always)]
    fn code_mode(cpu: &Cpu<'_>) -> u32 {
        let s = &cpu.vcpu.vmcb().save;
        let [_, cs, ..] = &s.segments;
        u32::from(cs.attrib) << 1 | (s.cr0 & cr0::PE) as u32
    }

    fn set_rsp(cpu: &mut Cpu<'_>) {
        let rsp = cpu.vcpu.gprs.get(Gpr::Rsp);
        cpu.vcpu.vmcb_mut().save.rsp = rsp;
    }

    fn set_rflags(cpu: &mut Cpu<'_>, value: u64) {
        cpu.vcpu.vmcb_mut().save.rflags = value;
    }

    #[inline(always)]
    fn cut_off(cpu: &Cpu<'_>) -> Option<Event> {
        exit::event(cpu.vcpu.vmcb().control.exit_int_info)
    }

    fn inject(cpu: &mut Cpu<'_>, event: Event) {
        let vmcb = cpu.vcpu.vmcb_mut();
        let event_inj = exit::injection(event, vmcb.save.cr0 & cr0::PE != 0);
        vmcb.control.event_inj = event_inj;
        cpu.vcpu.injected = event_inj;
        if event.kind == EventKind::Nmi {
            cpu.vcpu.nmi = NmiHandling::Handler;
            cpu.vcpu.set_intercept(misc1::IRET, true);
        }
    }

    fn set_dr6_single_step(cpu: &mut Cpu<'_>) {
        const SINGLE_STEP: u64 = 1 << 14;
        let vmcb = cpu.vcpu.vmcb_mut();
        vmcb.save.dr6 = vmcb.save.dr6 & !0xf | SINGLE_STEP;
        vmcb.control.clean.remove(Clean::DRX);
    }

    #[inline(always)]
    fn interrupts_enabled(cpu: &Cpu<'_>) -> bool {
        cpu.vcpu.vmcb().save.rflags & rflags::IF != 0
    }

    #[inline(always)]
    fn interruptible(cpu: &Cpu<'_>) -> bool {
        Self::interrupts_enabled(cpu) && cpu.vcpu.vmcb().control.interrupt_shadow & 1 == 0
    }

    #[inline(always)]
    fn set_interrupt_window(cpu: &mut Cpu<'_>, wanted: bool) {
        let control = &mut cpu.vcpu.vmcb_mut().control;
        if (control.v_intr & V_IRQ != 0) != wanted {
            control.v_intr = if wanted { control.v_intr | V_IRQ } else { control.v_intr & !V_IRQ };
            control.clean.remove(Clean::INTERRUPTS);
            cpu.vcpu.set_intercept(misc1::VINTR, wanted);
        }
    }

    fn nmi_blocked(cpu: &mut Cpu<'_>) -> bool {
        let vmcb = cpu.vcpu.vmcb();
        let (rip, shadow) = (vmcb.save.rip, vmcb.control.interrupt_shadow & 1 != 0);
        match cpu.vcpu.nmi {
            NmiHandling::Handler => true,
            // It may have raised a fault instead of returning: then the guest is elsewhere too, and takes the next NMI there.
            NmiHandling::Iret(at) if at == rip => true,
            NmiHandling::Iret(_) | NmiHandling::No => {
                cpu.vcpu.nmi = NmiHandling::No;
                shadow
            }
        }
    }

    fn set_nmi_window(cpu: &mut Cpu<'_>, wanted: bool) -> Option<u64> {
        // While the handler runs its IRET is intercepted. But no intercept tells when that, or a shadow, is behind the guest.
        let asked = wanted && cpu.vcpu.nmi != NmiHandling::Handler;
        asked.then(|| time::tsc() + time::cycles(NMI_PATIENCE_US))
    }

    #[inline(always)]
    fn apic<'a>(_: &'a mut Cpu<'_>) -> Option<&'a mut [u32; APIC_WORDS]> {
        None
    }

    fn set_apic_mode(_: &mut Cpu<'_>, _: ApicMode, _: bool) {}

    fn set_apic_status(_: &mut Cpu<'_>, _: u8, _: u8) {}

    fn set_apic_level(_: &mut Cpu<'_>, _: &[u32; 8]) {}

    fn flush_nested(cpu: &mut Cpu<'_>) {
        Self::flush_guest(cpu);
    }

    #[inline(always)]
    fn keep_nmi_blocking(_: &mut Cpu<'_>) {
        // The IRET is executed again, at the same RIP: see `nmi_blocked`.
    }

    #[inline(always)]
    fn set_timer(_: &mut Cpu<'_>, _: Option<u64>) -> bool {
        false
    }

    fn state(cpu: &mut Cpu<'_>) -> CpuState {
        let c = Self::controls(cpu);
        let rsp = cpu.vcpu.vmcb().save.rsp;
        cpu.vcpu.gprs.set(Gpr::Rsp, rsp);
        let s = &cpu.vcpu.vmcb().save;
        CpuState {
            rip: s.rip,
            rflags: s.rflags,
            cr0: c.cr0,
            cr3: s.cr3,
            cr4: c.cr4,
            efer: c.efer,
            cpl: s.cpl,
            segments: s.segments.map(from_vmcb),
            ldtr: from_vmcb(s.ldtr),
            tr: from_vmcb(s.tr),
            gdtr: DescriptorTable { base: s.gdtr.base, limit: s.gdtr.limit },
            idtr: DescriptorTable { base: s.idtr.base, limit: s.idtr.limit },
        }
    }

    fn set_state(cpu: &mut Cpu<'_>, new: &CpuState) {
        Self::set_controls(cpu, ControlRegisters { cr0: new.cr0, cr4: new.cr4, efer: new.efer }, None);
        Self::set_rsp(cpu);
        let vmcb = cpu.vcpu.vmcb_mut();
        let s = &mut vmcb.save;
        s.rip = new.rip;
        s.rflags = new.rflags;
        s.cr3 = new.cr3;
        s.cpl = new.cpl;
        s.segments = new.segments.map(to_vmcb);
        s.ldtr = to_vmcb(new.ldtr);
        s.tr = to_vmcb(new.tr);
        s.gdtr = VmcbSegment { base: new.gdtr.base, limit: new.gdtr.limit, ..Default::default() };
        s.idtr = VmcbSegment { base: new.idtr.base, limit: new.idtr.limit, ..Default::default() };
        vmcb.control.clean.remove(Clean::CRX | Clean::SEGMENTS | Clean::TABLES);
    }

    fn controls(cpu: &Cpu<'_>) -> ControlRegisters {
        let s = &cpu.vcpu.vmcb().save;
        // LMA is LME and PG together. Made so, because Bochs 2.7 saves it clear when a write that clears PG exits.
        let efer = cpu.vcpu.guest_efer;
        let active = efer & efer::LME != 0 && s.cr0 & cr0::PG != 0;
        let lma = if active { efer::LMA } else { 0 };
        let cr0 = s.cr0 | cpu.vcpu.guest_cr0_cache;
        ControlRegisters { cr0, cr4: cpu.vcpu.guest_cr4, efer: efer | lma }
    }

    fn set_controls(cpu: &mut Cpu<'_>, c: ControlRegisters, _: Option<[u64; 4]>) {
        // With nested paging the CPU reads PAE's PDPTEs from memory itself.
        cpu.vcpu.guest_cr4 = c.cr4;
        cpu.vcpu.guest_efer = c.efer & !efer::LMA;
        let cache = c.cr0 & (cr0::CD | cr0::NW);
        cpu.vcpu.guest_cr0_cache = cache;
        let vmcb = cpu.vcpu.vmcb_mut();
        // The guest's CD does not turn the host's caching off. While the guest thinks it does, what it reads and writes
        // differs from what the CPU has, so both exit.
        vmcb.save.cr0 = c.cr0 & !(cr0::CD | cr0::NW);
        let differs = if cache != 0 { CR0_ACCESSES } else { 0 };
        vmcb.control.intercept_cr = vmcb.control.intercept_cr & !CR0_ACCESSES | differs;
        vmcb.control.clean.remove(Clean::INTERCEPTS);
        // Machine checks are the host's business: they stay on whatever the guest thinks.
        vmcb.save.cr4 = c.cr4 | cr4::MCE;
        // VMRUN refuses a guest without SVME; what the guest could do with it is intercepted. LME means nothing without paging,
        // and writes of CR0 that change PG exit: the CPU gets it with PG. (QEMU 7.2 does not bring a host with paging back from a
        // guest with LME but neither PAE nor paging.)
        let hidden = if c.cr0 & cr0::PG == 0 { efer::LME | efer::LMA } else { 0 };
        vmcb.save.efer = c.efer & !hidden | efer::SVME;
        vmcb.control.clean.remove(Clean::CRX);
    }

    fn set_cr2(cpu: &mut Cpu<'_>, value: u64) {
        // SAFETY: the hypervisor does not use CR2: its own page faults end it. VMRUN loads the register from the VMCB;
        // Bochs 2.7 does not, and runs the guest with what is in the register.
        unsafe { asm!("mov cr2, {}", in(reg) value, options(nostack, nomem)) }
        let vmcb = cpu.vcpu.vmcb_mut();
        vmcb.save.cr2 = value;
        vmcb.control.clean.remove(Clean::CR2);
    }

    fn pat(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.guest_pat
    }

    fn set_pat(cpu: &mut Cpu<'_>, value: u64) {
        // For the guest to read back: the CPU keeps to write-back.
        cpu.vcpu.guest_pat = value;
    }

    fn tsc_offset(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.vmcb().control.tsc_offset
    }

    fn set_tsc_offset(cpu: &mut Cpu<'_>, value: u64) {
        let c = &mut cpu.vcpu.vmcb_mut().control;
        c.tsc_offset = value;
        c.clean.remove(Clean::INTERCEPTS);
    }

    fn xcr0(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.resident.xcr0()
    }

    fn set_xcr0(cpu: &mut Cpu<'_>, value: u64) {
        cpu.vcpu.resident.set_xcr0(value);
    }

    fn flush_guest(cpu: &mut Cpu<'_>) {
        let by_asid = cpu.vcpu.caps.flush_by_asid();
        cpu.vcpu.vmcb_mut().control.tlb_control = if by_asid { tlb::FLUSH_ASID } else { tlb::FLUSH_ALL };
    }

    fn spec_ctrl(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.guard.spec_ctrl()
    }

    fn set_spec_ctrl(cpu: &mut Cpu<'_>, value: u64) {
        cpu.vcpu.guard.set_spec_ctrl(value);
    }

    fn fault_gva(_: &Cpu<'_>) -> Option<Gva> {
        None
    }

    fn case(cpu: &Cpu<'_>) -> SvmCase {
        cpu.vcpu.case()
    }

    fn poke(cpu: &mut Cpu<'_>, field: F, value: u64) -> bool {
        cpu.vcpu.poke(field, value);
        true
    }

    fn refusal_class(_: u64) -> Class {
        Class::Consistency
    }

    fn lab_prepare(cpu: &mut Cpu<'_>, _: [Hpa; 4], scene: Scene) {
        // Whatever goes wrong in the guest brings it back.
        cpu.vcpu.vmcb_mut().control.intercept_exceptions = u32::MAX;
        // Without paging PAE means nothing, and a change of EFER.LME is one change less away from 64-bit mode.
        if matches!(scene, Scene::Real | Scene::Unpaged) {
            cpu.vcpu.vmcb_mut().save.cr4 |= cr4::PAE;
        }
    }

    fn lab_memory(_: &mut SvmCase, _: [Hpa; 4], _: u64) -> ArrayVec<(u64, u64, u64), 8> {
        ArrayVec::new()
    }

    fn misuse(_: &mut Cpu<'_>, _: Misuse) {}
}

#[inline(always)]
fn run_guest(vcpu: &mut SvmVcpu) {
    // SAFETY: `Loaded`, from which it comes, proves that SVM is on and that `load` filled the host's VMCB on this core; the
    // VMCB is complete since `new`; the registers are exclusively borrowed; the VM's tables map its own frames only (the
    // audit).
    unsafe { run::enter(&mut vcpu.gprs, vcpu.vmcb_hpa(), vcpu.host) };
}

/// An entry with something to do before and after it.
///
/// Right before the entry and right after the exit, an NMI's handler may run with the guest's SPEC_CTRL. That does no harm:
/// what a guest sets there only forbids the CPU to speculate, and the host sets nothing that it could lack. Where the VMCB
/// has a SPEC_CTRL too, that is 0, and the guest runs with the bits of both.
#[cold]
#[inline(never)]
fn enter_guarded(vcpu: &mut SvmVcpu, core: &SvmCore) {
    vcpu.guard.before(&core.guard);
    run_guest(vcpu);
    vcpu.guard.after();
}

/// The neutral attributes have the VMCB's layout; a segment that is not present is an unusable one in both.
fn from_vmcb(s: VmcbSegment) -> SegmentRegister {
    SegmentRegister { selector: s.selector, attrib: s.attrib, limit: s.limit, base: s.base }
}

fn to_vmcb(s: SegmentRegister) -> VmcbSegment {
    VmcbSegment { selector: s.selector, attrib: s.attrib, limit: s.limit, base: s.base }
}
