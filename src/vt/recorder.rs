//! The trace ring of a core: what its guest's last exits were, in a few instructions each.

use alloc::boxed::Box;

use super::exit::ExitKind;
use super::stats::Stats;
use super::trace::{Header, Record, encode};
use crate::base::PAGE_SIZE;
use crate::hw::time;
use crate::mem::frames::{self, Frames};
use crate::mem::owner::Owner;

/// How many exits the ring holds.
pub const RECORDS: usize = 1024;

/// How often a guest may ask for its statistics.
const DEMANDS: u8 = 4;

/// In the ring, the mark of an IN: it is stored with the kind, so that it costs nothing.
const IN: u16 = 1;

/// A record as others see it: what is about an IN says so in its information.
fn finished(record: Record) -> Record {
    let info = record.info | if record.reserved == IN { 1 << 24 } else { 0 };
    Record { info, reserved: 0, ..record }
}

/// A ring of records, written in place: one is begun after an exit, and ended before the next entry.
pub struct Recorder {
    /// Where the present record is.
    at: *mut Record,
    start: *mut Record,
    end: *mut Record,
    /// How many records were overwritten since the last [`Recorder::reset`].
    lost: u64,
    /// Statistics of all exits, where somebody wants them.
    stats: Option<Box<Stats>>,
    /// A guest wants them now.
    demanded: bool,
    /// How often one did.
    demands: u8,
    _frames: Frames,
}

impl Recorder {
    /// A ring, empty; `stats`: count whatever it forgets. `None` where there is no memory for it.
    #[inline(never)]
    pub fn new(stats: bool) -> Option<Self> {
        let bytes = (RECORDS * size_of::<Record>()) as u64;
        let frames = frames::alloc_run(bytes / PAGE_SIZE, PAGE_SIZE, Owner::Vt)?;
        let start = frames.ptr().cast::<Record>();
        let stats = stats.then(no_stats);
        let end = start.wrapping_add(RECORDS);
        let mut recorder = Self { at: start, start, end, lost: 0, stats, demanded: false, demands: 0, _frames: frames };
        recorder.reset();
        Some(recorder)
    }

    /// Forgets everything.
    #[inline(never)]
    pub fn reset(&mut self) {
        self.at = self.start;
        self.lost = 0;
        self.demanded = false;
        self.demands = 0;
        if self.stats.is_some() {
            self.stats = Some(no_stats());
        }
        for i in 0..RECORDS {
            // SAFETY: the ring has so many records, all in its own frames.
            unsafe { self.start.wrapping_add(i).write(Record::default()) };
        }
    }

    /// The present record.
    #[inline(always)]
    fn record(&mut self) -> &mut Record {
        // SAFETY: `at` is below `end` (see `end_record`), so in the frames, which are ours and hold whole records since `reset`.
        unsafe { &mut *self.at }
    }

    /// The guest has exited, just now, at `rip`.
    #[inline(always)]
    pub fn begin(&mut self, rip: u64) {
        let record = self.record();
        record.exit = time::tsc();
        record.rip = rip;
    }

    /// What the exit is.
    #[inline(always)]
    pub fn note(&mut self, kind: ExitKind, info: u64) {
        let record = self.record();
        record.kind = kind as u16;
        record.reserved = 0;
        record.info = info;
    }

    /// The exit is by IN; `info` is as for OUT.
    #[inline(always)]
    pub fn note_in(&mut self, info: u64) {
        let record = self.record();
        record.kind = ExitKind::Port as u16;
        record.reserved = IN;
        record.info = info;
    }

    /// The exit is dealt with: the next entry comes now.
    #[inline(always)]
    pub fn end_record(&mut self) {
        self.record().entry = time::tsc() as u32;
        self.at = self.at.wrapping_add(1);
        if self.at == self.end {
            self.wrap();
        }
    }

    /// The exit was the last: no entry follows.
    pub fn stop(&mut self) {
        self.record().entry = 0;
        self.at = self.at.wrapping_add(1);
        if self.at == self.end {
            self.wrap();
        }
    }

    #[cold]
    #[inline(never)]
    fn wrap(&mut self) {
        for i in 0..RECORDS {
            // SAFETY: as in `reset`; all have been written.
            let record = unsafe { self.start.wrapping_add(i).read() };
            if let Some(stats) = &mut self.stats {
                stats.add(&record);
            }
        }
        self.lost += RECORDS as u64;
        self.at = self.start;
    }

    /// How many records were written since the ring began anew at its start.
    fn fresh(&self) -> usize {
        (self.at as usize - self.start as usize) / size_of::<Record>()
    }

    /// The records that are there, the oldest first.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let fresh = self.fresh();
        let old = if self.lost == 0 { RECORDS..RECORDS } else { fresh..RECORDS };
        // SAFETY: as in `reset`; `&self` keeps writers away.
        old.chain(0..fresh).map(|i| finished(unsafe { self.start.wrapping_add(i).read() }))
    }

    /// Exits since the last [`Recorder::reset`].
    pub fn total(&self) -> u64 {
        self.lost + self.fresh() as u64
    }

    /// Statistics of all exits until now: of those that the ring still has, where nobody asked for all.
    #[inline(never)]
    pub fn statistics(&self) -> (Box<Stats>, u64) {
        let (mut stats, skipped) = match &self.stats {
            Some(stats) => (stats.clone(), self.lost),
            None => (no_stats(), 0),
        };
        let old = (RECORDS as u64).min(skipped) as usize;
        let known = if old == 0 { 0 } else { RECORDS - self.fresh() };
        self.records().skip(known).for_each(|record| stats.add(&record));
        let counted = stats.total();
        (stats, counted)
    }

    /// Tells all records in the form that `scripts/trace` reads.
    pub fn tell(&self, core: u32, guest: &str, vendor: &str, line: &mut dyn FnMut(core::fmt::Arguments<'_>)) {
        let records = self.records().count() as u64;
        let lost = self.total() - records;
        encode(core, &Header { guest, vendor, tsc_hz: time::tsc_hz(), records, lost }, self.records(), line);
    }

    /// A guest asks for its statistics. Whether it may: each time is much on the console.
    #[cold]
    pub fn demand(&mut self) -> bool {
        let may = self.demands < DEMANDS;
        self.demands += u8::from(may);
        self.demanded |= may;
        may
    }

    /// Whether one has asked since this was called last.
    pub fn take_demand(&mut self) -> bool {
        core::mem::take(&mut self.demanded)
    }
}

/// Statistics of nothing. A function of its own, because they are large on a stack.
#[inline(never)]
fn no_stats() -> Box<Stats> {
    Box::new(Stats::new())
}
