//! Where `hw` and `mem`, which do not know each other, meet: addresses that one found are mapped by the other.

use alloc::string::String;
use alloc::vec::Vec;
use arrayvec::ArrayVec;
use core::fmt;
use core::num::NonZeroU32;
use hv::base::{Hpa, MIB, PAGE_SIZE};
use hv::hw::acpi::{Acpi, PhysRead, PmTimer};
use hv::hw::boot::Handover;
use hv::hw::bootinfo::{BootInfo, MemoryKind};
use hv::hw::console::{self, ScreenInfo, ScreenKind};
use hv::hw::cr::Protections;
use hv::hw::percpu::{self, MAX_CORES, PerCpu, Stacks};
use hv::hw::{end, lapic, smp, symbols};
use hv::mem::frames::{self, InitError};
use hv::mem::image::Image;
use hv::mem::map::{Entry, EntryKind, Range};
use hv::mem::tables::{self, PagingFeatures};
use hv::mem::virt::{self, DeviceKind};
use hv::mem::{MapError, Owner, direct, firmware, heap};

/// Size of a started core's main stack, and of each of its stacks for NMI, #DF and #MC, in bytes.
const STACK: u64 = 128 << 10;
const HANDLER_STACK: u64 = 16 << 10;

/// Why the machine can't be used.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// The boot information makes no sense.
    BootInfo,
    /// Too little memory, or none in the right place.
    Memory(InitError),
    /// The kernel's own page tables could not be made.
    Tables(MapError),
    /// No room for the heap.
    Heap,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BootInfo => f.write_str("the loader's boot information is damaged: boot with GRUB 2"),
            Self::Memory(InitError::TooLittle(found)) => {
                write!(f, "too little memory: {} MiB are usable, give this machine at least 32 MiB", found / MIB)
            }
            Self::Memory(InitError::NoPlace(bytes)) => {
                write!(f, "too little memory: no {bytes} bytes in one piece below 4 GiB for the frame table")
            }
            Self::Tables(error) => write!(f, "the kernel's page tables could not be made: {error:?}"),
            Self::Heap => f.write_str("too little memory: no room in one piece for the heap"),
        }
    }
}

/// The loader's boot information.
pub fn boot_info(handover: Handover) -> Result<BootInfo, Trouble> {
    // SAFETY: the boot tables show the first 4 GiB in the direct map, and the loader's information is below 4 GiB; its
    // frames are claimed for the loader before anything is handed out, and the final direct map shows them as well.
    unsafe { BootInfo::load(handover.info, direct(handover.info)) }.map_err(|_| Trouble::BootInfo)
}

/// Frame allocator, page tables, heap.
pub fn memory(info: &BootInfo, image: &Image, has: &Protections) -> Result<(), Trouble> {
    let entries = info.memory().map(|range| Entry {
        start: range.start.raw(),
        len: range.len,
        kind: match range.kind {
            MemoryKind::Usable => EntryKind::Usable,
            MemoryKind::Acpi => EntryKind::Acpi,
            MemoryKind::Reserved => EntryKind::Reserved,
        },
    });
    let loaded = info.loaded().map(|(start, len)| (Range::new(start.raw(), len), Owner::Loader));
    let claims = loaded.chain(core::iter::once((image.frames(), Owner::Kernel)));
    frames::init(entries, claims).map_err(Trouble::Memory)?;
    let features = PagingFeatures { no_execute: has.nx, gib_pages: has.gib_pages, phys_bits: has.phys_bits };
    tables::build(image, features).map_err(Trouble::Tables)?;
    tables::activate();
    heap::init().ok_or(Trouble::Heap)?;
    Ok(())
}

/// The screen, mapped write-combining.
pub fn screen(info: &BootInfo) {
    let screen = match info.screen() {
        None => return,
        Some(Ok(screen)) => screen,
        Some(Err(error)) => return log::warn!("no screen: {error}"),
    };
    let kind = match screen.kind {
        ScreenKind::Pixels(_) => DeviceKind::WriteCombining,
        ScreenKind::Text => DeviceKind::Uncached,
    };
    match virt::map_device(screen.address, screen.bytes() as u64, kind) {
        // SAFETY: mapped just now, for good, and nobody else knows where.
        Ok(memory) => unsafe { console::add_screen(&screen, memory) },
        Err(error) => log::warn!("no screen: its memory at {} can't be mapped: {error:?}", screen.address),
    }
}

/// The screen before the kernel has page tables of its own, for the last words of a boot that failed.
pub fn early_screen(info: &BootInfo) {
    let end = |screen: &ScreenInfo| screen.address.raw().saturating_add(screen.bytes() as u64);
    if let Some(Ok(screen)) = info.screen()
        && end(&screen) <= 4 << 30
    {
        // SAFETY: the boot tables, which stay, show the first 4 GiB in the direct map; the memory types of a device
        // are those of the MTRRs there.
        unsafe { console::add_screen(&screen, direct(screen.address)) };
    }
}

/// The loader's modules: what is said of each, and its bytes. One that is not where a loader may put it is left out.
pub fn modules(info: &BootInfo) -> Vec<(&'static str, &'static [u8])> {
    let mut modules: Vec<(&'static str, &'static [u8])> = Vec::new();
    for (number, (at, length, line)) in info.modules().enumerate() {
        let last = at.checked_add(length.saturating_sub(1));
        let ours = last.is_some_and(|last| {
            (at.raw()..=last.raw()).step_by(PAGE_SIZE as usize).all(|at| frames::owner(Hpa::new(at)) == Owner::Loader)
        });
        match line {
            Ok(line) if ours => {
                // SAFETY: the loader put the module there; its frames were claimed as the loader's as a whole, so they are RAM in the
                // direct map, which nobody writes or gives away.
                modules.push((String::from(line).leak(), unsafe {
                    core::slice::from_raw_parts(direct(at).cast_const(), length as usize)
                }));
            }
            Ok(_) => log::error!("module {} is not in memory that can be used: it is left out", number + 1),
            Err(_) => log::error!("module {} has a description that is no text: it is left out", number + 1),
        }
    }
    modules
}

/// The kernel's symbols, for backtraces.
pub fn symbols(info: &BootInfo) {
    let slice = |place: symbols::Place| {
        let last = place.address.checked_add(place.length.checked_sub(1)? as u64)?;
        let ours = [place.address, last].iter().all(|at| frames::owner(*at) == Owner::Loader);
        // SAFETY: the loader put the section there; its frames were claimed as the loader's as a whole, so they are
        // RAM in the direct map, which nobody writes or gives away.
        ours.then(|| unsafe { core::slice::from_raw_parts(direct(place.address).cast_const(), place.length) })
    };
    if let Some((table, names)) = info.symbols()
        && let (Some(table), Some(names)) = (slice(table), slice(names))
    {
        symbols::install(table, names);
    } else {
        log::debug!("the loader gives no symbols: backtraces show addresses");
    }
}

/// What ACPI says of the machine.
#[derive(Default)]
pub struct Platform {
    /// APIC ids of all enabled cores; empty if ACPI does not say.
    pub cores: ArrayVec<u32, MAX_CORES>,
    /// The PM timer.
    pub pm_timer: Option<PmTimer>,
}

struct FirmwareMemory;

impl PhysRead for FirmwareMemory {
    fn read(&self, from: Hpa, buffer: &mut [u8]) -> bool {
        firmware::read(from, buffer)
    }
}

/// Reads the ACPI tables. Without them the machine has one core and a PIT.
pub fn platform(info: &BootInfo) -> Platform {
    let mut platform = Platform::default();
    let Some(rsdp) = info.rsdp() else {
        log::warn!("the loader gives no ACPI root pointer: only the boot core is used");
        return platform;
    };
    let acpi = match Acpi::open(&FirmwareMemory, rsdp) {
        Ok(acpi) => acpi,
        Err(error) => {
            log::warn!("{error}: only the boot core is used");
            return platform;
        }
    };
    match acpi.fadt() {
        Ok(fadt) => {
            platform.pm_timer = fadt.pm_timer;
            if let Some(reset) = fadt.reset {
                end::set_reset(reset);
            }
        }
        Err(error) => log::warn!("{error}: no PM timer"),
    }
    match acpi.madt() {
        Ok(madt) => {
            let cores = madt.enabled_cores();
            if let Some(error) = cores.error {
                log::warn!("{error}: cores after it are not used");
            }
            if cores.left_out > 0 {
                log::warn!("{} cores are not used: {MAX_CORES} is the most", cores.left_out);
            }
            platform.cores = cores.apic_ids;
        }
        Err(error) => log::warn!("{error}: only the boot core is used"),
    }
    platform
}

/// Turns the boot core's local APIC on.
pub fn local_apic() {
    let mode = lapic::mode();
    let registers = match mode {
        lapic::Mode::X2Apic => core::ptr::null_mut(),
        lapic::Mode::XApic(at) => match virt::map_device(at, 4096, DeviceKind::Uncached) {
            Ok(registers) => registers,
            Err(error) => return log::error!("the local APIC at {at} can't be mapped: {error:?}"),
        },
    };
    // SAFETY: the page of this mode, mapped uncached just now.
    unsafe { lapic::use_mode(mode, registers) };
    lapic::enable();
}

/// Starts the machine's other cores, as far as `limit` allows, and has each run `entry`. Returns how many cores run
/// now, this one counted. Those that do not come up are reported.
pub fn start_cores(platform: &Platform, limit: Option<NonZeroU32>, entry: fn(&'static PerCpu)) -> u32 {
    let own = percpu::this().apic_id();
    let most = limit.map_or(MAX_CORES, |n| n.get() as usize).min(MAX_CORES) - 1;
    let mut others: Vec<u32> = platform.cores.iter().copied().filter(|id| *id != own).collect();
    let unreachable = if lapic::is_x2apic() { u32::MAX } else { 0xff };
    for id in others.extract_if(.., |id| *id >= unreachable) {
        log::warn!("the core with APIC id {id} can't be reached: that takes an x2APIC");
    }
    others.truncate(most);
    if others.is_empty() {
        return 1;
    }
    match (prepare(others.len()), trampoline()) {
        (Ok(prepared), Ok(trampoline)) => {
            // SAFETY: the page and the tables were made for this just now and are never given back.
            let started = unsafe { smp::start(&others, &prepared, trampoline, entry) };
            for id in &started.missing {
                log::error!("the core with APIC id {id} does not come up: going on without it");
            }
            started.running as u32 + 1
        }
        (Err(error), _) | (_, Err(error)) => {
            log::error!("the other cores can't be started: {error:?}");
            1
        }
    }
}

/// State and stacks for `count` cores.
fn prepare(count: usize) -> Result<Vec<&'static PerCpu>, MapError> {
    (0..count)
        .map(|_| {
            let stacks = Stacks {
                main: virt::stack(STACK)?,
                nmi: virt::stack(HANDLER_STACK)?,
                double_fault: virt::stack(HANDLER_STACK)?,
                machine_check: virt::stack(HANDLER_STACK)?,
            };
            let cpu = frames::leak_value(PerCpu::new(u32::MAX, stacks), Owner::PerCpu).ok_or(MapError::OutOfMemory)?;
            Ok(cpu.settle())
        })
        .collect()
}

fn trampoline() -> Result<smp::Trampoline, MapError> {
    let page = frames::alloc_below(1, Hpa::new(MIB), Owner::Kernel).ok_or(MapError::OutOfMemory)?;
    let memory = page.ptr();
    let page = page.leak();
    Ok(smp::Trampoline { page, memory, root: tables::trampoline_root(page)?, kernel_root: tables::kernel_root() })
}
