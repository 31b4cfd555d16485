//! What a dump says besides the fields of the VMCS.

use crate::vt::doctor::text::Fact;
use crate::vt::vmx::case::{Launch, VmxCase};

macro_rules! number {
    ($name:literal, $bits:literal, $($member:ident).+) => {
        Fact { name: $name, bits: $bits, get: |case| Some(case.$($member).+.into()), set: |case, v| case.$($member).+ = v as _ }
    };
}

macro_rules! flag {
    ($name:literal, $($member:ident).+) => {
        Fact { name: $name, bits: 1, get: |case| Some(case.$($member).+.into()), set: |case, v| case.$($member).+ = v != 0 }
    };
}

/// The CPU.
pub const CPU: &[Fact<VmxCase>] = &[
    number!("basic", 64, cpu.caps.basic),
    number!("pin", 64, cpu.caps.pin),
    number!("primary", 64, cpu.caps.primary),
    number!("secondary", 64, cpu.caps.secondary),
    number!("exit", 64, cpu.caps.exit),
    number!("entry", 64, cpu.caps.entry),
    number!("misc", 64, cpu.caps.misc),
    number!("cr0_fixed0", 64, cpu.caps.cr0_fixed0),
    number!("cr0_fixed1", 64, cpu.caps.cr0_fixed1),
    number!("cr4_fixed0", 64, cpu.caps.cr4_fixed0),
    number!("cr4_fixed1", 64, cpu.caps.cr4_fixed1),
    number!("ept_vpid", 64, cpu.caps.ept_vpid),
    number!("vmfunc", 64, cpu.caps.vmfunc),
    number!("tertiary", 64, cpu.caps.tertiary),
    number!("phys_bits", 8, cpu.phys_bits),
    number!("linear_bits", 8, cpu.linear_bits),
    number!("efer", 64, cpu.efer),
    number!("debugctl", 64, cpu.debugctl),
    number!("perf_global", 64, cpu.perf_global),
    flag!("ia32e", cpu.ia32e),
    flag!("sgx", cpu.sgx),
    flag!("rtm", cpu.rtm),
    flag!("bus_lock", cpu.bus_lock),
];

/// Bits 63:32 of an entry's first half, which must be 0 and which the lines of Linux do not show.
macro_rules! reserved {
    ($($i:literal)*) => {
        [$(Fact {
            name: concat!("msr_", $i, "_reserved"),
            bits: 32,
            get: |case: &VmxCase| case.entry_msrs.get($i).map(|e| e.reserved.into()).filter(|v: &u64| *v != 0),
            set: |case: &mut VmxCase, v| {
                if let Some(entry) = case.entry_msrs.get_mut($i) {
                    entry.reserved = v as u32;
                }
            },
        }),*]
    };
}

const RESERVED: [Fact<VmxCase>; 16] = reserved!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// The entry. `launch` is 0 where it is not known, 1 for VMLAUNCH, 2 for VMRESUME.
pub const ENTRY: &[Fact<VmxCase>] = {
    const OWN: [Fact<VmxCase>; 7] = [
        number!("vmcs", 64, vmcs),
        number!("vmxon", 64, vmxon),
        Fact {
            name: "launch",
            bits: 2,
            get: |case| Some(case.launch as u64),
            set: |case, v| {
                case.launch = match v {
                    1 => Launch::Vmlaunch,
                    2 => Launch::Vmresume,
                    _ => Launch::Unknown,
                }
            },
        },
        flag!("launched", launched),
        flag!("after_mov_ss", after_mov_ss),
        Fact {
            name: "link_revision",
            bits: 32,
            get: |case| case.pointed.link_revision.map(u64::from),
            set: |case, v| case.pointed.link_revision = Some(v as u32),
        },
        Fact {
            name: "virtual_tpr",
            bits: 8,
            get: |case| case.pointed.virtual_tpr.map(u64::from),
            set: |case, v| case.pointed.virtual_tpr = Some(v as u8),
        },
    ];
    const ALL: [Fact<VmxCase>; 23] = {
        let mut all = [OWN[0]; 23];
        let mut i = 0;
        while i < 23 {
            all[i] = if i < 7 { OWN[i] } else { RESERVED[i - 7] };
            i += 1;
        }
        all
    };
    &ALL
};
