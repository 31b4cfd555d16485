//! Virtual devices and the bus.
#![forbid(unsafe_code)]

pub mod bus;
pub mod console;
pub mod debugcon;
pub mod exit_port;
pub mod fifo;
mod ports;
pub mod post;
mod ring;
pub mod scratch_memory;
pub mod scratch_ports;
pub mod uart;
pub mod unclaimed;

#[cfg(test)]
mod bus_tests;
#[cfg(test)]
mod uart_tests;
