//! The page that a CPU with virtual-interrupt delivery keeps of a local APIC while its guest runs (SDM 3C "APIC Virtualization and
//! Virtual Interrupts", "Virtualized APIC Registers").
//!
//! Between [`Lapic::import`] and [`Lapic::export`] everything is here. Otherwise IRR, ISR and TPR are the page's, and IRR here has
//! what came since then.

use super::Lapic;
use super::regs::word;

/// Words of the page. Register `n` is word `4 * n`.
pub const WORDS: usize = 1024;

/// What the CPU must know besides the page (SDM 3C "Guest Interrupt Status").
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Status {
    /// Requesting virtual interrupt: the highest vector in IRR; 0 is none.
    pub requested: u8,
    /// Servicing virtual interrupt: the highest vector in ISR; 0 is none.
    pub in_service: u8,
}

impl Lapic {
    /// Takes over what the CPU has changed in the page; nothing, if that was done since the last export. Whether it was new.
    pub fn import(&mut self, page: &[u32; WORDS]) -> bool {
        let away = core::mem::take(&mut self.away);
        if away {
            self.page.merge(page, self.mmio());
            self.page.update_ppr();
        }
        away
    }

    /// A register was written in the page: what it shows of it is to be written anew.
    pub fn show_again(&mut self) {
        self.page.show_again();
    }

    /// Writes what has changed here to the page; from now on IRR, ISR and TPR are the CPU's.
    pub fn export(&mut self, page: &mut [u32; WORDS]) -> Status {
        let status = Status {
            // A software-disabled APIC delivers nothing.
            requested: self.page.highest_requested().filter(|_| self.software_enabled()).unwrap_or(0),
            in_service: self.page.highest_in_service().unwrap_or(0),
        };
        self.page.give(page);
        (self.shared, self.away) = (true, true);
        status
    }

    /// A vector has become level-triggered, or edge-triggered, since this was asked last.
    pub fn take_triggers_changed(&mut self) -> bool {
        self.page.take_triggers_changed()
    }

    /// The vectors whose EOI the I/O APICs must see: those that TMR says are level-triggered.
    pub fn level_triggered(&self) -> [u32; 8] {
        core::array::from_fn(|i| self.page.get(word::TMR + i))
    }

    /// The CPU has ended `vector`, which is level-triggered, by itself.
    pub fn ended(&mut self, vector: u8) {
        self.end_of_level(vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::message::{Delivery, Message};

    fn fixed(vector: u8, level: bool) -> Message {
        Message { vector, delivery: Delivery::Fixed, level, destination: 0, logical: false }
    }

    fn enabled() -> Lapic {
        let mut lapic = Lapic::new(0);
        lapic.write(0xf0, 0x1ff, 0);
        lapic
    }

    #[test]
    fn what_the_cpu_did_comes_back() {
        let (mut lapic, mut page) = (enabled(), [0; WORDS]);
        assert!(lapic.accept(&fixed(0x41, false)) && lapic.accept(&fixed(0x63, true)));
        assert_eq!(lapic.export(&mut page), Status { requested: 0x63, in_service: 0 });
        assert_eq!(lapic.interrupt(), None, "it is the CPU's now");
        assert_eq!(lapic.level_triggered()[3], 1 << 3);
        // The CPU delivers 0x63, and the guest sets TPR.
        page[4 * (word::IRR + 3)] = 0;
        page[4 * (word::ISR + 3)] = 1 << 3;
        page[4 * word::TPR] = 0x70;
        // Meanwhile another one comes.
        assert!(lapic.accept(&fixed(0x81, false)));
        lapic.import(&page);
        assert_eq!((lapic.cr8(), lapic.interrupt()), (7, Some(0x81)));
        assert_eq!(lapic.export(&mut page), Status { requested: 0x81, in_service: 0x63 });
        assert_eq!(page[4 * (word::IRR + 2)], 1 << 1, "the first one still waits");
    }

    #[test]
    fn an_import_twice_is_one() {
        let (mut lapic, mut page) = (enabled(), [0; WORDS]);
        lapic.accept(&fixed(0x41, false));
        lapic.export(&mut page);
        assert!(lapic.import(&page) && !lapic.import(&page));
        assert_eq!(lapic.interrupt(), Some(0x41));
    }

    #[test]
    fn what_is_done_here_after_an_import_stays() {
        let (mut lapic, mut page) = (enabled(), [0; WORDS]);
        lapic.export(&mut page);
        page[4 * word::TPR] = 0x30;
        page[4 * word::ICR_HIGH] = 5 << 24;
        lapic.import(&page);
        assert_eq!((lapic.cr8(), lapic.read(0x310, 0)), (3, 5 << 24));
        // Off and on again is a reset.
        assert!(lapic.set_base_msr(0xfee0_0100, true) && lapic.set_base_msr(0xfee0_0900, true));
        lapic.import(&page);
        assert_eq!(lapic.cr8(), 0);
    }

    #[test]
    fn a_periodic_timer_goes_on_though_nobody_here_takes_its_ticks() {
        let (mut lapic, mut page) = (enabled(), [0; WORDS]);
        lapic.write(0x3e0, 0b1011, 0);
        lapic.write(0x320, 1 << 17 | 0xec, 0);
        lapic.write(0x380, 1_000_000, 0);
        lapic.export(&mut page);
        for tick in 1..5 {
            lapic.import(&page);
            lapic.advance(tick * 1_000_000);
            assert_eq!(lapic.next_event(), Some((tick + 1) * 1_000_000));
            lapic.export(&mut page);
            assert_eq!(page[4 * (word::IRR + 7)], 1 << 12);
            // The CPU delivers it, and the guest ends it.
            page[4 * (word::IRR + 7)] = 0;
        }
    }

    #[test]
    fn disabled_it_gives_nothing() {
        let (mut lapic, mut page) = (enabled(), [0; WORDS]);
        lapic.accept(&fixed(0x41, false));
        lapic.write(0xf0, 0xff, 0);
        assert_eq!(lapic.export(&mut page).requested, 0);
    }
}
