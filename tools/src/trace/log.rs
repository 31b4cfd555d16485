//! Finds the dumps of traces in a console log.

use std::collections::BTreeMap;

use hv::vt::trace::{self, Line, Record};

/// A dump of one core's ring.
#[derive(Clone, Debug)]
pub struct Dump {
    /// The line it begins in, from 1.
    pub line: usize,
    /// The core.
    pub core: u32,
    /// The guest that ran there.
    pub guest: String,
    /// `vmx` or `svm`.
    pub vendor: String,
    /// How often the TSC counts in a second; 0 where that is not known.
    pub tsc_hz: u64,
    /// How many records it says it has.
    pub announced: u64,
    /// How many older ones the ring no longer had.
    pub lost: u64,
    /// The records that were there.
    pub records: Vec<Record>,
    /// Whether its end was there.
    pub ended: bool,
}

impl Dump {
    /// Whose it is.
    pub fn title(&self) -> String {
        format!("{} on core {}", self.guest, self.core)
    }

    /// What of it is not there, if anything.
    pub fn missing(&self) -> Option<String> {
        let (there, all) = (self.records.len() as u64, self.announced);
        match (self.ended, there < all) {
            (true, false) => None,
            (true, true) => Some(format!("the trace has only {there} of its {all} records")),
            (false, _) => Some(format!("the trace has no end: {there} of its {all} records are there")),
        }
    }
}

/// What is in a console log.
#[derive(Default, Debug)]
pub struct Log {
    /// The dumps, in the order of their first lines.
    pub dumps: Vec<Dump>,
    /// The lines that are marked as a dump's but are not right, and why.
    pub damaged: Vec<(usize, String)>,
}

/// Reads a console log.
pub fn read(bytes: &[u8]) -> Log {
    let mut log = Log::default();
    // The dump of each core that has begun, as a place in `dumps`.
    let mut open: BTreeMap<u32, usize> = BTreeMap::new();
    for (number, line) in (1..).zip(bytes.split_inclusive(|b| *b == b'\n')) {
        let (core, line) = match trace::decode(line) {
            Ok(Some(ours)) => ours,
            Ok(None) => continue,
            // The log was cut off in the middle of a dump: that this has no end is told.
            Err(_) if !line.ends_with(b"\n") && !open.is_empty() => continue,
            Err(damage) => {
                log.damaged.push((number, format!("damaged line of a trace: {damage}")));
                continue;
            }
        };
        if let Line::Begin(h) = line {
            open.insert(core, log.dumps.len());
            log.dumps.push(Dump {
                line: number,
                core,
                guest: h.guest.into(),
                vendor: h.vendor.into(),
                tsc_hz: h.tsc_hz,
                announced: h.records,
                lost: h.lost,
                records: vec![],
                ended: false,
            });
            continue;
        }
        let Some(dump) = open.get(&core).and_then(|at| log.dumps.get_mut(*at)) else {
            log.damaged
                .push((number, format!("a trace of core {core} goes on here, but no line says where it begins")));
            continue;
        };
        match line {
            Line::Data(records) => dump.records.extend(records),
            _ => {
                dump.ended = true;
                open.remove(&core);
                if dump.records.len() as u64 > dump.announced {
                    let (there, all) = (dump.records.len(), dump.announced);
                    log.damaged
                        .push((number, format!("the trace of core {core} has {there} records instead of {all}")));
                }
            }
        }
    }
    log
}

/// The exits of a guest on a core, from all dumps of them.
#[derive(Clone, Debug)]
pub struct Track {
    /// The guest.
    pub guest: String,
    /// The core.
    pub core: u32,
    /// `vmx` or `svm`.
    pub vendor: String,
    /// How often the TSC counts in a second; 0 where that is not known.
    pub tsc_hz: u64,
    /// How many exits there were of which no dump has the record.
    pub lost: u64,
    /// In the order of time.
    pub records: Vec<Record>,
}

impl Track {
    /// The TSC at its first exit; 0 where there is none.
    pub fn first(&self) -> u64 {
        self.records.first().map_or(0, |r| r.exit)
    }

    /// Cycles as microseconds.
    pub fn us(&self, cycles: u64) -> f64 {
        let hz = if self.tsc_hz == 0 { 1_000_000_000 } else { self.tsc_hz };
        cycles as f64 * 1e6 / hz as f64
    }
}

/// Joins the dumps of a guest on a core: a ring that was dumped twice has the same records in both.
pub fn tracks(dumps: Vec<Dump>) -> Vec<Track> {
    // With how many exits each run had.
    let mut tracks: BTreeMap<_, (Track, Vec<u64>)> = BTreeMap::new();
    for dump in dumps {
        let Dump { guest, core, vendor, tsc_hz, lost, records, .. } = dump;
        let key = (guest.clone(), core, vendor.clone(), tsc_hz);
        let new = Track { guest, core, vendor, tsc_hz, lost: 0, records: vec![] };
        let (track, runs) = tracks.entry(key).or_insert((new, vec![]));
        // Each dump of a run counts all exits until then. Another run has fewer, or its ring should still have some of
        // the one before it and has not. What is missing of a dump is told elsewhere.
        let exits = lost.saturating_add(records.len() as u64);
        let joins = |before: u64| {
            // The newest of the dump before.
            let shared = || track.records.last().is_none_or(|last| records.contains(last));
            before == 0 || before <= exits && (lost >= before || shared())
        };
        match runs.last_mut().filter(|before| joins(**before)) {
            Some(run) => *run = exits,
            None => runs.push(exits),
        }
        track.records.extend(records);
    }
    let finish = |(mut track, runs): (Track, Vec<u64>)| {
        track.records.sort_by_key(|r| (r.exit, r.rip, r.kind, r.info, r.entry));
        track.records.dedup();
        let exits = runs.into_iter().fold(0u64, u64::saturating_add);
        track.lost = exits.saturating_sub(track.records.len() as u64);
        track
    };
    tracks.into_values().map(finish).collect()
}

/// The TSC at the first exit of all; 0 where there is none.
pub fn first(tracks: &[Track]) -> u64 {
    tracks.iter().map(Track::first).filter(|first| *first != 0).min().unwrap_or(0)
}
