//! The CPU where hardware hands it to us: decoding, page walk, CPUID and MSR policy.
#![forbid(unsafe_code)]

pub mod control;
pub mod cpuid;
pub mod decode;
pub mod execute;
pub mod known;
pub mod msr;
pub mod observe;
pub mod segment;
pub mod walk;
pub mod world;
pub use world::{Fault, World};
