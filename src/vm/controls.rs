//! Accesses to control registers that the hypervisor decides on. The instruction is read from the guest's memory on both
//! vendors: not every CPU says which register it meant.

use crate::base::cpu::cr4;
use crate::base::{CpuState, Event, Gpa, Gpr, Outcome, Segment};
use crate::emu::control::{self, Regs};
use crate::emu::execute::system::{Access, Decoded, control_access};
use crate::emu::{Fault, World};
use crate::vm::board::Board;
use crate::vm::exits::inject;
use crate::vm::soft::Soft;
use crate::vt::{ControlRegisters, Loaded, Vendor};

/// MOV to or from CR0, CR4, CR8; LMSW; CLTS.
#[cold]
pub fn access<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>) -> Outcome {
    let state = V::state(cpu);
    let done = control_access(&state, V::gprs(cpu), board)
        .and_then(|Decoded { access, next_rip }| carry_out(soft, cpu, board, &state, access).map(|()| next_rip));
    match done {
        Ok(next) => {
            soft.finish(cpu, next);
            Outcome::Retry
        }
        Err(fault) => inject(cpu, fault),
    }
}

fn carry_out<V: Vendor>(
    soft: &mut Soft,
    cpu: &mut Loaded<'_, V>,
    board: &mut Board<V>,
    state: &CpuState,
    access: Access,
) -> Result<(), Fault> {
    let old = Regs::of(state);
    let new = match access {
        Access::Read { cr: 0, to } => return give(cpu, to, state.cr0),
        Access::Read { cr: 4, to } => return give(cpu, to, state.cr4),
        Access::Read { cr: 8, to } => return give(cpu, to, board.bus.cr8()),
        Access::Smsw { to, width } => {
            V::gprs(cpu).write(to, width, state.cr0);
            V::set_rsp(cpu);
            return Ok(());
        }
        Access::Stored => return Ok(()),
        Access::Write { cr: 0, value } => control::cr0_write(&old, value, state.segment(Segment::Cs).long())?,
        Access::Write { cr: 4, value } => control::cr4_write(&old, value, state.cr3, soft.cpuid.cr4_allowed())?,
        Access::Write { cr: 8, value } if value <= 0xf => {
            board.bus.set_cr8(value);
            return Ok(());
        }
        Access::Write { cr: 8, .. } => return Err(Fault::gp(0)),
        Access::Lmsw(value) => control::lmsw(&old, value),
        Access::Clts => control::clts(&old),
        Access::Read { .. } | Access::Write { .. } | Access::Other => return Err(Fault::UD),
    };
    let pdptes = if control::loads_pdptes(&old, &new) { Some(read_pdptes(board, state.cr3)?) } else { None };
    V::set_controls(cpu, ControlRegisters { cr0: new.cr0, cr4: new.cr4, efer: new.efer }, pdptes);
    soft.note_cr4(new.cr4);
    if control::flush_needed(&old, &new) {
        V::flush_guest(cpu);
    }
    Ok(())
}

fn give<V: Vendor>(cpu: &mut Loaded<'_, V>, to: Gpr, value: u64) -> Result<(), Fault> {
    V::gprs(cpu).set(to, value);
    V::set_rsp(cpu);
    Ok(())
}

/// The four page-directory-pointer-table entries that PAE paging loads (SDM 3A "PDPTE Registers").
///
/// # Errors
/// #GP, where a present one has a reserved bit set. Bits 5 and 6 are let through: see [`crate::emu::walk`].
fn read_pdptes<V: Vendor>(board: &mut Board<V>, cr3: u64) -> Result<[u64; 4], Fault> {
    const PRESENT: u64 = 1 << 0;
    const RESERVED: u64 = 0xfff << 52 | 0x186;
    let table = cr3 & 0xffff_ffe0;
    let entries = [0, 8, 16, 24].map(|offset| {
        let mut bytes = [0; 8];
        board.read(Gpa::new(table + offset), &mut bytes);
        u64::from_le_bytes(bytes)
    });
    let bad = entries.iter().any(|e| e & PRESENT != 0 && e & RESERVED != 0);
    if bad { Err(Fault::gp(0)) } else { Ok(entries) }
}

/// XSETBV of EDX:EAX to the register in ECX.
#[cold]
pub fn xsetbv<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>) -> Outcome {
    let state = V::state(cpu);
    // CPUs raise this themselves; it costs nothing not to rely on it.
    if state.cr4 & cr4::OSXSAVE == 0 {
        return Outcome::Inject(Event::UD);
    }
    let gprs = V::gprs(cpu);
    let (index, value) = (gprs.get(Gpr::Rcx) as u32, gprs.edx_eax());
    match control::xcr0_write(index, value, soft.cpuid.xcr0_allowed(), state.cpl) {
        Ok(xcr0) => {
            V::set_xcr0(cpu, xcr0);
            Outcome::Skip
        }
        Err(fault) => inject(cpu, fault),
    }
}
