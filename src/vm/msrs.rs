//! RDMSR and WRMSR: the policy's answers, and the registers that live in the control block or in a device.

use x86::msr::IA32_EFER;

use crate::base::cpu::cr0;
use crate::emu::msr::{Read, Rules, Write};
use crate::hw::time;
use crate::vm::board::Board;
use crate::vm::soft::Soft;
use crate::vt::{ControlRegisters, Loaded, Vendor, speculation};

/// RDMSR of `msr`, which ECX has; false where it takes #GP(0).
#[inline(always)]
pub fn read<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>, msr: u32) -> bool {
    let value = match soft.msrs.read(msr) {
        Read::Value(value) => value,
        Read::Apic => {
            import_apic(cpu, board);
            match board.bus.read_apic_msr(msr, time::tsc) {
                Some(value) => value,
                None => return false,
            }
        }
        Read::Efer => V::controls(cpu).efer,
        Read::Pat => V::pat(cpu),
        Read::Tsc => board.bus.guest_cycles(time::tsc()).wrapping_add(V::tsc_offset(cpu)),
        Read::ApicBase => board.bus.apic_base(),
        Read::TscDeadline => board.bus.tsc_deadline(time::tsc),
        Read::TscAdjust => soft.tsc_adjust,
        Read::SpecCtrl => V::spec_ctrl(cpu),
        Read::Gp => return false,
    };
    V::gprs(cpu).set_edx_eax(value);
    true
}

/// WRMSR of EDX:EAX to `msr`, which ECX has; false where it takes #GP(0).
#[inline(always)]
pub fn write<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>, msr: u32) -> bool {
    let value = V::gprs(cpu).edx_eax();
    let rules = if msr == IA32_EFER { efer_rules(soft, cpu) } else { Rules::default() };
    match soft.msrs.write(msr, value, &rules) {
        Write::Done => {}
        Write::Apic => {
            import_apic(cpu, board);
            return board.bus.write_apic_msr(msr, value, time::tsc);
        }
        Write::SetTscDeadline(at) => board.bus.set_tsc_deadline(at, V::tsc_offset(cpu), time::tsc),
        Write::SetEfer(efer) => {
            let controls = V::controls(cpu);
            V::set_controls(cpu, ControlRegisters { efer, ..controls }, None);
            V::flush_guest(cpu);
        }
        Write::SetPat(pat) => V::set_pat(cpu, pat),
        Write::SetTsc(tsc) => {
            let offset = tsc.wrapping_sub(board.bus.guest_cycles(time::tsc()));
            move_tsc(soft, cpu, board, offset.wrapping_sub(V::tsc_offset(cpu)));
        }
        Write::SetTscAdjust(adjust) => move_tsc(soft, cpu, board, adjust.wrapping_sub(soft.tsc_adjust)),
        Write::SetApicBase(base) => {
            import_apic(cpu, board);
            let fine = board.bus.set_apic_base(base);
            soft.note_apic(board.bus.apic_base());
            return fine;
        }
        Write::SetSpecCtrl(value) => V::set_spec_ctrl(cpu, value),
        Write::PredCmd(_) => speculation::predictor_barrier(),
        Write::FlushCmd => speculation::flush_l1d(),
        Write::Gp => return false,
    }
    true
}

/// Takes the local APIC back from the CPU that keeps it.
#[inline(always)]
fn import_apic<V: Vendor>(cpu: &mut Loaded<'_, V>, board: &mut Board<V>) {
    if let Some(page) = V::apic(cpu) {
        board.bus.import_apic(page);
    }
}

/// The guest moves its time-stamp counter by `difference`, by whichever of the two MSRs: both show it (SDM 3B
/// "IA32_TSC_ADJUST Register").
#[cold]
fn move_tsc<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>, difference: u64) {
    soft.tsc_adjust = soft.tsc_adjust.wrapping_add(difference);
    let offset = V::tsc_offset(cpu).wrapping_add(difference);
    V::set_tsc_offset(cpu, offset);
    board.bus.set_tsc_offset(offset);
}

/// What a write of EFER is judged by.
fn efer_rules<V: Vendor>(soft: &Soft, cpu: &Loaded<'_, V>) -> Rules {
    let controls = V::controls(cpu);
    Rules { efer_allowed: soft.cpuid.efer_allowed(), efer_now: controls.efer, paging: controls.cr0 & cr0::PG != 0 }
}
