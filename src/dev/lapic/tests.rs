//! Modes, priorities, messages, IPIs, pins and errors.

use super::regs::{esr, lvt, word};
use super::*;
use crate::dev::message::{Delivery, Message};

pub const XAPIC: u64 = BASE | base::BSP | base::ENABLED;
pub const X2APIC: u64 = XAPIC | base::X2APIC;

pub const fn at(word: usize) -> u16 {
    (word * 16) as u16
}

/// Software-enabled, in xAPIC mode.
pub fn enabled(id: u32) -> Lapic {
    let mut l = Lapic::new(id);
    l.write(at(word::SVR), 0x1ff, 0);
    l
}

/// Software-enabled, in x2APIC mode.
pub fn x2(id: u32) -> Lapic {
    let mut l = enabled(id);
    assert!(l.set_base_msr(X2APIC, true));
    l
}

pub fn fixed(vector: u8, level: bool) -> Message {
    Message { vector, delivery: Delivery::Fixed, level, destination: 0xff, logical: false }
}

fn logical(destination: u32) -> Message {
    Message { destination, logical: true, ..fixed(0x40, false) }
}

fn physical(destination: u32) -> Message {
    Message { destination, logical: false, ..fixed(0x40, false) }
}

fn end(l: &mut Lapic) {
    l.write(at(word::EOI), 0, 0);
}

#[test]
fn base_msr_follows_the_state_transitions() {
    let off = BASE | base::BSP;
    // (from, to, allowed); the way to each state starts at reset.
    let ways: [(u64, &[u64]); 3] = [(off, &[off]), (XAPIC, &[]), (X2APIC, &[X2APIC])];
    for (from, way) in ways {
        for (to, allowed) in [
            (off, true),
            (XAPIC, from != X2APIC),
            (X2APIC, from != off),
            (off | base::X2APIC, false),
            (XAPIC | 1 << 9, false),
            (XAPIC | 1, false),
            (XAPIC + 0x1000, false),
            (XAPIC | 1 << 36, false),
        ] {
            let mut l = Lapic::new(0);
            for &step in way {
                assert!(l.set_base_msr(step, true));
            }
            assert_eq!(l.set_base_msr(to, true), allowed, "{from:#x} to {to:#x}");
            assert_eq!(l.base_msr(), if allowed { to } else { from });
            assert_eq!(l.mmio(), l.base_msr() == XAPIC);
        }
    }
    assert!(!Lapic::new(0).set_base_msr(X2APIC, false));
}

#[test]
fn switching_to_x2apic_keeps_and_disabling_loses() {
    let mut l = enabled(0x23);
    assert!(l.accept(&fixed(0x40, false)));
    l.write(at(word::TPR), 0x35, 0);
    l.write(at(word::ICR_HIGH), 0x2300_0000, 0);
    assert!(l.set_base_msr(X2APIC, true));
    assert_eq!(l.interrupt(), Some(0x40));
    assert_eq!(l.read_msr(0x808, 0), Some(0x35));
    assert_eq!(l.read_msr(0x802, 0), Some(0x23));
    assert_eq!(l.read_msr(0x80d, 0), Some(0x2_0008));
    assert_eq!(l.read_msr(0x830, 0), Some(0));
    assert!(l.set_base_msr(BASE, true));
    assert!(!l.accept(&fixed(0x40, false)));
    assert!(l.set_base_msr(XAPIC, true));
    assert_eq!((l.interrupt(), l.read(at(word::SVR), 0), l.read(at(word::TPR), 0)), (None, 0xff, 0));
    assert_eq!((l.read(at(word::ID), 0), l.read(at(word::LDR), 0)), (0x2300_0000, 0));
}

#[test]
fn ppr_is_the_higher_of_tpr_and_isr() {
    let mut l = enabled(0);
    assert!(l.accept(&fixed(0x51, false)));
    l.write(at(word::TPR), 0x5f, 0);
    assert_eq!((l.interrupt(), l.read(at(word::PPR), 0)), (None, 0x5f));
    l.set_cr8(4);
    assert_eq!((l.interrupt(), l.cr8(), l.read(at(word::TPR), 0)), (Some(0x51), 4, 0x40));
    l.acknowledge(0x51);
    assert_eq!((l.interrupt(), l.read(at(word::PPR), 0)), (None, 0x50));
    assert!(l.accept(&fixed(0x5f, false)) && l.accept(&fixed(0x60, false)));
    assert_eq!(l.interrupt(), Some(0x60));
    l.acknowledge(0x60);
    end(&mut l);
    assert_eq!((l.interrupt(), l.read(at(word::PPR), 0)), (None, 0x50));
    end(&mut l);
    assert_eq!((l.interrupt(), l.read(at(word::PPR), 0)), (Some(0x5f), 0x40));
    l.acknowledge(0x77);
    assert_eq!(l.interrupt(), Some(0x5f));
}

#[test]
fn only_level_interrupts_broadcast_their_eoi() {
    let mut l = enabled(0);
    for (vector, level) in [(0x40, true), (0x40, false), (0xff, true)] {
        assert!(l.accept(&fixed(vector, level)));
        assert_eq!(l.read(at(word::TMR) + u16::from(vector >> 5) * 16, 0) >> (vector & 31) & 1, u32::from(level));
        l.acknowledge(vector);
        assert_eq!(l.take_eoi(), None);
        end(&mut l);
        assert_eq!(l.take_eoi(), level.then_some(vector));
        assert_eq!(l.take_eoi(), None);
    }
    end(&mut l);
    assert_eq!(l.take_eoi(), None);
}

#[test]
fn software_disabled_it_takes_nmi_and_init_only() {
    let mut l = Lapic::new(0);
    assert!(!l.accept(&fixed(0x40, false)));
    assert!(!l.accept(&Message { delivery: Delivery::ExtInt, ..fixed(0, false) }));
    assert!(l.accept(&Message { delivery: Delivery::Nmi, ..fixed(0, false) }));
    assert!(l.nmi() && l.take_nmi() && !l.take_nmi());
    assert!(l.accept(&Message { delivery: Delivery::Init, ..fixed(0, false) }));
    assert!(l.take_init() && !l.take_init());
    let mut l = enabled(0);
    l.write(at(word::LINT1), 0x400, 0);
    assert!(l.accept(&fixed(0x40, false)));
    l.write(at(word::SVR), 0xff, 0);
    l.write(at(word::LINT1), 0x400, 0);
    assert_eq!((l.interrupt(), l.read(at(word::IRR) + 32, 0)), (None, 1));
    assert_eq!(l.read(at(word::LINT1), 0), 0x1_0400);
    l.write(at(word::SVR), 0x1ff, 0);
    assert_eq!((l.interrupt(), l.read(at(word::LINT1), 0)), (Some(0x40), 0x1_0400));
}

#[test]
fn init_resets_all_but_mode_and_id() {
    let mut l = x2(0x12);
    assert!(l.write_msr(0x808, 0x20, 0));
    assert!(l.write_msr(0x830, 0x12_0000_4500, 0));
    assert!(l.take_init());
    assert_eq!((l.base_msr(), l.read_msr(0x808, 0), l.read_msr(0x80f, 0)), (X2APIC, Some(0), Some(0xff)));
    assert_eq!((l.read_msr(0x802, 0), l.read_msr(0x80d, 0)), (Some(0x12), Some(0x1_0004)));
}

#[test]
fn destinations_in_xapic_mode() {
    let mut l = enabled(5);
    for (message, taken) in [(physical(5), true), (physical(4), false), (physical(0xff), true), (logical(0xff), true)] {
        assert_eq!(l.accept(&message), taken, "{message:?}");
    }
    l.write(at(word::LDR), 0x24ff_ffff, 0);
    assert_eq!(l.read(at(word::LDR), 0), 0x2400_0000);
    // The flat model, the cluster model, and one that does not exist.
    for (dfr, mda, taken) in [
        (0xf000_0000, 0x04, true),
        (0xf000_0000, 0x60, true),
        (0xf000_0000, 0x1b, false),
        (0, 0x24, true),
        (0, 0x2f, true),
        (0, 0x14, false),
        (0, 0x2b, false),
        (0x5000_0000, 0x24, false),
    ] {
        l.write(at(word::DFR), dfr, 0);
        assert_eq!(l.read(at(word::DFR), 0), dfr | 0x0fff_ffff);
        assert_eq!(l.accept(&logical(mda)), taken, "{dfr:#x} {mda:#x}");
    }
}

#[test]
fn destinations_in_x2apic_mode() {
    let mut l = x2(0x123);
    for (message, taken) in [
        (physical(0x123), true),
        (physical(0x23), false),
        (physical(u32::MAX), true),
        (logical(0x12_0008), true),
        (logical(0x12_fff7), false),
        (logical(0x13_0008), false),
        (logical(u32::MAX), true),
    ] {
        assert_eq!(l.accept(&message), taken, "{message:?}");
    }
    // 0xff is an ordinary ID in an IPI of this mode.
    assert!(l.write_msr(0x830, 0xff_0000_4050, 0));
    assert_eq!(l.read_msr(0x822, 0), Some(1));
    assert!(l.write_msr(0x830, 0xffff_ffff_0000_4050, 0));
    assert_eq!(l.interrupt(), Some(0x50));
}

#[test]
fn ipis_go_where_the_icr_says() {
    // (low, destination, arrives)
    for (low, high, arrives) in [
        (0x4_0041, 0, true),
        (0x8_0041, 0, true),
        (0xc_0041, 0, false),
        (0x0_4041, 7, true),
        (0x0_4141, 7, true),
        (0x0_4041, 6, false),
        (0x0_4041, 0xff, true),
        (0x0_4841, 0x80, true),
        (0x0_4841, 0x7f, false),
        (0x0_4741, 7, false),
        (0x0_4341, 7, false),
    ] {
        let mut l = enabled(7);
        l.write(at(word::LDR), 0x8000_0000, 0);
        l.write(at(word::ICR_HIGH), high << 24 | 0xff, 0);
        l.write(at(word::ICR), low | 0x1000, 0);
        assert_eq!(l.interrupt(), arrives.then_some(0x41), "{low:#x} {high:#x}");
        assert_eq!((l.read(at(word::ICR), 0), l.read(at(word::ICR_HIGH), 0)), (low, high << 24));
        assert!(!l.takes_extint());
    }
    let mut l = enabled(7);
    l.write(at(word::ICR_HIGH), 7 << 24, 0);
    l.write(at(word::ICR), 0x4400, 0);
    assert!(l.take_nmi());
    l.write(at(word::ICR), 0x8500, 0);
    assert!(!l.take_init());
    for ignored in [0x4200, 0x4600] {
        l.write(at(word::ICR), ignored, 0);
        assert!(!l.nmi() && !l.take_init() && l.interrupt().is_none());
    }
    l.write(at(word::ICR), 0xc500, 0);
    assert!(l.take_init());
}

#[test]
fn lint0_as_extint() {
    let mut l = Lapic::new(0);
    l.set_lint0(true);
    assert!(!l.takes_extint());
    l.write(at(word::SVR), 0x1ff, 0);
    l.write(at(word::LINT0), 0x700, 0);
    assert!(l.takes_extint() && l.interrupt().is_none());
    l.write(at(word::LINT0), 0x1_0700, 0);
    assert!(!l.takes_extint());
    assert!(l.set_base_msr(BASE, true));
    assert!(l.takes_extint());
    l.set_lint0(false);
    assert!(!l.takes_extint());
    let mut l = enabled(0);
    assert!(l.accept(&Message { delivery: Delivery::ExtInt, ..fixed(0, false) }));
    assert!(l.takes_extint() && l.take_extint() && !l.takes_extint() && !l.take_extint());
}

#[test]
fn lint_pins_as_edge_level_and_nmi() {
    let mut l = enabled(0);
    l.write(at(word::LINT0), 0x40, 0);
    for rises in [true, false, false] {
        l.set_lint0(true);
        assert_eq!(l.interrupt(), rises.then_some(0x40));
        l.acknowledge(0x40);
        end(&mut l);
    }
    l.set_lint0(false);
    l.write(at(word::LINT0), 0x8040, 0);
    l.set_lint0(true);
    for _ in 0..2 {
        assert_eq!((l.interrupt(), l.read(at(word::LINT0), 0)), (Some(0x40), 0x8040 | lvt::REMOTE_IRR));
        l.acknowledge(0x40);
        assert_eq!(l.interrupt(), None);
        end(&mut l);
        assert_eq!(l.take_eoi(), Some(0x40));
    }
    l.acknowledge(0x40);
    l.set_lint0(false);
    end(&mut l);
    assert_eq!((l.interrupt(), l.read(at(word::LINT0), 0)), (None, 0x8040));
    // A level that is there when the entry is unmasked.
    l.write(at(word::LINT0), 0x1_8040, 0);
    l.set_lint0(true);
    assert_eq!(l.interrupt(), None);
    l.write(at(word::LINT0), 0x8040, 0);
    assert_eq!(l.interrupt(), Some(0x40));
    l.write(at(word::LINT1), 0x400, 0);
    l.set_lint1(true);
    assert!(l.take_nmi());
    l.set_lint1(true);
    assert!(!l.take_nmi());
}

#[test]
fn errors_are_latched_by_a_write_and_interrupt_once() {
    let mut l = enabled(0);
    l.write(at(word::ERROR), 0xfe, 0);
    assert_eq!(l.read(0, 0), 0);
    assert_eq!((l.interrupt(), l.read(at(word::ESR), 0)), (Some(0xfe), 0));
    l.acknowledge(0xfe);
    end(&mut l);
    l.write(0x400, 0, 0);
    assert!(!l.accept(&fixed(15, false)));
    assert_eq!(l.interrupt(), None);
    l.write(at(word::ESR), 0, 0);
    assert_eq!(l.read(at(word::ESR), 0), esr::ILLEGAL_REGISTER | esr::RECEIVE_ILLEGAL_VECTOR);
    l.write(at(word::ICR), 0xc_000f, 0);
    assert_eq!(l.interrupt(), Some(0xfe));
    l.write(at(word::ESR), 0, 0);
    assert_eq!(l.read(at(word::ESR), 0), esr::SEND_ILLEGAL_VECTOR);
    // The error entry's own vector is illegal.
    l.write(at(word::ERROR), 3, 0);
    l.write(at(word::ICR), 0x4_0000, 0);
    l.write(at(word::ESR), 0, 0);
    assert_eq!(l.read(at(word::ESR), 0), esr::SEND_ILLEGAL_VECTOR | esr::RECEIVE_ILLEGAL_VECTOR);
    l.write(at(word::ESR), 0, 0);
    assert_eq!(l.read(at(word::ESR), 0), 0);
}
