//! The guest that breaks itself at random: whatever it does, its VM ends, the audits find nothing, no memory is lost, and the
//! kernel says so in the end.
//!
//! `CHAOS_RUNS` and `CHAOS_SEED` in the environment make it longer or another one. A machine that does not come through says
//! which run was its last: `chaos=1,<seed>,<number>` repeats it.

use std::path::Path;
use std::{env, fs};

use crate::{Case, Machine};

/// What the tests call the machines, what `scripts/run` needs, and how many cores there are.
///
/// Not Bochs's AMD: its SVM can't intercept a shutdown, so that a triple fault stops the whole machine.
const MACHINES: [(&str, &str, &str, u32); 4] = [
    ("qemu-svm", "qemu", "EPYC,+svm", 1),
    ("qemu-svm-2core", "qemu", "EPYC,+svm", 2),
    ("skylake-x", "bochs", "corei7_skylake_x", 1),
    ("sandy-bridge", "bochs", "corei7_sandy_bridge_2600k", 1),
];

const RUNS: u32 = 300;
const SEED: u32 = 1;
const RESULTS: &str = "build/chaos";

pub fn cases() -> impl Iterator<Item = Case> {
    MACHINES.into_iter().map(|(name, platform, cpu, cores)| {
        Case::new(format!("chaos::{name}"), move || run(name, platform, cpu, cores))
    })
}

fn number(name: &str, default: u32) -> Result<u32, String> {
    let Ok(text) = env::var(name) else { return Ok(default) };
    text.parse().map_err(|_| format!("{name}={text}: a number"))
}

fn run(name: &str, platform: &'static str, cpu: &'static str, cores: u32) -> Result<(), String> {
    let (runs, seed) = (number("CHAOS_RUNS", RUNS)?, number("CHAOS_SEED", SEED)?);
    fs::create_dir_all(RESULTS).map_err(|e| format!("{RESULTS}: {e}"))?;
    let stream = Path::new(RESULTS).join(format!("{name}.stream"));
    let append = format!("chaos={runs},{seed}");
    let variables = [
        ("PLATFORM", platform),
        ("CPU", cpu),
        ("APPEND", append.as_str()),
        ("ORACLE", stream.to_str().unwrap_or_default()),
    ];
    // Ten times of what it takes.
    let machine = Machine::new(format!("chaos-{name}"), cores, 60 + u64::from(runs) / 3, &variables);
    let boot = machine.boot()?;
    let announced = fs::read(&stream).map_err(|e| format!("{}: {e}", stream.display()))?;
    let announced = String::from_utf8_lossy(&announced);
    let last = announced.lines().rfind(|line| line.starts_with('@')).unwrap_or("none");
    let again = format!("make run PLATFORM={platform} CPU={cpu} APPEND=\"chaos=1,{seed},<number>\"");
    if boot.status != Some(0) || !boot.verdict().is_some_and(|verdict| verdict.starts_with("hv: pass:")) {
        return Err(machine.failure(format!("it did not come through; the last run begun: {last}: {again}")));
    }
    // Every core had its share, and counted all its ends.
    let told = |core: u32| {
        let start = format!("hv: chaos: core {core}: ");
        let line = boot.console.lines().filter_map(|line| line.strip_prefix(start.as_str()));
        line.filter_map(|line| line.split_once(" runs: ")?.0.parse::<u32>().ok()).sum::<u32>()
    };
    let shares: Vec<_> = (0..cores).map(told).collect();
    if shares.iter().sum::<u32>() != runs || shares.contains(&0) {
        return Err(machine.failure(format!("{runs} runs, but the cores' shares are {shares:?}")));
    }
    if cores == 1 && !memory_is_back(&boot.console) {
        return Err(machine.failure("memory is lost, or there is no line about it"));
    }
    Ok(())
}

/// `hv: chaos: core 0: free memory 505012 KiB before, 505012 KiB now`, with the same number twice.
fn memory_is_back(console: &str) -> bool {
    let numbers = console.lines().find_map(|line| line.split_once("free memory ")?.1.split_once(" KiB before, "));
    numbers.is_some_and(|(before, now)| now.strip_suffix(" KiB now") == Some(before))
}
