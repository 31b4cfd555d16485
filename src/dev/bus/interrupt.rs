//! What devices do on their own: time that passes, interrupts, and the console behind the UART.

use super::{Attention, Bus, Ended, irq};
use crate::base::{ApicMode, Width};
use crate::dev::lapic;

/// How long a tick of the PIT keeps the next one back at most, in microseconds: where it is known when the CPU takes it, and where not.
const LATE_US: u64 = 20_000;
const SOON_US: u64 = 500;
/// No event.
const NEVER: u64 = u64::MAX;
/// So many characters are worth a look at once.
const PIECE: usize = 64;

impl Bus {
    /// What it wants before the guest's next entry.
    #[inline(always)]
    pub const fn attention(&self) -> Attention {
        self.attention
    }

    /// Takes what it wants: it is being seen to.
    #[inline]
    pub fn take_attention(&mut self) -> Attention {
        core::mem::take(&mut self.attention)
    }

    /// Somebody wants it seen to.
    #[inline]
    pub fn call(&mut self, what: Attention) {
        self.attention = self.attention | what;
    }

    /// Brings all devices up to `now`, the host's TSC.
    pub fn advance(&mut self, now: u64) {
        self.interrupts.lapic.advance(self.tsc.guest(now));
        if self.slow_event() <= now {
            self.advance_slow(now);
        }
        self.settle_interrupts();
    }

    /// All but the local APIC's timer.
    #[inline(never)]
    fn advance_slow(&mut self, now: u64) {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now);
        self.slow_due = None;
        if self.pit_held.is_none_or(|until| until <= now) && due(self.pit.next_event()) && self.pit.advance(now) {
            // The edge that the interrupt controllers look for, whatever the line was.
            self.interrupts.set_line(irq::PIT, false);
            self.interrupts.set_line(irq::PIT, true);
            // Where the CPU takes interrupts by itself nobody tells when.
            let us = if self.apic_is_shared { SOON_US } else { LATE_US };
            self.pit_held = Some(now.saturating_add(us.saturating_mul(self.tsc_hz / 1_000_000)));
        }
        if due(self.rtc.next_event()) {
            self.rtc.advance(now);
            self.interrupts.set_line(irq::RTC, self.rtc.irq());
        }
        if due(self.acpi.next_event()) {
            self.acpi.advance(now);
            self.interrupts.set_line(irq::SCI, self.acpi.sci());
        }
    }

    /// When a device will do something next: a TSC of the host, in the past if it is late.
    #[inline]
    pub fn next_event(&mut self) -> Option<u64> {
        let apic = self.interrupts.lapic.next_event().map_or(NEVER, |at| self.tsc.host(at));
        Some(self.slow_event().min(apic)).filter(|at| *at != NEVER)
    }

    /// When the PIT, the clock or the PM timer will, or [`NEVER`]. Guests set the local APIC's timer at each tick and these seldom, so
    /// it is kept until one of them, or who may want the PIT's ticks, changes.
    #[inline]
    fn slow_event(&mut self) -> u64 {
        match self.slow_due {
            Some(due) => due,
            None => self.find_slow_event(),
        }
    }

    #[inline(never)]
    fn find_slow_event(&mut self) -> u64 {
        let events = [self.pit_event(), self.rtc.next_event(), self.acpi.next_event()];
        let due = events.into_iter().flatten().min().unwrap_or(NEVER);
        self.slow_due = Some(due);
        due
    }

    /// One of the slow devices has changed.
    #[inline]
    pub(super) fn call_slow(&mut self) {
        self.slow_due = None;
        self.call(Attention::SERVICE);
    }

    /// The PIT's next tick need not wait any longer.
    #[inline]
    fn call_pit(&mut self) {
        self.pit_held = None;
        self.call_slow();
    }

    /// An interrupt controller was written to: the PIT's ticks may be wanted now, and were not before, or the other way round.
    pub(super) fn after_controller_write(&mut self, wanted: bool, now: u64) {
        if self.interrupts.wants_timer() != wanted {
            self.pit.set_wanted(!wanted, now);
        }
        self.call_pit();
        self.settle_interrupts();
    }

    /// What a guest's TSC has counted, but for its offset, when the host's is `now`.
    #[inline(always)]
    pub const fn guest_cycles(&self, now: u64) -> u64 {
        self.tsc.guest(now)
    }

    /// A tick waits until the CPU has taken an interrupt since the one before, but not for ever: so none is lost, and the fastest timer
    /// leaves the guest time for its handler. Where nobody wants it, nobody need come for it.
    fn pit_event(&self) -> Option<u64> {
        let next = self.pit.next_event().filter(|_| self.interrupts.wants_timer())?;
        Some(self.pit_held.map_or(next, |until| next.max(until)))
    }

    /// After anything was done to an interrupt controller.
    #[inline]
    pub(super) fn settle_interrupts(&mut self) {
        self.interrupts.settle();
        self.notice_interrupts();
    }

    /// After anything that only the local APIC itself knows of.
    #[inline]
    pub(super) fn notice_interrupts(&mut self) {
        if self.interrupts.pending() || self.interrupts.lapic.latched() {
            self.call(Attention::INTERRUPT);
        }
    }

    #[inline]
    fn set_line(&mut self, irq: u8, asserted: bool) {
        if self.interrupts.set_line(irq, asserted) {
            self.settle_interrupts();
        }
    }

    /// Whether an interrupt is there or may come, so that a guest in HLT is not there for ever.
    pub fn may_interrupt(&mut self) -> bool {
        self.interrupt() || self.next_event().is_some() || self.console.is_raw()
    }

    /// Whether an interrupt waits for the CPU.
    #[inline]
    pub fn interrupt(&self) -> bool {
        self.interrupts.pending()
    }

    /// The CPU takes it: its vector.
    #[inline]
    pub fn acknowledge(&mut self) -> Option<u8> {
        if self.pit_held.is_some() {
            self.call_pit();
        }
        let vector = self.interrupts.acknowledge()?;
        if self.interrupts.lapic.ticks_by(vector) {
            // The next tick may have waited for this one.
            self.call(Attention::SERVICE);
        }
        Some(vector)
    }

    /// Takes over what the CPU has changed in the local APIC's page, where it keeps one.
    #[inline(never)]
    pub fn import_apic(&mut self, page: &[u32; lapic::WORDS]) {
        if self.interrupts.lapic.import(page) {
            // It goes back before the next entry.
            self.call(Attention::INTERRUPT);
        }
    }

    /// Gives the local APIC to the CPU, which keeps it in `page` until the next import. That comes before the guest's registers of it
    /// are read or written here, and before anything is asked of it; interrupts may come meanwhile.
    #[inline(never)]
    pub fn export_apic(&mut self, page: &mut [u32; lapic::WORDS]) -> lapic::Status {
        self.apic_is_shared = true;
        self.interrupts.lapic.export(page)
    }

    /// The vectors whose EOI the CPU must tell, if they have changed since this was asked last.
    pub fn new_level_triggered(&mut self) -> Option<[u32; 8]> {
        let lapic = &mut self.interrupts.lapic;
        lapic.take_triggers_changed().then(|| lapic.level_triggered())
    }

    /// The CPU has ended the level-triggered interrupt `vector` by itself.
    pub fn end_of_level(&mut self, vector: u8) {
        self.interrupts.lapic.ended(vector);
        self.settle_interrupts();
    }

    /// The guest has written `value` to the local APIC's register at `offset` of its page, and the CPU tells it afterwards.
    pub fn apic_written(&mut self, offset: u16, value: u32, now: u64) {
        if self.interrupts.lapic.x2apic() {
            self.interrupts.lapic.write_msr(0x800 + u32::from(offset >> 4), value.into(), self.tsc.guest(now));
        } else {
            self.interrupts.lapic.write(offset, value, self.tsc.guest(now));
        }
        self.interrupts.lapic.show_again();
        self.after_lapic_write(offset);
    }

    /// How the guest reaches its local APIC, and whether it is software-enabled.
    pub fn apic_mode(&self) -> (ApicMode, bool) {
        let lapic = &self.interrupts.lapic;
        let mode = match (lapic.x2apic(), lapic.mmio()) {
            (true, _) => ApicMode::Msr,
            (false, true) => ApicMode::Memory,
            (false, false) => ApicMode::Off,
        };
        (mode, lapic.software_enabled())
    }

    /// Whether the 8259s have an interrupt for the CPU.
    #[inline]
    pub fn extint(&self) -> bool {
        self.interrupts.lapic.takes_extint()
    }

    /// Whether an NMI waits for the CPU.
    #[inline]
    pub fn nmi(&self) -> bool {
        self.interrupts.lapic.nmi()
    }

    /// The CPU takes it.
    pub fn take_nmi(&mut self) {
        self.interrupts.lapic.take_nmi();
    }

    /// Whether the CPU was sent an INIT.
    #[inline]
    pub fn take_init(&mut self) -> bool {
        self.interrupts.lapic.take_init()
    }

    /// CR8.
    pub fn cr8(&self) -> u64 {
        self.interrupts.lapic.cr8().into()
    }

    /// Sets CR8, to 0 to 15.
    pub fn set_cr8(&mut self, value: u64) {
        self.interrupts.lapic.set_cr8(value as u8);
        self.settle_interrupts();
    }

    /// IA32_APIC_BASE.
    pub fn apic_base(&self) -> u64 {
        self.interrupts.lapic.base_msr()
    }

    /// Sets IA32_APIC_BASE; false is #GP.
    pub fn set_apic_base(&mut self, value: u64) -> bool {
        let fine = self.interrupts.lapic.set_base_msr(value, true);
        self.call(Attention::SERVICE);
        self.settle_interrupts();
        fine
    }

    /// An MSR of the local APIC in x2APIC mode; `None` is #GP.
    #[inline]
    pub fn read_apic_msr(&mut self, msr: u32, now: impl Fn() -> u64) -> Option<u64> {
        self.interrupts.lapic.read_msr(msr, self.tsc.guest(now()))
    }

    /// Sets one; false is #GP.
    #[inline(always)]
    pub fn write_apic_msr(&mut self, msr: u32, value: u64, now: impl Fn() -> u64) -> bool {
        if self.interrupts.lapic.write_msr_in_handler(msr, value) {
            self.after_handler_write();
            return true;
        }
        self.write_other_apic_msr(msr, value, now)
    }

    #[inline(never)]
    fn write_other_apic_msr(&mut self, msr: u32, value: u64, now: impl Fn() -> u64) -> bool {
        let fine = self.interrupts.lapic.write_msr(msr, value, self.tsc.guest(now()));
        self.after_lapic_write(((msr & 0xff) << 4) as u16);
        fine
    }

    /// IA32_TSC_DEADLINE.
    pub fn tsc_deadline(&mut self, now: impl Fn() -> u64) -> u64 {
        // One that has passed reads as zero.
        self.interrupts.lapic.advance(self.tsc.guest(now()));
        self.settle_interrupts();
        self.interrupts.lapic.deadline()
    }

    /// Sets IA32_TSC_DEADLINE; `offset` is what the guest's TSC adds to the host's.
    #[inline]
    pub fn set_tsc_deadline(&mut self, value: u64, offset: u64, now: impl Fn() -> u64) {
        self.interrupts.lapic.advance(self.tsc.guest(now()));
        self.interrupts.lapic.set_deadline(value, offset);
        self.call(Attention::SERVICE | Attention::INTERRUPT);
    }

    /// The guest's TSC has another `offset` to the host's now.
    pub fn set_tsc_offset(&mut self, offset: u64) {
        self.interrupts.lapic.set_tsc_offset(offset);
        self.call(Attention::SERVICE);
    }

    /// Has the guest's console show bytes as they are, and take input.
    pub fn set_raw_console(&mut self) {
        self.console.set_raw();
    }

    /// Whether the UART has room for a character that was typed.
    pub const fn can_receive(&self) -> bool {
        self.uart.can_receive()
    }

    /// A typed character.
    pub fn receive(&mut self, character: u8) {
        self.uart.receive(character);
        self.set_line(irq::UART, self.uart.irq());
    }

    /// Takes what the guest has printed raw; how many bytes.
    pub fn take_output(&mut self, to: &mut [u8]) -> usize {
        let count = self.console.take_raw(to);
        if self.uart.is_stalled() {
            self.uart.resume(&mut self.console);
            self.set_line(irq::UART, self.uart.irq());
        }
        count
    }

    /// The guest has printed `byte`.
    #[inline]
    pub(super) fn after_print(&mut self, byte: u8) {
        let due = if self.console.is_raw() {
            byte == b'\n' || matches!(self.console.waiting(), 1 | PIECE)
        } else {
            self.console.has_line()
        };
        if due {
            self.call(Attention::CONSOLE);
        }
    }

    #[inline]
    pub(super) fn after_uart_write(&mut self, offset: u16, byte: u8) {
        if offset == 0 {
            self.after_print(byte);
        }
        self.set_line(irq::UART, self.uart.irq());
    }

    #[inline]
    pub(super) fn after_uart_read(&mut self, offset: u16) {
        // Reading the data makes room; reading the identification or a status ends an interrupt. The line status is polled.
        match offset {
            0 => {
                self.set_line(irq::UART, self.uart.irq());
                if self.console.is_raw() {
                    self.call(Attention::CONSOLE);
                }
            }
            _ => self.set_line(irq::UART, self.uart.irq()),
        }
    }

    #[inline(never)]
    pub(super) fn write_pit(&mut self, port: u16, value: u8, now: u64) {
        self.pit.write(port, value, now);
        if self.pit.withdraws() {
            self.set_line(irq::PIT, false);
            self.pit_held = None;
        }
        self.call_slow();
    }

    #[inline(never)]
    pub(super) fn read_acpi(&mut self, offset: u16, width: Width, now: u64) -> u32 {
        let value = self.acpi.read(offset, width, now);
        // The timer's status may have been set.
        self.set_line(irq::SCI, self.acpi.sci());
        value
    }

    #[inline(never)]
    pub(super) fn write_acpi(&mut self, offset: u16, width: Width, value: u32, now: u64) {
        let power = self.acpi.write(offset, width, value, now);
        self.end(power.map(Ended::Power));
        self.set_line(irq::SCI, self.acpi.sci());
        self.call_slow();
    }

    #[inline(never)]
    pub(super) fn read_pics(&mut self, port: u16, now: u64) -> u8 {
        // A guest may poll for what it does not let interrupt.
        if self.pit_held.is_some() {
            self.call_pit();
        }
        self.interrupts.lapic.advance(self.tsc.guest(now));
        self.advance_slow(now);
        let value = self.interrupts.pics.read(port);
        self.settle_interrupts();
        value
    }

    #[inline(never)]
    pub(super) fn write_pics(&mut self, port: u16, value: u8, now: u64) {
        let wanted = self.interrupts.wants_timer();
        self.interrupts.pics.write(port, value);
        self.after_controller_write(wanted, now);
    }

    #[inline(never)]
    pub(super) fn read_rtc(&mut self, port: u16, now: u64) -> u8 {
        let value = self.rtc.read(port, now);
        self.set_line(irq::RTC, self.rtc.irq());
        // A read of register C may let the next periodic interrupt come.
        self.call_slow();
        value
    }

    #[inline(never)]
    pub(super) fn write_rtc(&mut self, port: u16, value: u8, now: u64) {
        self.rtc.write(port, value, now);
        self.set_line(irq::RTC, self.rtc.irq());
        self.call_slow();
    }
}
