//! The guest's bus: finds the device for a port or an address, and answers where there is none.

use super::acpi::Acpi;
use super::i8042::I8042;
use super::interrupts::Interrupts;
use super::pci::Pci;
use super::pit::Pit;
use super::ports::{self, PortDevice, PortRange, Shape, route};
use super::power::Power;
use super::reset::{Port92, ResetControl};
use super::rtc::Rtc;
use crate::base::{TscRatio, Width};
use crate::dev::{
    console::Console,
    debugcon::Debugcon,
    exit_port::ExitPort,
    fifo::Fifo,
    post::Post,
    scratch_memory::ScratchMemory,
    scratch_ports::ScratchPorts,
    uart::Uart,
    unclaimed::{Place, UnclaimedLog},
};

mod attention;
mod fuzz;
mod interrupt;
mod memory;

pub use attention::Attention;
pub use fuzz::fuzz;
pub use memory::{IOAPIC, LOCAL_APIC, SCRATCH_MEMORY};

/// ISA interrupts.
mod irq {
    pub const PIT: u8 = 0;
    pub const UART: u8 = 4;
    pub const RTC: u8 = 8;
    pub const SCI: u8 = 9;
}

/// What a machine's clocks are at its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// Frequency of the host's TSC in Hz; 0 stops all clocks that are made from it.
    pub tsc_hz: u64,
    /// The host's TSC.
    pub now: u64,
    /// The time of day, in seconds since 1970, UTC.
    pub unix_seconds: u64,
    /// The end of RAM below 4 GiB, as firmware leaves it in the clock's memory.
    pub low_memory: u64,
    /// How fast the guest's TSC runs, and with it the timer of its local APIC.
    pub tsc: TscRatio,
}

impl Default for Start {
    /// All clocks stand still at 0.
    fn default() -> Self {
        Self { tsc_hz: 0, now: 0, unix_seconds: 0, low_memory: 0, tsc: TscRatio::ONE }
    }
}

/// A device has ended the VM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By the exit port, with this value.
    Exit(u32),
    /// By a register of power management.
    Power(Power),
}

/// A guest's devices and what it printed.
///
/// I/O ports are bytes side by side (SDM 1 "I/O Port Addressing", "I/O Address Space"): an access that reaches over
/// several ports is one byte access per port, in ascending order, unless it is one of those that a device takes whole
/// (`ports`). Bytes that no device claims read as all ones and are dropped when written; an access with such
/// bytes is counted once, at the first of them.
///
/// `now` gives the host's TSC where a device needs the time.
#[derive(Clone, Debug)]
pub struct Bus {
    attention: Attention,
    ended: Option<Ended>,
    interrupts: Interrupts,
    /// The CPU keeps the local APIC in a page while the guest runs.
    apic_is_shared: bool,
    tsc: TscRatio,
    pit: Pit,
    /// A tick of the PIT has not been taken by the CPU yet: the next one waits, but until this TSC of the host at most.
    pit_held: Option<u64>,
    /// When the PIT, the clock or the PM timer does something next, as far as that is known: see [`Self::slow_event`].
    slow_due: Option<u64>,
    tsc_hz: u64,
    rtc: Rtc,
    acpi: Acpi,
    keyboard: I8042,
    port92: Port92,
    reset_control: ResetControl,
    pci: Pci,
    debugcon: Debugcon,
    uart: Uart,
    exit: ExitPort,
    post: Post,
    scratch: ScratchPorts,
    fifo: Fifo,
    memory: ScratchMemory,
    console: Console,
    unclaimed: UnclaimedLog,
}

impl Bus {
    /// The standard guest machine.
    pub fn pc(start: &Start) -> Self {
        let mut rtc = Rtc::new(start.tsc_hz, start.unix_seconds, start.now);
        rtc.set_memory(start.low_memory);
        Self {
            attention: Attention::SERVICE,
            ended: None,
            interrupts: Interrupts::new(),
            apic_is_shared: false,
            tsc: start.tsc,
            pit: Pit::new(start.tsc_hz),
            pit_held: None,
            slow_due: None,
            tsc_hz: start.tsc_hz,
            rtc,
            acpi: Acpi::new(start.tsc_hz, start.now),
            keyboard: I8042::new(),
            port92: Port92::new(),
            reset_control: ResetControl::new(),
            pci: Pci::new(),
            debugcon: Debugcon,
            uart: Uart::new(),
            exit: ExitPort::new(),
            post: Post::new(),
            scratch: ScratchPorts::new(),
            fifo: Fifo::new(),
            memory: ScratchMemory::new(),
            console: Console::new(),
            unclaimed: UnclaimedLog::new(),
        }
    }

    /// The guest reads `width` at `port`; ports have 1, 2 or 4 bytes at a time.
    #[inline(always)]
    pub fn port_in(&mut self, port: u16, width: Width, now: impl Fn() -> u64) -> u32 {
        route!(
            port,
            |range| if whole(&range, port, width) {
                self.device_in(range, port, width, &now)
            } else {
                self.split_in(port, width, &now)
            },
            self.split_in(port, width, &now)
        )
    }

    /// The guest writes the low `width` of `value` at `port`; ports have 1, 2 or 4 bytes at a time.
    #[inline(always)]
    pub fn port_out(&mut self, port: u16, width: Width, value: u32, now: impl Fn() -> u64) {
        route!(
            port,
            |range| if whole(&range, port, width) {
                self.device_out(range, port, width, value, &now);
            } else {
                self.split_out(port, width, value, &now);
            },
            self.split_out(port, width, value, &now)
        );
    }

    /// Whether the guest has ended its VM, and how: what came first.
    #[inline(always)]
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// What the guest printed.
    #[inline]
    pub const fn console(&mut self) -> &mut Console {
        &mut self.console
    }

    /// What the guest wrote to port 0x80 last.
    pub const fn post_code(&self) -> u32 {
        self.post.code()
    }

    /// The accesses that no device answered.
    pub const fn unclaimed(&self) -> &UnclaimedLog {
        &self.unclaimed
    }

    #[inline(always)]
    fn device_in(&mut self, range: PortRange, port: u16, width: Width, now: &impl Fn() -> u64) -> u32 {
        let offset = port.wrapping_sub(range.first);
        match range.device {
            PortDevice::Uart => {
                let value = self.uart.read(offset);
                self.after_uart_read(offset);
                value.into()
            }
            PortDevice::Scratch => self.scratch.read(offset).into(),
            PortDevice::Post => self.post.read(width),
            PortDevice::Debugcon => self.debugcon.read().into(),
            PortDevice::Exit => self.exit.read(),
            PortDevice::Fifo => self.fifo.read(width),
            PortDevice::Pit => self.pit.read(port, now()).into(),
            PortDevice::Acpi => self.read_acpi(offset, width, now()),
            PortDevice::Pics => self.read_pics(port, now()).into(),
            PortDevice::Rtc => self.read_rtc(port, now()).into(),
            PortDevice::Keyboard => self.keyboard.read(port).into(),
            PortDevice::Port92 => self.port92.read().into(),
            PortDevice::ResetControl => self.reset_control.read().into(),
            PortDevice::PciAddress | PortDevice::PciData => self.pci.read(port, width),
        }
    }

    #[inline(always)]
    fn device_out(&mut self, range: PortRange, port: u16, width: Width, value: u32, now: &impl Fn() -> u64) {
        let (offset, byte) = (port.wrapping_sub(range.first), value as u8);
        match range.device {
            PortDevice::Uart => {
                self.uart.write(offset, byte, &mut self.console);
                self.after_uart_write(offset, byte);
            }
            PortDevice::Scratch => self.scratch.write(offset, byte),
            PortDevice::Post => self.post.write(width, value),
            PortDevice::Debugcon => {
                self.debugcon.write(byte, &mut self.console);
                self.after_print(byte);
            }
            PortDevice::Exit => {
                self.exit.write(width, value);
                self.end(self.exit.value().map(Ended::Exit));
            }
            PortDevice::Fifo => self.fifo.write(width, value),
            PortDevice::Pit => self.write_pit(port, byte, now()),
            PortDevice::Acpi => self.write_acpi(offset, width, value, now()),
            PortDevice::Pics => self.write_pics(port, byte, now()),
            PortDevice::Rtc => self.write_rtc(port, byte, now()),
            PortDevice::Keyboard => {
                let power = self.keyboard.write(port, byte);
                self.end(power.map(Ended::Power));
            }
            PortDevice::Port92 => {
                let power = self.port92.write(byte);
                self.end(power.map(Ended::Power));
            }
            PortDevice::ResetControl => {
                let power = self.reset_control.write(byte);
                self.end(power.map(Ended::Power));
            }
            PortDevice::PciAddress | PortDevice::PciData => self.pci.write(port, width, value),
        }
    }

    /// A device may have ended the VM.
    #[inline]
    fn end(&mut self, how: Option<Ended>) {
        self.ended = self.ended.or(how);
    }

    #[inline(never)]
    fn split_in(&mut self, port: u16, width: Width, now: &impl Fn() -> u64) -> u32 {
        let mut bytes = [0; 4];
        let mut missing = None;
        for (byte, i) in bytes.iter_mut().zip(0..width as u16) {
            // There are no ports past 0xffff.
            let at = port.checked_add(i);
            *byte = match at.and_then(|at| Some((at, ports::find(at)?))) {
                Some((at, range)) => self.device_in(range, at, Width::B1, now) as u8,
                None => {
                    missing = missing.or(at);
                    0xff
                }
            };
        }
        if let Some(port) = missing {
            self.unclaimed.note(Place::Port(port), false);
        }
        u32::from_le_bytes(bytes)
    }

    #[inline(never)]
    fn split_out(&mut self, port: u16, width: Width, value: u32, now: &impl Fn() -> u64) {
        let mut missing = None;
        for (byte, i) in value.to_le_bytes().into_iter().zip(0..width as u16) {
            let at = port.checked_add(i);
            match at.and_then(|at| Some((at, ports::find(at)?))) {
                Some((at, range)) => self.device_out(range, at, Width::B1, byte.into(), now),
                None => missing = missing.or(at),
            }
        }
        if let Some(port) = missing {
            self.unclaimed.note(Place::Port(port), true);
        }
    }
}

/// Whether the device takes an access of `width` at `port` as it is.
#[inline(always)]
const fn whole(range: &PortRange, port: u16, width: Width) -> bool {
    match range.shape {
        Shape::Bytes => matches!(width, Width::B1),
        Shape::Wide => true,
        Shape::Span => port.wrapping_add(width as u16 - 1) <= range.last,
    }
}
