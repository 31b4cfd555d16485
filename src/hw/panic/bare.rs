//! Telling it: who may speak, what the CPU says, and the end.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use raw_cpuid::CpuId;
use x86_64::registers::control::{Cr0, Cr2, Cr3, Cr4};

use crate::hw::console::{self, lock::Patience};
use crate::hw::end::{self, Ending};
use crate::hw::panic::{Cause, Registers, is_stack_overflow, write_backtrace};
use crate::hw::trap::TrapFrame;
use crate::hw::{lapic, percpu, symbols};

unsafe extern "C" {
    // By linker.ld: the image's code, and its data with the boot core's stacks.
    static __text_start: u8;
    static __text_end: u8;
    static __data_start: u8;
    static __data_end: u8;
}

/// The core that reports, by its APIC id plus 1; 0 while all is well.
static REPORTER: AtomicU64 = AtomicU64::new(0);
/// How often the reporter came here.
static ENTERED: AtomicU32 = AtomicU32::new(0);
/// How many cores stopped because another one reports.
static STOPPED: AtomicU32 = AtomicU32::new(0);

/// Called by the NMI handler: does not return while another core reports.
pub fn stop_if_panicking() {
    let reporter = REPORTER.load(Ordering::Relaxed);
    if reporter != 0 && reporter != u64::from(apic_id()) + 1 {
        STOPPED.fetch_add(1, Ordering::Relaxed);
        end::halt();
    }
}

/// An exception in the hypervisor itself: reports it and ends the machine.
pub fn fault(frame: &TrapFrame) -> ! {
    let registers =
        Registers { general: frame.general, rip: frame.rip, rflags: frame.rflags, cs: frame.cs, ss: frame.ss };
    let cause = Cause { vector: frame.vector, error_code: frame.error_code, cr2: frame.cr2 };
    let rsp = frame.rsp;
    report(
        &|out| {
            if is_stack_overflow(&cause, rsp, &peek) {
                write!(out, "stack overflow, found by a ")?;
            }
            write!(out, "{cause}")
        },
        frame.cr2,
        &registers,
        true,
    )
}

#[cfg_attr(feature = "kernel", panic_handler)]
#[cfg_attr(not(feature = "kernel"), allow(dead_code))]
fn panic(info: &PanicInfo) -> ! {
    let cr2 = Cr2::read_raw();
    let mut registers = Registers { rip: panic as *const () as u64, ..Registers::default() };
    // SAFETY: copies two registers.
    unsafe {
        core::arch::asm!("mov {}, rsp", "mov {}, rbp",
            out(reg) registers.general[Registers::RSP], out(reg) registers.general[Registers::RBP],
            options(nomem, nostack, preserves_flags));
    }
    let what = |out: &mut dyn Write| match info.location() {
        Some(place) => write!(out, "{} at {place}", info.message()),
        None => write!(out, "{}", info.message()),
    };
    report(&what, cr2, &registers, false)
}

/// Writes the report, once, and ends the machine.
fn report(what: &dyn Fn(&mut dyn Write) -> fmt::Result, cr2: u64, registers: &Registers, show_registers: bool) -> ! {
    x86_64::instructions::interrupts::disable();
    let me = u64::from(apic_id()) + 1;
    match REPORTER.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => {}
        Err(reporter) if reporter == me => {}
        Err(_) => {
            // Another core was first; this one's mistake may well be a consequence.
            STOPPED.fetch_add(1, Ordering::Relaxed);
            end::halt();
        }
    }
    match ENTERED.fetch_add(1, Ordering::Relaxed) {
        0 => {
            let patience = if stop_others() { Patience::None } else { Patience::Some };
            // SAFETY: the other cores are stopped, or had time enough to leave the console; what this core was doing
            // never goes on.
            unsafe {
                console::emergency("hv: ", patience, |out| {
                    // A console does not fail.
                    let _ = write_report(out, what, cr2, registers, show_registers);
                });
            }
        }
        1 => {
            // SAFETY: as above; who holds the console is this core's own first report, which never goes on.
            unsafe {
                console::emergency("hv: ", Patience::None, |out| {
                    let _ = write!(out, "fail: hypervisor panic, and while reporting it: ").and_then(|()| what(out));
                    let _ = write!(out, " at {:#x}", registers.rip);
                });
            }
        }
        // Not even that: the console itself is broken.
        _ => end::halt(),
    }
    end::end(Ending::Fail)
}

fn write_report(
    out: &mut dyn Write,
    what: &dyn Fn(&mut dyn Write) -> fmt::Result,
    cr2: u64,
    registers: &Registers,
    show_registers: bool,
) -> fmt::Result {
    write!(out, "panic: ")?;
    what(out)?;
    match this_core() {
        Some(core) => writeln!(out, " on core {} (APIC id {})", core.index(), apic_id())?,
        None => writeln!(out, " on the core with APIC id {}", apic_id())?,
    }
    if show_registers {
        registers.write(out)?;
    }
    let (cr0, cr4) = (Cr0::read_raw(), Cr4::read_raw());
    let (root, low) = Cr3::read_raw();
    let cr3 = root.start_address().as_u64() | u64::from(low);
    writeln!(out, "  cr0 {cr0:08x} cr2 {cr2:016x} cr3 {cr3:x} cr4 {cr4:x}")?;
    write_backtrace(out, registers, symbols::installed(), &peek, is_code)?;
    // The reason again: the first line may have left a small screen.
    write!(out, "fail: hypervisor panic: ").and_then(|()| what(out))
}

/// Stops all other cores by NMI. Whether all of them said that they stopped, within some milliseconds.
fn stop_others() -> bool {
    let me = this_core().map(core::ptr::from_ref);
    let mut sent = 0;
    for core in percpu::all().filter(|&core| me != Some(core)) {
        lapic::send_nmi(core.apic_id());
        sent += 1;
    }
    for _ in 0..1_000_000 {
        if STOPPED.load(Ordering::Relaxed) >= sent {
            return true;
        }
        core::hint::spin_loop();
    }
    false
}

/// This core's id by CPUID, which works always.
fn apic_id() -> u32 {
    let cpuid = CpuId::new();
    let wide = cpuid.get_extended_topology_info().and_then(|mut levels| levels.next()).map(|level| level.x2apic_id());
    wide.or_else(|| cpuid.get_feature_info().map(|info| info.initial_local_apic_id().into())).unwrap_or(0)
}

/// This core's data, if it is set up: not by GS, which may not be loaded.
fn this_core() -> Option<&'static percpu::PerCpu> {
    let base = crate::hw::msr::read(x86::msr::IA32_GS_BASE);
    percpu::all().find(|&core| core::ptr::from_ref(core) as u64 == base)
}

fn is_code(address: u64) -> bool {
    (&raw const __text_start as u64..&raw const __text_end as u64).contains(&address)
}

/// The aligned eight bytes at `address` in the hypervisor's half of memory.
fn peek(address: u64) -> Option<u64> {
    let in_image = (&raw const __data_start as u64..&raw const __data_end as u64).contains(&address);
    // Without its own IDT the boot core must not touch what may not be there.
    let caught = percpu::by_index(0).is_some();
    if !address.is_multiple_of(8) || (address as i64) >= 0 || !(in_image || caught) {
        return None;
    }
    let (value, ok): (u64, u32);
    // SAFETY: a read changes nothing; if nothing is mapped there, the fixup after the exception goes on behind the
    // `inc`. The compiler's view of memory does not matter: whatever is read is only shown.
    unsafe {
        core::arch::asm!(
            "2: mov {value}, [{address}]",
            "inc {ok:e}",
            "3:",
            ".pushsection .extable, \"a\"",
            ".quad 2b, 3b",
            ".popsection",
            value = inout(reg) 0u64 => value,
            ok = inout(reg) 0u32 => ok,
            address = in(reg) address,
            options(nostack, readonly),
        );
    }
    (ok != 0).then_some(value)
}
