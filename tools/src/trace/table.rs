//! Traces as text.

use std::fmt::Write;

use hv::vt::stats::{self, Stats};

use super::log::Track;

/// A table for each guest and core, with a line for each exit. Times count from its own first exit: those of guests
/// that ran one after another would be far off else.
pub fn table(tracks: &[Track]) -> String {
    let mut out = String::new();
    for (i, track) in tracks.iter().enumerate() {
        let gap = if i == 0 { "" } else { "\n" };
        // Writing to a string does not fail.
        let first = track.first();
        let _ = writeln!(out, "{gap}{}, times from the first", heading(track));
        let _ = writeln!(
            out,
            "{:>7}  {:>14}  {:>16}  {:>18}  {:<13}  {:>11}  what",
            "no", "time/us", "time/cycles", "RIP", "kind", "cost/cycles"
        );
        for (number, record) in (1..).zip(&track.records) {
            let since = record.exit.saturating_sub(first);
            let cost = stats::cost(record).map_or("-".into(), |c| c.to_string());
            let line = format!(
                "{number:>7}  {:>14.3}  {since:>16}  {:>#18x}  {:<13}  {cost:>11}  {}",
                track.us(since),
                record.rip,
                stats::kind_name(record.kind),
                stats::narrow(record.info, record.kind),
            );
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    out
}

/// The statistics of each guest, its cores together.
pub fn stats(tracks: &[Track]) -> String {
    let mut out = String::new();
    for (i, of_guest) in tracks.chunk_by(|a, b| a.guest == b.guest).enumerate() {
        let mut stats = Stats::new();
        of_guest.iter().flat_map(|t| &t.records).for_each(|r| stats.add(r));
        let gap = if i == 0 { "" } else { "\n" };
        let _ = write!(out, "{gap}");
        for track in of_guest {
            let _ = writeln!(out, "{}", heading(track));
        }
        let _ = write!(out, "{stats}");
    }
    out
}

fn heading(track: &Track) -> String {
    let Track { guest, core, vendor, tsc_hz, .. } = track;
    let lost = if track.lost > 0 { format!(", {} older ones lost", track.lost) } else { String::new() };
    format!("guest {guest}, core {core}, {vendor}, TSC {tsc_hz} Hz: {} exits{lost}", track.records.len())
}
