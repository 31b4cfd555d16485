//! Device memory: the APICs' registers and the scratch memory.

use super::{Attention, Bus};
use crate::base::{Gpa, PAGE_SIZE};
use crate::dev::lapic::Lapic;
use crate::dev::unclaimed::Place;

/// Where the local APIC's registers are, one page.
pub const LOCAL_APIC: Gpa = Gpa::new(0xfee0_0000);
/// Where the I/O APIC's registers are, one page.
pub const IOAPIC: Gpa = Gpa::new(0xfec0_0000);
/// Where the scratch memory is, one page.
pub const SCRATCH_MEMORY: Gpa = Gpa::new(0xd_0000);

impl Bus {
    /// The guest reads memory at `gpa` that is not RAM.
    ///
    /// The APICs' registers are read by aligned accesses of 32 bits (SDM 3A "Local APIC Register Address Map"); others, which are
    /// undefined there, are answered as by memory that nobody claims.
    #[inline]
    pub fn mmio_read(&mut self, gpa: Gpa, to: &mut [u8], now: impl Fn() -> u64) {
        let offset = gpa.page_offset() as u16;
        if let Ok(word) = <&mut [u8; 4]>::try_from(&mut *to)
            && offset & 3 == 0
        {
            if gpa.page() == LOCAL_APIC && self.interrupts.lapic.mmio() {
                let value = self.interrupts.lapic.read(offset, self.tsc.guest(now()));
                *word = value.to_le_bytes();
                if value == 0 {
                    // One that does not exist reads as 0, and may raise the error interrupt.
                    self.notice_interrupts();
                }
                return;
            }
            if gpa.page() == IOAPIC {
                *word = self.interrupts.ioapic.read(offset).to_le_bytes();
                return;
            }
        }
        match scratch_memory_offset(gpa, to.len()) {
            Some(offset) => self.memory.read(offset, to),
            None => self.split_read(gpa, to),
        }
    }

    /// The guest writes memory at `gpa` that is not RAM.
    #[inline]
    pub fn mmio_write(&mut self, gpa: Gpa, from: &[u8], now: impl Fn() -> u64) {
        let offset = gpa.page_offset() as u16;
        if let Ok(word) = <[u8; 4]>::try_from(from)
            && offset & 3 == 0
        {
            let value = u32::from_le_bytes(word);
            if gpa.page() == LOCAL_APIC && self.interrupts.lapic.mmio() {
                self.interrupts.lapic.write(offset, value, self.tsc.guest(now()));
                self.after_lapic_write(offset);
                return;
            }
            if gpa.page() == IOAPIC {
                let wanted = self.interrupts.wants_timer();
                self.interrupts.ioapic.write(offset, value);
                self.after_controller_write(wanted, now());
                return;
            }
        }
        match scratch_memory_offset(gpa, from.len()) {
            Some(offset) => self.memory.write(offset, from),
            None => self.split_write(gpa, from),
        }
    }

    /// A write to the local APIC's register at `offset` of its page.
    #[inline]
    pub(super) fn after_lapic_write(&mut self, offset: u16) {
        if Lapic::moves_timer(offset) {
            self.call(Attention::SERVICE);
        }
        self.after_handler_write();
    }

    /// The local APIC was written to: what that means for interrupts.
    #[inline(always)]
    pub(super) fn after_handler_write(&mut self) {
        if self.interrupts.lapic.has_eoi() {
            self.settle_interrupts();
        } else {
            self.notice_interrupts();
        }
    }

    #[inline(never)]
    fn split_read(&mut self, gpa: Gpa, to: &mut [u8]) {
        let mut missing = None;
        for (byte, i) in to.iter_mut().zip(0..) {
            let at = gpa.checked_add(i);
            *byte = 0xff;
            match at.and_then(|at| scratch_memory_offset(at, 1)) {
                Some(offset) => self.memory.read(offset, core::slice::from_mut(byte)),
                None => missing = missing.or(at),
            }
        }
        if let Some(gpa) = missing {
            self.unclaimed.note(Place::Memory(gpa), false);
        }
    }

    #[inline(never)]
    fn split_write(&mut self, gpa: Gpa, from: &[u8]) {
        let mut missing = None;
        for (byte, i) in from.iter().zip(0..) {
            let at = gpa.checked_add(i);
            match at.and_then(|at| scratch_memory_offset(at, 1)) {
                Some(offset) => self.memory.write(offset, core::slice::from_ref(byte)),
                None => missing = missing.or(at),
            }
        }
        if let Some(gpa) = missing {
            self.unclaimed.note(Place::Memory(gpa), true);
        }
    }
}

/// The offset in the scratch memory, if all `len` bytes at `gpa` are there.
#[inline]
fn scratch_memory_offset(gpa: Gpa, len: usize) -> Option<u16> {
    let offset = gpa.raw().checked_sub(SCRATCH_MEMORY.raw()).filter(|&o| o < PAGE_SIZE)?;
    (len as u64 <= PAGE_SIZE - offset).then_some(offset as u16)
}
