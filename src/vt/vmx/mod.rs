//! Intel VT-x.

pub mod caps;
pub mod controls;
#[cfg(target_os = "none")]
mod core;
#[cfg(target_os = "none")]
mod current;
pub mod ept;
pub mod error;
pub mod exit;
pub mod field;
pub mod msr_map;
#[cfg(target_os = "none")]
mod run;
pub mod segment;
#[cfg(target_os = "none")]
mod vcpu;
#[cfg(target_os = "none")]
mod vendor;

#[cfg(target_os = "none")]
pub use vendor::Vmx;
