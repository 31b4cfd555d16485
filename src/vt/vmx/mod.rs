//! Intel VT-x.

#[cfg(target_os = "none")]
mod apic;
pub mod bits;
pub mod caps;
pub mod case;
pub mod controls;
#[cfg(target_os = "none")]
mod core;
#[cfg(target_os = "none")]
mod current;
pub mod dump;
pub mod ept;
pub mod error;
pub mod exit;
pub mod field;
pub mod lab;
pub mod mistakes;
pub mod msr_map;
pub mod rules;
#[cfg(target_os = "none")]
mod run;
pub mod segment;
pub mod state;
#[cfg(target_os = "none")]
mod vcpu;
#[cfg(target_os = "none")]
mod vendor;

#[cfg(target_os = "none")]
pub use vendor::Vmx;
