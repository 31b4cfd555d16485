//! Dumps of a VMCS with the lines of Linux KVM's `dump_vmcs` (Linux 6.12, with the lines for CET of 6.18).

mod facts;
mod lines;

use core::fmt;

use super::caps::VmxCaps;
use super::case::{MsrEntry, VmxCase, VmxCpu};
use super::state::F;
use crate::vt::doctor::state::State;
use crate::vt::doctor::text::{self, Dumped, Fact, Line, What, hex, literal};

/// Writes a dump that is complete in itself. The CPU in its first line is given as 0.
pub fn write(case: &VmxCase, out: &mut impl fmt::Write) -> fmt::Result {
    write_on(case, 0, out)
}

/// The same, with the number of the CPU that tried the entry last.
pub fn write_on(case: &VmxCase, cpu: u32, out: &mut impl fmt::Write) -> fmt::Result {
    writeln!(out, "VMCS {:016x}, last attempted VM-entry on CPU {cpu}", case.vmcs)?;
    text::write(case, out)
}

/// Writes every field that is there with the names of its bits.
pub fn write_names(case: &VmxCase, out: &mut impl fmt::Write) -> fmt::Result {
    text::write_names(case, out)
}

impl VmxCpu {
    /// What is assumed of a CPU where a dump does not say: that it can do whatever any CPU can. What is broken then is
    /// broken on every CPU; what only this one lacks is not found.
    pub const fn any() -> Self {
        /// Every control may be 1; these must be, on every CPU (the true capability MSRs).
        const fn must(ones: u64) -> u64 {
            0xffff_ffff << 32 | ones
        }
        Self {
            caps: VmxCaps {
                // True controls, error codes with any exception, nested exceptions; addresses of any width.
                basic: 0x05da_0400_0000_0004,
                pin: must(0x16),
                primary: must(0x0400_6172),
                secondary: must(0),
                exit: must(0x3_6dfb),
                entry: must(0x11fb),
                // All activity states, four CR3 targets, 4096 entries of MSR areas, instruction length 0.
                misc: 0x7e04_c1ff,
                cr0_fixed0: 0x8000_0021,
                cr0_fixed1: 0xffff_ffff,
                cr4_fixed0: 0x2000,
                cr4_fixed1: u64::MAX,
                ept_vpid: u64::MAX,
                vmfunc: u64::MAX,
                tertiary: u64::MAX,
            },
            phys_bits: 52,
            linear_bits: 57,
            efer: 0xd01,
            debugctl: 0xffc7,
            perf_global: u64::MAX,
            ia32e: true,
            sgx: true,
            rtm: true,
            bus_lock: true,
        }
    }
}

/// An MSR area that entries belong to, as [`Dumped::special`] remembers it.
const AREAS: [(&str, F); 4] = [
    ("MSR guest autoload:", F::EntryMsrLoadCount),
    ("MSR guest autostore:", F::ExitMsrStoreCount),
    ("MSR host autoload:", F::ExitMsrLoadCount),
    ("MSR autostore:", F::ExitMsrStoreCount),
];

/// Reads `N: msr=0x... value=0x...`; `None` if it is something else.
fn read_entry(text: &[u8]) -> Option<Result<MsrEntry, What>> {
    let rest = text.get(text.iter().take_while(|c| c.is_ascii_digit()).count()..)?;
    let rest = literal(rest, ": msr=0x").filter(|_| rest.len() < text.len())?;
    let read = || {
        let (index, rest) = hex(rest, 32, 8, "an MSR's number")?;
        let rest = literal(rest, " value=0x").ok_or(What::Expected(" value=0x"))?;
        let (value, rest) = hex(rest, 64, 16, "an MSR's value")?;
        if rest.is_empty() { Ok(MsrEntry { index: index as u32, reserved: 0, value }) } else { Err(What::Extra) }
    };
    Some(read())
}

impl Dumped for VmxCase {
    const SECTIONS: &'static [&'static str] = &["*** Guest State ***", "*** Host State ***", "*** Control State ***"];
    const LINES: &'static [Line<F, Self>] = lines::LINES;
    const LAST: &'static str = "TSC Offset";
    const CONTINUED: &'static [&'static str] = &["TPR Threshold", "virt-APIC addr"];
    const CPU: &'static [Fact<Self>] = facts::CPU;
    const ENTRY: &'static [Fact<Self>] = facts::ENTRY;

    fn blank() -> Self {
        Self::new(State::default(), VmxCpu::any())
    }

    fn special(&mut self, text: &[u8], area: &mut u8) -> Option<Result<(), What>> {
        for ((title, count), number) in AREAS.iter().zip(1..) {
            if text == title.as_bytes() {
                *area = number;
                self.state.set(*count, 0);
                return Some(Ok(()));
            }
        }
        let entry = read_entry(text)?;
        let Some((_, count)) = usize::from(*area).checked_sub(1).and_then(|i| AREAS.get(i)) else {
            return Some(Err(What::Order));
        };
        Some(entry.map(|entry| {
            self.state.set(*count, self.state.get(*count) + 1);
            if *count == F::EntryMsrLoadCount {
                // The rules look at no more entries than there is room for.
                let _ = self.entry_msrs.try_push(entry);
            }
        }))
    }
}
