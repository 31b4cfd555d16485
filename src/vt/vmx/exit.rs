//! VMX exits decoded to neutral ones: a pure function that reads only the fields its reason needs
//! (SDM 3D "VMX Basic Exit Reasons").

use super::error::entry_failure;
use super::field::{Direction, Field, FieldValue, ro};
use crate::base::{Access, Event, EventKind, Exception, Gpa, Width};
use crate::vt::exit::{Exit, NestedFault, PortExit};

/// Where VMCS fields are read from: the current VMCS, or a struct in a test.
pub trait FieldReader {
    /// The field's value.
    fn read<T: FieldValue, D: Direction>(&self, field: Field<T, D>) -> T;
}

/// Basic exit reasons that have a meaning for this hypervisor.
mod reason {
    pub const EXCEPTION_OR_NMI: u16 = 0;
    pub const EXTERNAL_INTERRUPT: u16 = 1;
    pub const TRIPLE_FAULT: u16 = 2;
    pub const INTERRUPT_WINDOW: u16 = 7;
    pub const NMI_WINDOW: u16 = 8;
    pub const CPUID: u16 = 10;
    pub const GETSEC: u16 = 11;
    pub const HLT: u16 = 12;
    pub const INVD: u16 = 13;
    pub const RDPMC: u16 = 15;
    pub const VMCALL: u16 = 18;
    pub const VMCLEAR: u16 = 19;
    pub const VMXON: u16 = 27;
    pub const CR_ACCESS: u16 = 28;
    pub const IO: u16 = 30;
    pub const RDMSR: u16 = 31;
    pub const WRMSR: u16 = 32;
    pub const MWAIT: u16 = 36;
    pub const MONITOR: u16 = 39;
    pub const EPT_VIOLATION: u16 = 48;
    pub const APIC_ACCESS: u16 = 44;
    pub const VIRTUALIZED_EOI: u16 = 45;
    pub const APIC_WRITE: u16 = 56;
    pub const INVEPT: u16 = 50;
    pub const PREEMPTION_TIMER: u16 = 52;
    pub const INVVPID: u16 = 53;
    pub const WBINVD: u16 = 54;
    pub const XSETBV: u16 = 55;
}

/// Bit 31 of the exit reason: the entry itself failed.
const ENTRY_FAILURE: u32 = 1 << 31;

/// The exit that the fields describe.
#[inline(always)]
pub fn decode(vmcs: &impl FieldReader) -> Exit {
    let raw = vmcs.read(ro::EXIT_REASON);
    if raw & ENTRY_FAILURE != 0 {
        return Exit::EntryFailed { what: entry_failure(raw as u16), code: u64::from(raw & 0xffff) };
    }
    match raw as u16 {
        reason::CPUID => Exit::Cpuid,
        reason::IO => port(vmcs.read(ro::QUALIFICATION).0),
        reason::RDMSR => Exit::MsrRead,
        reason::WRMSR => Exit::MsrWrite,
        reason::HLT => Exit::Hlt,
        reason::VMCALL => Exit::Hypercall,
        reason::EPT_VIOLATION => {
            nested(vmcs.read(ro::QUALIFICATION).0, Gpa::new(vmcs.read(ro::GUEST_PHYSICAL_ADDRESS)))
        }
        reason::EXTERNAL_INTERRUPT => Exit::Interrupt,
        reason::PREEMPTION_TIMER => Exit::Timer,
        reason::APIC_ACCESS => apic_access(vmcs.read(ro::QUALIFICATION).0),
        reason::APIC_WRITE => Exit::ApicWrite(vmcs.read(ro::QUALIFICATION).0 as u16 & 0xfff),
        reason::VIRTUALIZED_EOI => Exit::ApicEoi(vmcs.read(ro::QUALIFICATION).0 as u8),
        reason::INTERRUPT_WINDOW => Exit::InterruptWindow,
        reason::NMI_WINDOW => Exit::NmiWindow,
        reason::CR_ACCESS => Exit::ControlRegister,
        reason::XSETBV => Exit::Xsetbv,
        reason::EXCEPTION_OR_NMI => {
            let error_code = || vmcs.read(ro::EXIT_INTERRUPTION_ERROR_CODE);
            match event(vmcs.read(ro::EXIT_INTERRUPTION_INFO), error_code) {
                Some(Event { kind: EventKind::Nmi, .. }) => Exit::Nmi,
                Some(Event { vector: 18, .. }) => Exit::MachineCheck,
                Some(e) => Exit::Exception(e),
                // The one software event that the exception bitmap takes out of this guest.
                None => Exit::Icebp,
            }
        }
        reason::TRIPLE_FAULT => Exit::TripleFault,
        reason::INVD | reason::WBINVD => Exit::CacheFlush,
        reason::RDPMC => Exit::Forbidden,
        reason::VMCLEAR..=reason::VMXON
        | reason::GETSEC
        | reason::MWAIT
        | reason::MONITOR
        | reason::INVEPT
        | reason::INVVPID => Exit::Undefined,
        other => Exit::Other { name: name(other), number: u64::from(other) },
    }
}

/// An event in the format of the interruption-information and IDT-vectoring fields
/// (SDM 3C "Information for VM Exits Due to Vectored Events"). `None` where it is not valid, and for software
/// interrupts and exceptions, which the guest raises again by executing the instruction again.
#[inline(always)]
pub fn event(info: u32, error_code: impl FnOnce() -> u32) -> Option<Event> {
    if info >> 31 == 0 {
        return None;
    }
    let kind = match info >> 8 & 7 {
        0 => EventKind::Interrupt,
        2 => EventKind::Nmi,
        3 => EventKind::Exception,
        _ => return None,
    };
    let error_code = (info >> 11 & 1 != 0).then(error_code);
    Some(Event { kind, vector: info as u8, error_code })
}

/// An event for the VM-entry interruption-information field (SDM 3C "VM-Entry Controls for Event Injection").
/// `protected`: CR0.PE is 1; otherwise no error code is delivered.
pub fn injection(event: Event, protected: bool) -> (u32, u32) {
    let kind = match event.kind {
        EventKind::Interrupt => 0,
        EventKind::Nmi => 2,
        EventKind::Exception => 3,
    };
    let has_code = event.error_code.is_some() && Exception(event.vector).has_error_code();
    let deliver = if protected && has_code { 1 << 11 } else { 0 };
    (1 << 31 | deliver | kind << 8 | u32::from(event.vector), event.error_code.unwrap_or(0))
}

/// SDM 3C "Exit Qualification for I/O Instructions".
#[inline(always)]
fn port(q: u64) -> Exit {
    const IN: u64 = 1 << 3;
    const STRING: u64 = 1 << 4;
    const SIZE: [Width; 8] = {
        let mut size = [Width::B4; 8];
        size[0] = Width::B1;
        size[1] = Width::B2;
        size
    };
    if q & STRING != 0 {
        return Exit::PortString;
    }
    let width = SIZE[(q & 7) as usize];
    let access = PortExit { port: (q >> 16) as u16, width };
    if q & IN != 0 { Exit::PortIn(access) } else { Exit::PortOut(access) }
}

/// SDM 3C "Exit Qualification for EPT Violations".
#[inline(always)]
fn nested(q: u64, gpa: Gpa) -> Exit {
    let access = if q & 4 != 0 {
        Access::Fetch
    } else if q & 2 != 0 {
        Access::Write
    } else {
        Access::Read
    };
    // Bit 8 says operand or walk, and holds only where the linear address (bit 7) is valid.
    Exit::Nested(NestedFault { gpa, access, walk: q & 0x180 == 0x80 })
}

/// SDM 3C "Exit Qualification for APIC-Access VM Exits": an access to the local APIC's page that the CPU leaves to us.
fn apic_access(q: u64) -> Exit {
    const PAGE: u64 = 0xfee0_0000;
    /// Guest-physical accesses, which have no linear address: the CPU's own.
    const OWN: [u64; 2] = [10, 15];
    let kind = q >> 12 & 0xf;
    let access = match kind {
        1 => Access::Write,
        2 => Access::Fetch,
        _ => Access::Read,
    };
    Exit::Nested(NestedFault { gpa: Gpa::new(PAGE | q & 0xfff), access, walk: OWN.contains(&kind) })
}

/// The manual's name of a basic exit reason.
pub const fn name(basic: u16) -> &'static str {
    match basic {
        0 => "exception or non-maskable interrupt",
        1 => "external interrupt",
        2 => "triple fault",
        3 => "INIT signal",
        4 => "start-up IPI",
        5 => "I/O SMI",
        6 => "other SMI",
        7 => "interrupt window",
        8 => "NMI window",
        9 => "task switch",
        10 => "CPUID",
        11 => "GETSEC",
        12 => "HLT",
        13 => "INVD",
        14 => "INVLPG",
        15 => "RDPMC",
        16 => "RDTSC",
        17 => "RSM",
        18 => "VMCALL",
        19 => "VMCLEAR",
        20 => "VMLAUNCH",
        21 => "VMPTRLD",
        22 => "VMPTRST",
        23 => "VMREAD",
        24 => "VMRESUME",
        25 => "VMWRITE",
        26 => "VMXOFF",
        27 => "VMXON",
        28 => "control-register accesses",
        29 => "MOV DR",
        30 => "I/O instruction",
        31 => "RDMSR",
        32 => "WRMSR",
        33 => "VM-entry failure due to invalid guest state",
        34 => "VM-entry failure due to MSR loading",
        36 => "MWAIT",
        37 => "monitor trap flag",
        39 => "MONITOR",
        40 => "PAUSE",
        41 => "VM-entry failure due to machine-check event",
        43 => "TPR below threshold",
        44 => "APIC access",
        45 => "virtualized EOI",
        46 => "access to GDTR or IDTR",
        47 => "access to LDTR or TR",
        48 => "EPT violation",
        49 => "EPT misconfiguration",
        50 => "INVEPT",
        51 => "RDTSCP",
        52 => "VMX-preemption timer expired",
        53 => "INVVPID",
        54 => "WBINVD or WBNOINVD",
        55 => "XSETBV",
        56 => "APIC write",
        57 => "RDRAND",
        58 => "INVPCID",
        59 => "VMFUNC",
        60 => "ENCLS",
        61 => "RDSEED",
        62 => "page-modification log full",
        63 => "XSAVES",
        64 => "XRSTORS",
        65 => "PCONFIG",
        66 => "SPP-related event",
        67 => "UMWAIT",
        68 => "TPAUSE",
        69 => "LOADIWKEY",
        70 => "ENCLV",
        72 => "ENQCMD PASID translation failure",
        73 => "ENQCMDS PASID translation failure",
        74 => "bus lock",
        75 => "instruction timeout",
        76 => "SEAMCALL",
        77 => "TDCALL",
        78 => "RDMSRLIST",
        79 => "WRMSRLIST",
        _ => "an exit reason that the manual does not list",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    struct Fake(BTreeMap<u32, u64>);
    impl Fake {
        fn new(reason: u32) -> Self {
            Self(BTreeMap::from([(ro::EXIT_REASON.encoding(), u64::from(reason))]))
        }
        fn with<T: FieldValue, D: Direction>(mut self, f: Field<T, D>, v: u64) -> Self {
            self.0.insert(f.encoding(), v);
            self
        }
    }
    impl FieldReader for Fake {
        fn read<T: FieldValue, D: Direction>(&self, f: Field<T, D>) -> T {
            T::from_raw(*self.0.get(&f.encoding()).unwrap_or_else(|| panic!("reads {:#x}, unasked", f.encoding())))
        }
    }

    #[test]
    fn simple_exits_read_the_reason_alone() {
        use Exit::{Cpuid, Hlt, Hypercall, MsrRead, MsrWrite};
        for (n, exit) in [(10, Cpuid), (12, Hlt), (31, MsrRead), (32, MsrWrite), (18, Hypercall)] {
            assert_eq!(decode(&Fake::new(n)), exit);
        }
        for n in 19..=27 {
            assert_eq!(decode(&Fake::new(n)), Exit::Undefined);
        }
    }

    #[test]
    fn port_exits() {
        let out = |q| decode(&Fake::new(30).with(ro::QUALIFICATION, q));
        assert_eq!(out(0x3f8_0000), Exit::PortOut(PortExit { port: 0x3f8, width: Width::B1 }));
        assert_eq!(out(0x3f8_0001), Exit::PortOut(PortExit { port: 0x3f8, width: Width::B2 }));
        assert_eq!(out(0xffff_0000 | 3 | 8), Exit::PortIn(PortExit { port: 0xffff, width: Width::B4 }));
        assert_eq!(out(0xffff_0000 | 3 | 8 | 16 | 32), Exit::PortString);
    }

    #[test]
    fn ept_violations() {
        let f = Fake::new(48).with(ro::QUALIFICATION, 0x182).with(ro::GUEST_PHYSICAL_ADDRESS, 0xfffe);
        let n = NestedFault { gpa: Gpa::new(0xfffe), access: Access::Write, walk: false };
        assert_eq!(decode(&f), Exit::Nested(n));
        let f = Fake::new(48).with(ro::QUALIFICATION, 0x81).with(ro::GUEST_PHYSICAL_ADDRESS, 0x1000);
        assert!(matches!(decode(&f), Exit::Nested(NestedFault { walk: true, access: Access::Read, .. })));
    }

    #[test]
    fn int1_is_told_from_other_debug_exceptions() {
        let with = |info| decode(&Fake::new(0).with(ro::EXIT_INTERRUPTION_INFO, info));
        assert_eq!(with(0x8000_0501), Exit::Icebp);
        assert_eq!(with(0x8000_0301), Exit::Exception(Event::exception(Exception::DB)));
        assert_eq!(with(0x8000_0202), Exit::Nmi);
        assert_eq!(with(0x8000_0312), Exit::MachineCheck);
    }

    #[test]
    fn failed_entries_are_not_exits() {
        let e = decode(&Fake::new(1 << 31 | 33));
        assert_eq!(e, Exit::EntryFailed { what: "VM-entry failure due to invalid guest state", code: 33 });
    }

    #[test]
    fn software_interrupts_are_executed_again() {
        assert_eq!(event(1 << 31 | 4 << 8 | 0x21, || 0), None);
        assert_eq!(event(1 << 31 | 6 << 8 | 3, || 0), None);
        assert_eq!(event(0x8000_0b0d, || 0x18), Some(Event::fault(Exception::GP, 0x18)));
    }

    #[test]
    fn error_codes_are_delivered_in_protected_mode_only() {
        assert_eq!(injection(Event::GP, true), (0x8000_0b0d, 0));
        assert_eq!(injection(Event::GP, false), (0x8000_030d, 0));
    }

    proptest! {
        #[test]
        fn what_is_injected_decodes_to_itself(vector: u8, error: u32, k in 0..3u8) {
            let kind = [EventKind::Interrupt, EventKind::Nmi, EventKind::Exception][usize::from(k)];
            let error_code = Exception(vector).has_error_code().then_some(error);
            let e = Event { kind, vector, error_code };
            let (info, code) = injection(e, true);
            prop_assert_eq!(event(info, || code), Some(e));
        }

        #[test]
        fn every_reason_decodes(reason: u32, q: u64, info: u32) {
            let f = Fake::new(reason)
                .with(ro::QUALIFICATION, q)
                .with(ro::GUEST_PHYSICAL_ADDRESS, q)
                .with(ro::EXIT_INTERRUPTION_INFO, u64::from(info))
                .with(ro::EXIT_INTERRUPTION_ERROR_CODE, q);
            let _ = decode(&f);
        }
    }
}
