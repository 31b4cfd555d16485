//! Words that all rooms share: addresses, widths, accesses, registers, events, outcomes.
#![forbid(unsafe_code)]

mod access;
mod addr;
mod apic;
pub mod cpu;
mod event;
mod gpr;
mod outcome;
mod segment;
mod tsc;
mod width;

pub use access::Access;
pub use addr::{GIB, Gpa, Gva, Hpa, KIB, MIB, PAGE_SIZE, PhysAddr};
pub use apic::ApicMode;
pub use cpu::{CpuState, DescriptorTable, Mode};
pub use event::{Event, EventKind, Exception, merge};
pub use gpr::{Gpr, GprFile};
pub use outcome::{Outcome, StopReason};
pub use segment::{Segment, SegmentRegister};
pub use tsc::TscRatio;
pub use width::Width;
