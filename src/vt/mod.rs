//! The contract with the CPU: one trait, two vendors, exits in neutral words.
//!
//! The kernel chooses the vendor once (`fleet::run_core`); everything after it is generic over `Vendor` and compiled for each.
//! "It is on" is a value of type `On`, "it is loaded" one of type `Loaded`; what needs the one or the other takes it.

pub mod audit;
#[cfg(target_os = "none")]
pub mod contract;
pub mod doctor;
pub mod exit;
#[cfg(target_os = "none")]
mod maps;
pub mod nested;
pub mod permission;
#[cfg(test)]
mod permission_tests;
pub mod preflight;
#[cfg(target_os = "none")]
pub mod recorder;
#[cfg(target_os = "none")]
mod resident;
pub mod speculation;
pub mod stats;
pub mod svm;
#[cfg(target_os = "none")]
pub mod tables;
pub mod tags;
pub mod trace;
pub mod vmx;

#[cfg(target_os = "none")]
pub use contract::{APIC_WORDS, ControlRegisters, FieldOf, Loaded, On, Setup, Translation, Trouble, Vendor};
#[cfg(test)]
pub(crate) use permission_tests::permission_tests;
