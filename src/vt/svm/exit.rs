//! SVM exits decoded to neutral ones: a pure function over the control area
//! (APM 2 Appendix C "SVM Intercept Exit Codes").

use super::vmcb::Control;
use crate::base::{Access, Event, EventKind, Exception, Gpa, Width};
use crate::vt::exit::{Exit, NestedFault, PortExit};

/// Exit codes that have a meaning for this hypervisor.
mod code {
    pub const CR_READ: u64 = 0x00;
    pub const CR_WRITE_LAST: u64 = 0x1f;
    pub const EXCEPTION: u64 = 0x40;
    pub const MACHINE_CHECK: u64 = 0x52;
    pub const EXCEPTION_LAST: u64 = 0x5f;
    pub const INTR: u64 = 0x60;
    pub const NMI: u64 = 0x61;
    pub const VINTR: u64 = 0x64;
    pub const CR0_SELECTIVE_WRITE: u64 = 0x65;
    pub const RDPMC: u64 = 0x6f;
    pub const CPUID: u64 = 0x72;
    pub const IRET: u64 = 0x74;
    pub const INVD: u64 = 0x76;
    pub const HLT: u64 = 0x78;
    pub const INVLPGA: u64 = 0x7a;
    pub const IOIO: u64 = 0x7b;
    pub const MSR: u64 = 0x7c;
    pub const SHUTDOWN: u64 = 0x7f;
    pub const VMRUN: u64 = 0x80;
    pub const VMMCALL: u64 = 0x81;
    pub const VMLOAD: u64 = 0x82;
    pub const SKINIT: u64 = 0x86;
    pub const ICEBP: u64 = 0x88;
    pub const WBINVD: u64 = 0x89;
    pub const MONITOR: u64 = 0x8a;
    pub const MWAIT_ARMED: u64 = 0x8c;
    pub const XSETBV: u64 = 0x8d;
    pub const RDPRU: u64 = 0x8e;
    pub const INVLPGB: u64 = 0xa0;
    pub const INVLPGB_ILLEGAL: u64 = 0xa1;
    pub const MCOMMIT: u64 = 0xa3;
    pub const TLBSYNC: u64 = 0xa4;
    pub const NESTED_FAULT: u64 = 0x400;
}

/// VMEXIT_INVALID: -1 in 64 bits by the manual, in 32 bits on some implementations.
pub const fn is_invalid(exit_code: u64) -> bool {
    exit_code == u64::MAX || exit_code == u32::MAX as u64
}

/// The exit that the control area describes.
#[inline(always)]
pub fn decode(c: &Control) -> Exit {
    match c.exit_code {
        code::CPUID => Exit::Cpuid,
        code::IOIO => port(c.exit_info_1),
        code::MSR if c.exit_info_1 & 1 == 0 => Exit::MsrRead,
        code::MSR => Exit::MsrWrite,
        code::HLT => Exit::Hlt,
        code::VMMCALL => Exit::Hypercall,
        code::NESTED_FAULT => nested(c.exit_info_1, Gpa::new(c.exit_info_2)),
        code::INTR => Exit::Interrupt,
        code::NMI => Exit::Nmi,
        code::VINTR => Exit::InterruptWindow,
        code::IRET => Exit::NmiWindow,
        code::MACHINE_CHECK => Exit::MachineCheck,
        code::EXCEPTION..=code::EXCEPTION_LAST => exception(c),
        code::CR_READ..=code::CR_WRITE_LAST | code::CR0_SELECTIVE_WRITE => Exit::ControlRegister,
        code::XSETBV => Exit::Xsetbv,
        code::SHUTDOWN => Exit::TripleFault,
        code::INVD | code::WBINVD => Exit::CacheFlush,
        code::ICEBP => Exit::Icebp,
        code::RDPMC => Exit::Forbidden,
        code::VMRUN
        | code::VMLOAD..=code::SKINIT
        | code::INVLPGA
        | code::MONITOR..=code::MWAIT_ARMED
        | code::RDPRU
        | code::INVLPGB
        | code::INVLPGB_ILLEGAL
        | code::MCOMMIT
        | code::TLBSYNC => Exit::Undefined,
        other if is_invalid(other) => {
            Exit::EntryFailed { what: "VMEXIT_INVALID: invalid guest state in VMCB", code: other }
        }
        other => Exit::Other { name: name(other), number: other },
    }
}

fn exception(c: &Control) -> Exit {
    let vector = (c.exit_code - code::EXCEPTION) as u8;
    let error_code = Exception(vector).has_error_code().then_some(c.exit_info_1 as u32);
    Exit::Exception(Event { kind: EventKind::Exception, vector, error_code })
}

/// APM 2 "IOIO Intercepts", the format of EXITINFO1.
#[inline(always)]
fn port(info: u64) -> Exit {
    const IN: u64 = 1 << 0;
    const STRING: u64 = 1 << 2;
    /// By the three bits of the size, of which one is set.
    const SIZE: [Width; 8] = {
        let mut size = [Width::B4; 8];
        size[1] = Width::B1;
        size[2] = Width::B2;
        size
    };
    if info & STRING != 0 {
        return Exit::PortString;
    }
    let width = SIZE[(info >> 4 & 7) as usize];
    let access = PortExit { port: (info >> 16) as u16, width };
    if info & IN != 0 { Exit::PortIn(access) } else { Exit::PortOut(access) }
}

/// APM 2 "Nested versus Guest Page Faults, Fault Ordering": EXITINFO1 is a page-fault error code.
#[inline(always)]
fn nested(info: u64, gpa: Gpa) -> Exit {
    let access = if info & 1 << 4 != 0 {
        Access::Fetch
    } else if info & 1 << 1 != 0 {
        Access::Write
    } else {
        Access::Read
    };
    Exit::Nested(NestedFault { gpa, access, walk: info & 1 << 33 != 0 })
}

/// An event in the format of EXITINTINFO (APM 2 "Event Injection"). `None` where it is not valid, and for software
/// interrupts (and INT3, INTO, which SVM reports as exceptions), which the guest raises by executing them again.
#[inline(always)]
pub fn event(info: u64) -> Option<Event> {
    if info & 1 << 31 == 0 {
        return None;
    }
    let vector = info as u8;
    let kind = match info >> 8 & 7 {
        0 => EventKind::Interrupt,
        2 => EventKind::Nmi,
        3 if vector != Exception::BP.0 && vector != Exception::OF.0 => EventKind::Exception,
        _ => return None,
    };
    let error_code = (info & 1 << 11 != 0).then_some((info >> 32) as u32);
    Some(Event { kind, vector, error_code })
}

/// An event for EVENTINJ. `protected`: CR0.PE is 1; otherwise no error code is delivered.
pub fn injection(event: Event, protected: bool) -> u64 {
    let kind = match event.kind {
        EventKind::Interrupt => 0,
        EventKind::Nmi => 2,
        EventKind::Exception => 3,
    };
    let code = match event.error_code {
        Some(code) if protected => 1 << 11 | u64::from(code) << 32,
        _ => 0,
    };
    1 << 31 | kind << 8 | u64::from(event.vector) | code
}

/// The manual's name of an exit code.
pub const fn name(exit_code: u64) -> &'static str {
    match exit_code {
        0x20..=0x3f => "VMEXIT_DR_READ/WRITE",
        0x62 => "VMEXIT_SMI",
        0x63 => "VMEXIT_INIT",
        0x64 => "VMEXIT_VINTR",
        0x66 => "VMEXIT_IDTR_READ",
        0x67 => "VMEXIT_GDTR_READ",
        0x68 => "VMEXIT_LDTR_READ",
        0x69 => "VMEXIT_TR_READ",
        0x6a => "VMEXIT_IDTR_WRITE",
        0x6b => "VMEXIT_GDTR_WRITE",
        0x6c => "VMEXIT_LDTR_WRITE",
        0x6d => "VMEXIT_TR_WRITE",
        0x6e => "VMEXIT_RDTSC",
        0x70 => "VMEXIT_PUSHF",
        0x71 => "VMEXIT_POPF",
        0x73 => "VMEXIT_RSM",
        0x74 => "VMEXIT_IRET",
        0x75 => "VMEXIT_SWINT",
        0x77 => "VMEXIT_PAUSE",
        0x79 => "VMEXIT_INVLPG",
        0x7d => "VMEXIT_TASK_SWITCH",
        0x7e => "VMEXIT_FERR_FREEZE",
        0x87 => "VMEXIT_RDTSCP",
        0x8f => "VMEXIT_EFER_WRITE_TRAP",
        0x90..=0x9f => "VMEXIT_CR_WRITE_TRAP",
        0xa2 => "VMEXIT_INVPCID",
        0x401 => "AVIC_INCOMPLETE_IPI",
        0x402 => "AVIC_NOACCEL",
        0x403 => "VMEXIT_VMGEXIT",
        _ => "an exit code that the manual does not list",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vt::svm::vmcb::Vmcb;
    use proptest::prelude::*;

    fn control(exit_code: u64, info1: u64, info2: u64) -> Control {
        let mut c = Vmcb::zeroed().control;
        (c.exit_code, c.exit_info_1, c.exit_info_2) = (exit_code, info1, info2);
        c
    }

    #[test]
    fn invalid_is_recognised_in_both_widths() {
        for c in [u64::MAX, 0xffff_ffff] {
            assert!(matches!(decode(&control(c, 0, 0)), Exit::EntryFailed { code, .. } if code == c));
        }
        assert!(!is_invalid(0x1_ffff_ffff));
    }

    #[test]
    fn port_exits() {
        let of = |info| decode(&control(0x7b, info, 0));
        assert_eq!(of(0x3f8_0010), Exit::PortOut(PortExit { port: 0x3f8, width: Width::B1 }));
        assert_eq!(of(0x3f8_0020), Exit::PortOut(PortExit { port: 0x3f8, width: Width::B2 }));
        assert_eq!(of(0xffff_0000 | 1 | 0x40), Exit::PortIn(PortExit { port: 0xffff, width: Width::B4 }));
        assert_eq!(of(0xffff_0000 | 1 | 4 | 8 | 0x40), Exit::PortString);
    }

    #[test]
    fn nested_faults() {
        let e = decode(&control(0x400, 1 << 33 | 6, 0x1000));
        assert_eq!(e, Exit::Nested(NestedFault { gpa: Gpa::new(0x1000), access: Access::Write, walk: true }));
        let e = decode(&control(0x400, 1 << 32 | 0x14, 0));
        assert_eq!(e, Exit::Nested(NestedFault { gpa: Gpa::new(0), access: Access::Fetch, walk: false }));
    }

    #[test]
    fn exceptions() {
        assert_eq!(decode(&control(0x41, 0, 0)), Exit::Exception(Event::exception(Exception::DB)));
        assert_eq!(decode(&control(0x51, 0, 0)), Exit::Exception(Event::fault(Exception::AC, 0)));
        assert_eq!(decode(&control(0x52, 0, 0)), Exit::MachineCheck);
    }

    #[test]
    fn software_interrupts_are_executed_again() {
        assert_eq!(event(1 << 31 | 4 << 8 | 0x21), None);
        assert_eq!(event(1 << 31 | 3 << 8 | 3), None);
        assert_eq!(event(1 << 31 | 3 << 8 | 13 | 1 << 11 | 0x18 << 32), Some(Event::fault(Exception::GP, 0x18)));
    }

    proptest! {
        #[test]
        fn what_is_injected_decodes_to_itself(vector: u8, error in proptest::option::of(any::<u32>()), k in 0..3u8) {
            let kind = [EventKind::Interrupt, EventKind::Nmi, EventKind::Exception][usize::from(k)];
            prop_assume!(!(kind == EventKind::Exception && (vector == 3 || vector == 4)));
            let e = Event { kind, vector, error_code: error };
            prop_assert_eq!(event(injection(e, true)), Some(e));
            prop_assert_eq!(event(injection(e, false)).and_then(|e| e.error_code), None);
        }

        #[test]
        fn every_code_decodes(exit_code in prop_oneof![any::<u64>(), 0..0x500u64], a: u64, b: u64) {
            let _ = decode(&control(exit_code, a, b));
        }
    }
}
