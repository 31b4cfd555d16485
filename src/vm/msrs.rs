//! RDMSR and WRMSR: the policy's answers, and the registers that live in the control block.

use x86::msr::IA32_EFER;

use crate::base::Gpr;
use crate::base::cpu::cr0;
use crate::emu::msr::{Read, Rules, Write};
use crate::hw::time;
use crate::vm::soft::Soft;
use crate::vt::{ControlRegisters, Loaded, Vendor};

/// RDMSR of the MSR in ECX; false where it takes #GP(0).
#[inline(always)]
pub fn read<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>) -> bool {
    let msr = V::gprs(cpu).get(Gpr::Rcx) as u32;
    let value = match soft.msrs.read(msr) {
        Read::Value(value) => value,
        Read::Efer => V::controls(cpu).efer,
        Read::Pat => V::pat(cpu),
        Read::Tsc => time::tsc().wrapping_add(V::tsc_offset(cpu)),
        Read::Gp => return false,
    };
    V::gprs(cpu).set_edx_eax(value);
    true
}

/// WRMSR of EDX:EAX to the MSR in ECX; false where it takes #GP(0).
#[inline(always)]
pub fn write<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>) -> bool {
    let gprs = V::gprs(cpu);
    let (msr, value) = (gprs.get(Gpr::Rcx) as u32, gprs.edx_eax());
    let rules = if msr == IA32_EFER { efer_rules(soft, cpu) } else { Rules::default() };
    match soft.msrs.write(msr, value, &rules) {
        Write::Done => {}
        Write::SetEfer(efer) => {
            let controls = V::controls(cpu);
            V::set_controls(cpu, ControlRegisters { efer, ..controls }, None);
            V::flush_guest(cpu);
        }
        Write::SetPat(pat) => V::set_pat(cpu, pat),
        Write::SetTsc(tsc) => V::set_tsc_offset(cpu, tsc.wrapping_sub(time::tsc())),
        Write::Gp => return false,
    }
    true
}

/// What a write of EFER is judged by.
fn efer_rules<V: Vendor>(soft: &Soft, cpu: &Loaded<'_, V>) -> Rules {
    let controls = V::controls(cpu);
    Rules { efer_allowed: soft.cpuid.efer_allowed(), efer_now: controls.efer, paging: controls.cr0 & cr0::PG != 0 }
}
