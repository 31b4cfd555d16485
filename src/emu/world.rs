//! What the instruction emulator needs of the machine around the CPU.

use crate::base::{Event, Exception, Gpa, Width};

/// Guest memory and ports, as the emulator reaches them. Static dispatch: one implementation in the VM, others in tests.
pub trait World {
    /// Reads memory at `gpa`: RAM, a device, or nothing (all ones). `to` does not cross a 4 KiB page.
    fn read(&mut self, gpa: Gpa, to: &mut [u8]);
    /// Writes memory at `gpa`: RAM, a device, or nothing (dropped). `from` does not cross a 4 KiB page.
    fn write(&mut self, gpa: Gpa, from: &[u8]);
    /// Reads instruction bytes at `gpa` from RAM only, up to the end of its page; how many, 0 where there is no RAM.
    fn fetch_ram(&mut self, gpa: Gpa, to: &mut [u8]) -> usize;
    /// Reads a port. The value has the low `width`.
    fn port_in(&mut self, port: u16, width: Width) -> u32;
    /// Writes a port.
    fn port_out(&mut self, port: u16, width: Width, value: u32);
    /// Whether a repeated instruction should go no further for now: the guest has ended its VM, or a device wants to be
    /// looked after.
    fn pause(&self) -> bool;
}

/// An exception that an instruction raised, with what CR2 gets where it is a page fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The exception.
    pub event: Event,
    /// The linear address of a page fault.
    pub cr2: Option<u64>,
}

impl Fault {
    /// A #GP with this error code.
    pub const fn gp(error_code: u32) -> Self {
        Self { event: Event::fault(Exception::GP, error_code), cr2: None }
    }

    /// A #UD.
    pub const UD: Self = Self { event: Event::UD, cr2: None };

    /// A #PF at the linear address `at`.
    pub const fn page(error_code: u32, at: u64) -> Self {
        Self { event: Event::fault(Exception::PF, error_code), cr2: Some(at) }
    }
}
