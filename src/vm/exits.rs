//! What each exit means for the guest: the handlers of the exit loop.

use crate::base::cpu::{cr0, efer};
use crate::base::{Access, CpuState, Event, Exception, Gpr, Gva, Outcome, StopReason};
use crate::dev::bus::{Attention, Ended, LOCAL_APIC};
use crate::dev::power::Power;
use crate::emu::execute::{self, Step};
use crate::emu::known;
use crate::emu::{Fault, World, decode, walk};
use crate::hw::time;
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
            skip::<V, { known::CPUID }>(soft, cpu, board)
        }
        Exit::PortOut(PortExit { port, width }) => {
            soft.exits.count(ExitKind::Port);
            recorder.note(ExitKind::Port, u64::from(port) | width.bytes() << 16);
            // The device looks at `width` of it only.
            let value = V::gprs(cpu).get(Gpr::Rax) as u32;
            board.bus.port_out(port, width, value, time::tsc);
            match board.bus.ended() {
                None => {
                    soft.finish(cpu, V::port_next_rip(cpu));
                    None
                }
                Some(ended) => Some(stop(ended)),
            }
        }
        Exit::PortIn(PortExit { port, width }) => {
            soft.exits.count(ExitKind::Port);
            recorder.note_in(u64::from(port) | width.bytes() << 16);
            let value = board.bus.port_in(port, width, time::tsc);
            V::gprs(cpu).write(Gpr::Rax, width, u64::from(value));
            soft.finish(cpu, V::port_next_rip(cpu));
            None
        }
        Exit::MsrRead => {
            soft.exits.count(ExitKind::MsrRead);
            let msr = V::gprs(cpu).get(Gpr::Rcx) as u32;
            recorder.note(ExitKind::MsrRead, u64::from(msr));
            if msrs::read(soft, cpu, board, msr) { skip::<V, { known::RDMSR }>(soft, cpu, board) } else { refuse(soft) }
        }
        Exit::MsrWrite => {
            soft.exits.count(ExitKind::MsrWrite);
            let msr = V::gprs(cpu).get(Gpr::Rcx) as u32;
            recorder.note(ExitKind::MsrWrite, u64::from(msr));
            if msrs::write(soft, cpu, board, msr) {
                skip::<V, { known::WRMSR }>(soft, cpu, board)
            } else {
                refuse(soft)
            }
        }
        Exit::Hypercall => {
            soft.exits.count(ExitKind::Hypercall);
            recorder.note(ExitKind::Hypercall, V::gprs(cpu).get(Gpr::Rax) & 0xffff_ffff);
            hypercall::call(cpu, board, recorder, soft.cpuid.clock().tsc_khz);
            skip::<V, { known::VMMCALL }>(soft, cpu, board)
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
        Exit::Hlt => halt(soft, cpu, board),
        Exit::PortString => emulate(soft, cpu, board),
        Exit::ControlRegister => controls::access(soft, cpu, board),
        Exit::Xsetbv => controls::xsetbv(soft, cpu),
        // The caches are the host's: what the guest sees is coherent without its help.
        Exit::CacheFlush => Outcome::Skip,
        // An interrupt may not get its turn between two of them.
        Exit::Exception(_) if soft.alarm.is_late() => Outcome::Stop(StopReason::Budget),
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
        Exit::Interrupt | Exit::Nmi | Exit::MachineCheck | Exit::Timer => {
            if soft.alarm.is_over() {
                Outcome::Stop(StopReason::Budget)
            } else {
                board.bus.call(Attention::SERVICE);
                Outcome::Retry
            }
        }
        Exit::ApicWrite(offset) => {
            if let Some(page) = V::apic(cpu) {
                board.bus.import_apic(page);
                let value = page.get(usize::from(offset / 4)).copied().unwrap_or(0);
                board.bus.apic_written(offset, value, time::tsc());
            }
            Outcome::Retry
        }
        Exit::ApicEoi(vector) => {
            board.bus.end_of_level(vector);
            board.bus.call(Attention::INTERRUPT);
            Outcome::Retry
        }
        Exit::InterruptWindow | Exit::NmiWindow => {
            board.bus.call(Attention::INTERRUPT);
            Outcome::Retry
        }
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
        match V::next_rip(cpu)
            .or_else(|| known_next_rip(cpu, board, exit))
            .map_or_else(|| read_next_rip(cpu, board), Ok)
        {
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

/// The next RIP of an instruction whose usual form is recognised at a glance.
fn known_next_rip<V: Vendor>(cpu: &Loaded<'_, V>, board: &Board<V>, exit: Exit) -> Option<u64> {
    match exit {
        Exit::Hlt => next_of_known::<V, { known::HLT }>(cpu, board),
        Exit::Xsetbv => next_of_known::<V, { known::XSETBV }>(cpu, board),
        _ => None,
    }
}

/// Ends an instruction. CPUs that do not tell the next RIP have it read from the guest's memory; that with `OPCODE` is
/// recognised at a glance.
#[inline(always)]
fn skip<V: Vendor, const OPCODE: u32>(
    soft: &mut Soft,
    cpu: &mut Loaded<'_, V>,
    board: &mut Board<V>,
) -> Option<StopReason> {
    let next = match V::next_rip(cpu) {
        Some(next) => Some(next),
        None => next_of_known::<V, OPCODE>(cpu, board),
    };
    match next {
        Some(next) => {
            soft.finish(cpu, next);
            None
        }
        None => skip_unknown(soft, cpu, board),
    }
}

/// The next RIP of an instruction that the CPU does not tell it of.
#[inline(always)]
fn next_of_known<V: Vendor, const OPCODE: u32>(cpu: &Loaded<'_, V>, board: &Board<V>) -> Option<u64> {
    Some(V::rip(cpu).wrapping_add(known::length::<OPCODE>(board.code(cpu)?)?))
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

/// The CPUID leaf whose answer depends on XCR0.
const XSAVE_LEAF: u32 = 0xd;

/// CPUID: the policy's answer for EAX and ECX.
#[inline(always)]
fn cpuid<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>) {
    let gprs = V::gprs(cpu);
    let (leaf, subleaf) = (gprs.get(Gpr::Rax) as u32, gprs.get(Gpr::Rcx) as u32);
    if leaf == XSAVE_LEAF {
        soft.dynamic.xcr0 = V::xcr0(cpu);
    }
    let gprs = V::gprs(cpu);
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
        Found::Ram => {
            V::keep_nmi_blocking(cpu);
            Outcome::Retry
        }
        Found::Mapped => again(soft, cpu, ExitKind::Nested, fault.gpa.raw(), Between::Nothing),
        Found::OutOfTables => Outcome::Stop(StopReason::OutOfMemory),
        // The instruction at RIP is not the one that made this access: the CPU did, on its way to a handler.
        Found::Device if delivering => Outcome::Stop(StopReason::Unhandled {
            name: "event delivery through memory that is not RAM",
            number: fault.gpa.raw(),
        }),
        Found::Device => {
            if fault.gpa.page() == LOCAL_APIC
                && let Some(page) = V::apic(cpu)
            {
                // A register that the CPU leaves to us.
                board.bus.import_apic(page);
            }
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
    if let Some(page) = V::apic(cpu) {
        board.bus.import_apic(page);
    }
    let mut state = V::state(cpu);
    let (old_rip, old_rflags) = (state.rip, state.rflags);
    let step = execute::step(&mut state, V::gprs(cpu), board);
    V::set_rsp(cpu);
    if let Some(ended) = board.bus.ended() {
        return Outcome::Stop(stop(ended));
    }
    if state.rflags != old_rflags {
        V::set_rflags(cpu, state.rflags);
    }
    match step {
        Ok(Step::Done) => {
            soft.finish(cpu, state.rip);
            Outcome::Retry
        }
        // The instruction's time passes here and not in the guest, where the timer would end it.
        Ok(Step::Continue) if soft.alarm.is_late() => Outcome::Stop(StopReason::Budget),
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

/// Why the VM ends when a device says so.
#[cold]
const fn stop(ended: Ended) -> StopReason {
    match ended {
        Ended::Exit(value) => StopReason::Exit(value),
        Ended::Power(Power::Off) => StopReason::PowerOff,
        Ended::Power(Power::Reset(by)) => StopReason::Reset(by.name()),
    }
}

/// HLT: the guest waits for an interrupt, if there is one that may come.
#[cold]
fn halt<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>) -> Outcome {
    if let Some(page) = V::apic(cpu) {
        board.bus.import_apic(page);
    }
    let wakes = V::interrupts_enabled(cpu) && board.bus.may_interrupt();
    if !wakes && (!board.bus.nmi() || V::nmi_blocked(cpu)) {
        return Outcome::Stop(StopReason::Halt);
    }
    soft.halted = true;
    board.bus.call(Attention::INTERRUPT);
    Outcome::Skip
}

/// A fault that an emulated instruction raised.
#[cold]
pub fn inject<V: Vendor>(cpu: &mut Loaded<'_, V>, fault: Fault) -> Outcome {
    if let Some(cr2) = fault.cr2 {
        V::set_cr2(cpu, cr2);
    }
    Outcome::Inject(fault.event)
}
