//! VMX as a [`Vendor`].

use core::arch::asm;

use arrayvec::ArrayVec;

use x86::vmx::vmcs::control::EntryControls;

use super::caps::{PREEMPTION_TIMER, VmxCaps, secondary};
use super::case::VmxCase;
use super::core::VmxCore;
use super::ept::Ept;
use super::error::VmFail;
use super::exit::{self, FieldReader};
use super::field::{Field, Natural, control, guest, ro};
use super::lab;
use super::mistakes;
use super::run::{self, EXITED, FAIL_INVALID, LAUNCHED};
use super::segment::{from_access_rights, to_access_rights};
use super::state::F;
use super::vcpu::VmxVcpu;
use crate::base::cpu::{cr0, cr4, efer, rflags};
use crate::base::{
    ApicMode, CpuState, DescriptorTable, Event, EventKind, Exception, Gpr, GprFile, Gva, Hpa, SegmentRegister,
};
use crate::hw::irq;
use crate::vt::contract::{APIC_WORDS, ControlRegisters, Loaded, Setup, Translation, Trouble, Vendor};
use crate::vt::doctor::Class;
use crate::vt::doctor::mistake::{Mistake, Misuse, Scene};
use crate::vt::exit::Exit;
use crate::vt::vmx::current::Current;

/// Intel VT-x.
pub struct Vmx;

/// Blocking by STI and by MOV SS, in the interruptibility state.
const SHADOW: u32 = 0b11;
/// Blocking by NMI.
const NMI_BLOCKED: u32 = 1 << 3;
/// Primary controls: interrupt-window and NMI-window exiting.
const INTERRUPT_WINDOW: u32 = 1 << 2;
const NMI_WINDOW: u32 = 1 << 22;
/// The L attribute of a segment in VMCS access rights.
const RIGHTS_LONG: u32 = 1 << 13;
/// CR0 bits that the guest has in the register itself; the read shadow has the others.
const CR0_OWN: u64 = cr0::TS | cr0::MP;

/// BS in DR6 and in the pending debug exceptions.
const DR6_SINGLE_STEP: u64 = 1 << 14;
/// The basic exit reason of an entry that failed by a machine check.
const MACHINE_CHECK_IN_ENTRY: u64 = 41;

type Cpu<'a> = Loaded<'a, Vmx>;

impl Vendor for Vmx {
    const NAME: &'static str = "vmx";
    const HYPERCALL: u32 = 1;
    type Caps = VmxCaps;
    type Core = VmxCore;
    type Vcpu = VmxVcpu;
    type Table = Ept;
    type Case = VmxCase;
    const MISTAKES: &'static [Mistake<F>] = mistakes::ALL;

    fn enable(caps: &VmxCaps) -> Result<VmxCore, Trouble> {
        VmxCore::on(caps)
    }

    fn disable(core: &mut VmxCore) {
        core.off();
    }

    fn large_pages(caps: &VmxCaps) -> bool {
        caps.ept_2m()
    }

    fn guest_xsaves(caps: &VmxCaps) -> bool {
        caps.has_secondary(secondary::XSAVES)
    }

    fn virtual_apic(caps: &VmxCaps) -> bool {
        caps.virtual_apic()
    }

    fn tsc_scaling(caps: &VmxCaps) -> bool {
        caps.has_secondary(secondary::TSC_SCALING)
    }

    fn create(caps: &VmxCaps, setup: &Setup) -> Result<VmxVcpu, Trouble> {
        VmxVcpu::new(caps, setup)
    }

    fn load(vcpu: &mut VmxVcpu, core: &mut VmxCore) -> Result<(), Trouble> {
        vcpu.load(core)
    }

    fn unload(vcpu: &mut VmxVcpu) {
        vcpu.unload();
    }

    #[inline(always)]
    fn enter(cpu: &mut Cpu<'_>) {
        let vcpu = &mut *cpu.vcpu;
        if vcpu.timer != u64::MAX {
            vcpu.set_preemption_timer();
        }
        if vcpu.guard.is_due() {
            enter_guarded(vcpu, cpu.core);
        } else {
            run_guest(vcpu);
        }
        // After a VMLAUNCH that failed the VM is over, and the next load clears the VMCS anyway.
        vcpu.how |= LAUNCHED;
    }

    #[inline(always)]
    fn exit(cpu: &Cpu<'_>) -> Exit {
        if cpu.vcpu.result != EXITED { failed(cpu.vcpu) } else { exit::decode(&cpu.vcpu.current()) }
    }

    fn attend(cpu: &mut Cpu<'_>, exit: &Exit) {
        match exit {
            Exit::Exception(e) if e.vector == Exception::DB.0 => return debug_exception(cpu.vcpu),
            // The exit has taken the NMI or the machine check from the host: it gets it now.
            Exit::Nmi => irq::raise_nmi_handler(),
            Exit::MachineCheck | Exit::EntryFailed { code: MACHINE_CHECK_IN_ENTRY, .. } => {
                irq::raise_machine_check_handler();
            }
            Exit::Interrupt => irq::window(),
            // The host looks after other things too now, and while the guest waits it takes interrupts.
            Exit::Timer | Exit::Hlt => {}
            _ => return,
        }
        cpu.vcpu.guard.host_ran();
    }

    #[inline(always)]
    fn gprs<'a>(cpu: &'a mut Cpu<'_>) -> &'a mut GprFile {
        &mut cpu.vcpu.regs.gprs
    }

    #[inline(always)]
    fn rip(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.current().read(guest::RIP).0
    }

    #[inline(always)]
    fn next_rip(cpu: &Cpu<'_>) -> Option<u64> {
        Some(next_rip(cpu.vcpu.current()))
    }

    #[inline(always)]
    fn port_next_rip(cpu: &Cpu<'_>) -> u64 {
        next_rip(cpu.vcpu.current())
    }

    #[inline(always)]
    fn advance(cpu: &mut Cpu<'_>, rip: u64) -> bool {
        let v = cpu.vcpu.current();
        v.write(guest::RIP, Natural(rip));
        let interruptibility = v.read(guest::INTERRUPTIBILITY);
        if interruptibility & SHADOW != 0 {
            v.write(guest::INTERRUPTIBILITY, interruptibility & !SHADOW);
        }
        v.read(guest::RFLAGS).0 & rflags::TF != 0
    }

    #[inline(always)]
    fn code(cpu: &Cpu<'_>) -> (u64, Translation) {
        let v = cpu.vcpu.current();
        let rip = v.read(guest::RIP).0;
        let long = v.read(guest::EFER) & efer::LMA != 0;
        if long && v.read(SEGMENT.rights.nth(1)) & RIGHTS_LONG != 0 {
            let four = v.read(guest::CR4).0 & cr4::LA57 == 0;
            return (rip, if four { Translation::FourLevel(v.read(guest::CR3).0) } else { Translation::Other });
        }
        let linear = v.read(SEGMENT.base.nth(1)).0.wrapping_add(rip) & 0xffff_ffff;
        let unpaged = v.read(guest::CR0).0 & cr0::PG == 0;
        (linear, if unpaged { Translation::Off } else { Translation::Other })
    }

    #[inline(always)]
    fn code_mode(cpu: &Cpu<'_>) -> u32 {
        let v = cpu.vcpu.current();
        v.read(SEGMENT.rights.nth(1)) << 1 | (v.read(guest::CR0).0 & cr0::PE) as u32
    }

    fn set_rsp(cpu: &mut Cpu<'_>) {
        cpu.vcpu.current().write(guest::RSP, Natural(cpu.vcpu.regs.gprs.get(Gpr::Rsp)));
    }

    fn set_rflags(cpu: &mut Cpu<'_>, value: u64) {
        cpu.vcpu.current().write(guest::RFLAGS, Natural(value));
    }

    #[inline(always)]
    fn cut_off(cpu: &Cpu<'_>) -> Option<Event> {
        let v = cpu.vcpu.current();
        exit::event(v.read(ro::IDT_VECTORING_INFO), || v.read(ro::IDT_VECTORING_ERROR_CODE))
    }

    fn inject(cpu: &mut Cpu<'_>, event: Event) {
        let v = cpu.vcpu.current();
        let protected = v.read(guest::CR0).0 & cr0::PE != 0;
        let (info, code) = exit::injection(event, protected);
        if event.kind == EventKind::Nmi {
            // One whose delivery was cut off has left its blocking behind, with which none may be injected (SDM 3C "Checks on Guest
            // Non-Register State"). Its delivery sets it again.
            let interruptibility = v.read(guest::INTERRUPTIBILITY);
            v.write(guest::INTERRUPTIBILITY, interruptibility & !NMI_BLOCKED);
        }
        v.write(control::ENTRY_INTERRUPTION_INFO, info);
        v.write(control::ENTRY_EXCEPTION_ERROR_CODE, code);
    }

    fn set_dr6_single_step(_: &mut Cpu<'_>) {
        set_dr6(DR6_SINGLE_STEP);
    }

    #[inline(always)]
    fn interrupts_enabled(cpu: &Cpu<'_>) -> bool {
        cpu.vcpu.current().read(guest::RFLAGS).0 & rflags::IF != 0
    }

    #[inline(always)]
    fn interruptible(cpu: &Cpu<'_>) -> bool {
        Self::interrupts_enabled(cpu) && cpu.vcpu.current().read(guest::INTERRUPTIBILITY) & SHADOW == 0
    }

    #[inline(always)]
    fn set_interrupt_window(cpu: &mut Cpu<'_>, wanted: bool) {
        cpu.vcpu.set_primary(INTERRUPT_WINDOW, wanted);
    }

    fn nmi_blocked(cpu: &mut Cpu<'_>) -> bool {
        cpu.vcpu.current().read(guest::INTERRUPTIBILITY) & (SHADOW | NMI_BLOCKED) != 0
    }

    fn set_nmi_window(cpu: &mut Cpu<'_>, wanted: bool) -> Option<u64> {
        cpu.vcpu.set_primary(NMI_WINDOW, wanted);
        None
    }

    #[inline(always)]
    fn apic<'a>(cpu: &'a mut Cpu<'_>) -> Option<&'a mut [u32; APIC_WORDS]> {
        cpu.vcpu.apic.as_mut()?.words()
    }

    fn set_apic_mode(cpu: &mut Cpu<'_>, mode: ApicMode, enabled: bool) {
        cpu.vcpu.set_apic_mode(mode, enabled);
    }

    #[inline(always)]
    fn set_apic_status(cpu: &mut Cpu<'_>, requested: u8, in_service: u8) {
        let status = u16::from(in_service) << 8 | u16::from(requested);
        cpu.vcpu.current().write(guest::INTERRUPT_STATUS, status);
    }

    fn set_apic_level(cpu: &mut Cpu<'_>, level: &[u32; 8]) {
        let v = cpu.vcpu.current();
        for (i, pair) in (0..).zip(level.chunks_exact(2)) {
            if let [low, high] = pair {
                v.write(control::EOI_EXIT0.nth(i), u64::from(*high) << 32 | u64::from(*low));
            }
        }
    }

    fn flush_nested(cpu: &mut Cpu<'_>) {
        cpu.core.invept(cpu.vcpu.eptp);
    }

    #[inline(always)]
    fn keep_nmi_blocking(cpu: &mut Cpu<'_>) {
        // SDM 3C "Exit Qualification for EPT Violations": NMI unblocking due to IRET.
        const UNBLOCKED: u64 = 1 << 12;
        let v = cpu.vcpu.current();
        if v.read(ro::QUALIFICATION).0 & UNBLOCKED != 0 && v.read(ro::IDT_VECTORING_INFO) >> 31 == 0 {
            let interruptibility = v.read(guest::INTERRUPTIBILITY);
            v.write(guest::INTERRUPTIBILITY, interruptibility | NMI_BLOCKED);
        }
    }

    #[inline(always)]
    fn set_timer(cpu: &mut Cpu<'_>, at: Option<u64>) -> bool {
        let has = cpu.vcpu.caps.preemption_timer().is_some();
        if has {
            cpu.vcpu.timer = at.unwrap_or(u64::MAX);
            cpu.vcpu.set_pin(PREEMPTION_TIMER, at.is_some());
        }
        has
    }

    fn state(cpu: &mut Cpu<'_>) -> CpuState {
        let v = cpu.vcpu.current();
        cpu.vcpu.regs.gprs.set(Gpr::Rsp, v.read(guest::RSP).0);
        let mut segments = [SegmentRegister::default(); 6];
        for (i, s) in (0..).zip(&mut segments) {
            *s = read_segment(v, &SEGMENT, i);
        }
        let c = Self::controls(cpu);
        CpuState {
            rip: v.read(guest::RIP).0,
            rflags: v.read(guest::RFLAGS).0,
            cr0: c.cr0,
            cr3: v.read(guest::CR3).0,
            cr4: c.cr4,
            efer: c.efer,
            cpl: (v.read(guest::SS_ACCESS_RIGHTS) >> 5 & 3) as u8,
            segments,
            ldtr: read_segment(v, &LDTR, 0),
            tr: read_segment(v, &TR, 0),
            gdtr: DescriptorTable { base: v.read(guest::GDTR_BASE).0, limit: v.read(guest::GDTR_LIMIT) },
            idtr: DescriptorTable { base: v.read(guest::IDTR_BASE).0, limit: v.read(guest::IDTR_LIMIT) },
        }
    }

    fn set_state(cpu: &mut Cpu<'_>, s: &CpuState) {
        Self::set_controls(cpu, ControlRegisters { cr0: s.cr0, cr4: s.cr4, efer: s.efer }, None);
        let v = cpu.vcpu.current();
        Self::set_rsp(cpu);
        v.write(guest::RIP, Natural(s.rip));
        v.write(guest::RFLAGS, Natural(s.rflags));
        v.write(guest::CR3, Natural(s.cr3));
        for (i, segment) in (0..).zip(&s.segments) {
            write_segment(v, &SEGMENT, i, segment);
        }
        write_segment(v, &LDTR, 0, &s.ldtr);
        write_segment(v, &TR, 0, &s.tr);
        v.write(guest::GDTR_BASE, Natural(s.gdtr.base));
        v.write(guest::GDTR_LIMIT, s.gdtr.limit);
        v.write(guest::IDTR_BASE, Natural(s.idtr.base));
        v.write(guest::IDTR_LIMIT, s.idtr.limit);
    }

    fn controls(cpu: &Cpu<'_>) -> ControlRegisters {
        let v = cpu.vcpu.current();
        ControlRegisters {
            cr0: v.read(guest::CR0).0 & CR0_OWN | v.read(control::CR0_READ_SHADOW).0 & !CR0_OWN,
            cr4: v.read(control::CR4_READ_SHADOW).0,
            efer: v.read(guest::EFER),
        }
    }

    fn set_controls(cpu: &mut Cpu<'_>, c: ControlRegisters, pdptes: Option<[u64; 4]>) {
        let v = cpu.vcpu.current();
        let caps = &cpu.vcpu.caps;
        // Unrestricted guest frees PE and PG from the fixed bits; a VM entry does not load CD and NW.
        let fixed = caps.cr0_fixed0 & !(cr0::PE | cr0::PG);
        v.write(guest::CR0, Natural((c.cr0 | fixed | cr0::NE) & caps.cr0_fixed1 & !(cr0::CD | cr0::NW)));
        v.write(control::CR0_READ_SHADOW, Natural(c.cr0));
        // Machine checks are the host's business: they stay on whatever the guest thinks.
        v.write(guest::CR4, Natural(caps.fix_cr4(c.cr4 | cr4::VMXE | cr4::MCE)));
        v.write(control::CR4_READ_SHADOW, Natural(c.cr4));
        v.write(guest::EFER, c.efer);
        let ia32e = if c.efer & efer::LMA != 0 { EntryControls::IA32E_MODE_GUEST.bits() } else { 0 };
        v.write(control::ENTRY, cpu.vcpu.controls.entry | ia32e);
        for (i, pdpte) in (0..).zip(pdptes.into_iter().flatten()) {
            v.write(guest::PDPTE0.nth(i), pdpte);
        }
    }

    fn set_cr2(_: &mut Cpu<'_>, value: u64) {
        // SAFETY: the guest's CR2 lives in the register while it is loaded; the hypervisor does not use it.
        unsafe { asm!("mov cr2, {}", in(reg) value, options(nostack, nomem)) }
    }

    fn pat(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.current().read(guest::PAT)
    }

    fn set_pat(cpu: &mut Cpu<'_>, value: u64) {
        cpu.vcpu.current().write(guest::PAT, value);
    }

    fn tsc_offset(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.current().read(control::TSC_OFFSET)
    }

    fn set_tsc_offset(cpu: &mut Cpu<'_>, value: u64) {
        cpu.vcpu.current().write(control::TSC_OFFSET, value);
    }

    fn xcr0(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.resident.xcr0()
    }

    fn set_xcr0(cpu: &mut Cpu<'_>, value: u64) {
        cpu.vcpu.resident.set_xcr0(value);
    }

    fn flush_guest(cpu: &mut Cpu<'_>) {
        if cpu.vcpu.uses_vpid() {
            cpu.core.invvpid(Some(cpu.vcpu.current().read(control::VPID)));
        }
    }

    fn spec_ctrl(cpu: &Cpu<'_>) -> u64 {
        cpu.vcpu.guard.spec_ctrl()
    }

    fn set_spec_ctrl(cpu: &mut Cpu<'_>, value: u64) {
        cpu.vcpu.guard.set_spec_ctrl(value);
    }

    fn fault_gva(cpu: &Cpu<'_>) -> Option<Gva> {
        const LINEAR_VALID: u64 = 1 << 7;
        let v = cpu.vcpu.current();
        let valid = v.read(ro::QUALIFICATION).0 & LINEAR_VALID != 0;
        valid.then(|| Gva::new(v.read(ro::GUEST_LINEAR_ADDRESS).0))
    }

    fn case(cpu: &Cpu<'_>) -> VmxCase {
        cpu.vcpu.case(cpu.core)
    }

    fn poke(cpu: &mut Cpu<'_>, field: F, value: u64) -> bool {
        cpu.vcpu.current().write_any(field.encoding(), value)
    }

    fn refusal_class(code: u64) -> Class {
        match code {
            7 => Class::Control,
            8 => Class::Host,
            33 => Class::Guest,
            34 => Class::MsrLoad,
            _ => Class::Launch,
        }
    }

    fn lab_prepare(cpu: &mut Cpu<'_>, pages: [Hpa; 4], scene: Scene) {
        let v = cpu.vcpu.current();
        let controls = cpu.vcpu.controls;
        for (field, value) in lab::fields(&cpu.vcpu.caps, [controls.pin, controls.secondary], pages, scene) {
            if cpu.core.fields.has(field) {
                v.write_any(field.encoding(), value);
            }
        }
    }

    fn lab_memory(case: &mut VmxCase, pages: [Hpa; 4], random: u64) -> ArrayVec<(u64, u64, u64), 8> {
        lab::memory(case, pages, random)
    }

    fn misuse(cpu: &mut Cpu<'_>, what: Misuse) {
        match what {
            Misuse::NoSuchField(encoding) => {
                cpu.vcpu.current().write_any(encoding, 0);
            }
            Misuse::BadInvept => cpu.core.invept_badly(),
            Misuse::ResumeNotLaunched => cpu.vcpu.how |= LAUNCHED,
            Misuse::LaunchTwice => cpu.vcpu.how &= !LAUNCHED,
            Misuse::Nothing | Misuse::Words(_) | Misuse::NoExecute | Misuse::StackHole => {}
        }
    }
}

/// The four fields of a segment register.
struct SegmentFields {
    selector: Field<u16>,
    rights: Field<u32>,
    limit: Field<u32>,
    base: Field<Natural>,
}

/// ES; CS, SS, DS, FS, GS follow it.
const SEGMENT: SegmentFields = SegmentFields {
    selector: guest::ES_SELECTOR,
    rights: guest::ES_ACCESS_RIGHTS,
    limit: guest::ES_LIMIT,
    base: guest::ES_BASE,
};
const LDTR: SegmentFields = SegmentFields {
    selector: guest::LDTR_SELECTOR,
    rights: guest::LDTR_ACCESS_RIGHTS,
    limit: guest::LDTR_LIMIT,
    base: guest::LDTR_BASE,
};
const TR: SegmentFields = SegmentFields {
    selector: guest::TR_SELECTOR,
    rights: guest::TR_ACCESS_RIGHTS,
    limit: guest::TR_LIMIT,
    base: guest::TR_BASE,
};

fn read_segment(v: Current, f: &SegmentFields, n: u32) -> SegmentRegister {
    SegmentRegister {
        selector: v.read(f.selector.nth(n)),
        attrib: from_access_rights(v.read(f.rights.nth(n))),
        limit: v.read(f.limit.nth(n)),
        base: v.read(f.base.nth(n)).0,
    }
}

fn write_segment(v: Current, f: &SegmentFields, n: u32, s: &SegmentRegister) {
    v.write(f.selector.nth(n), s.selector);
    v.write(f.rights.nth(n), to_access_rights(s));
    v.write(f.limit.nth(n), s.limit);
    v.write(f.base.nth(n), Natural(s.base));
}

#[inline(always)]
fn run_guest(vcpu: &mut VmxVcpu) {
    // SAFETY: `Loaded`, from which it comes, proves that this vCPU's VMCS is current, with the host state that `load` wrote
    // for this core; the registers are exclusively borrowed; the VM's tables map its own frames only (the audit).
    vcpu.result = unsafe { run::enter(&mut vcpu.regs, vcpu.how) };
}

/// An entry with something to do before and after it.
#[cold]
#[inline(never)]
fn enter_guarded(vcpu: &mut VmxVcpu, core: &VmxCore) {
    vcpu.guard.before(&core.guard);
    run_guest(vcpu);
    vcpu.guard.after();
}

/// An entry that VMLAUNCH or VMRESUME refused.
#[cold]
fn failed(vcpu: &VmxVcpu) -> Exit {
    let e = if vcpu.result == FAIL_INVALID {
        VmFail::Invalid
    } else {
        VmFail::Valid(vcpu.current().read(ro::INSTRUCTION_ERROR))
    };
    Exit::EntryFailed { what: e.meaning(), code: u64::from(e.number()) }
}

/// An intercepted #DB has not changed the debug registers yet: the exit qualification says what DR6 gets
/// (SDM 3C "Exit Qualification for Debug Exceptions"), and DR7.GD is cleared as delivery does.
#[cold]
fn debug_exception(vcpu: &VmxVcpu) {
    const DR7_GD: u64 = 1 << 13;
    // B0 to B3, BD, BS; the rest of the qualification is reserved.
    const DR6_BITS: u64 = 0x600f;
    let v = vcpu.current();
    set_dr6(v.read(ro::QUALIFICATION).0 & DR6_BITS);
    let dr7 = v.read(guest::DR7).0;
    v.write(guest::DR7, Natural(dr7 & !DR7_GD));
    // A VM entry in an STI or MOV-SS shadow with TF set must find a pending single step, which an intercepted #DB has not
    // left (SDM 3C "Checks on Guest Non-Register State"). The event that is injected takes its place.
    if v.read(guest::RFLAGS).0 & rflags::TF != 0 && v.read(guest::INTERRUPTIBILITY) & SHADOW != 0 {
        let pending = v.read(guest::PENDING_DEBUG).0;
        v.write(guest::PENDING_DEBUG, Natural(pending | DR6_SINGLE_STEP));
    }
}

/// Sets `bits` in the guest's DR6, with B0 to B3 replaced, as a debug exception does.
fn set_dr6(bits: u64) {
    let mut dr6: u64;
    // SAFETY: the guest's DR6 lives in the register while its vCPU is loaded; the hypervisor uses no breakpoints.
    // Only defined bits are set.
    unsafe {
        asm!("mov {}, dr6", out(reg) dr6, options(nostack, nomem));
        dr6 = dr6 & !0xf | bits;
        asm!("mov dr6, {}", in(reg) dr6, options(nostack, nomem));
    }
}

/// RIP after the instruction that exited.
#[inline(always)]
fn next_rip(v: Current) -> u64 {
    let next = v.read(guest::RIP).0.wrapping_add(u64::from(v.read(ro::INSTRUCTION_LENGTH)));
    if next >> 32 == 0 { next } else { wrap(v, next) }
}

/// A next RIP above 4 GiB: in 64-bit code it is one, elsewhere EIP wraps.
#[cold]
fn wrap(v: Current, next: u64) -> u64 {
    let cs_rights = v.read(guest::ES_ACCESS_RIGHTS.nth(1));
    if v.read(guest::EFER) & efer::LMA != 0 && cs_rights & RIGHTS_LONG != 0 { next } else { next & 0xffff_ffff }
}
