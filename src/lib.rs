//! A type-1 hypervisor for Intel VT-x (VMX) and AMD-V (SVM), as a library of rooms.
//!
//! `docs/tour.md` walks through the code in the order in which it runs. The rooms, and who may use whom:
//!
//! | room | what | may use |
//! |---|---|---|
//! | [`base`] | the words all rooms share | nothing |
//! | [`hw`] | the machine we stand on | base |
//! | [`mem`] | frames, heap, mappings, guest RAM | base |
//! | [`vt`] | the contract with the CPU, VMX and SVM | mem, hw, base |
//! | [`emu`] | the CPU where hardware hands it to us | base |
//! | [`dev`] | virtual devices and the bus | base |
//! | [`vm`] | a virtual machine and its exit loop | vt, emu, dev, mem, hw, base |
//!
//! Only `hw`, `mem` and `vt` contain unsafe code. What decides (`base`, `emu`, `dev`, and the pure parts of the others) builds
//! and is tested on the workstation's own target too; what touches privileged instructions, and the exit loop that joins
//! the rooms, is compiled for the bare machine alone and tested there.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod base;
pub mod dev;
pub mod emu;
pub mod hw;
pub mod mem;
pub mod vm;
pub mod vt;
