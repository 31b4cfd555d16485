//! AMD-V.

pub mod bits;
pub mod caps;
pub mod case;
#[cfg(target_os = "none")]
mod core;
pub mod dump;
pub mod exit;
pub mod lab;
pub mod mistakes;
pub mod msr_map;
pub mod npt;
pub mod rules;
#[cfg(target_os = "none")]
mod run;
pub mod state;
#[cfg(target_os = "none")]
mod vcpu;
#[cfg(target_os = "none")]
mod vendor;
pub mod vmcb;

#[cfg(target_os = "none")]
pub use vendor::Svm;
