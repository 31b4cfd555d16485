//! The parts of the `trace` program.

pub mod log;
pub mod perfetto;
pub mod svg;
pub mod table;
