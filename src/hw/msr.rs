//! Model-specific registers. Their numbers are in `x86::msr`; the few that it lacks are here.

use core::arch::asm;

/// PAT, IA32_PAT (SDM 3A "IA32_PAT MSR").
pub const PAT: u32 = 0x277;

/// Reads an MSR that this CPU has. One that it has not is a fault of the hypervisor.
#[inline]
pub fn read(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading an MSR changes no memory; an invalid number raises #GP, which is reported.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes an MSR that this CPU has.
///
/// # Safety
/// The value must not break what Rust code relies on (stacks, mappings, segment bases).
#[inline]
pub unsafe fn write(msr: u32, value: u64) {
    // SAFETY: this function's contract. No `nomem`: some MSRs change how memory is seen.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}

/// Reads an MSR, or `None` if this CPU does not have it.
pub fn try_read(msr: u32) -> Option<u64> {
    let (low, high, ok): (u32, u32, u32);
    // SAFETY: as `read`; the fixup after #GP goes on behind the `inc` with nothing else changed.
    unsafe {
        asm!(
            "2: rdmsr",
            "inc {ok:e}",
            "3:",
            ".pushsection .extable, \"a\"",
            ".quad 2b, 3b",
            ".popsection",
            ok = inout(reg) 0u32 => ok,
            in("ecx") msr,
            inout("eax") 0u32 => low,
            inout("edx") 0u32 => high,
            options(nomem, nostack),
        );
    }
    (ok != 0).then_some(u64::from(high) << 32 | u64::from(low))
}

/// Writes an MSR; false if this CPU does not have it or refuses the value.
///
/// # Safety
/// As [`write`].
pub unsafe fn try_write(msr: u32, value: u64) -> bool {
    let ok: u32;
    // SAFETY: this function's contract; the fixup goes on behind the `inc`.
    unsafe {
        asm!(
            "2: wrmsr",
            "inc {ok:e}",
            "3:",
            ".pushsection .extable, \"a\"",
            ".quad 2b, 3b",
            ".popsection",
            ok = inout(reg) 0u32 => ok,
            in("ecx") msr,
            in("eax") value as u32,
            in("edx") (value >> 32) as u32,
            options(nostack),
        );
    }
    ok != 0
}
