//! The guest's bus: finds the device for a port or an address, and answers where there is none.

use super::ports::{self, PortDevice};
use crate::base::{Gpa, PAGE_SIZE, Width};
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

/// Where the scratch memory is, one page.
pub const SCRATCH_MEMORY: Gpa = Gpa::new(0xd_0000);

/// Searches the table of ports and returns from the function around it with what `$call` gives for the range found.
/// Goes on after it where the access has no device or is to be split.
///
/// It is [`ports::find`] written out, so that the compiler sees each range as constants and puts each device's code right
/// behind its comparison: this is the path of every port exit.
macro_rules! search {
    ($port:expr, $width:expr, |$range:ident| $call:expr) => {
        search!($port, $width, |$range| $call; 0 1 2 3 4 5)
    };
    ($port:expr, $width:expr, |$range:ident| $call:expr; $($i:literal)*) => {
        const { assert!(ports::PC.len() == [$($i),*].len()) };
        'search: {
            $(
                let $range = const { ports::PC[$i] };
                if $port <= $range.last {
                    if $port >= $range.first && ($range.wide || $width == Width::B1) {
                        return $call;
                    }
                    break 'search;
                }
            )*
        }
    };
}

/// A guest's devices and what it printed.
///
/// I/O ports are bytes side by side (SDM 1 "I/O Port Addressing", "I/O Address Space"): an access that reaches over
/// several ports is one byte access per port, in ascending order, unless it starts at the port of a wide device, which
/// then gets it whole. Bytes that no device claims read as all ones and are dropped when written; an access with such
/// bytes is counted once, at the first of them.
#[derive(Clone, Debug)]
pub struct Bus {
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
    pub const fn pc() -> Self {
        Self {
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
    pub fn port_in(&mut self, port: u16, width: Width) -> u32 {
        search!(port, width, |range| self.device_in(range.device, port.wrapping_sub(range.first), width));
        self.split_in(port, width)
    }

    /// The guest writes the low `width` of `value` at `port`; ports have 1, 2 or 4 bytes at a time.
    #[inline(always)]
    pub fn port_out(&mut self, port: u16, width: Width, value: u32) {
        search!(port, width, |range| self.device_out(range.device, port.wrapping_sub(range.first), width, value));
        self.split_out(port, width, value);
    }

    /// The guest reads memory at `gpa` that is not RAM.
    #[inline]
    pub fn mmio_read(&mut self, gpa: Gpa, to: &mut [u8]) {
        match scratch_memory_offset(gpa, to.len()) {
            Some(offset) => self.memory.read(offset, to),
            None => self.split_read(gpa, to),
        }
    }

    /// The guest writes memory at `gpa` that is not RAM.
    #[inline]
    pub fn mmio_write(&mut self, gpa: Gpa, from: &[u8]) {
        match scratch_memory_offset(gpa, from.len()) {
            Some(offset) => self.memory.write(offset, from),
            None => self.split_write(gpa, from),
        }
    }

    /// What the guest wrote to its exit port, 0xF4, first: it has ended its VM.
    #[inline]
    pub const fn ended(&self) -> Option<u32> {
        self.exit.value()
    }

    /// Whether the guest has printed a line that nobody has taken yet.
    #[inline]
    pub const fn has_line(&self) -> bool {
        self.console.has_line()
    }

    /// What the guest printed.
    #[inline]
    pub const fn console(&mut self) -> &mut Console {
        &mut self.console
    }

    /// The serial port: to feed its receiver.
    #[inline]
    pub const fn uart(&mut self) -> &mut Uart {
        &mut self.uart
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
    fn device_in(&mut self, device: PortDevice, offset: u16, width: Width) -> u32 {
        match device {
            PortDevice::Post => self.post.read(width),
            PortDevice::Debugcon => self.debugcon.read().into(),
            PortDevice::Exit => self.exit.read(),
            PortDevice::Uart => self.uart.read(offset).into(),
            PortDevice::Scratch => self.scratch.read(offset).into(),
            PortDevice::Fifo => self.fifo.read(width),
        }
    }

    #[inline(always)]
    fn device_out(&mut self, device: PortDevice, offset: u16, width: Width, value: u32) {
        let byte = value as u8;
        match device {
            PortDevice::Post => self.post.write(width, value),
            PortDevice::Debugcon => self.debugcon.write(byte, &mut self.console),
            PortDevice::Exit => self.exit.write(width, value),
            PortDevice::Uart => self.uart.write(offset, byte, &mut self.console),
            PortDevice::Scratch => self.scratch.write(offset, byte),
            PortDevice::Fifo => self.fifo.write(width, value),
        }
    }

    #[inline(never)]
    fn split_in(&mut self, port: u16, width: Width) -> u32 {
        let mut bytes = [0; 4];
        let mut missing = None;
        for (byte, i) in bytes.iter_mut().zip(0..width as u16) {
            // There are no ports past 0xffff.
            let at = port.checked_add(i);
            *byte = match at.and_then(ports::find) {
                Some(range) => {
                    self.device_in(range.device, port.wrapping_add(i).wrapping_sub(range.first), Width::B1) as u8
                }
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
    fn split_out(&mut self, port: u16, width: Width, value: u32) {
        let mut missing = None;
        for (byte, i) in value.to_le_bytes().into_iter().zip(0..width as u16) {
            let at = port.checked_add(i);
            match at.and_then(ports::find) {
                Some(range) => {
                    let offset = port.wrapping_add(i).wrapping_sub(range.first);
                    self.device_out(range.device, offset, Width::B1, byte.into());
                }
                None => missing = missing.or(at),
            }
        }
        if let Some(port) = missing {
            self.unclaimed.note(Place::Port(port), true);
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
