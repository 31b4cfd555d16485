//! What comes between two entries when something else than the guest's last exit wants to be looked after: devices whose time has
//! come, interrupts, the console, a guest that waits in HLT.

use crate::base::{ApicMode, Event, EventKind, StopReason};
use crate::dev::bus::Attention;
use crate::emu::known;
use crate::hw::{irq, time};
use crate::vm::board::Board;
use crate::vm::machine::{Said, tell};
use crate::vm::soft::Soft;
use crate::vm::terminal::Wish;
use crate::vt::recorder::Recorder;
use crate::vt::{Loaded, Vendor};

/// Does all of it. Returns why the VM ends, if it does.
#[inline(never)]
pub fn prepare<V: Vendor>(
    soft: &mut Soft,
    cpu: &mut Loaded<'_, V>,
    board: &mut Board<V>,
    recorder: &mut Recorder,
    say: &mut impl FnMut(Said<'_>),
) -> Option<StopReason> {
    if let Some(page) = V::apic(cpu) {
        board.bus.import_apic(page);
    }
    loop {
        let attention = board.bus.take_attention();
        if attention.has(Attention::SERVICE) {
            board.bus.advance(time::tsc());
        }
        let look = attention.has(Attention::CONSOLE) || attention.has(Attention::SERVICE) && soft.terminal.is_some();
        if look && let Some(stop) = console(soft, board, recorder, say) {
            return Some(stop);
        }
        // What was done here may want more.
        let attention = attention | board.bus.take_attention();
        if board.bus.take_init() {
            return Some(StopReason::Reset("an INIT"));
        }
        if soft.pending.is_some() || attention.has(Attention::INTERRUPT | Attention::SERVICE) {
            deliver(soft, cpu, board);
        }
        if !soft.halted {
            if (attention | board.bus.attention()).has(Attention::SERVICE | Attention::CONSOLE)
                || soft.nmi_again.is_some()
            {
                let event = next_event(soft, board);
                soft.alarm.set(cpu, event);
            }
            hand_over(soft, cpu, board);
            return None;
        }
        let event = next_event(soft, board);
        soft.alarm.sleep(event);
        irq::wait();
        if soft.alarm.is_over() {
            return Some(StopReason::Budget);
        }
        board.bus.call(Attention::SERVICE);
    }
}

/// Gives the local APIC back to the CPU, if it keeps it.
#[inline(always)]
fn hand_over<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>) {
    let Some(page) = V::apic(cpu) else { return };
    let status = board.bus.export_apic(page);
    V::set_apic_status(cpu, status.requested, status.in_service);
    if let Some(level) = board.bus.new_level_triggered() {
        V::set_apic_level(cpu, &level);
    }
    let mode = board.bus.apic_mode();
    if mode != soft.apic_mode {
        soft.apic_mode = mode;
        let (reached, enabled) = mode;
        V::set_apic_mode(cpu, reached, enabled);
        board.show_apic(reached == ApicMode::Memory);
        V::flush_nested(cpu);
    }
}

/// When a device or the console must be looked after next.
#[inline(always)]
fn next_event<V: Vendor>(soft: &Soft, board: &mut Board<V>) -> Option<u64> {
    let terminal = soft.terminal.as_ref().and_then(|t| t.next_event());
    board.bus.next_event().into_iter().chain(terminal).chain(soft.nmi_again).min()
}

/// Has one event delivered on the next entry, and the guest leave when it can take what is left.
///
/// SDM 3A "Priority Among Concurrent Events", APM 2 "Simultaneous Interrupts": what an instruction raised, then NMIs, then interrupts.
#[inline(always)]
fn deliver<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>, board: &mut Board<V>) {
    let mut free = true;
    if let Some(event) = soft.pending.take() {
        V::inject(cpu, event);
        soft.halted = false;
        free = false;
    }
    if board.bus.nmi() {
        if free && !V::nmi_blocked(cpu) {
            board.bus.take_nmi();
            V::inject(cpu, Event::NMI);
            soft.halted = false;
            free = false;
        }
        soft.nmi_again = V::set_nmi_window(cpu, board.bus.nmi());
    } else if soft.nmi_window {
        soft.nmi_again = V::set_nmi_window(cpu, false);
    }
    soft.nmi_window = board.bus.nmi();
    // Where the CPU keeps the local APIC, it delivers its interrupts, and only those of the 8259s are left to us.
    let by_cpu = V::apic(cpu).is_some();
    if by_cpu && board.bus.interrupt() && V::interrupts_enabled(cpu) {
        soft.halted = false;
    }
    let ours = |board: &Board<V>| if by_cpu { board.bus.extint() } else { board.bus.interrupt() };
    let mut waits = ours(board);
    if waits && free {
        let mut now = V::interruptible(cpu);
        if !now && !by_cpu && V::interrupts_enabled(cpu) && at_hlt(cpu, board) {
            now = pass_hlt(soft, cpu);
        }
        if now && let Some(vector) = board.bus.acknowledge() {
            V::inject(cpu, Event { kind: EventKind::Interrupt, vector, error_code: None });
            soft.halted = false;
            waits = ours(board);
        }
    }
    V::set_interrupt_window(cpu, waits);
}

/// Whether HLT is what the guest executes next.
fn at_hlt<V: Vendor>(cpu: &Loaded<'_, V>, board: &Board<V>) -> bool {
    board.code16(cpu).is_some_and(|[low, _]| known::length::<{ known::HLT }>(low as u32).is_some())
}

/// An interrupt waits for the end of the shadow of STI, and the instruction in it is HLT, which would do nothing but wait for the
/// interrupt. It is done here, not by the CPU: some lose the shadow at the entry (QEMU 7.2), and then the interrupt comes before the
/// HLT, which nothing ends.
/// Returns whether an event can still be injected: a guest that single-steps has its trap first.
#[cold]
fn pass_hlt<V: Vendor>(soft: &mut Soft, cpu: &mut Loaded<'_, V>) -> bool {
    let next = V::rip(cpu).wrapping_add(1);
    soft.finish(cpu, next);
    let trap = soft.pending.take();
    if let Some(event) = trap {
        V::inject(cpu, event);
    }
    trap.is_none()
}

/// The console's part.
#[inline(never)]
fn console<V: Vendor>(
    soft: &mut Soft,
    board: &mut Board<V>,
    recorder: &mut Recorder,
    say: &mut impl FnMut(Said<'_>),
) -> Option<StopReason> {
    match &mut soft.terminal {
        None => tell(board.bus.console(), recorder, say),
        Some(terminal) => {
            let wish = terminal.pass(&mut board.bus);
            if recorder.take_demand() || wish == Some(Wish::Statistics) {
                say(Said::Statistics(recorder));
            }
            if wish == Some(Wish::Quit) {
                return Some(StopReason::Quit);
            }
        }
    }
    None
}
