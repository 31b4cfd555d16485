//! The answers that are the hypervisor's own and not the host's: the hypervisor's leaves, topology, frequencies.

use super::{Answer, Clock, HYPERVISOR_MAX, Terms, ZERO};

/// The name in EBX, ECX, EDX.
const NAME: u32 = u32::from_le_bytes(*b"hvhv");
/// Level types in leaf 0xb ECX bits 15:8 (SDM 2A "CPUID—CPU Identification").
const SMT: u32 = 1 << 8;
const CORE: u32 = 2 << 8;

/// Leaf 6: ARAT, the APIC timer never stops.
pub(super) const POWER: Answer = [1 << 2, 0, 0, 0];

/// The leaves from 0x4000_0000 on: name, hypercall, and at 0x10 the frequencies of the TSC and of the APIC timer in
/// kHz, where hypervisors by convention tell them.
pub(super) const fn hypervisor(terms: &Terms) -> [Answer; 17] {
    let mut leaves = [ZERO; 17];
    let [first, second, .., last] = &mut leaves;
    *first = [HYPERVISOR_MAX, NAME, NAME, NAME];
    *second = [terms.hypercall, 0, 0, 0];
    *last = [terms.clock.tsc_khz, terms.clock.tsc_khz, 0, 0];
    leaves
}

/// Leaf 0xb: one thread in one core in the package. A subleaf past the last level repeats its number and the ID.
pub(super) const fn topology(subleaf: u32, x2apic_id: u32) -> Answer {
    let level = match subleaf {
        0 => SMT,
        1 => CORE,
        _ => 0,
    };
    [0, (level != 0) as u32, level | subleaf & 0xff, x2apic_id]
}

/// Leaves 0x15 and 0x16 of an Intel CPU: the core crystal clock in Hz, which is the TSC's own frequency and the clock
/// of the APIC timer; base and maximum frequency in MHz.
///
/// A clock of more than 32 bits of Hz can't be told: then leaf 0x15 enumerates nothing.
pub(super) fn frequencies(clock: Clock) -> [Answer; 2] {
    let crystal = match clock.tsc_khz.checked_mul(1000) {
        Some(hz) if hz != 0 => [1, 1, hz, 0],
        _ => ZERO,
    };
    // 16 bits hold 65 GHz.
    let mhz = (clock.tsc_khz / 1000 + u32::from(clock.tsc_khz % 1000 >= 500)).min(0xffff);
    [crystal, [mhz, mhz, 0, 0]]
}
