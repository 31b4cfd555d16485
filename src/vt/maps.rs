//! Frames for what the CPU's virtualization hardware reads.

use super::contract::{Setup, Trouble};
use super::permission::IoMap;
use crate::base::PAGE_SIZE;
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;

/// `count` consecutive frames, their content whatever was there.
pub fn frames(count: usize) -> Result<Frames, Trouble> {
    frames::alloc_run(count as u64, PAGE_SIZE, Owner::Vt).ok_or(Trouble::OutOfMemory)
}

/// The I/O permission map that `setup` asks for: the same for both vendors.
pub fn io_map(setup: &Setup) -> Result<Frames, Trouble> {
    let mut map = frames(IoMap::FRAMES)?;
    let mut ports = IoMap::new(map.as_mut_slice()).ok_or(Trouble::OutOfMemory)?;
    for port in setup.open_ports {
        ports.open(*port);
    }
    Ok(map)
}
