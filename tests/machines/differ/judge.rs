//! What a differential run says, and whether each of its disagreements is known.

use super::known::{Known, Used};

/// What `differ=` printed.
#[derive(Default, Debug)]
pub struct Told {
    pub rounds: u32,
    pub entered: u32,
    pub refused: u32,
    /// By class, in the CPU's order.
    pub by_class: String,
    pub judged_only: u32,
    pub disagreed: u32,
    pub kinds: Vec<Kind>,
}

/// Disagreements that are alike.
#[derive(PartialEq, Eq, Debug)]
pub struct Kind {
    pub count: u32,
    /// `the CPU enters`, or the class that it refuses with.
    pub answer: String,
    /// The broken rules.
    pub broken: Vec<String>,
    /// The first round, and its changes.
    pub first: u32,
    pub changes: String,
}

/// A round that was entered, in the stream of the emulator.
#[derive(PartialEq, Eq, Debug)]
pub struct Round<'a> {
    pub number: u32,
    /// The rules that were about to be broken.
    pub broken: Vec<&'a str>,
    /// What Bochs said of the entry.
    pub messages: Vec<&'a str>,
    /// If rules and CPU disagree: the CPU's answer, and the changes.
    pub disagrees: Option<(&'a str, &'a str)>,
}

impl Kind {
    /// A round that disagrees.
    fn of(round: &Round<'_>) -> Option<Self> {
        let (answer, changes) = round.disagrees?;
        Some(Self {
            count: 1,
            answer: answer.to_string(),
            broken: round.broken.iter().copied().map(String::from).collect(),
            first: round.number,
            changes: changes.to_string(),
        })
    }
}

/// What came of a run.
#[derive(Default, Debug)]
pub struct Judgement {
    /// Rounds that disagree, and are known to.
    pub listed: u32,
    /// Rounds in which Bochs gave a reason, and those in which it is the rule that was announced.
    pub compared: u32,
    pub same: u32,
    /// A round, and what is not known of it.
    pub unexplained: Vec<(u32, String)>,
    pub used: Used,
}

const ENTERS: &str = "the CPU enters";

/// Reads the console; `None` where there is no summary.
pub fn told(console: &str) -> Option<Told> {
    let mut kinds = Vec::new();
    for line in console.lines().filter_map(|line| line.strip_prefix("hv: differ: ")) {
        let (_, line) = line.split_once(": ")?;
        kinds.extend(kind(line));
        if let Some(rest) = line.strip_prefix("seed ") {
            return summary(rest).map(|told| Told { kinds, ..told });
        }
    }
    None
}

/// `12 x the CPU enters, the rules: msr-load.read-only; first in round 58: …`
fn kind(line: &str) -> Option<Kind> {
    let (count, rest) = line.split_once(" x ")?;
    let (answer, rest) = rest.split_once(", the rules:")?;
    let (broken, rest) = rest.split_once("; first in round ")?;
    let (first, changes) = rest.split_once(": ")?;
    Some(Kind {
        count: count.parse().ok()?,
        answer: answer.to_string(),
        broken: broken.split_whitespace().map(String::from).collect(),
        first: first.parse().ok()?,
        changes: changes.to_string(),
    })
}

/// `1: 5000 rounds, entered 830, refused 3119, MSR loading 68, …, judged only 1051, disagreed 42`
fn summary(line: &str) -> Option<Told> {
    let (_, line) = line.split_once(": ")?;
    let mut told = Told::default();
    let mut classes = Vec::new();
    for part in line.split(", ") {
        if let Some(rounds) = part.strip_suffix(" rounds") {
            told.rounds = rounds.parse().ok()?;
            continue;
        }
        let (name, number) = part.rsplit_once(' ')?;
        let number = number.parse().ok()?;
        match name {
            "entered" => told.entered = number,
            "refused" => told.refused = number,
            "judged only" => told.judged_only = number,
            "disagreed" => told.disagreed = number,
            class => classes.push((order(class), format!("{class} {number}"))),
        }
    }
    classes.sort();
    told.by_class = classes.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ");
    Some(told)
}

/// Reads the stream: what the kernel announced, each with Bochs's messages after it, and `!7 guest state: …` where the
/// two disagree.
pub fn rounds(stream: &str) -> Vec<Round<'_>> {
    let mut rounds: Vec<Round<'_>> = Vec::new();
    for line in stream.lines() {
        if let Some(announced) = line.strip_prefix('@') {
            let mut words = announced.split_whitespace();
            // The last line may be cut off.
            if let Some(number) = words.next().and_then(|word| word.parse().ok()) {
                rounds.push(Round { number, broken: words.collect(), messages: Vec::new(), disagrees: None });
            }
        } else if let (Some(round), Some(told)) = (rounds.last_mut(), line.strip_prefix('!')) {
            round.disagrees = told.split_once(' ').and_then(|(_, text)| text.split_once(": "));
        } else if let (Some(round), Some(message)) = (rounds.last_mut(), message(line)) {
            round.messages.push(message);
        }
    }
    rounds
}

/// Bochs's reason to refuse an entry, in a line of its log: `00104871630e[CPU0  ] VMFAIL: …`.
fn message(line: &str) -> Option<&str> {
    let (head, text) = line.split_once("] ")?;
    let (time, source) = head.split_once("e[")?;
    let reasons = ["VMFAIL", "VMENTER", "VMX LoadMSRs", "VMRUN", "SVM: VMRUN", "SvmInjectEvents"];
    let ours = source.starts_with("CPU") && time.bytes().all(|byte| byte.is_ascii_digit());
    (ours && reasons.iter().any(|reason| text.starts_with(reason))).then_some(text)
}

/// Which of the CPU's checks a class or a rule belongs to: those with a lower number come first. Control fields and the
/// host state are checked in any order (SDM 3C "VM Entries").
fn order(name: &str) -> u32 {
    match name.split('.').next() {
        Some("launch") => 0,
        Some("control" | "host" | "control field" | "host state" | "consistency" | "save" | "event") => 1,
        Some("guest" | "guest state") => 2,
        _ => 3,
    }
}

/// Whether a rule belongs to a class.
fn is_of(rule: &str, class: &str) -> bool {
    match rule.split('.').next() {
        Some("control") => class == "control field" || class == "consistency",
        Some("host") => class == "host state",
        Some("guest") => class == "guest state",
        Some("msr-load") => class == "MSR loading",
        Some("save" | "event") => class == "consistency",
        Some("launch") => class == "launch",
        _ => false,
    }
}

/// Compares the run with what is known. `reasons`: the stream has Bochs's reasons.
pub fn judge(known: &Known, told: &Told, stream: &[Round<'_>], reasons: bool) -> Judgement {
    let mut judgement = Judgement::default();
    // Each round by itself, if the stream has them; of a kind only the first has its changes told.
    let each: Vec<_> = stream.iter().filter_map(Kind::of).collect();
    let kinds = if each.is_empty() { &told.kinds } else { &each };
    for kind in kinds {
        let round = stream.binary_search_by_key(&kind.first, |round| round.number).ok().and_then(|n| stream.get(n));
        let message = round.and_then(|round| round.messages.first()).copied();
        if is_known(known, kind, message, &mut judgement.used) {
            judgement.listed += kind.count;
        } else {
            let text = format!(
                "{} rounds: {}, the broken rules: {}{}; {}",
                kind.count,
                kind.answer,
                list(&kind.broken),
                message.map(|text| format!("; Bochs: {text}")).unwrap_or_default(),
                kind.changes
            );
            judgement.unexplained.push((kind.first, text));
        }
    }
    let told_of: u32 = kinds.iter().map(|kind| kind.count).sum();
    if told_of != told.disagreed {
        let text = format!("{} rounds disagree, but only {told_of} are told", told.disagreed);
        judgement.unexplained.push((0, text));
    }
    if reasons {
        for round in stream {
            if let Err(text) = compare(known, round, &mut judgement) {
                judgement.unexplained.push((round.number, text));
            }
        }
        if judgement.compared != told.refused {
            let text = format!("{} rounds are refused, Bochs gave a reason for {}", told.refused, judgement.compared);
            judgement.unexplained.push((0, text));
        }
    }
    judgement
}

/// Whether rules that are known not to be checked, or a refusal that is known, explain it.
fn is_known(known: &Known, kind: &Kind, message: Option<&str>, used: &mut Used) -> bool {
    let mut checked = |rule: &&String| !known.is_unchecked(rule, used);
    if kind.answer == ENTERS {
        return !kind.broken.iter().any(|rule| checked(&rule));
    }
    if kind.broken.iter().filter(|rule| order(rule) < order(&kind.answer)).any(|rule| checked(&rule)) {
        return false;
    }
    kind.broken.iter().any(|rule| is_of(rule, &kind.answer))
        || known.is_stricter(message.unwrap_or(&kind.answer), Some(&kind.changes), used)
}

/// Compares Bochs's message with what was announced.
fn compare(known: &Known, round: &Round<'_>, judgement: &mut Judgement) -> Result<(), String> {
    let Judgement { compared, same, used, .. } = judgement;
    let broken = &round.broken;
    if round.messages.is_empty() {
        let checked: Vec<_> = broken.iter().filter(|rule| !known.is_unchecked(rule, used)).collect();
        return if checked.is_empty() { Ok(()) } else { Err(format!("Bochs enters, broken: {}", list(&checked))) };
    }
    *compared += 1;
    for (n, message) in round.messages.iter().enumerate() {
        let strict = known.is_stricter(message, round.disagrees.map(|(_, changes)| changes), used);
        let Some(rules) = known.rules_of(message) else {
            if strict {
                continue;
            }
            return Err(format!("Bochs: {message}: not in the tables; broken: {}", list(broken)));
        };
        let named = broken.iter().find(|rule| rules.iter().any(|named| named == *rule));
        *same += u32::from(n == 0 && named.is_some());
        let meant = named.or_else(|| broken.iter().find(|rule| known.may_mean(message, rule, used)));
        if meant.is_none() && !strict {
            return Err(format!("Bochs: {message}; broken: {}", list(broken)));
        }
        let place = meant.map_or_else(|| rules.iter().map(|rule| order(rule)).min().unwrap_or(0), |rule| order(rule));
        let before = broken.iter().find(|rule| order(rule) < place && !known.is_unchecked(rule, used));
        if let Some(rule) = before {
            return Err(format!("Bochs: {message}; what is checked before is broken too: {rule}"));
        }
    }
    Ok(())
}

fn list<T: std::fmt::Display>(rules: &[T]) -> String {
    if rules.is_empty() {
        return "none".into();
    }
    rules.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}
