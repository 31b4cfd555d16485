//! Reading the two files.

use std::io::Read;

use hv::vt::doctor::text::{Report, read};

/// The most that is read: a dump is a few kilobytes, a log may be long.
const MOST: u64 = 256 << 20;

/// A dump and where it comes from.
pub struct Input {
    path: String,
    /// What was read.
    pub report: Report,
}

/// Reads the dump in a file, or on the standard input.
pub fn load(path: &str) -> Result<Input, String> {
    let name = if path == "-" { "the standard input" } else { path };
    let mut text = Vec::new();
    let done = if path == "-" {
        std::io::stdin().lock().take(MOST).read_to_end(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut text))
    };
    done.map_err(|e| format!("cannot read {name}: {e}"))?;
    let report = read(&text).map_err(|trouble| format!("{name}: {trouble}"))?;
    Ok(Input { path: name.into(), report })
}

impl Input {
    /// What to call it.
    pub fn name(&self) -> &str {
        &self.path
    }

    /// What is worth knowing about how it was read.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let Report { lines, foreign, incomplete, more, .. } = self.report;
        let (name, (first, last)) = (&self.path, lines);
        [
            (foreign > 0).then(|| {
                format!("{name}: skipped what is not of the dump between lines {first} and {last}: {foreign}")
            }),
            (incomplete > 0).then(|| format!("{name}: skipped what breaks off before line {first}: {incomplete}")),
            more.then(|| format!("{name}: there are more dumps: only the first is read (lines {first} to {last})")),
        ]
        .into_iter()
        .flatten()
    }
}
