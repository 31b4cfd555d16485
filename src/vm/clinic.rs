//! The clinic: control blocks and guests that are wrong on purpose, each with a mistake from people's own notes, and what the
//! entry doctor says of them. `case=` on the command line.

use alloc::boxed::Box;
use core::fmt;

use crate::hw::time;
use crate::vm::alarm::Alarm;
use crate::vm::machine::VmError;
use crate::vm::narrator::Line;
use crate::vm::stage::{self, Stage};
use crate::vm::watch::{Between, Sign, Watch};
use crate::vt::doctor::mistake::{Change, Mistake, Misuse};
use crate::vt::doctor::report::Say;
use crate::vt::doctor::rule::{Patient, examine};
use crate::vt::doctor::{State, report};
use crate::vt::exit::Exit;
use crate::vt::{FieldOf, Loaded, On, Vendor};

/// Exits after which a case that goes on and on is a loop.
const LIMIT: u32 = 100;
/// How long a case may run, in microseconds.
const BUDGET_US: u64 = 100_000;
/// Exits that are told from the beginning of a case.
const TOLD: u64 = 3;

/// Runs the case, tells what the doctor says, and returns whether it named the true cause.
#[inline(never)]
pub fn treat<V: Vendor>(
    on: &mut On<V>,
    caps: &V::Caps,
    vm: u16,
    mistake: &Mistake<FieldOf<V>>,
    say: Say<'_>,
) -> Result<bool, VmError> {
    let mut stage = Stage::<V>::new(caps, vm, mistake.code, mistake.misuse)?;
    let Stage { board, vcpu } = &mut stage;
    let mut cpu = on.load(vcpu).map_err(VmError::Vendor)?;
    stage::set(&mut cpu, mistake.scene);
    say(format_args!("{}; {}", mistake.about, mistake.scene.name()));
    if mistake.misuse == Misuse::LaunchTwice {
        V::enter(&mut cpu);
        stage::set(&mut cpu, mistake.scene);
    }
    let good = Box::new(V::case(&cpu).state().clone());
    let mut state = good.clone();
    if let Misuse::Words(words) = mistake.misuse {
        for (word, value) in (0..).zip(words) {
            stage::write_word(board, 0, word, *value);
        }
    }
    let [spare, ..] = stage::spare_pages(board).ok_or(VmError::OutOfMemory)?;
    for change in mistake.changes {
        make(&mut cpu, &mut state, change, spare.raw());
    }
    V::misuse(&mut cpu, mistake.misuse);

    let mut named = false;
    let mut note = |case: &V::Case| {
        examine(case, |rule, _| named |= Some(rule.id) == mistake.rule);
    };
    if !mistake.enter {
        let case = Box::new(V::case(&cpu));
        say(format_args!("not entered, because the guest would reach what is the host's"));
        note(&case);
        report::diagnose(&*case, say);
        return Ok(named);
    }
    let before = Box::new(V::case(&cpu));
    note(&before);
    let advise = mistake.rule.is_some_and(|rule| rule.starts_with("advice."));
    if advise {
        report::diagnose(&*before, say);
    }
    let mut alarm = Alarm::new(Some(time::cycles(BUDGET_US)));
    let mut watch = Watch::new(Some(LIMIT));
    let mut exits = 0_u64;
    let looped = loop {
        V::enter(&mut cpu);
        exits += 1;
        let line = Line::of(&mut cpu, board);
        let exit = line.exit();
        V::attend(&mut cpu, &exit);
        if exits <= TOLD {
            say(format_args!("exit {exits}: {line}"));
        }
        match exit {
            Exit::Hlt | Exit::TripleFault => break false,
            Exit::EntryFailed { .. } => {
                // As it was entered: not every CPU leaves the guest's state alone when it refuses it.
                let mut case = before;
                case.take_answer(&V::case(&cpu));
                note(&case);
                refusal(&*case, &good, &line.exit(), say);
                break false;
            }
            Exit::Interrupt if alarm.is_over() => {
                say(format_args!("it was stopped after {} ms: {}", BUDGET_US / 1000, line.reason()));
                break false;
            }
            _ => {}
        }
        // Whoever made this mistake believes that the exit is dealt with, and enters again.
        let info = if let Exit::Nested(fault) = exit { fault.gpa.raw() } else { 0 };
        let registers = Sign::of_registers(V::gprs(&mut cpu));
        let sign = Sign { rip: V::rip(&cpu), kind: exit.kind() as u16, info, registers };
        if watch.note(sign, exits, Between::Nothing) {
            say(format_args!("exit {exits}: {line}"));
            say(format_args!("the same exit came {} times, and nothing changed: {}", watch.same(), line.reason()));
            report::diagnose(&V::case(&cpu), say);
            break true;
        }
        if let Some(event) = V::cut_off(&cpu) {
            V::inject(&mut cpu, event);
        }
    };
    alarm.disarm();
    Ok(if mistake.rule.is_none() { looped } else { named })
}

/// What is said of a refused entry: the CPU's answer, the broken rules, the state, and what differs from the last good one.
pub fn refusal<P: Patient>(case: &P, good: &State<P::Field>, answer: &Exit, say: Say<'_>) {
    if let Exit::EntryFailed { what, code } = answer {
        say(format_args!("the CPU refused the entry: {what} ({code:#x})"));
    }
    if report::diagnose(case, say) == 0 {
        report::show_changes(good, case.state(), say);
    }
}

/// Makes one change, in the control block and in `state`, its image.
fn make<V: Vendor>(cpu: &mut Loaded<'_, V>, state: &mut State<FieldOf<V>>, change: &Change<FieldOf<V>>, spare: u64) {
    let mut set = |state: &mut State<FieldOf<V>>, field, value| {
        V::poke(cpu, field, value);
        state.set(field, value);
    };
    match *change {
        Change::Set(field, value) => set(state, field, value),
        Change::Spare(field) => set(state, field, spare),
        Change::Or(field, bits) => set(state, field, state.get(field) | bits),
        Change::Clear(field, bits) => set(state, field, state.get(field) & !bits),
        Change::Copy(to, from, bits) => set(state, to, state.get(to) & !bits | state.get(from) & bits),
        Change::Swap(a, b) => {
            let (was_a, was_b) = (state.get(a), state.get(b));
            set(state, a, was_b);
            set(state, b, was_a);
        }
    }
}

/// Names that are no case, for the sentence that says so.
pub struct Names<F: 'static>(pub &'static [Mistake<F>]);

impl<F> fmt::Display for Names<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, m)| write!(f, "{}{}", if i == 0 { "" } else { " " }, m.name))
    }
}
