//! AMD-V.

pub mod caps;
#[cfg(target_os = "none")]
mod core;
pub mod exit;
pub mod msr_map;
pub mod npt;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod vcpu;
#[cfg(target_os = "none")]
mod vendor;
pub mod vmcb;

#[cfg(target_os = "none")]
pub use vendor::Svm;
