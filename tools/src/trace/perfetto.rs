//! Traces in the trace-event format, which ui.perfetto.dev and chrome://tracing read.

use hv::vt::stats;
use serde_json::{Value, json};

use super::log::{Track, first};

/// A process for each guest, a thread for each core, and an event for each exit, as long as it took until the next
/// entry.
pub fn json(tracks: &[Track]) -> String {
    let first = first(tracks);
    let mut events: Vec<Value> = vec![];
    for (pid, of_guest) in (1..).zip(tracks.chunk_by(|a, b| a.guest == b.guest)) {
        let name = of_guest.first().map_or("", |t| &t.guest);
        events.push(json!({"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}));
        for track in of_guest {
            let tid = track.core;
            let name = format!("core {tid}");
            events.push(json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}));
            for record in &track.records {
                let cost = stats::cost(record);
                events.push(json!({
                    "ph": "X",
                    "cat": "exit",
                    "name": stats::kind_name(record.kind),
                    "pid": pid,
                    "tid": tid,
                    "ts": track.us(record.exit.saturating_sub(first)),
                    "dur": track.us(cost.unwrap_or(0).into()),
                    "args": {
                        "rip": format!("{:#x}", record.rip),
                        "info": format!("{:#x}", record.info),
                        "what": stats::narrow(record.info, record.kind).to_string(),
                        "cycles": cost,
                    },
                }));
            }
        }
    }
    let about: Vec<Value> = tracks
        .iter()
        .map(|t| json!({"guest": t.guest, "core": t.core, "vendor": t.vendor, "tsc-hz": t.tsc_hz, "lost": t.lost}))
        .collect();
    let file = json!({"displayTimeUnit": "ns", "traceEvents": events, "otherData": {"traces": about}});
    format!("{file}\n")
}
