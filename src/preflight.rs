//! The preflight report: what the machine is, what its CPU offers, and whether that is enough.

use core::arch::x86_64::__cpuid_count;

use hv::base::MIB;
use hv::hw::bootinfo::BootInfo;
use hv::hw::msr;
use hv::hw::options::L1dFlush;
use hv::mem::frames;
use hv::vt::preflight::{Capable, Cpu, Probe, Refusal, examine};
use hv::vt::speculation;

struct ThisCore;

impl Probe for ThisCore {
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let r = __cpuid_count(leaf, subleaf);
        [r.eax, r.ebx, r.ecx, r.edx]
    }

    fn rdmsr(&self, number: u32) -> Option<u64> {
        msr::try_read(number)
    }
}

/// Examines the machine and reports; what it can run guests with, or the one thing that is missing. `flush` is what the
/// user wants done about L1TF.
pub fn report(info: &BootInfo, cores: usize, flush: L1dFlush) -> Result<Capable, Refusal> {
    let cpu = examine(&ThisCore);
    show_cpu(&cpu);
    log::info!(
        "preflight: firmware {}, loader {}, memory {} MiB ({} MiB free), cores {cores}",
        if info.is_efi() { "UEFI" } else { "BIOS" },
        info.loader(),
        frames::ram_bytes() / MIB,
        frames::free_bytes() / MIB,
    );
    for feature in &cpu.features {
        let mark = if feature.present { "yes" } else { "no" };
        log::info!("preflight: {mark:3}  {:12}  {}", feature.need.name(), feature.name);
    }
    if cpu.verdict.is_ok() {
        for (weakness, what) in cpu.speculation.lines(flush) {
            log::info!("preflight: mitigation  {weakness}: {what}");
        }
        speculation::choose(cpu.speculation, flush);
    }
    cpu.verdict
}

fn show_cpu(cpu: &Cpu) {
    let (family, model, stepping) = cpu.signature;
    let brand = if cpu.brand.is_empty() { "no brand string" } else { cpu.brand.as_str() };
    match cpu.microcode {
        Some(revision) => log::info!(
            "preflight: cpu {} family {family:#x} model {model:#x} stepping {stepping:#x}, microcode {revision:#x}, {brand}",
            cpu.vendor
        ),
        None => log::info!(
            "preflight: cpu {} family {family:#x} model {model:#x} stepping {stepping:#x}, microcode unknown, {brand}",
            cpu.vendor
        ),
    }
    if let Some(below) = &cpu.below {
        log::info!(
            "preflight: running under a hypervisor ({})",
            if below.is_empty() { "unnamed" } else { below.as_str() }
        );
    }
}
