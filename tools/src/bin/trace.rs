//! Turns a console log with traces of exits in it into a table, statistics, a file for Perfetto, or a picture.

#[path = "../trace/mod.rs"]
mod trace;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use trace::log::{self, Dump};

/// Shows the traces of VM exits that a console log contains.
#[derive(Parser)]
#[command(
    name = "trace",
    after_help = "\
Without an option for the form, the table goes to stdout. Several may be given; FILE is - for stdout.
Times are in us: in the table since the first exit of each guest and core, elsewhere since the first exit of
all that is shown. Costs are in cycles of the TSC, from the exit to the next entry.

Exit status:
  0  everything was read
  1  everything there was read, but it is not complete: a dump has no end, or lines of it are missing
  2  nothing was written: wrong usage, no trace in the log, damaged lines, or a file that cannot be read or written"
)]
struct Arguments {
    /// Write a table, a line for each exit
    #[arg(long)]
    table: bool,
    /// Write statistics of each guest's exits: counts, costs, and what they are about most often
    #[arg(long)]
    stats: bool,
    /// Write the trace-event format, for ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a picture: when exits of each kind occurred, and what they cost
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Only the traces of this core
    #[arg(long, value_name = "N")]
    core: Option<u32>,
    /// Only the traces of this guest
    #[arg(long, value_name = "NAME")]
    guest: Option<String>,
    /// What the serial console gave; - for stdin
    #[arg(value_name = "CONSOLE-LOG")]
    log: OsString,
}

/// The number of messages about one log, after which they are counted only.
const MESSAGES: usize = 10;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            for line in message.lines() {
                say(line);
            }
            ExitCode::from(2)
        }
    }
}

/// To stderr; that it may be closed is no reason to fail.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "trace: {line}");
}

/// Whether the log is complete, or why nothing came of it.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let (name, bytes) = read(&arguments.log)?;
    let log = log::read(&bytes);
    if !log.damaged.is_empty() {
        return Err(listed(&name, &log.damaged).join("\n"));
    }
    let found = log.dumps.len();
    if found == 0 {
        let lines = bytes.split_inclusive(|b| *b == b'\n').count();
        return Err(format!("{name}: no trace in it: none of its {lines} lines begins with `trace@`"));
    }
    let there: Vec<String> = log.dumps.iter().map(Dump::title).collect();
    let wanted =
        |d: &Dump| arguments.core.is_none_or(|c| c == d.core) && arguments.guest.as_ref().is_none_or(|g| *g == d.guest);
    let dumps: Vec<Dump> = log.dumps.into_iter().filter(wanted).collect();
    if dumps.is_empty() {
        return Err(format!("{name}: none of its traces is of that core and guest; there are: {}", there.join("; ")));
    }

    let mut warnings = vec![];
    let mut complete = true;
    for dump in &dumps {
        if let Some(what) = dump.missing() {
            complete = false;
            warnings.push((dump.line, format!("{what} ({})", dump.title())));
        }
        if dump.lost > 0 {
            let lost = format!("{} older exits were lost before the dump ({})", dump.lost, dump.title());
            warnings.push((dump.line, lost));
        }
        if dump.tsc_hz == 0 {
            let title = dump.title();
            warnings.push((dump.line, format!("the TSC's frequency is not known: times are as at 1 GHz ({title})")));
        }
    }
    for line in listed(&name, &warnings) {
        say(&line);
    }

    let tracks = log::tracks(dumps);
    // All is made before any is written.
    let mut outputs: Vec<(&Path, Vec<u8>)> = vec![];
    let stdout = Path::new("-");
    if arguments.table || (!arguments.stats && arguments.json.is_none() && arguments.svg.is_none()) {
        outputs.push((stdout, trace::table::table(&tracks).into_bytes()));
    }
    if arguments.stats {
        outputs.push((stdout, trace::table::stats(&tracks).into_bytes()));
    }
    if let Some(file) = &arguments.json {
        outputs.push((file, trace::perfetto::json(&tracks).into_bytes()));
    }
    if let Some(file) = &arguments.svg {
        outputs.push((file, trace::svg::picture(&tracks)?.into_bytes()));
    }
    for (file, bytes) in outputs {
        write(file, &bytes)?;
    }
    Ok(complete)
}

/// The name and the content of the log.
fn read(log: &OsString) -> Result<(String, Vec<u8>), String> {
    if log == "-" {
        let mut bytes = vec![];
        io::stdin().lock().read_to_end(&mut bytes).map_err(|e| format!("stdin: {e}"))?;
        return Ok(("stdin".into(), bytes));
    }
    let name = Path::new(log).display().to_string();
    let bytes = std::fs::read(log).map_err(|e| format!("{name}: cannot be read: {e}"))?;
    Ok((name, bytes))
}

/// Writes a file, or stdout for `-`. That nobody reads stdout any more is no fault.
fn write(file: &Path, bytes: &[u8]) -> Result<(), String> {
    if file == Path::new("-") {
        let mut out = io::stdout().lock();
        return match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(format!("stdout: {e}")),
            _ => Ok(()),
        };
    }
    std::fs::write(file, bytes).map_err(|e| format!("{}: cannot be written: {e}", file.display()))
}

/// Messages about lines of a file, the first ones.
fn listed(name: &str, all: &[(usize, String)]) -> Vec<String> {
    let mut lines: Vec<String> = all.iter().take(MESSAGES).map(|(n, text)| format!("{name}:{n}: {text}")).collect();
    if all.len() > MESSAGES {
        lines.push(format!("{name}: {} more like these", all.len() - MESSAGES));
    }
    lines
}
