//! Virtual devices and the bus.
#![forbid(unsafe_code)]

pub mod acpi;
pub mod bus;
pub mod clock;
pub mod console;
pub mod debugcon;
pub mod exit_port;
pub mod fifo;
pub mod i8042;
mod i8259;
pub mod interrupts;
pub mod ioapic;
pub mod lapic;
pub mod message;
pub mod pci;
pub mod pic;
pub mod pit;
mod pit_counter;
mod ports;
pub mod post;
pub mod power;
pub mod reset;
mod ring;
pub mod rtc;
mod rtc_time;
pub mod scratch_memory;
pub mod scratch_ports;
pub mod uart;
pub mod unclaimed;

#[cfg(test)]
mod acpi_tests;
#[cfg(test)]
mod bus_pc_tests;
#[cfg(test)]
mod bus_tests;
#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod i8042_tests;
#[cfg(test)]
mod ioapic_tests;
#[cfg(test)]
mod pci_tests;
#[cfg(test)]
mod pic_model_tests;
#[cfg(test)]
mod pic_tests;
#[cfg(test)]
mod pit_tests;
#[cfg(test)]
mod reset_tests;
#[cfg(test)]
mod rtc_tests;
#[cfg(test)]
mod uart_driver_tests;
#[cfg(test)]
mod uart_tests;
