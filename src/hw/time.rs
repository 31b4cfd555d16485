//! How fast the TSC and the local APIC's timer run, and waiting.

use crate::hw::acpi::PmTimer;
use crate::hw::lapic;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use raw_cpuid::CpuId;
use x86_64::instructions::port::Port;

/// Hz of the ACPI PM timer (ACPI, "Power Management Timer").
const PM_HZ: u64 = 3_579_545;
/// Hz of the PIT.
const PIT_HZ: u64 = 1_193_182;
/// How long is measured: 1 ms.
const PM_TICKS: u32 = (PM_HZ / 1000) as u32;
const PIT_TICKS: u16 = (PIT_HZ / 1000) as u16;
/// A clock that does not move in so many reads stands still. A read takes up to 1 µs on a real machine.
const PATIENCE: u32 = 20_000;

static TSC_HZ: AtomicU64 = AtomicU64::new(1_000_000_000);
static LAPIC_HZ: AtomicU64 = AtomicU64::new(1_000_000_000);
static LAPIC_RATIO: AtomicU64 = AtomicU64::new(1 << 32);

/// Cycles of the local APIC's timer in a cycle of the TSC, with 32 bits after the binary point.
#[inline(always)]
pub fn lapic_ratio() -> u64 {
    LAPIC_RATIO.load(Ordering::Relaxed)
}

/// Which clock the frequencies come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Measured against the ACPI PM timer.
    PmTimer,
    /// Measured against the PIT.
    Pit,
    /// What CPUID says (leaf 0x15 or 0x16): emulators lie there.
    Cpuid,
    /// Nothing works: 1 GHz is assumed.
    Assumed,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PmTimer => "by the ACPI PM timer",
            Self::Pit => "by the PIT",
            Self::Cpuid => "by CPUID",
            Self::Assumed => "assumed",
        })
    }
}

/// The time-stamp counter.
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: RDTSC touches no memory; CR4.TSD does not bind ring 0.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Cycles of the TSC in a second.
pub fn tsc_hz() -> u64 {
    TSC_HZ.load(Ordering::Relaxed)
}

/// Cycles of the local APIC's timer in a second.
pub fn lapic_hz() -> u64 {
    LAPIC_HZ.load(Ordering::Relaxed)
}

/// TSC cycles in `us` microseconds.
pub fn cycles(us: u64) -> u64 {
    (u128::from(us) * u128::from(tsc_hz()) / 1_000_000) as u64
}

/// Waits.
pub fn delay_us(us: u64) {
    wait_until(us, || false);
}

/// Waits until `done`, at most `us` microseconds; whether it was done.
pub fn wait_until(us: u64, mut done: impl FnMut() -> bool) -> bool {
    let (start, cycles) = (tsc(), cycles(us));
    loop {
        if done() {
            return true;
        }
        if tsc().wrapping_sub(start) >= cycles {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// Finds out the frequencies, in about 1 ms. The local APIC is enabled.
pub fn init(pm_timer: Option<PmTimer>) -> Source {
    lapic::count_from_top();
    let measured =
        pm_timer.and_then(by_pm_timer).map(|m| (m, Source::PmTimer)).or_else(|| Some((by_pit()?, Source::Pit)));
    lapic::timer_stop();
    if let Some((Measured { tsc, lapic, hz }, source)) = measured.filter(|(m, _)| m.tsc > 0 && m.lapic > 0) {
        set(tsc * hz.0 / hz.1, lapic * hz.0 / hz.1);
        return source;
    }
    match by_cpuid() {
        Some((tsc, crystal)) => {
            set(tsc, crystal);
            Source::Cpuid
        }
        None => Source::Assumed,
    }
}

fn set(tsc_hz: u64, lapic_hz: u64) {
    TSC_HZ.store(tsc_hz, Ordering::Relaxed);
    LAPIC_HZ.store(lapic_hz, Ordering::Relaxed);
    LAPIC_RATIO.store(((u128::from(lapic_hz) << 32) / u128::from(tsc_hz.max(1))) as u64, Ordering::Relaxed);
}

/// Cycles while the reference clock made `hz.1` of its `hz.0` ticks a second.
struct Measured {
    tsc: u64,
    lapic: u64,
    hz: (u64, u64),
}

fn by_pm_timer(timer: PmTimer) -> Option<Measured> {
    let mask = if timer.wide { u32::MAX } else { 0xff_ffff };
    let mut port = Port::<u32>::new(timer.port);
    // SAFETY: the FADT says that the timer is there; reading it changes nothing.
    let mut now = || unsafe { port.read() } & mask;
    let first = now();
    let mut next = || (0..PATIENCE).map(|_| now()).find(|t| *t != first);
    let start = next()?;
    let (tsc0, lapic0) = (tsc(), lapic::counted());
    let (mut last, mut still) = (start, 0);
    loop {
        let t = now();
        let passed = t.wrapping_sub(start) & mask;
        if passed >= PM_TICKS {
            let (tsc, lapic) = (tsc() - tsc0, lapic::counted() - lapic0);
            return Some(Measured { tsc, lapic: lapic.into(), hz: (PM_HZ, passed.into()) });
        }
        still = if t == last { still + 1 } else { 0 };
        last = t;
        if still > PATIENCE {
            return None;
        }
    }
}

/// Channel 2, whose output can be read and whose gate can be set at port 0x61.
fn by_pit() -> Option<Measured> {
    let (mut control, mut data, mut command) = (Port::<u8>::new(0x61), Port::<u8>::new(0x42), Port::<u8>::new(0x43));
    // SAFETY: the PIT and port 0x61 are where every PC has them; where they are not, reads give all-ones.
    unsafe {
        let old = control.read();
        // Gate on, speaker off.
        control.write(old & !2 | 1);
        // Channel 2, low then high byte, mode 0: the output rises at the end.
        command.write(0xb0);
        data.write(PIT_TICKS as u8);
        data.write((PIT_TICKS >> 8) as u8);
        let (tsc0, lapic0) = (tsc(), lapic::counted());
        let mut early = control.read() & 0x20 != 0;
        let done = !early && (0..PATIENCE * 100).any(|_| control.read() & 0x20 != 0);
        let (tsc, lapic) = (tsc() - tsc0, lapic::counted().wrapping_sub(lapic0));
        control.write(old);
        early |= !done;
        (!early).then_some(Measured { tsc, lapic: lapic.into(), hz: (PIT_HZ, PIT_TICKS.into()) })
    }
}

/// TSC and crystal frequencies (SDM 2A "CPUID—CPU Identification", leaves 0x15 and 0x16).
fn by_cpuid() -> Option<(u64, u64)> {
    let id = CpuId::new();
    if let Some(tsc) = id.get_tsc_info()
        && tsc.denominator() != 0
        && tsc.numerator() != 0
        && tsc.nominal_frequency() != 0
    {
        let crystal = u64::from(tsc.nominal_frequency());
        return Some((crystal * u64::from(tsc.numerator()) / u64::from(tsc.denominator()), crystal));
    }
    let mhz = id.get_processor_frequency_info()?.processor_base_frequency();
    (mhz != 0).then_some((u64::from(mhz) * 1_000_000, 100_000_000))
}
