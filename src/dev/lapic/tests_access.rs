//! Every register, in the page and as an MSR.

use super::regs::{esr, word};
use super::tests::{X2APIC, at, enabled, x2};
use super::*;

#[test]
fn state_after_reset() {
    let mut l = Lapic::new(3);
    assert_eq!((l.base_msr(), l.mmio(), l.x2apic(), l.id()), (0xfee0_0900, true, false, 3));
    for index in 0..0x40 {
        let expected = match index {
            word::ID => 3 << 24,
            word::VERSION => 0x0005_0014,
            word::DFR => u32::MAX,
            word::SVR => 0xff,
            word::TIMER..=word::ERROR => 0x1_0000,
            _ => 0,
        };
        assert_eq!(l.read(at(index), 0), expected, "{index:#x}");
    }
    assert_eq!((l.interrupt(), l.nmi(), l.next_event(), l.takes_extint()), (None, false, None, false));
}

#[test]
fn page_keeps_what_can_be_written() {
    for (index, kept) in [
        (word::ID, 0),
        (word::VERSION, 0x0005_0014),
        (word::TPR, 0xff),
        (word::PPR, 0),
        (word::EOI, 0),
        (word::LDR, 0xff00_0000),
        (word::DFR, u32::MAX),
        (word::SVR, 0x3ff),
        (word::ISR, 0),
        (word::TMR + 7, 0),
        (word::IRR + 3, 0),
        (word::ICR_HIGH, 0xff00_0000),
        (word::TIMER, 0x7_00ff),
        (word::THERMAL, 0x1_07ff),
        (word::PERFORMANCE, 0x1_07ff),
        (word::LINT0, 0x1_a7ff),
        (word::LINT1, 0x1_a7ff),
        (word::ERROR, 0x1_00ff),
        (word::INITIAL_COUNT, u32::MAX),
        (word::DIVIDE, 0xb),
    ] {
        let mut l = enabled(0);
        l.write(at(index), u32::MAX, 0);
        assert_eq!(l.read(at(index), 0), kept, "{index:#x}");
    }
    let mut l = enabled(0);
    l.write(at(word::TPR) + 4, 0xff, 0);
    assert_eq!((l.read(at(word::TPR), 0), l.read(at(word::SVR) + 8, 0)), (0, 0));
}

#[test]
fn reserved_offsets_are_errors() {
    let known = |i: u16| matches!(i, 2 | 3 | 8..=0x28 | 0x30..=0x39 | 0x3e);
    for index in 0..0x100 {
        for write in [false, true] {
            let mut l = enabled(0);
            if write {
                l.write(index * 16, 0, 0);
            } else {
                l.read(index * 16, 0);
            }
            l.write(at(word::ESR), 0, 0);
            let error = l.read(at(word::ESR), 0) & esr::ILLEGAL_REGISTER != 0;
            assert_eq!(error, !known(index), "{index:#x} {write}");
        }
    }
}

#[test]
fn msrs_exist_in_x2apic_mode_only() {
    let mut l = enabled(0);
    assert_eq!((l.read_msr(0x802, 0), l.write_msr(0x808, 0, 0)), (None, false));
    assert!(l.set_base_msr(X2APIC, true));
    assert_eq!(l.read(at(word::SVR), 0), u32::MAX);
    l.write(at(word::TPR), 0xff, 0);
    assert_eq!(l.read_msr(0x808, 0), Some(0));
    for msr in 0x7f0..=0x910 {
        let low = matches!(msr, 0x802 | 0x803 | 0x808 | 0x80a | 0x80d | 0x80f..=0x828);
        let readable = low || matches!(msr, 0x830 | 0x832..=0x839 | 0x83e);
        assert_eq!(x2(0).read_msr(msr, 0).is_some(), readable, "{msr:#x}");
        let writable = matches!(msr, 0x808 | 0x80b | 0x80f | 0x828 | 0x830 | 0x832..=0x838 | 0x83e | 0x83f);
        assert_eq!(x2(0).write_msr(msr, 0, 0), writable, "{msr:#x}");
    }
    assert_eq!((l.read_msr(u32::MAX, 0), l.write_msr(0, 0, 0)), (None, false));
}

#[test]
fn reserved_bits_are_refused() {
    for (msr, allowed) in [
        (0x808, 0xff),
        (0x80b, 0),
        (0x80f, 0x3ff),
        (0x828, 0),
        (0x830, 0xffff_ffff_000c_dfff),
        (0x832, 0x7_10ff),
        (0x833, 0x1_17ff),
        (0x834, 0x1_17ff),
        (0x835, 0x1_f7ff),
        (0x836, 0x1_f7ff),
        (0x837, 0x1_10ff),
        (0x838, 0xffff_ffff),
        (0x83e, 0xb),
        (0x83f, 0xff_u64),
    ] {
        for bit in 0..64 {
            let taken = x2(0).write_msr(msr, 1 << bit, 0);
            assert_eq!(taken, allowed >> bit & 1 != 0, "{msr:#x} bit {bit}");
        }
    }
    assert!(!x2(0).write_msr(0x832, 0x6_0040, 0));
}

#[test]
fn x2apic_registers_work() {
    let mut l = x2(0x20);
    assert!(l.write_msr(0x83f, 0x61, 0));
    assert_eq!((l.interrupt(), l.read_msr(0x823, 0)), (Some(0x61), Some(2)));
    l.acknowledge(0x61);
    assert_eq!((l.read_msr(0x813, 0), l.read_msr(0x80a, 0)), (Some(2), Some(0x60)));
    assert!(!l.write_msr(0x80b, 1, 0));
    assert!(l.write_msr(0x80b, 0, 0));
    assert_eq!(l.read_msr(0x813, 0), Some(0));
    assert!(l.write_msr(0x830, 0x20_0000_5062, 0));
    assert_eq!((l.interrupt(), l.read_msr(0x830, 0)), (Some(0x62), Some(0x20_0000_4062)));
    assert!(l.write_msr(0x83f, 4, 0));
    assert!(l.write_msr(0x828, 0, 0));
    assert_eq!(l.read_msr(0x828, 0), Some(u64::from(esr::SEND_ILLEGAL_VECTOR | esr::RECEIVE_ILLEGAL_VECTOR)));
}
