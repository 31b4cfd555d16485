//! Flat images: bytes at an address, started in real-address mode, as a PC's firmware starts a boot sector.

use crate::base::{CpuState, Gpa, Gpr, GprFile, MIB, SegmentRegister};
use crate::vm::loader::room::Room;
use crate::vm::loader::{Entry, LoadError, Memory, MemoryMap, Part};

/// The top of the stack of a boot sector that sets none: below where boot sectors are.
const STACK: u64 = 0x7c00;

/// Loads `image` to `at` and starts at `entry`, a linear address in the image below 1 MiB.
///
/// CS is 0 if IP reaches `entry` so, else `entry` / 16; DS, ES, FS and GS are as CS; SS:SP is 0:0x7c00. Interrupts are
/// off. DL is 0x80, a PC's first disk, as boot sectors expect; all other registers are 0.
pub fn load(memory: &mut dyn Memory, map: &MemoryMap, image: &[u8], at: Gpa, entry: Gpa) -> Result<Entry, LoadError> {
    let bytes = image.len() as u64;
    if image.is_empty() {
        return Err(LoadError::Empty { part: Part::Image });
    }
    let mut room = Room::new(memory, map);
    let start = room.take(Part::Image, at.raw(), bytes, 0)?;
    let inside = entry.raw().checked_sub(start.raw()).is_some_and(|offset| offset < bytes);
    if !inside || entry.raw() >= MIB {
        return Err(LoadError::EntryOutside { entry, start, bytes });
    }
    room.write(start, image)?;
    let (cs, ip) = match u16::try_from(entry.raw()) {
        Ok(ip) => (0, ip),
        // Below 1 MiB: 16 bits.
        Err(_) => ((entry.raw() >> 4) as u16, (entry.raw() & 0xf) as u16),
    };
    let mut state = CpuState::real_mode(cs, ip);
    let [_, _, ss, ..] = &mut state.segments;
    *ss = SegmentRegister::real(0, 0x93);
    let mut gprs = GprFile::default();
    gprs.set(Gpr::Rsp, STACK);
    gprs.set(Gpr::Rdx, 0x80);
    Ok(Entry { state, gprs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Segment;
    use crate::vm::loader::fuzz::Ram;

    fn start(at: u64, entry: u64, image: &[u8]) -> Result<(Entry, Ram), LoadError> {
        let map = MemoryMap::new(MIB).unwrap();
        let mut ram = Ram::new(&map);
        load(&mut ram, &map, image, Gpa::new(at), Gpa::new(entry)).map(|entry| (entry, ram))
    }

    #[test]
    fn a_boot_sector() {
        let (entry, ram) = start(0x7c00, 0x7c00, &[0xf4; 512]).unwrap();
        assert_eq!(ram.read(0x7bff, 514)[..2], [0, 0xf4]);
        assert_eq!((entry.state.segment(Segment::Cs).base, entry.state.rip), (0, 0x7c00));
        assert_eq!(entry.gprs.get(Gpr::Rsp), 0x7c00);
        assert_eq!(entry.state.segment(Segment::Ss).selector, 0);
    }

    #[test]
    fn an_entry_above_64_kib_has_its_segment() {
        let (entry, _) = start(0x20000, 0x20013, &[0x90; 64]).unwrap();
        let cs = entry.state.segment(Segment::Cs);
        assert_eq!((cs.selector, cs.base, entry.state.rip), (0x2001, 0x20010, 3));
    }

    #[test]
    fn what_is_refused() {
        let error = |at, entry, image: &[u8]| start(at, entry, image).err().unwrap();
        assert!(matches!(error(0x7c00, 0x7c00, &[]), LoadError::Empty { .. }));
        assert!(matches!(error(0x9efff, 0x9efff, &[0; 2]), LoadError::NotRam { .. }));
        assert!(matches!(error(u64::MAX, u64::MAX, &[0; 2]), LoadError::NotRam { .. }));
        assert!(matches!(error(0x7c00, 0x7c02, &[0; 2]), LoadError::EntryOutside { .. }));
        assert!(matches!(error(0x7c00, 0x7bff, &[0; 2]), LoadError::EntryOutside { .. }));
    }
}
