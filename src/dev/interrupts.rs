//! The interrupt controllers of the standard guest machine, wired as on a PC: two 8259s at LINT0, an I/O APIC, one local APIC.

use super::ioapic::Ioapic;
use super::lapic::Lapic;
use super::pic::Pics;

/// The input of the I/O APIC for ISA interrupt 0; the others have their own number.
const TIMER_PIN: u8 = 2;

/// Spurious interrupt vector register: software-enabled, vector 0xff.
const SPURIOUS: (u16, u32) = (0xf0, 0x1ff);
/// LVT LINT0: ExtINT. LVT LINT1: NMI.
const LINT0: (u16, u32) = (0x350, 0x700);
const LINT1: (u16, u32) = (0x360, 0x400);

/// All of them.
#[derive(Clone, Debug)]
pub struct Interrupts {
    /// The local APIC of the one CPU.
    pub lapic: Lapic,
    /// The I/O APIC.
    pub ioapic: Ioapic,
    /// The 8259s.
    pub pics: Pics,
    /// ISA interrupt lines by number, as they are.
    lines: u16,
}

impl Interrupts {
    /// As firmware leaves them: the 8259s' interrupts come through LINT0 (virtual wire mode, MultiProcessor Specification
    /// "Virtual Wire Mode"), NMIs through LINT1.
    pub fn new() -> Self {
        let mut lapic = Lapic::new(0);
        for (register, value) in [SPURIOUS, LINT0, LINT1] {
            lapic.write(register, value, 0);
        }
        Self { lapic, ioapic: Ioapic::new(1), pics: Pics::new(), lines: 0 }
    }

    /// ISA interrupt line `irq` (0 to 15) is asserted, or not. Returns whether that changed anything.
    #[inline]
    pub fn set_line(&mut self, irq: u8, asserted: bool) -> bool {
        let bit = 1 << (irq & 15);
        if (self.lines & bit != 0) == asserted {
            return false;
        }
        self.lines ^= bit;
        self.pics.set_line(irq, asserted);
        self.ioapic.set_line(if irq == 0 { TIMER_PIN } else { irq }, asserted);
        self.settle();
        true
    }

    /// Whether an edge of the timer, ISA interrupt 0, gets anywhere.
    pub fn wants_timer(&self) -> bool {
        !self.pics.is_masked(0) || !self.ioapic.is_masked(TIMER_PIN)
    }

    /// Carries on what a controller has to say to another: after anything was done to one of them.
    #[inline]
    pub fn settle(&mut self) {
        if let Some(vector) = self.lapic.take_eoi() {
            self.ioapic.eoi(vector);
        }
        while let Some(message) = self.ioapic.take_message() {
            self.lapic.accept(&message);
        }
        self.lapic.set_lint0(self.pics.output());
    }

    /// Whether the CPU's INTR pin is asserted, or the local APIC has an interrupt for it.
    #[inline]
    pub fn pending(&self) -> bool {
        self.lapic.interrupt().is_some() || self.lapic.takes_extint()
    }

    /// The CPU takes an interrupt: its vector.
    #[inline]
    pub fn acknowledge(&mut self) -> Option<u8> {
        if self.lapic.takes_extint() {
            self.lapic.take_extint();
            let vector = self.pics.acknowledge();
            self.lapic.set_lint0(self.pics.output());
            return Some(vector);
        }
        let vector = self.lapic.interrupt()?;
        self.lapic.acknowledge(vector);
        Some(vector)
    }
}

impl Default for Interrupts {
    fn default() -> Self {
        Self::new()
    }
}
