//! What comes to the APIC and what it sends: messages, the ICR, its pins, and errors
//! (SDM 3A "Issuing Interprocessor Interrupts", "Handling Interrupts", "Error Handling").

use super::regs::{DFR_ONES, FIRST_VECTOR, esr, icr, lvt, word};
use super::{Lapic, latch};
use crate::dev::message::{Delivery, Message};

impl Lapic {
    /// Takes a message from an I/O APIC or a device; whether it is for this APIC and does something. 0xff and
    /// 0xffff_ffff are everybody in both modes. An ExtINT message is kept until [`Self::take_extint`].
    pub fn accept(&mut self, message: &Message) -> bool {
        let everybody = matches!(message.destination, 0xff | u32::MAX);
        self.enabled()
            && (everybody || self.addressed(message.destination, message.logical))
            && self.deliver(message.delivery, message.vector, message.level)
    }

    /// Whether `destination` names this APIC (SDM 3A "Determining IPI Destination").
    fn addressed(&self, destination: u32, logical: bool) -> bool {
        let everybody = if self.x2apic() { u32::MAX } else { 0xff };
        if destination == everybody || !logical {
            return destination == everybody || destination == self.id;
        }
        let ldr = self.page.get(word::LDR);
        if self.x2apic() {
            return destination >> 16 == ldr >> 16 && destination & ldr & 0xffff != 0;
        }
        let ldr = ldr >> 24;
        match self.page.get(word::DFR) | DFR_ONES {
            u32::MAX => destination & ldr & 0xff != 0 && destination <= 0xff,
            DFR_ONES => destination >> 4 == ldr >> 4 && destination & ldr & 0xf != 0,
            _ => false,
        }
    }

    /// Something for this CPU. Software-disabled, an APIC takes only NMI and INIT.
    fn deliver(&mut self, delivery: Delivery, vector: u8, level: bool) -> bool {
        match delivery {
            Delivery::Fixed | Delivery::LowestPriority => return self.fixed(vector, level),
            Delivery::Nmi => self.latched |= latch::NMI,
            Delivery::Init => self.latched |= latch::INIT,
            Delivery::ExtInt if self.software_enabled() => self.latched |= latch::EXTINT,
            Delivery::ExtInt | Delivery::Smi | Delivery::StartUp | Delivery::Reserved => return false,
        }
        true
    }

    #[inline]
    pub(super) fn fixed(&mut self, vector: u8, level: bool) -> bool {
        if !self.software_enabled() {
            return false;
        }
        if vector < FIRST_VECTOR {
            self.error(esr::RECEIVE_ILLEGAL_VECTOR);
            return false;
        }
        self.page.request(vector, level);
        true
    }

    /// A write to the low half of the ICR. IPIs are always edge-triggered. Combinations that the manual calls invalid,
    /// such as an NMI with the shorthand "self", are sent as they are.
    #[inline]
    pub(super) fn send(&mut self, value: u32) {
        self.page.set(word::ICR, value & icr::BITS);
        let vector = value as u8;
        if value & (icr::SHORTHAND | icr::DELIVERY) == icr::TO_SELF && vector >= FIRST_VECTOR {
            self.fixed(vector, false);
        } else {
            self.send_any(value);
        }
    }

    #[inline(never)]
    fn send_any(&mut self, value: u32) {
        let (delivery, vector) = (Delivery::of(value >> 8), value as u8);
        match delivery {
            Delivery::Fixed | Delivery::LowestPriority if vector < FIRST_VECTOR => {
                self.error(esr::SEND_ILLEGAL_VECTOR);
            }
            // The level de-assert, which only set arbitration IDs.
            Delivery::Init if value & (icr::LEVEL | icr::ASSERT) == icr::LEVEL => return,
            Delivery::ExtInt => return,
            _ => {}
        }
        let high = self.page.get(word::ICR_HIGH);
        let destination = if self.x2apic() { high } else { high >> 24 };
        let to_this = match value & icr::SHORTHAND {
            icr::NO_SHORTHAND => self.addressed(destination, value & icr::LOGICAL != 0),
            icr::OTHERS => false,
            _ => true,
        };
        if to_this {
            self.deliver(delivery, vector, false);
        }
    }

    /// The SELF IPI register.
    #[inline]
    pub(super) fn send_self(&mut self, vector: u8) {
        if vector < FIRST_VECTOR {
            self.error(esr::SEND_ILLEGAL_VECTOR);
        }
        self.fixed(vector, false);
    }

    /// A write to the EOI register (SDM 3A "Signaling Interrupt Servicing Completion").
    #[inline]
    pub(super) fn end_of_interrupt(&mut self) {
        if let Some((vector, level)) = self.page.end() {
            self.page.update_ppr();
            if level {
                self.end_of_level(vector);
            }
        }
    }

    #[inline(never)]
    pub(super) fn end_of_level(&mut self, vector: u8) {
        self.eoi = Some(vector);
        let entry = self.page.get(word::LINT0);
        if entry & lvt::REMOTE_IRR != 0 && entry as u8 == vector {
            self.page.set(word::LINT0, entry & !lvt::REMOTE_IRR);
            self.level_lint0();
        }
    }

    /// The event of LVT entry `entry`, edge-triggered.
    pub(super) fn raise(&mut self, entry: usize) {
        let value = self.page.get(entry);
        if value & lvt::MASKED == 0 {
            match Delivery::of(value >> 8) {
                // ExtINT follows the pin; lowest priority is reserved here.
                Delivery::ExtInt | Delivery::LowestPriority => {}
                delivery => _ = self.deliver(delivery, value as u8, false),
            }
        }
    }

    /// The pin LINT0, which the 8259s drive.
    #[inline]
    pub fn set_lint0(&mut self, asserted: bool) {
        let rises = asserted && !self.lint0;
        self.lint0 = asserted;
        if rises && self.page.get(word::LINT0) & lvt::MASKED == 0 {
            if self.lint0_is_level() { self.level_lint0() } else { self.raise(word::LINT0) }
        }
    }

    /// The pin LINT1, which is NMI on a PC, and is the CPU's own NMI pin with the APIC disabled in IA32_APIC_BASE. It
    /// has no level-triggered interrupts.
    pub fn set_lint1(&mut self, asserted: bool) {
        if asserted && !self.lint1 {
            if self.enabled() { self.raise(word::LINT1) } else { self.latched |= latch::NMI }
        }
        self.lint1 = asserted;
    }

    /// The trigger mode counts in fixed delivery only.
    fn lint0_is_level(&self) -> bool {
        self.page.get(word::LINT0) & (lvt::LEVEL | lvt::DELIVERY) == lvt::LEVEL
    }

    /// Accepts a level that LINT0 has, unless it is being serviced.
    fn level_lint0(&mut self) {
        let entry = self.page.get(word::LINT0);
        let free = entry & (lvt::MASKED | lvt::REMOTE_IRR) == 0 && self.lint0_is_level();
        if free && self.lint0 && self.fixed(entry as u8, true) {
            self.page.set(word::LINT0, entry | lvt::REMOTE_IRR);
        }
    }

    /// A write to LINT0's LVT entry. Remote IRR stays while the entry is one that has it; an edge while masked is lost.
    pub(super) fn set_lint0_entry(&mut self, value: u32) {
        let remote = self.page.get(word::LINT0) & lvt::REMOTE_IRR;
        self.page.set(word::LINT0, value);
        if self.lint0_is_level() {
            self.page.set(word::LINT0, value | remote);
            self.level_lint0();
        }
    }

    /// The CPU's INTR comes from the 8259s: it asks them for the vector. So it is with LINT0 asserted and delivered as
    /// ExtINT, after an ExtINT message, and with LINT0 asserted if the APIC is disabled in IA32_APIC_BASE.
    #[inline]
    pub const fn takes_extint(&self) -> bool {
        let entry = self.page.get(word::LINT0) & (lvt::MASKED | lvt::DELIVERY);
        let through = entry == (Delivery::ExtInt as u32) << 8 || !self.enabled();
        self.lint0 && through || self.latched & latch::EXTINT != 0
    }

    /// The CPU has asked the 8259s: forgets the ExtINT message, if there was one.
    pub fn take_extint(&mut self) -> bool {
        self.take(latch::EXTINT)
    }

    /// Logs errors until ESR is written; the first one since then raises the error interrupt.
    #[cold]
    pub(super) fn error(&mut self, which: u32) {
        let first = self.errors == 0;
        self.errors |= which;
        // If the error entry's own vector is illegal, that is one more error and no longer the first.
        if first {
            self.raise(word::ERROR);
        }
    }
}
