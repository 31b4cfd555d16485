//! A small VM to make mistakes in: RAM full of HLT, page tables for each paging mode, and the state of each mode.

use crate::base::cpu::{cr0, cr4, efer, rflags};
use crate::base::{CpuState, Gpa, Gpr, Hpa, KIB, PAGE_SIZE, SegmentRegister, TscRatio};
use crate::dev::bus::{Bus, Start};
use crate::emu::World;
use crate::vm::board::Board;
use crate::vm::machine::{RESET_PAT, VmError};
use crate::vt::doctor::mistake::{Misuse, Scene};
use crate::vt::{ControlRegisters, Loaded, Setup, Vendor};

/// Where the code is.
pub const CODE: u16 = 0x8000;
/// The four-level root, its table of level 3, a table of level 2 for it and for PAE, the PAE root, the 32-bit root.
const PML4: u64 = 0x10000;
const PDPT: u64 = 0x11000;
const DIRECTORY: u64 = 0x12000;
const PAE_ROOT: u64 = 0x13000;
const LEGACY_ROOT: u64 = 0x14000;
/// Pages that nothing uses.
const SPARE: u64 = 0x18000;
/// RAM up to the hole at the top of the first 64 KiB, and behind it.
const RAM: [(Gpa, u64); 2] = [(Gpa::new(0), 60 * KIB), (Gpa::new(64 * KIB), 64 * KIB)];
/// The page in between.
const HOLE: (Gpa, u64) = (Gpa::new(60 * KIB), 4 * KIB);

/// A VM.
pub struct Stage<V: Vendor> {
    /// Its memory.
    pub board: Board<V>,
    /// Its CPU.
    pub vcpu: V::Vcpu,
}

impl<V: Vendor> Stage<V> {
    /// VM number `vm`, with `code` at [`CODE`] and what `misuse` does to its memory.
    #[inline(never)]
    pub fn new(caps: &V::Caps, vm: u16, code: &[u8], misuse: Misuse) -> Result<Self, VmError> {
        let [low, high] = RAM;
        let holed = misuse == Misuse::StackHole;
        let ranges: &[_] = if holed { &[low, high] } else { &[low, HOLE, high] };
        let mut board = Board::new(caps, vm, ranges, Bus::pc(&Start::default()), false)?;
        for &(base, bytes) in ranges {
            for offset in (0..bytes).step_by(64) {
                board.load(Gpa::new(base.raw() + offset), &[0xf4; 64])?;
            }
        }
        board.load(Gpa::new(u64::from(CODE)), code)?;
        // Each maps the first 2 or 4 MiB to themselves.
        let tables = [
            (PML4, PDPT | 7),
            (PDPT, DIRECTORY | 7),
            (DIRECTORY, 0x87),
            (PAE_ROOT, DIRECTORY | 1),
            (LEGACY_ROOT, 0x87),
        ];
        for (table, first) in tables {
            for offset in (0..4 * KIB).step_by(64) {
                board.load(Gpa::new(table + offset), &[0; 64])?;
            }
            board.load(Gpa::new(table), &u64::to_le_bytes(first))?;
        }
        // Real-address mode finds a handler for every exception: a HLT.
        for vector in 0..256 {
            board.load(Gpa::new(4 * vector), &u32::to_le_bytes(u32::from(CODE) + 0x100))?;
        }
        board.map_all(misuse != Misuse::NoExecute)?;
        let setup = Setup {
            nested_root: board.nested_root(),
            open_msrs: &[],
            open_ports: &[],
            pat: RESET_PAT,
            tsc: TscRatio::ONE,
            apic_access: None,
        };
        let vcpu = V::create(caps, &setup).map_err(VmError::Vendor)?;
        Ok(Self { board, vcpu })
    }
}

/// Brings the CPU into the mode of `scene`, about to execute what is at [`CODE`].
pub fn set<V: Vendor>(cpu: &mut Loaded<'_, V>, scene: Scene) {
    V::gprs(cpu).set(Gpr::Rsp, u64::from(CODE));
    let state = state(scene);
    V::set_state(cpu, &state);
    if scene == Scene::Pae {
        let controls = ControlRegisters { cr0: state.cr0, cr4: state.cr4, efer: state.efer };
        V::set_controls(cpu, controls, Some([DIRECTORY | 1, 0, 0, 0]));
    }
}

/// The state of the CPU in the mode of `scene`.
fn state(scene: Scene) -> CpuState {
    let real = CpuState::real_mode(0, CODE);
    if scene == Scene::Real {
        return real;
    }
    let flat = |selector, attrib| SegmentRegister { selector, attrib, limit: u32::MAX, base: 0 };
    let (code, data) = match scene {
        Scene::Virtual8086 => (SegmentRegister::real(0, 0xf3), SegmentRegister::real(0, 0xf3)),
        Scene::Long => (flat(8, 0xa9b), flat(16, 0xc93)),
        _ => (flat(8, 0xc9b), flat(16, 0xc93)),
    };
    let (paging, table, format, long) = match scene {
        Scene::Real | Scene::Unpaged => (0, 0, 0, 0),
        Scene::Protected | Scene::Virtual8086 => (cr0::PG, LEGACY_ROOT, cr4::PSE, 0),
        Scene::Pae => (cr0::PG, PAE_ROOT, cr4::PAE, 0),
        Scene::Long => (cr0::PG, PML4, cr4::PAE, efer::LME | efer::LMA),
    };
    let virtual_8086 = scene == Scene::Virtual8086;
    CpuState {
        cr0: real.cr0 | cr0::PE | paging,
        cr3: table,
        cr4: format,
        // As the host has them: they stay where an exit does not load EFER.
        efer: long | if long != 0 { efer::NXE | efer::SCE } else { 0 },
        cpl: if virtual_8086 { 3 } else { 0 },
        rflags: real.rflags | if virtual_8086 { rflags::VM | rflags::IOPL } else { 0 },
        segments: [data, code, data, data, data, data],
        ..real
    }
}

/// The frames of a stage that a CPU may use as any kind of page: the last ones of its RAM.
pub fn spare_pages<V: Vendor>(board: &mut Board<V>) -> Option<[Hpa; 4]> {
    let mut pages = [Hpa::new(0); 4];
    for (i, page) in (0..).zip(&mut pages) {
        *page = board.frame(Gpa::new(SPARE + i * PAGE_SIZE))?;
    }
    Some(pages)
}

/// Writes a word of a spare page.
pub fn write_word<V: Vendor>(board: &mut Board<V>, page: u64, word: u64, value: u64) {
    board.write(Gpa::new(SPARE + page * PAGE_SIZE + word * 8), &value.to_le_bytes());
}
