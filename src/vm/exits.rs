//! What each exit means for the guest: the handlers of the exit loop.

use crate::base::cpu::{cr0, efer};
use crate::base::{Access, CpuState, Event, Exception, Gpr, Gva, Outcome, StopReason};
use crate::emu::execute::{self, Step};
use crate::emu::known::{self, Known};
use crate::emu::{Fault, World, decode, walk};
use crate::vm::board::{Board, Found};
use crate::vm::soft::Soft;
use crate::vm::watch::{Between, Sign};
use crate::vm::{controls, device_memory, hypercall, msrs};
use crate::vt::exit::{Exit, ExitKind, NestedFault, PortExit};
use crate::vt::recorder::Recorder;
use crate::vt::{Loaded, Vendor};

/// Handles the exit that [`Vendor::enter`] has come back with. Returns why the VM ends, if it does.
///
/// The exits that guests make most are carried out here at once; nothing stands between the decoding and this match, so that
/// the compiler makes one jump of the two.
#[inline(always)]
pub fn handle<V: Vendor>(
    soft: &mut Soft,
    cpu: &mut Loaded<'_, V>,
    board: &mut Board<V>,
    recorder: &mut Recorder,
) -> Option<StopReason> {
    recorder.begin(V::rip(cpu));
    match V::exit(cpu) {
        Exit::Cpuid => {
            soft.exits.count(ExitKind::Cpuid);
            let gprs = V::gprs(cpu);
            // The leaf, and the subleaf in the upper half.
            recorder.note(ExitKind::Cpuid, gprs.get(Gpr::Rax) & 0xffff_ffff | gprs.get(Gpr::Rcx) << 32);
            cpuid(soft, cpu);
            skip(soft, cpu, board, Known::Cpuid)
        }
        Exit::PortOut(PortExit { port, width }) => {
            soft.exits.count(ExitKind::Port);
            recorder.note(ExitKind::Port, u64::from(port) | width.bytes() << 16);
            // The device looks at `width` of it only.
            let value = V::gprs(cpu).get(Gpr::Rax) as u32;
            board.bus.port_out(port, width, value);
            match board.bus.ended() {
                None => {
                    soft.finish(cpu, V::port_next_rip(cpu));
                    None
                }
                Some(value) => Some(StopReason::Exit(value)),
            }
        }
        Exit::PortIn(PortExit { port, width }) => {
            soft.exits.count(ExitKind::Port);
            recorder.note_in(u64::from(port) | width.bytes() << 16);
            let value = board.bus.port_in(port, width);
            V::gprs(cpu).write(Gpr::Rax, width, u64::from(value));
            soft.finish(cpu, V::port_next_rip(cpu));
            None
        }
        Exit::MsrRead => {
            soft.exits.count(ExitKind::MsrRead);
            recorder.note(ExitKind::MsrRead, V::gprs(cpu).get(Gpr::Rcx) & 0xffff_ffff);
            if msrs::read(soft, cpu) { skip(soft, cpu, board, Known::Rdmsr) } else { refuse(soft) }
        }
        Exit::MsrWrite => {
            soft.exits.count(ExitKind::MsrWrite);
            recorder.note(ExitKind::MsrWrite, V::gprs(cpu).get(Gpr::Rcx) & 0xffff_ffff);
            if msrs::write(soft, cpu) { skip(soft, cpu, board, Known::Wrmsr) } else { refuse(soft) }
        }
        Exit::Hypercall => {
            soft.exits.count(ExitKind::Hypercall);
            recorder.note(ExitKind::Hypercall, V::gprs(cpu).get(Gpr::Rax) & 0xffff_ffff);
            hypercall::call(cpu, board, recorder);
            skip(soft, cpu, board, Known::Vmmcall)
        }
        Exit::Nested(fault) => {
            soft.exits.count(ExitKind::Nested);
            recorder.note(ExitKind::Nested, fault.gpa.raw());
            let cut_off = V::cut_off(cpu);
            let outcome = nested(soft, cpu, board, fault, cut_off.is_some());
            soft.settle(cut_off, outcome)
        }
        _ => rare(soft, cpu, board, recorder),
    }
}

/// The exits that guests make seldom. Decoded again here: to hand the exit over would cost the others its way to memory.
#[inline(never)]
fn rare<V: Vendor>(
    soft: &mut Soft,
    cpu: &mut Loaded<'_, V>,
    board: &mut Board<V>,
    recorder: &mut Recorder,
) -> Option<StopReason> {
    let exit = V::exit(cpu);
    V::attend(cpu, &exit);
    soft.exits.count(exit.kind());
    recorder.note(exit.kind(), if let Exit::Exception(event) = exit { u64::from(event.vector) } else { 0 });
    let cut_off = V::cut_off(cpu);
    let mut outcome = match exit {
        Exit::Hlt => Outcome::Stop(StopReason::Halt),
        Exit::PortString => emulate(soft, cpu, board),
        Exit::ControlRegister => controls::access(soft, cpu, board),
        Exit::Xsetbv => controls::xsetbv(soft, cpu),
        // The caches are the host's: what the guest sees is coherent without its help.
        Exit::CacheFlush => Outcome::Skip,
        Exit::Exception(event) if event.vector == Exception::DF.0 => double_fault(cpu, board, event),
        // Taken out of the guest only so that their endless delivery can be interrupted: it gets them now.
        Exit::Exception(event) => {
            match again(soft, cpu, ExitKind::Exception, u64::from(event.vector), Between::Handler) {
                Outcome::Retry => Outcome::Inject(event),
                stop => stop,
            }
        }
        Exit::Icebp => Outcome::Skip,
        Exit::Undefined => Outcome::Inject(Event::UD),
        Exit::Forbidden => Outcome::Inject(Event::GP),
        Exit::Interrupt | Exit::Nmi | Exit::MachineCheck if soft.deadline.is_over() => {
            Outcome::Stop(StopReason::Budget)
        }
        Exit::Interrupt | Exit::Nmi | Exit::MachineCheck => Outcome::Retry,
        Exit::TripleFault => Outcome::Stop(StopReason::TripleFault),
        Exit::EntryFailed { what, code } => Outcome::Stop(StopReason::EntryFailed { what, code }),
        Exit::Other { name, number } => Outcome::Stop(StopReason::Unhandled { name, number }),
        // Carried out by `handle`.
        Exit::Cpuid
        | Exit::PortIn(_)
        | Exit::PortOut(_)
        | Exit::MsrRead
        | Exit::MsrWrite
        | Exit::Hypercall
        | Exit::Nested(_) => Outcome::Retry,
    };
    if outcome == Outcome::Skip {
        match V::next_rip(cpu).map_or_else(|| read_next_rip(cpu, board), Ok) {
            // Its #DB comes before that of single-stepping, which it does not join.
            Ok(next) if exit == Exit::Icebp => {
                V::advance(cpu, next);
                soft.pending = Some(Event::exception(Exception::DB));
            }
            Ok(next) => soft.finish(cpu, next),
            Err(fault) => outcome = inject(cpu, fault),
        }
    }
    soft.settle(cut_off, outcome)
}

/// Ends an instruction. CPUs that do not tell the next RIP have it read from the guest's memory; `expected` is the
/// instruction whose usual form is recognised at a glance.
#[inline(always)]
fn skip<V: Vendor>(
    soft: &mut Soft,
    cpu: &mut Loaded<'_, V>,
    board: &mut Board<V>,
    expected: Known,
) -> Option<StopReason> {
    let next = V::next_rip(cpu).or_else(|| {
        let bytes = board.code(V::unpaged_code(cpu)?)?;
        Some(V::rip(cpu).wrapping_add(known::length(bytes, expected)?))
    });
    match next {
        Some(next) => {
            soft.finish(cpu, next);
            None
        }
        None => skip_unknown(soft, cpu, board),
    }
}

/// Ends an instruction whose length the decoder must find.
#[inline(never)]
fn skip_unknown<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>) -> Option<StopReason> {
    match read_next_rip(cpu, board) {
        Ok(next) => {
            soft.finish(cpu, next);
            None
        }
        Err(fault) => {
            let outcome = inject(cpu, fault);
            soft.settle(None, outcome)
        }
    }
}

fn read_next_rip<V: Vendor>(cpu: &mut Loaded<'_, V>, board: &mut Board<V>) -> Result<u64, Fault> {
    let state = V::state(cpu);
    let length = decode::length(&state, board)?;
    Ok(decode::next_rip(&state, length))
}

/// An instruction that takes #GP(0) instead of being carried out.
#[cold]
fn refuse(soft: &mut Soft) -> Option<StopReason> {
    soft.settle(None, Outcome::Inject(Event::GP))
}

/// CPUID: the policy's answer for EAX and ECX.
#[inline(always)]
fn cpuid<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>) {
    let gprs = V::gprs(cpu);
    let (leaf, subleaf) = (gprs.get(Gpr::Rax) as u32, gprs.get(Gpr::Rcx) as u32);
    let [a, b, c, d] = soft.cpuid.lookup(leaf, subleaf, &soft.dynamic);
    gprs.set(Gpr::Rax, u64::from(a));
    gprs.set(Gpr::Rbx, u64::from(b));
    gprs.set(Gpr::Rcx, u64::from(c));
    gprs.set(Gpr::Rdx, u64::from(d));
}

/// A guest-physical access that is not mapped: RAM is mapped, everything else goes to the bus by emulation.
#[inline(always)]
fn nested<V: Vendor>(
    soft: &mut Soft,
    cpu: &mut Loaded<'_, V>,
    board: &mut Board<V>,
    fault: NestedFault,
    delivering: bool,
) -> Outcome {
    match board.fault_in(fault.gpa) {
        Found::Ram => Outcome::Retry,
        Found::Mapped => again(soft, cpu, ExitKind::Nested, fault.gpa.raw(), Between::Nothing),
        Found::OutOfTables => Outcome::Stop(StopReason::OutOfMemory),
        // The instruction at RIP is not the one that made this access: the CPU did, on its way to a handler.
        Found::Device if delivering => Outcome::Stop(StopReason::Unhandled {
            name: "event delivery through memory that is not RAM",
            number: fault.gpa.raw(),
        }),
        Found::Device => {
            if device_memory::access(soft, cpu, board, fault) {
                return Outcome::Retry;
            }
            device_memory::learn(soft, cpu, board);
            emulate(soft, cpu, board)
        }
    }
}

/// The guest executes the same instruction again, though nothing has changed that the exit was about. Once or twice that is
/// as it should be; without end it is not.
#[cold]
fn again<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, kind: ExitKind, info: u64, between: Between) -> Outcome {
    // For RSP, which the register file has only then.
    V::state(cpu);
    let registers = Sign::of_registers(V::gprs(cpu));
    let sign = Sign { rip: V::rip(cpu), kind: kind as u16, info, registers };
    if soft.watch.note(sign, soft.exits.by_guest(), between) {
        Outcome::Stop(StopReason::Stuck { exits: soft.watch.same() })
    } else {
        Outcome::Retry
    }
}

/// Executes the instruction at RIP in place of the CPU.
fn emulate<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>) -> Outcome {
    let mut state = V::state(cpu);
    let (old_rip, old_rflags) = (state.rip, state.rflags);
    let step = execute::step(&mut state, V::gprs(cpu), board);
    V::set_rsp(cpu);
    if state.rflags != old_rflags {
        V::set_rflags(cpu, state.rflags);
    }
    if let Some(value) = board.bus.ended() {
        return Outcome::Stop(StopReason::Exit(value));
    }
    match step {
        Ok(Step::Done) => {
            soft.finish(cpu, state.rip);
            Outcome::Retry
        }
        // The instruction's time passes here and not in the guest, where the timer would end it.
        Ok(Step::Continue) if soft.deadline.is_over() => Outcome::Stop(StopReason::Budget),
        // Between two iterations, as between two instructions: a guest that single-steps gets its trap.
        Ok(Step::Continue) => {
            soft.finish(cpu, state.rip);
            Outcome::Retry
        }
        Ok(Step::NotEmulated) => Outcome::Stop(StopReason::NotEmulated { rip: old_rip }),
        Err(fault) => inject(cpu, fault),
    }
}

/// A double fault. A guest that has no handler for it has come to its triple fault, which is told here because not every
/// SVM can intercept a shutdown (Bochs 2.7 stops its whole machine). What else can be wrong with the handler, the CPU finds
/// out itself.
#[cold]
fn double_fault<V: Vendor>(cpu: &mut Loaded<'_, V>, board: &mut Board<V>, event: Event) -> Outcome {
    let state = V::state(cpu);
    if has_handler(&state, board, event.vector) {
        Outcome::Inject(event)
    } else {
        Outcome::Stop(StopReason::TripleFault)
    }
}

/// Whether the IDT has a present gate for `vector` in memory that the CPU can reach
/// (SDM 3A "IDT Descriptors", "64-Bit Mode IDT"; SDM 3B "Interrupt and Exception Handling").
fn has_handler<V: Vendor>(state: &CpuState, board: &mut Board<V>, vector: u8) -> bool {
    let (gate, protected) = match (state.cr0 & cr0::PE != 0, state.efer & efer::LMA != 0) {
        (false, _) => (4, false),
        (true, false) => (8, true),
        (true, true) => (16, true),
    };
    let offset = u32::from(vector) * gate;
    let at = Gva::new(state.idtr.base.wrapping_add(u64::from(offset)));
    let Ok(gpa) = walk::translate(state, board, at, Access::Read, false) else { return false };
    let mut bytes = [0; 8];
    board.read(gpa, &mut bytes);
    const PRESENT: u64 = 1 << 47;
    offset + gate - 1 <= state.idtr.limit && (!protected || u64::from_le_bytes(bytes) & PRESENT != 0)
}

/// A fault that an emulated instruction raised.
#[cold]
pub fn inject<V: Vendor>(cpu: &mut Loaded<'_, V>, fault: Fault) -> Outcome {
    if let Some(cr2) = fault.cr2 {
        V::set_cr2(cpu, cr2);
    }
    Outcome::Inject(fault.event)
}
