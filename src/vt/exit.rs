//! VM exits in neutral words: what happened, with what the handlers need, the same for both vendors.

use core::fmt;

use crate::base::{Access, Event, Gpa, Width};

/// Exceptions that leave the guest, by vector, on both vendors: #DB and #AC, because delivering either can raise it again
/// without end, and no interrupt would get through; #DF, because the next step is a shutdown; #MC, because it is the host's.
pub const INTERCEPTED_EXCEPTIONS: u32 = 1 << 1 | 1 << 8 | 1 << 17 | 1 << 18;

/// A port access that left the guest: an IN or OUT with a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortExit {
    /// The port.
    pub port: u16,
    /// How wide the access is.
    pub width: Width,
}

/// A guest-physical access that the nested tables did not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NestedFault {
    /// What was accessed.
    pub gpa: Gpa,
    /// How.
    pub access: Access,
    /// Whether it was the CPU's own walk of the guest's page tables, not the instruction's operand.
    pub walk: bool,
}

/// Why the guest stopped running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// HLT.
    Hlt,
    /// CPUID.
    Cpuid,
    /// IN.
    PortIn(PortExit),
    /// OUT.
    PortOut(PortExit),
    /// INS or OUTS, repeated or not: the operand is in memory, and the instruction must be read to know where.
    PortString,
    /// RDMSR.
    MsrRead,
    /// WRMSR.
    MsrWrite,
    /// A nested page fault (SVM), an EPT violation (VMX).
    Nested(NestedFault),
    /// VMCALL on VMX, VMMCALL on SVM.
    Hypercall,
    /// An access to a control register that the hypervisor decides on; the instruction says which.
    ControlRegister,
    /// XSETBV.
    Xsetbv,
    /// INVD or WBINVD.
    CacheFlush,
    /// An exception that the hypervisor looks at before the guest gets it.
    Exception(Event),
    /// INT1 (ICEBP): the guest takes #DB after the instruction.
    Icebp,
    /// An instruction that the guest's machine does not have: it takes #UD.
    Undefined,
    /// An instruction that the guest's machine never allows: it takes #GP(0).
    Forbidden,
    /// An external interrupt for the host.
    Interrupt,
    /// An NMI for the host.
    Nmi,
    /// A machine check for the host.
    MachineCheck,
    /// The guest can take an interrupt now, as `Vendor::set_interrupt_window` asked to be told.
    InterruptWindow,
    /// The guest can take an NMI now, or will soon.
    NmiWindow,
    /// The guest has written the local APIC's register at this offset of its page; the value is in the page that the CPU keeps.
    ApicWrite(u16),
    /// The guest has ended the level-triggered interrupt with this vector.
    ApicEoi(u8),
    /// The time of `Vendor::set_timer` has come.
    Timer,
    /// The guest shut down: a triple fault.
    TripleFault,
    /// The CPU refused to enter the guest.
    EntryFailed {
        /// The class of the failure, in the manual's words.
        what: &'static str,
        /// VM-instruction error, basic exit reason or EXITCODE.
        code: u64,
    },
    /// Any other exit: its name and number in the manual.
    Other {
        /// The manual's name.
        name: &'static str,
        /// The exit reason or EXITCODE.
        number: u64,
    },
}

/// The kind of an exit: what statistics count by, and what guests' expectations name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ExitKind {
    Hlt,
    Cpuid,
    Port,
    MsrRead,
    MsrWrite,
    Nested,
    Hypercall,
    ControlRegister,
    Xsetbv,
    CacheFlush,
    Exception,
    Undefined,
    Forbidden,
    Interrupt,
    Nmi,
    MachineCheck,
    TripleFault,
    EntryFailed,
    Other,
    InterruptWindow,
    NmiWindow,
    Timer,
    Apic,
}

impl ExitKind {
    /// How many kinds there are.
    pub const COUNT: usize = 23;

    /// The names by [`ExitKind`] as number, as logs and guests' headers write them.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "hlt",
        "cpuid",
        "port",
        "msr-read",
        "msr-write",
        "nested-fault",
        "hypercall",
        "cr",
        "xsetbv",
        "cache-flush",
        "exception",
        "undefined",
        "forbidden",
        "interrupt",
        "nmi",
        "machine-check",
        "triple-fault",
        "entry-failed",
        "other",
        "interrupt-window",
        "nmi-window",
        "timer",
        "apic",
    ];
}

impl Exit {
    /// What kind of exit it is.
    #[inline(always)]
    pub const fn kind(&self) -> ExitKind {
        match self {
            Self::Hlt => ExitKind::Hlt,
            Self::Cpuid => ExitKind::Cpuid,
            Self::PortIn(_) | Self::PortOut(_) | Self::PortString => ExitKind::Port,
            Self::MsrRead => ExitKind::MsrRead,
            Self::MsrWrite => ExitKind::MsrWrite,
            Self::Nested(_) => ExitKind::Nested,
            Self::Hypercall => ExitKind::Hypercall,
            Self::ControlRegister => ExitKind::ControlRegister,
            Self::Xsetbv => ExitKind::Xsetbv,
            Self::CacheFlush => ExitKind::CacheFlush,
            Self::Exception(_) | Self::Icebp => ExitKind::Exception,
            Self::Undefined => ExitKind::Undefined,
            Self::Forbidden => ExitKind::Forbidden,
            Self::Interrupt => ExitKind::Interrupt,
            Self::Nmi => ExitKind::Nmi,
            Self::MachineCheck => ExitKind::MachineCheck,
            Self::InterruptWindow => ExitKind::InterruptWindow,
            Self::NmiWindow => ExitKind::NmiWindow,
            Self::Timer => ExitKind::Timer,
            Self::ApicWrite(_) | Self::ApicEoi(_) => ExitKind::Apic,
            Self::TripleFault => ExitKind::TripleFault,
            Self::EntryFailed { .. } => ExitKind::EntryFailed,
            Self::Other { .. } => ExitKind::Other,
        }
    }
}

/// Exits that the host causes.
const HOST: [ExitKind; 4] = [ExitKind::Interrupt, ExitKind::Nmi, ExitKind::MachineCheck, ExitKind::Timer];

/// How many exits of each kind a guest has had.
#[derive(Clone, Default, Debug)]
pub struct ExitCounts([u64; ExitKind::COUNT]);

impl ExitCounts {
    /// Counts one.
    #[inline(always)]
    pub fn count(&mut self, kind: ExitKind) {
        if let Some(n) = self.0.get_mut(kind as usize) {
            *n += 1;
        }
    }

    /// How many of this kind.
    pub fn get(&self, kind: ExitKind) -> u64 {
        self.0.get(kind as usize).copied().unwrap_or(0)
    }

    /// How many exits of the kind that bears this name, if one does.
    pub fn by_name(&self, name: &str) -> Option<u64> {
        let i = ExitKind::NAMES.iter().position(|n| *n == name)?;
        self.0.get(i).copied()
    }

    /// Exits that the guest causes: all but those that come from the host's interrupts, NMIs and machine checks.
    pub fn by_guest(&self) -> u64 {
        self.total() - HOST.iter().map(|kind| self.get(*kind)).sum::<u64>()
    }

    /// All exits.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// `hlt 1, port 12`: the kinds that occurred, in the order of [`ExitKind`], less those that the host causes
/// (interrupts, NMIs, machine checks), which differ from run to run.
impl fmt::Display for ExitCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = HOST.map(|k| k as usize);
        let mut first = true;
        for (i, (n, name)) in self.0.iter().zip(ExitKind::NAMES).enumerate() {
            if *n != 0 && !host.contains(&i) {
                write!(f, "{}{name} {n}", if first { "" } else { ", " })?;
                first = false;
            }
        }
        if first { f.write_str("none") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn names_and_kinds_are_of_one_length() {
        assert_eq!(ExitKind::Apic as usize + 1, ExitKind::COUNT);
        assert_eq!(ExitKind::NAMES[ExitKind::Nested as usize], "nested-fault");
    }

    #[test]
    fn counts_read_as_words_and_leave_the_hosts_events_out() {
        let mut c = ExitCounts::default();
        assert_eq!(c.to_string(), "none");
        c.count(ExitKind::Port);
        c.count(ExitKind::Port);
        c.count(ExitKind::Hlt);
        c.count(ExitKind::Interrupt);
        assert_eq!(c.to_string(), "hlt 1, port 2");
        assert_eq!((c.by_name("port"), c.by_name("nothing"), c.total()), (Some(2), None, 4));
    }
}
