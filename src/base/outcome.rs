//! What a handler decides about the guest. There is no outcome that touches the host.

use crate::base::Event;

/// What happens to the guest after an exit was handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The instruction was emulated whole: move RIP past it.
    Skip,
    /// Run the same instruction again (or nothing was at stake, as after an interrupt).
    Retry,
    /// Deliver this event; RIP stays at the instruction.
    Inject(Event),
    /// The VM is over.
    Stop(StopReason),
}

/// Why a VM ended. Every one of these is about the guest; the host goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// HLT with nothing left that could wake the guest.
    Halt,
    /// The guest wrote this value to the exit port, 0xF4.
    Exit(u32),
    /// The guest switched its machine off.
    PowerOff,
    /// The guest reset its machine: by what.
    Reset(&'static str),
    /// The user ended it from the console.
    Quit,
    /// Triple fault (shutdown).
    TripleFault,
    /// The guest did not end within its budget of time.
    Budget,
    /// An exit that this hypervisor does not handle; its name and number in the manual.
    Unhandled {
        /// The manual's name of the exit reason or code.
        name: &'static str,
        /// Its number.
        number: u64,
    },
    /// The CPU refused to enter the guest: `what` names the class, `code` is the CPU's number for it.
    EntryFailed {
        /// The class of the failure in the manual's words.
        what: &'static str,
        /// VM-instruction error, basic exit reason or EXITCODE.
        code: u64,
    },
    /// An instruction that faulted on a device's memory and that the emulator does not know.
    NotEmulated {
        /// RIP of the instruction.
        rip: u64,
    },
    /// So many identical exits came in a row, and nothing changed.
    Stuck {
        /// How many.
        exits: u32,
    },
    /// The frames that were set aside for this guest are used up.
    OutOfMemory,
}
