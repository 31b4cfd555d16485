//! A virtual local APIC, by SDM 3A "Advanced Programmable Interrupt Controller (APIC)": xAPIC and x2APIC modes, with
//! the timer in its three modes.
//!
//! It is that of a virtual machine with one CPU: what it sends to others goes nowhere, lowest priority is as fixed, and
//! what it sends has always arrived. The page stays at its address, there is no SMM and no INIT state to wait in, so
//! SMI and start-up messages do nothing. There is no PMU and no thermal sensor; their LVT entries are only kept.
//!
//! `now` is the host's TSC; the timer's input clock is that TSC.

mod accept;
mod access;
pub mod regs;
mod shared;
mod timer;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_access;
#[cfg(test)]
mod tests_model;
#[cfg(test)]
mod tests_timer;

use regs::{Page, SVR_ENABLED, word};
pub use shared::{Status, WORDS};
use timer::Timer;

/// Where the page is.
pub const BASE: u64 = 0xfee0_0000;

/// IA32_APIC_BASE (SDM 3A "Local APIC Status and Location").
#[allow(missing_docs)]
pub mod base {
    pub const BSP: u64 = 1 << 8;
    pub const X2APIC: u64 = 1 << 10;
    pub const ENABLED: u64 = 1 << 11;
}

/// Signals to the CPU that are not in the page.
mod latch {
    pub const NMI: u8 = 1 << 0;
    pub const INIT: u8 = 1 << 1;
    pub const EXTINT: u8 = 1 << 2;
}

/// A local APIC.
#[derive(Clone, Debug)]
pub struct Lapic {
    page: Page,
    timer: Timer,
    base: u64,
    id: u32,
    /// Errors since ESR was last written.
    errors: u32,
    latched: u8,
    lint0: bool,
    lint1: bool,
    eoi: Option<u8>,
    /// The CPU keeps IRR, ISR and TPR while the guest runs.
    shared: bool,
    /// It does so now.
    away: bool,
}

impl Lapic {
    /// After power-up: of the bootstrap processor, in xAPIC mode, software-disabled
    /// (SDM 3A "Local APIC State After Power-Up or Reset"). `id` is the x2APIC ID, and its low byte the xAPIC ID.
    pub const fn new(id: u32) -> Self {
        let mut lapic = Self {
            page: Page::new(),
            timer: Timer::new(),
            base: BASE | base::BSP | base::ENABLED,
            id,
            errors: 0,
            latched: 0,
            lint0: false,
            lint1: false,
            eoi: None,
            shared: false,
            away: false,
        };
        lapic.identify();
        lapic
    }

    /// Its APIC ID.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// What RDMSR of IA32_APIC_BASE gives.
    pub const fn base_msr(&self) -> u64 {
        self.base
    }

    /// WRMSR to IA32_APIC_BASE; false is #GP: reserved bits, a transition that does not exist (SDM 3A "x2APIC State
    /// Transitions"), or another address than [`BASE`], as the page cannot be moved. Disabling it loses all its state.
    pub fn set_base_msr(&mut self, value: u64, x2apic_offered: bool) -> bool {
        let mode = base::ENABLED | base::X2APIC;
        let writable = if x2apic_offered { mode | base::BSP } else { base::ENABLED | base::BSP };
        if value & !writable != BASE {
            return false;
        }
        let (old, new) = (self.base & mode, value & mode);
        let allowed = match new {
            base::X2APIC => false,
            base::ENABLED => old != mode,
            0 => true,
            _ => old != 0,
        };
        if !allowed {
            return false;
        }
        self.base = value;
        if (old ^ new) & base::ENABLED != 0 {
            self.reset();
        } else if old != new {
            self.page.set(word::ICR_HIGH, 0);
            self.identify();
        }
        true
    }

    /// The page answers at [`BASE`]: xAPIC mode.
    #[inline]
    pub const fn mmio(&self) -> bool {
        self.base & (base::ENABLED | base::X2APIC) == base::ENABLED
    }

    /// The registers answer as MSRs: x2APIC mode.
    #[inline]
    pub const fn x2apic(&self) -> bool {
        self.base & base::X2APIC != 0
    }

    /// Enabled in IA32_APIC_BASE.
    #[inline]
    const fn enabled(&self) -> bool {
        self.base & base::ENABLED != 0
    }

    /// Enabled in SVR too.
    #[inline]
    pub const fn software_enabled(&self) -> bool {
        self.page.get(word::SVR) & SVR_ENABLED != 0
    }

    /// Registers and timer as after reset. Pins, the mode and what is latched for the CPU stay.
    const fn reset(&mut self) {
        self.page = Page::new();
        self.timer = Timer::new();
        self.errors = 0;
        self.eoi = None;
        self.latched &= !latch::EXTINT;
        self.identify();
    }

    /// ID and LDR of the mode that it is in (SDM 3A "Logical Destination Mode in x2APIC Mode").
    const fn identify(&mut self) {
        let (id, ldr) = if self.x2apic() { (self.id, self.x2apic_ldr()) } else { (self.id << 24, 0) };
        self.page.set(word::ID, id);
        self.page.set(word::LDR, ldr);
    }

    const fn x2apic_ldr(&self) -> u32 {
        (self.id >> 4) << 16 | 1 << (self.id & 15)
    }

    /// CR8: bits 7:4 of TPR.
    #[inline]
    pub const fn cr8(&self) -> u8 {
        (self.page.get(word::TPR) >> 4) as u8
    }

    /// MOV to CR8, of which bits 3:0 count: bits 7:4 of TPR, and the others become 0.
    #[inline]
    pub fn set_cr8(&mut self, value: u8) {
        self.set_tpr((u32::from(value) & 0xf) << 4);
    }

    #[inline]
    fn set_tpr(&mut self, value: u32) {
        self.page.set(word::TPR, value);
        self.page.update_ppr();
    }

    /// What the CPU would be given next: the highest vector in IRR, if its class is above PPR's. While the APIC is
    /// software-disabled, what is in IRR waits.
    #[inline]
    pub const fn interrupt(&self) -> Option<u8> {
        match self.page.highest_requested() {
            // While the CPU has PPR, it decides.
            Some(vector)
                if (self.away || vector as u32 >> 4 > self.page.get(word::PPR) >> 4) && self.software_enabled() =>
            {
                Some(vector)
            }
            _ => None,
        }
    }

    /// The CPU takes `vector`: it moves from IRR to ISR. Nothing happens if it is not in IRR.
    #[inline]
    pub fn acknowledge(&mut self, vector: u8) {
        if self.page.has(word::IRR, vector) {
            self.page.begin(vector);
            self.page.update_ppr();
        }
    }

    /// An NMI waits for the CPU.
    #[inline]
    pub const fn nmi(&self) -> bool {
        self.latched & latch::NMI != 0
    }

    /// The CPU takes the NMI, if there is one.
    pub fn take_nmi(&mut self) -> bool {
        self.take(latch::NMI)
    }

    /// The CPU takes the INIT, if one was sent. The APIC is then as after reset, except its mode and ID
    /// (SDM 3A "Local APIC State After It Receives an INIT-Reset").
    pub fn take_init(&mut self) -> bool {
        let init = self.take(latch::INIT);
        if init {
            self.latched = 0;
            self.reset();
        }
        init
    }

    fn take(&mut self, which: u8) -> bool {
        let was = self.latched & which != 0;
        self.latched &= !which;
        was
    }

    /// An NMI, an INIT or an ExtINT waits for the CPU.
    #[inline]
    pub const fn latched(&self) -> bool {
        self.latched != 0
    }

    /// Whether [`Self::take_eoi`] has one.
    #[inline]
    pub const fn has_eoi(&self) -> bool {
        self.eoi.is_some()
    }

    /// The vector of a level-triggered interrupt whose EOI the I/O APICs must see. There is room for one: ask after
    /// each write to the EOI register.
    #[inline]
    pub fn take_eoi(&mut self) -> Option<u8> {
        self.eoi.take()
    }
}
