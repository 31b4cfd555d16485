//! The rules of VM entry against the CPU: good control blocks with one or two fields changed, again and again, and whether
//! the CPU says what the rules predict. `differ=` on the command line.
//!
//! Every round is a function of the seed and its number alone, so that one can be run again by itself.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use arrayvec::ArrayVec;

use crate::base::Hpa;
use crate::hw::{oracle, time};
use crate::vm::alarm::Alarm;
use crate::vm::machine::VmError;
use crate::vm::stage::{self, Stage};
use crate::vt::doctor::mistake::{Misuse, Scene};
use crate::vt::doctor::rule::{Patient, Verdict, examine};
use crate::vt::doctor::state::named;
use crate::vt::doctor::{Class, Field, Rule};
use crate::vt::exit::Exit;
use crate::vt::{FieldOf, Loaded, On, Vendor};

/// How long a guest may run in a round, in microseconds.
const PATIENCE_US: u64 = 20_000;

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// How many rounds.
    pub rounds: u32,
    /// What decides them.
    pub seed: u32,
    /// The number of the first.
    pub first: u32,
    /// Rules that are not broken in an entry, and states that are left out, separated by commas.
    pub spare: &'static str,
    /// Rules that this CPU is known not to check: breaking one does not stop an entry.
    pub lax: &'static str,
}

/// How many rounds went how.
#[derive(Default)]
struct Tally {
    entered: u32,
    refused: BTreeMap<&'static str, u32>,
    judged_only: u32,
    disagreed: u32,
    /// By what the CPU said and the rules that are broken: how often, and the first round with its changes.
    kinds: BTreeMap<String, (u32, u32, String)>,
}

/// Runs the rounds and tells how they went. Whether that is as expected is up to who asked, who compares the lines with what is
/// known of the CPU. Returns whether there was a good control block to begin with.
#[inline(never)]
pub fn run<V: Vendor>(on: &mut On<V>, caps: &V::Caps, core: u32, order: Order) -> Result<bool, VmError> {
    let mut stage = Stage::<V>::new(caps, core as u16, &[0xf4], Misuse::Nothing)?;
    let pages = stage::spare_pages(&mut stage.board).ok_or(VmError::OutOfMemory)?;
    let Stage { board, vcpu } = &mut stage;
    let mut cpu = on.load(vcpu).map_err(VmError::Vendor)?;
    log::info!("differ: {}: {} rounds from {}, seed {}", V::NAME, order.rounds, order.first, order.seed);

    let bases = bases(&mut cpu, &pages, order.spare);
    if bases.is_empty() {
        log::error!("differ: {}: no good control block to begin with", V::NAME);
        return Ok(false);
    }
    let rules: Vec<_> =
        V::Case::rules().filter(|rule| rule.class != Class::Advice && rule.class != Class::Launch).collect();
    let mut tally = Tally::default();
    let step = (order.rounds / 10).max(1);
    for n in 0..order.rounds {
        let number = order.first.wrapping_add(n);
        if n != 0 && n % step == 0 {
            log::info!("differ: {}: {n} rounds", V::NAME);
        }
        let mut random = Random::new(order.seed, number);
        let Some(base) = bases.get(random.below(bases.len())) else { continue };
        let mut case = base.clone();
        let changed = change(&mut random, &rules, &mut *case);
        let contents = V::lab_memory(&mut *case, pages, random.next());
        for (page, word, value) in contents {
            stage::write_word(board, page, word, value);
        }
        round(&mut cpu, number, [base, &case], &changed, &order, &mut tally);
    }
    let refused: u32 = tally.refused.values().sum();
    let mut by_class = String::new();
    for (class, count) in &tally.refused {
        let _ = write!(by_class, ", {class} {count}");
    }
    for (kind, (count, first, changes)) in &tally.kinds {
        log::info!("differ: {}: {count} x {kind}; first in round {first}: {changes}", V::NAME);
    }
    log::info!(
        "differ: {}: seed {}: {} rounds, entered {}, refused {refused}{by_class}, judged only {}, disagreed {}",
        V::NAME,
        order.seed,
        order.rounds,
        tally.entered,
        tally.judged_only,
        tally.disagreed
    );
    Ok(true)
}

/// A good control block for each mode, each as it is before its entry; those that this CPU does not enter are told.
#[inline(never)]
fn bases<V: Vendor>(cpu: &mut Loaded<'_, V>, pages: &[Hpa; 4], spare: &str) -> Vec<Box<V::Case>> {
    let mut bases = Vec::new();
    for scene in Scene::ALL {
        stage::set(cpu, scene);
        V::lab_prepare(cpu, *pages, scene);
        if is_spared(&V::case(cpu), spare) {
            continue;
        }
        // Once, so that what the stub writes is there, and the VMCS is launched.
        V::enter(cpu);
        let exit = V::exit(cpu);
        V::attend(cpu, &exit);
        if let Exit::EntryFailed { what, .. } = exit {
            log::error!("differ: {}: a good control block is refused: {}: {what}", V::NAME, scene.name());
            continue;
        }
        stage::set(cpu, scene);
        V::lab_prepare(cpu, *pages, scene);
        let case = Box::new(V::case(cpu));
        let mut good = true;
        examine(&*case, |rule, must| {
            if rule.class != Class::Advice {
                log::error!("differ: {}: a good control block breaks {}: {}: {must:?}", V::NAME, rule.id, scene.name());
                good = false;
            }
        });
        if good {
            bases.push(case);
        }
    }
    bases
}

#[inline(never)]
/// One round: the changed control block is judged, written, entered, and taken back.
fn round<V: Vendor>(
    cpu: &mut Loaded<'_, V>,
    number: u32,
    [base, case]: [&V::Case; 2],
    changed: &[FieldOf<V>],
    order: &Order,
    tally: &mut Tally,
) {
    let verdict = Verdict::of(case);
    // A refusal by the guest's state or its MSRs comes back through the host's state, and what the CPU does not check does not
    // stop it. So a field that could harm the host must itself be what the CPU refuses at once.
    let harmful = |f: &FieldOf<V>| base.is_hazard(*f, case.state().get(*f));
    let mut hazards: ArrayVec<_, 2> = changed.iter().copied().filter(harmful).collect();
    let mut spared = is_spared(case, order.spare);
    examine(case, |rule, must| {
        let early = matches!(rule.class, Class::Control | Class::Host | Class::Consistency);
        if early && !names(order.lax, rule.id) {
            hazards.retain(|f| Some(*f) != must.field());
        }
        spared |= names(order.spare, rule.id);
    });
    if spared || !hazards.is_empty() {
        tally.judged_only += 1;
        return;
    }
    announce(number, case);
    for (field, value) in case.state().iter().filter(|(f, _)| !V::Case::is_untouched(*f)) {
        V::poke(cpu, field, value);
    }
    // A guest whose changed state makes it loop without an exit comes back all the same.
    let mut alarm = Alarm::new(Some(time::cycles(PATIENCE_US)));
    V::enter(cpu);
    let exit = V::exit(cpu);
    V::attend(cpu, &exit);
    alarm.disarm();
    // The control block is as it was, whatever the guest has done to it: the next round writes every field.
    let answer = if let Exit::EntryFailed { code, .. } = exit { Some(V::refusal_class(code)) } else { None };
    match answer {
        None => tally.entered += 1,
        Some(class) => *tally.refused.entry(class.name()).or_default() += 1,
    }
    if verdict.allows(answer) {
        return;
    }
    tally.disagreed += 1;
    let mut kind = String::from(match answer {
        None => "the CPU enters",
        Some(class) => class.name(),
    });
    oracle::tell(format!("!{number} {kind}: {}\n", changes::<V>(base, case)).as_bytes());
    kind.push_str(", the rules:");
    kind.push_str(&broken(case));
    let entry = tally.kinds.entry(kind).or_insert_with(|| (0, number, changes::<V>(base, case)));
    entry.0 += 1;
}

/// Whether it is in a state that shall be left out.
fn is_spared<P: Patient>(case: &P, spare: &str) -> bool {
    P::perils().iter().any(|(name, is)| names(spare, name) && is(case))
}

/// Whether a list of words with commas has this one.
fn names(list: &str, word: &str) -> bool {
    list.split(',').any(|one| one == word)
}

/// The broken rules, each with a blank before it.
fn broken<P: Patient>(case: &P) -> String {
    let (mut text, mut last) = (String::new(), "");
    examine(case, |rule, _| {
        if rule.class != Class::Advice && rule.id != last {
            let _ = write!(text, " {}", rule.id);
            last = rule.id;
        }
    });
    text
}

/// The fields that differ, with their values.
fn changes<V: Vendor>(base: &V::Case, case: &V::Case) -> String {
    let mut text = String::new();
    for field in base.state().differences(case.state()) {
        let (was, is) = (base.state().get(field), case.state().get(field));
        let _ = write!(text, "{} {} -> {}; ", field.name(), named(field, was), named(field, is));
    }
    text
}

/// Tells the emulator's log which rules are about to be broken, so that its own message can be compared with them.
fn announce<P: Patient>(number: u32, case: &P) {
    oracle::tell(format!("@{number}{}\n", broken(case)).as_bytes());
}

/// Changes one or two fields of `case`. Half of the time one that a rule reads.
fn change<P: Patient>(
    random: &mut Random,
    rules: &[&'static Rule<P::Field, P>],
    case: &mut P,
) -> ArrayVec<P::Field, 2> {
    let mut changed = ArrayVec::new();
    let count = 1 + random.below(2);
    while changed.len() < count {
        let field = if random.below(2) == 0 {
            let Some(rule) = rules.get(random.below(rules.len())) else { break };
            rule.fields.get(random.below(rule.fields.len())).copied()
        } else {
            P::Field::ALL.get(random.below(P::Field::ALL.len())).copied()
        };
        let Some(field) = field.filter(|f| !P::is_untouched(*f) && case.state().has(*f)) else { continue };
        let value = value(random, case.state().get(field), field.spec().width);
        case.state_mut().set(field, value);
        changed.push(field);
    }
    changed
}

/// A value in place of `now`: near it, at a limit, or anything.
fn value(random: &mut Random, now: u64, width: u32) -> u64 {
    let bit = |random: &mut Random| 1_u64 << random.below(width as usize);
    match random.below(12) {
        0..=3 => now ^ bit(random),
        4 | 5 => now ^ bit(random) ^ bit(random),
        6 => 0,
        7 => u64::MAX,
        8 => now.wrapping_add(1),
        9 => now.wrapping_sub(1),
        // Powers of two and their neighbours: page, address and canonical limits.
        10 => bit(random).wrapping_sub(random.next() & 1),
        _ => random.next(),
    }
}

/// Random numbers (SplitMix64), from a seed and the number of a round.
struct Random(u64);

impl Random {
    const fn new(seed: u32, round: u32) -> Self {
        Self((seed as u64) << 32 | round as u64)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ a >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ b >> 31
    }

    /// A number below `limit`, which is not 0.
    const fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
