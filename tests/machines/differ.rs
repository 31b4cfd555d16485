//! The rules of VM entry against emulated CPUs: `differ=` on a machine of each model, and whether every disagreement is in
//! `tests/doctor/known.txt`. Bochs says why it refuses an entry; its reason must be a rule that was about to be broken.
//!
//! `DIFFER_ROUNDS` and `DIFFER_SEED` in the environment make the run longer or another one.

mod judge;
mod known;
mod tests;

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use crate::{Case, Machine};
use judge::{Judgement, Told};
use known::Known;

/// What the tests call the machines, and what `scripts/run` needs.
const MODELS: [(&str, &str, &str, &str); 5] = [
    ("sandy-bridge", "vmx", "bochs", "corei7_sandy_bridge_2600k"),
    ("skylake-x", "vmx", "bochs", "corei7_skylake_x"),
    ("tigerlake", "vmx", "bochs", "tigerlake"),
    ("ryzen", "svm", "bochs", "ryzen"),
    ("qemu", "svm", "qemu", "EPYC,+svm"),
];

/// Rounds of a run of `make test`.
const ROUNDS: u32 = 3000;
const SEED: u32 = 1;
/// Disagreements that are shown of a run that fails.
const SHOWN: usize = 20;
/// Where the results are.
const RESULTS: &str = "build/doctor";

pub fn cases() -> impl Iterator<Item = Case> {
    let models = MODELS.into_iter().map(|(name, vendor, platform, cpu)| {
        Case::new(format!("differ::{name}"), move || run(name, vendor, platform, cpu))
    });
    let judges = tests::ALL.iter().map(|(name, test)| Case::new(format!("differ::judge-{name}"), test));
    models.chain([Case::new("differ::known", the_tables_name_rules)]).chain(judges)
}

fn number(name: &str, default: u32) -> Result<u32, String> {
    let Ok(text) = env::var(name) else { return Ok(default) };
    text.parse().map_err(|_| format!("{name}={text}: a number"))
}

fn run(name: &str, vendor: &str, platform: &'static str, cpu: &'static str) -> Result<(), String> {
    let (rounds, seed) = (number("DIFFER_ROUNDS", ROUNDS)?, number("DIFFER_SEED", SEED)?);
    let model = format!("{platform}-{vendor}/{}", cpu.split(',').next().unwrap_or_default());
    let known = Known::read(Some(&model))?;
    let options = known.options();
    fs::create_dir_all(RESULTS).map_err(|e| format!("{RESULTS}: {e}"))?;
    let stream = Path::new(RESULTS).join(format!("{name}.stream"));
    let append = format!("differ={rounds},{seed}{options}");
    let variables = [
        ("PLATFORM", platform),
        ("CPU", cpu),
        ("APPEND", append.as_str()),
        ("ORACLE", stream.to_str().unwrap_or_default()),
    ];
    // Ten times of what it takes.
    let machine = Machine::new(format!("differ-{name}"), 1, 60 + u64::from(rounds) / 100, &variables);
    let started = Instant::now();
    let boot = machine.boot()?;
    let announced = String::from_utf8_lossy(&fs::read(&stream).map_err(|e| format!("{}: {e}", stream.display()))?)
        .replace('\r', "");
    let announced = judge::rounds(&announced);
    let again =
        |round: u32| format!("make run PLATFORM={platform} CPU={cpu} APPEND=\"differ=1,{seed},{round}{options}\"");

    let passed = boot.status == Some(0) && boot.verdict().is_some_and(|verdict| verdict.starts_with("hv: pass:"));
    let told = match judge::told(&boot.console) {
        Some(told) if passed => told,
        _ => {
            let last = announced.last().map_or(0, |round| round.number);
            let text =
                format!("seed {seed}: the machine did not come through; it was in round {last}: {}", again(last));
            return Err(machine.failure(text));
        }
    };
    if boot.console.contains("differ: ") && boot.console.contains("a good control block") {
        return Err(machine.failure("a good control block is refused, or breaks a rule"));
    }
    let judgement = judge::judge(&known, &told, &announced, platform == "bochs");
    let row = row(&model, &told, &judgement);
    write_result(name, &row, known.unused(&judgement.used))?;
    if env::var_os("DIFFER_ROUNDS").is_some() {
        eprintln!("differ: {name}: seed {seed}, {} s: {row}", started.elapsed().as_secs());
    }
    if judgement.unexplained.is_empty() {
        return Ok(());
    }
    let unexplained = judgement.unexplained;
    let shown =
        unexplained.iter().take(SHOWN).map(|(round, text)| format!("round {round}: {text}\n  {}\n", again(*round)));
    Err(format!(
        "seed {seed}: {} disagreements of the rules and {model} are not in tests/doctor/known.txt:\n{}",
        unexplained.len(),
        shown.collect::<String>()
    ))
}

/// A row of the table of agreement.
fn row(model: &str, told: &Told, judgement: &Judgement) -> String {
    let compared = match judgement.compared {
        0 => "–".into(),
        compared => format!("{} of {compared}", judgement.same),
    };
    format!(
        "| {model} | {} | {} | {}: {} | {} | {} | {} | {} | {compared} |",
        told.rounds,
        told.entered,
        told.refused,
        told.by_class,
        told.judged_only,
        told.entered + told.refused - told.disagreed,
        judgement.listed,
        judgement.unexplained.len(),
    )
}

fn write_result<'a>(name: &str, row: &str, unused: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let file = Path::new(RESULTS).join(format!("{name}.txt"));
    let notes = unused.map(|line| format!("note: {name}: this run did not need: {line}\n"));
    fs::write(&file, format!("{row}\n{}", notes.collect::<String>())).map_err(|e| format!("{}: {e}", file.display()))
}

/// A rule that is renamed or removed must not stay in the tables.
fn the_tables_name_rules() -> Result<(), String> {
    let mut folders = vec![PathBuf::from("src/vt/vmx/rules"), PathBuf::from("src/vt/svm/rules")];
    let mut source = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?.flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                source += &fs::read_to_string(entry.path()).map_err(|e| format!("{}: {e}", entry.path().display()))?;
            }
        }
    }
    let known = Known::read(None)?;
    let lost: Vec<_> = known.rules().into_iter().filter(|rule| !source.contains(&format!("\"{rule}\""))).collect();
    if lost.is_empty() { Ok(()) } else { Err(format!("no such rules: {}", lost.join(" "))) }
}
