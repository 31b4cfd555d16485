//! The registers as the guest reads and writes them: in its memory, or as MSRs.

use super::Lapic;
use super::regs::{DFR_ONES, SVR_BITS, SVR_ENABLED, X2APIC_BITS, X2APIC_READ, X2APIC_WRITE, XAPIC, esr, lvt, word};

/// The first of the MSRs in x2APIC mode.
const MSRS: u32 = 0x800;

// The registers that are written all the time: offsets in the page, and MSRs.
const TPR: u16 = word::TPR as u16 * 16;
const EOI: u16 = word::EOI as u16 * 16;
const ICR: u16 = word::ICR as u16 * 16;
const INITIAL_COUNT: u16 = word::INITIAL_COUNT as u16 * 16;
const TPR_MSR: u32 = MSRS + word::TPR as u32;
const EOI_MSR: u32 = MSRS + word::EOI as u32;
const ICR_MSR: u32 = MSRS + word::ICR as u32;
const INITIAL_COUNT_MSR: u32 = MSRS + word::INITIAL_COUNT as u32;
const SELF_IPI_MSR: u32 = MSRS + word::SELF_IPI as u32;

/// The word that `msr` is.
#[inline]
const fn word_of(msr: u32, mask: u64) -> Option<usize> {
    let index = msr.wrapping_sub(MSRS);
    if index < 64 && mask >> index & 1 != 0 { Some(index as usize) } else { None }
}

impl Lapic {
    /// A 32-bit read at `offset` in the page. Other than in xAPIC mode nothing answers. Between the registers, which
    /// are 16 bytes apart, is 0.
    #[inline]
    pub fn read(&mut self, offset: u16, now: u64) -> u32 {
        if !self.mmio() {
            return u32::MAX;
        }
        match usize::from(offset >> 4) {
            _ if offset & 0xf != 0 => 0,
            word::CURRENT_COUNT => self.current_count(now),
            index if index < 64 && XAPIC >> index & 1 != 0 => self.page.get(index),
            _ => {
                self.error(esr::ILLEGAL_REGISTER);
                0
            }
        }
    }

    /// A 32-bit write at `offset` in the page. ID is read-only here.
    #[inline]
    pub fn write(&mut self, offset: u16, value: u32, now: u64) {
        if !self.mmio() {
            return;
        }
        // What a guest writes all the time first, by straight compares.
        match offset {
            EOI => self.end_of_interrupt(),
            TPR => self.set_tpr(value & 0xff),
            ICR => self.send(value),
            INITIAL_COUNT => self.set_initial_count(value, now),
            _ => self.write_rare(offset, value, now),
        }
    }

    #[inline(never)]
    fn write_rare(&mut self, offset: u16, value: u32, now: u64) {
        match usize::from(offset >> 4) {
            _ if offset & 0xf != 0 => {}
            word::ICR_HIGH => self.page.set(word::ICR_HIGH, value & 0xff00_0000),
            word::LDR => self.page.set(word::LDR, value & 0xff00_0000),
            word::DFR => self.page.set(word::DFR, value | DFR_ONES),
            index if index < 64 && XAPIC >> index & 1 != 0 => self.store(index, value, now),
            _ => self.error(esr::ILLEGAL_REGISTER),
        }
    }

    /// RDMSR of 0x800 to 0x8ff; `None` is #GP (SDM 3A "x2APIC Register Address Space").
    #[inline]
    pub fn read_msr(&mut self, msr: u32, now: u64) -> Option<u64> {
        let index = word_of(msr, X2APIC_READ).filter(|_| self.x2apic())?;
        Some(match index {
            word::CURRENT_COUNT => u64::from(self.current_count(now)),
            word::ICR => u64::from(self.page.get(word::ICR_HIGH)) << 32 | u64::from(self.page.get(word::ICR)),
            _ => u64::from(self.page.get(index)),
        })
    }

    /// WRMSR as a handler makes it at each interrupt, of EOI or TPR, which needs no time. False: it is [`Self::write_msr`]'s.
    #[inline(always)]
    pub fn write_msr_in_handler(&mut self, msr: u32, value: u64) -> bool {
        match msr {
            EOI_MSR if value == 0 && self.x2apic() => self.end_of_interrupt(),
            TPR_MSR if value <= 0xff && self.x2apic() => self.set_tpr(value as u32),
            _ => return false,
        }
        true
    }

    /// WRMSR to 0x800 to 0x8ff; false is #GP (SDM 3A "Reserved Bit Checking"). Read-only bits of LVT entries, and the
    /// ICR's delivery status of xAPIC mode, may be written as anything.
    #[inline]
    pub fn write_msr(&mut self, msr: u32, value: u64, now: u64) -> bool {
        if !self.x2apic() {
            return false;
        }
        let low = value as u32;
        match msr {
            _ if self.write_msr_in_handler(msr, value) => {}
            ICR_MSR if low & !X2APIC_BITS[word::ICR] == 0 => {
                self.page.set(word::ICR_HIGH, (value >> 32) as u32);
                self.send(low);
            }
            SELF_IPI_MSR if value <= 0xff => self.send_self(low as u8),
            INITIAL_COUNT_MSR if value >> 32 == 0 => self.set_initial_count(low, now),
            _ => return self.write_msr_rare(msr, value, now),
        }
        true
    }

    #[inline(never)]
    fn write_msr_rare(&mut self, msr: u32, value: u64, now: u64) -> bool {
        let (Some(index), Ok(value)) = (word_of(msr, X2APIC_WRITE), u32::try_from(value)) else { return false };
        let reserved_mode = index == word::TIMER && value & lvt::MODE == lvt::MODE;
        if value & !X2APIC_BITS[index & 63] != 0 || reserved_mode {
            return false;
        }
        self.store(index, value, now);
        true
    }

    /// A write of a word that both modes have and that is not written all the time.
    fn store(&mut self, index: usize, value: u32, now: u64) {
        // Software-disabled, the mask bits stay set.
        let masked = if self.software_enabled() { 0 } else { lvt::MASKED };
        match index {
            word::SVR => self.set_svr(value & SVR_BITS, now),
            word::ESR => {
                self.advance(now);
                self.page.set(word::ESR, self.errors);
                self.errors = 0;
            }
            word::TIMER => self.set_timer_entry(value & lvt::TIMER_BITS | masked, now),
            word::THERMAL | word::PERFORMANCE => self.page.set(index, value & lvt::SENSOR_BITS | masked),
            word::LINT0 => self.set_lint0_entry(value & lvt::LINT_BITS | masked),
            word::LINT1 => self.page.set(index, value & lvt::LINT_BITS | masked),
            word::ERROR => self.page.set(index, value & lvt::ERROR_BITS | masked),
            word::INITIAL_COUNT => self.set_initial_count(value, now),
            word::DIVIDE => self.set_divide(value, now),
            _ => {}
        }
    }

    /// SDM 3A "Local APIC State After It Has Been Software Disabled": IRR and ISR stay, LVT entries become masked.
    fn set_svr(&mut self, value: u32, now: u64) {
        if value & SVR_ENABLED == 0 {
            self.advance(now);
            for entry in word::TIMER..=word::ERROR {
                self.page.set(entry, self.page.get(entry) | lvt::MASKED);
            }
        }
        self.page.set(word::SVR, value);
    }
}
