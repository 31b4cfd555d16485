//! The guests, from their sources' headers, and what the console must say about them.

use std::fs;

use crate::header::{self, Header, How};
use crate::machine::{Boot, Machine};

/// A guest that the kernel has built in.
pub struct Guest {
    pub name: &'static str,
    pub header: Header,
}

/// All of them, in the order in which they run.
pub fn all() -> Result<&'static [Guest], String> {
    let mut guests = Vec::new();
    let folder = fs::read_dir("guest").map_err(|error| format!("guest: {error}"))?;
    for entry in folder {
        let path = entry.map_err(|error| format!("guest: {error}"))?.path();
        if path.extension().is_none_or(|extension| extension != "S") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let header = header::parse(&text).map_err(|e| format!("{}:{}: {}", path.display(), e.line, e.message))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        guests.push(Guest { name: name.leak(), header });
    }
    guests.sort_by_key(|guest| (guest.header.order, guest.name));
    Ok(guests.leak())
}

/// Whether each core's VM with `guest` ended as it should, by the console.
pub fn check(machine: &Machine, guest: &Guest) -> Result<(), String> {
    let boot = machine.boot()?;
    (0..machine.cores).try_for_each(|core| line(boot, guest, core)).map_err(|what| machine.failure(what))
}

/// Checks the line `hv: guest hello: core 0: ok: hlt at 0000:7c03, exits: hlt 1`.
fn line(boot: &Boot, guest: &Guest, core: u32) -> Result<(), String> {
    let start = format!("hv: guest {}: core {core}: ", guest.name);
    let mut lines = boot.console.lines().filter_map(|line| line.split_once(start.as_str()).map(|(_, rest)| rest));
    let (result, None) = (lines.next().ok_or_else(|| format!("no line `{start}…`"))?, lines.next()) else {
        return Err(format!("more than one line `{start}…`"));
    };
    let said = || format!("`{start}{result}`");
    let ending = result.strip_prefix("ok: ").ok_or_else(said)?;
    let (how, exits) = ending.split_once(", exits: ").ok_or_else(|| format!("no exits in {}", said()))?;
    if guest.header.how == How::Hlt && !how.starts_with("hlt at ") {
        return Err(format!("not ended by HLT: {}", said()));
    }
    for &(name, count) in &guest.header.exits {
        let wanted = format!("{name} {count}");
        // A count of 0 is an exit that is not in the list.
        let found = exits.split(", ").any(|exit| exit == wanted);
        let absent = !exits.split(", ").any(|exit| exit.starts_with(&format!("{name} ")));
        if !(found || count == 0 && absent) {
            return Err(format!("exits must be `{wanted}`: {}", said()));
        }
    }
    Ok(())
}
