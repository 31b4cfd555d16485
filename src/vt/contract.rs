//! What a vendor must do.

use core::fmt;
use core::marker::PhantomData;

use arrayvec::ArrayVec;

use super::doctor::mistake::{Mistake, Misuse, Scene};
use super::doctor::{Class, Patient};
use super::exit::Exit;
use super::nested::Format;
use super::permission::MsrAccess;
use super::resident;
use super::vmx::{controls::Refused, error::VmFail};
use crate::base::{ApicMode, CpuState, Event, GprFile, Gva, Hpa, TscRatio};

/// What a vCPU is built from.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The root of the guest's nested table.
    pub nested_root: Hpa,
    /// MSRs that the guest may use without an exit; all others exit.
    pub open_msrs: &'a [MsrAccess],
    /// Ports that the guest may use without an exit; all others exit.
    pub open_ports: &'a [u16],
    /// The PAT that the guest starts with.
    pub pat: u64,
    /// How fast its TSC runs: other than the host's only where [`Vendor::tsc_scaling`] says that this can be.
    pub tsc: TscRatio,
    /// The frame that is mapped at the guest's APIC page, where the CPU is to keep its local APIC.
    pub apic_access: Option<Hpa>,
}

/// Words of the page in which a CPU keeps a local APIC: a register is every fourth.
pub const APIC_WORDS: usize = 1024;

/// Why virtualization did not come on, or a vCPU could not be made or loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No frames left.
    OutOfMemory,
    /// A VMX instruction failed: which, and what it said.
    Vmx(&'static str, VmFail),
    /// The CPU does not allow a control bit.
    Controls(Refused),
    /// An MSR write or an instruction raised an exception.
    Fault(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("no memory left for control structures"),
            Self::Vmx(instruction, e) => write!(f, "{instruction} failed: {e}"),
            Self::Controls(r) => write!(f, "this CPU does not allow {r}"),
            Self::Fault(what) => write!(f, "{what} raised an exception"),
        }
    }
}

/// The control registers that decide the paging mode, as the guest sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct ControlRegisters {
    pub cr0: u64,
    pub cr4: u64,
    pub efer: u64,
}

/// How linear addresses become guest-physical ones, as far as it can be followed in a few steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Translation {
    /// Paging is off.
    Off,
    /// Four-level paging, the root at this CR3.
    FourLevel(u64),
    /// Some other way.
    Other,
}

/// A field of the vendor's control block, as the entry doctor names it.
pub type FieldOf<V> = <<V as Vendor>::Case as Patient>::Field;

/// VMX or SVM. The functions that take [`Loaded`] work on the control block that is current on this core.
pub trait Vendor: Sized + 'static {
    /// `"vmx"` or `"svm"`.
    const NAME: &'static str;
    /// What CPUID leaf 0x4000_0001 tells guests to use: 1 = VMCALL, 2 = VMMCALL.
    const HYPERCALL: u32;
    /// What the CPU can do, found by the preflight.
    type Caps: Copy + Send + Sync;
    /// What a core holds while virtualization is on.
    type Core;
    /// The control block with its permission maps and the guest's registers.
    type Vcpu;
    /// The format of its nested tables.
    type Table: Format;
    /// The control block as the entry doctor sees it.
    type Case: Patient;
    /// Mistakes that the doctor must find.
    const MISTAKES: &'static [Mistake<FieldOf<Self>>];

    /// Turns virtualization on, on this core.
    fn enable(caps: &Self::Caps) -> Result<Self::Core, Trouble>;
    /// Turns it off.
    fn disable(core: &mut Self::Core);
    /// Whether nested tables may have pages of 2 MiB.
    fn large_pages(caps: &Self::Caps) -> bool;
    /// Whether a guest may execute XSAVES and XRSTORS, if the CPU has them.
    fn guest_xsaves(caps: &Self::Caps) -> bool;
    /// Whether a guest's TSC can run faster or slower than the host's.
    fn tsc_scaling(caps: &Self::Caps) -> bool;
    /// Whether the CPU can keep guests' local APICs, and deliver their interrupts by itself.
    fn virtual_apic(caps: &Self::Caps) -> bool;
    /// Builds a control block. The guest's state is set when it is loaded.
    fn create(caps: &Self::Caps, setup: &Setup) -> Result<Self::Vcpu, Trouble>;
    /// Makes the control block current on this core, with the host's state and the guest's resident registers.
    fn load(vcpu: &mut Self::Vcpu, core: &mut Self::Core) -> Result<(), Trouble>;
    /// Takes it off this core again.
    fn unload(vcpu: &mut Self::Vcpu);

    /// Runs the guest until it exits, or the CPU refuses to enter it.
    fn enter(cpu: &mut Loaded<'_, Self>);
    /// Why it exited; a refused entry is an exit too.
    fn exit(cpu: &Loaded<'_, Self>) -> Exit;
    /// Does what the CPU leaves to be done after an exit of the kinds that guests make seldom: the host takes the interrupt,
    /// NMI or machine check that the exit was for, and a debug exception gets into the guest's DR6. Once after each
    /// [`Vendor::enter`] that came back with such an exit.
    fn attend(cpu: &mut Loaded<'_, Self>, exit: &Exit);
    /// The general-purpose registers; RSP is true only after [`Vendor::state`].
    fn gprs<'a>(cpu: &'a mut Loaded<'_, Self>) -> &'a mut GprFile;
    /// RIP.
    fn rip(cpu: &Loaded<'_, Self>) -> u64;
    /// RIP after the instruction that caused this exit, where the CPU told it (for instruction exits only).
    fn next_rip(cpu: &Loaded<'_, Self>) -> Option<u64>;
    /// RIP after the IN or OUT that caused this exit: every CPU tells that.
    fn port_next_rip(cpu: &Loaded<'_, Self>) -> u64;
    /// Ends the emulation of an instruction: sets RIP and ends the STI or MOV-SS shadow. Returns whether the guest
    /// single-steps (RFLAGS.TF), so that a #DB is due.
    fn advance(cpu: &mut Loaded<'_, Self>, rip: u64) -> bool;
    /// The linear address of the instruction at RIP, and how it is translated.
    fn code(cpu: &Loaded<'_, Self>) -> (u64, Translation);
    /// A number that is the same where the same instruction bytes mean the same: made of CS's attributes and CR0.PE.
    fn code_mode(cpu: &Loaded<'_, Self>) -> u32;
    /// Writes RSP from the register file.
    fn set_rsp(cpu: &mut Loaded<'_, Self>);
    /// Sets RFLAGS.
    fn set_rflags(cpu: &mut Loaded<'_, Self>, rflags: u64);
    /// The event whose delivery the exit cut off, to be delivered again.
    fn cut_off(cpu: &Loaded<'_, Self>) -> Option<Event>;
    /// Delivers `event` on the next entry.
    fn inject(cpu: &mut Loaded<'_, Self>, event: Event);
    /// Sets the single-step bit in the guest's DR6, before a #DB is injected for it.
    fn set_dr6_single_step(cpu: &mut Loaded<'_, Self>);

    /// RFLAGS.IF.
    fn interrupts_enabled(cpu: &Loaded<'_, Self>) -> bool;
    /// Whether an interrupt can be delivered on the next entry: RFLAGS.IF is set, and no instruction before it was STI or MOV SS.
    fn interruptible(cpu: &Loaded<'_, Self>) -> bool;
    /// Whether the guest leaves as soon as [`Vendor::interruptible`] holds.
    fn set_interrupt_window(cpu: &mut Loaded<'_, Self>, wanted: bool);
    /// Whether no NMI can be delivered on the next entry: one is being handled, or the instruction before was MOV SS.
    fn nmi_blocked(cpu: &mut Loaded<'_, Self>) -> bool;
    /// Whether the guest leaves once an NMI can be delivered. Where the CPU can't tell, when to ask again: a TSC of the host.
    fn set_nmi_window(cpu: &mut Loaded<'_, Self>, wanted: bool) -> Option<u64>;
    /// The page in which the CPU keeps the guest's local APIC; `None` where it does not. While it does, the functions below are
    /// called before an entry for whatever has changed in it, and interrupts of the local APIC are not injected.
    fn apic<'a>(cpu: &'a mut Loaded<'_, Self>) -> Option<&'a mut [u32; APIC_WORDS]>;
    /// How the guest reaches its local APIC, and whether that is software-enabled. If it is not, the CPU has every access leave the
    /// guest, and delivers nothing.
    fn set_apic_mode(cpu: &mut Loaded<'_, Self>, mode: ApicMode, enabled: bool);
    /// The highest vectors in IRR and ISR; 0: none.
    fn set_apic_status(cpu: &mut Loaded<'_, Self>, requested: u8, in_service: u8);
    /// All level-triggered vectors: their EOI leaves the guest.
    fn set_apic_level(cpu: &mut Loaded<'_, Self>, level: &[u32; 8]);
    /// Flushes what is cached of the nested tables, after a page was taken out of them.
    fn flush_nested(cpu: &mut Loaded<'_, Self>);
    /// An IRET that a nested fault has interrupted has ended blocking by NMI before it returned: it goes on until the IRET is done.
    fn keep_nmi_blocking(cpu: &mut Loaded<'_, Self>);
    /// Has the guest leave when the host's TSC reaches `at`; `None`: never. False where the CPU has no timer for that.
    fn set_timer(cpu: &mut Loaded<'_, Self>, at: Option<u64>) -> bool;

    /// All that decides how instructions are read, and RSP into the register file.
    fn state(cpu: &mut Loaded<'_, Self>) -> CpuState;
    /// Sets all of it, RSP from the register file.
    fn set_state(cpu: &mut Loaded<'_, Self>, state: &CpuState);
    /// CR0, CR4 and EFER as the guest sees them.
    fn controls(cpu: &Loaded<'_, Self>) -> ControlRegisters;
    /// Sets CR0, CR4 and EFER together. `pdptes` are loaded where the new state uses PAE paging.
    fn set_controls(cpu: &mut Loaded<'_, Self>, controls: ControlRegisters, pdptes: Option<[u64; 4]>);
    /// Sets CR2, before a #PF is injected.
    fn set_cr2(cpu: &mut Loaded<'_, Self>, value: u64);
    /// The guest's PAT.
    fn pat(cpu: &Loaded<'_, Self>) -> u64;
    /// Sets the guest's PAT.
    fn set_pat(cpu: &mut Loaded<'_, Self>, value: u64);
    /// What the guest's TSC adds to the host's, scaled.
    fn tsc_offset(cpu: &Loaded<'_, Self>) -> u64;
    /// Sets it.
    fn set_tsc_offset(cpu: &mut Loaded<'_, Self>, value: u64);
    /// XCR0.
    fn xcr0(cpu: &Loaded<'_, Self>) -> u64;
    /// Sets XCR0, to a value that common code has found valid.
    fn set_xcr0(cpu: &mut Loaded<'_, Self>, value: u64);
    /// IA32_SPEC_CTRL of the guest: the CPU has it while the guest runs, and the host's otherwise.
    fn spec_ctrl(cpu: &Loaded<'_, Self>) -> u64;
    /// Sets it, to a value that common code has found valid.
    fn set_spec_ctrl(cpu: &mut Loaded<'_, Self>, value: u64);
    /// Flushes the guest's own translations, as a change of its CR0 or CR4 does.
    fn flush_guest(cpu: &mut Loaded<'_, Self>);

    /// The linear address of the access that the nested tables did not allow, where the CPU tells it.
    fn fault_gva(cpu: &Loaded<'_, Self>) -> Option<Gva>;

    /// The control block as the entry doctor sees it: every field, as it was at the last entry or as the exit left it.
    fn case(cpu: &Loaded<'_, Self>) -> Self::Case;
    /// Writes a field of the control block, without any check; false where the CPU has no such field, or it can't be written.
    /// For what breaks control blocks on purpose.
    fn poke(cpu: &mut Loaded<'_, Self>, field: FieldOf<Self>, value: u64) -> bool;
    /// What class of rules a refusal belongs to, by the code of [`Exit::EntryFailed`].
    fn refusal_class(code: u64) -> Class;
    /// Makes a control block ready for changes at random: addresses that a control may enable get one of `pages`, and something brings a
    /// guest back that sleeps.
    fn lab_prepare(cpu: &mut Loaded<'_, Self>, pages: [Hpa; 4], scene: Scene);
    /// Chooses what is in the memory that fields of `case` point to, by a random number: which of the pages, which word of it, and the word.
    fn lab_memory(case: &mut Self::Case, pages: [Hpa; 4], random: u64) -> ArrayVec<(u64, u64, u64), 8>;
    /// Makes a mistake that is not in the control block, as far as it is the vendor's.
    fn misuse(cpu: &mut Loaded<'_, Self>, what: Misuse);
}

/// Virtualization is on, on this core. Dropping it turns it off.
pub struct On<V: Vendor> {
    core: V::Core,
    /// It belongs to the core that made it.
    not_send: PhantomData<*mut ()>,
}

impl<V: Vendor> On<V> {
    /// Turns it on.
    pub fn enable(caps: &V::Caps) -> Result<Self, Trouble> {
        resident::clear_xss();
        Ok(Self { core: V::enable(caps)?, not_send: PhantomData })
    }

    /// Makes `vcpu` current on this core until the result is dropped.
    pub fn load<'a>(&'a mut self, vcpu: &'a mut V::Vcpu) -> Result<Loaded<'a, V>, Trouble> {
        V::load(vcpu, &mut self.core)?;
        Ok(Loaded { vcpu, core: &mut self.core })
    }
}

impl<V: Vendor> Drop for On<V> {
    fn drop(&mut self) {
        V::disable(&mut self.core);
    }
}

/// A vCPU whose control block is current on this core: only this reads, writes and enters. Dropping it takes the
/// control block off the core.
pub struct Loaded<'a, V: Vendor> {
    pub(in crate::vt) vcpu: &'a mut V::Vcpu,
    pub(in crate::vt) core: &'a mut V::Core,
}

impl<V: Vendor> Drop for Loaded<'_, V> {
    fn drop(&mut self) {
        V::unload(self.vcpu);
    }
}
