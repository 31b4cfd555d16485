//! A virtual machine: RAM, nested tables, bus, vCPU, the exit loop and its handlers, the guests.
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
pub mod aftermath;
#[cfg(target_os = "none")]
mod alarm;
#[cfg(target_os = "none")]
mod board;
pub mod catalog;
#[cfg(target_os = "none")]
pub mod chaos;
#[cfg(target_os = "none")]
mod clinic;
#[cfg(target_os = "none")]
mod controls;
#[cfg(target_os = "none")]
mod device_memory;
#[cfg(target_os = "none")]
pub mod differ;
#[cfg(target_os = "none")]
mod exits;
pub mod firmware;
#[cfg(target_os = "none")]
mod hypercall;
pub mod loader;
#[cfg(target_os = "none")]
pub mod machine;
#[cfg(target_os = "none")]
mod msrs;
#[cfg(target_os = "none")]
pub mod narrator;
#[cfg(target_os = "none")]
mod soft;
#[cfg(target_os = "none")]
mod stage;
#[cfg(target_os = "none")]
pub mod suite;
#[cfg(target_os = "none")]
pub mod tenant;
#[cfg(target_os = "none")]
mod terminal;
#[cfg(target_os = "none")]
mod turn;
pub mod watch;
