//! Frames and their owners, the kernel heap and mappings.

pub mod direct;
#[cfg(target_os = "none")]
pub mod firmware;
pub mod frame_map;
pub mod map;
pub mod owner;
#[cfg(target_os = "none")]
pub mod ram;
pub mod virt;

#[cfg(target_os = "none")]
pub mod frames;
#[cfg(target_os = "none")]
pub mod heap;
#[cfg(target_os = "none")]
pub mod image;
pub mod lock;
#[cfg(target_os = "none")]
pub mod tables;

pub use direct::{direct, direct_hpa};
pub use owner::Owner;

#[cfg(target_os = "none")]
pub use frames::Frames;
#[cfg(target_os = "none")]
pub use tables::{MapError, kernel_root};
#[cfg(target_os = "none")]
pub use virt::{DeviceKind, map_device};
