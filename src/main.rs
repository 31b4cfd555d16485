//! The kernel's boot order. `docs/tour.md` walks through it.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("hv is a kernel for the bare machine: `make run` builds and starts it");
    std::process::exit(2);
}

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
mod fleet;
#[cfg(target_os = "none")]
mod kernel;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod preflight;

#[cfg(target_os = "none")]
hv::entry!(kernel::main);
