//! The interval timer: Intel's 8254 with its three counters as a PC wires them, and port 0x61.

use super::clock::Rate;
use super::pit_counter::Counter;

/// The frequency of the counters' clock: a third of the colour subcarrier of NTSC, 14.31818 MHz / 12.
pub const HZ: u64 = 1_193_182;

/// How many late rising edges of OUT0 are kept for [`Pit::advance`].
pub const LATE: u64 = 1000;

/// Port 0x61 (PCH "NMI Status and Control Register"). The two NMI sources do not exist, but their masks read back.
#[allow(missing_docs)]
pub mod port_b {
    pub const GATE2: u8 = 1 << 0;
    pub const SPEAKER: u8 = 1 << 1;
    pub const WRITABLE: u8 = 0xf;
    pub const REFRESH: u8 = 1 << 4;
    pub const OUT2: u8 = 1 << 5;
}

/// Memory refresh asks for a cycle every so many ticks, and each turns the refresh bit around: 15 µs.
const REFRESH_TICKS: u64 = 18;

/// An interval timer. The gates of counters 0 and 1 are always high.
#[derive(Clone, Debug)]
pub struct Pit {
    rate: Rate,
    counters: [Counter; 3],
    /// What can be written of port 0x61.
    port_b: u8,
    /// The time that the counters were brought up to.
    now: u64,
    /// Rising edges of OUT0 that [`Self::advance`] has not given yet.
    edges: u64,
    /// How many may become of them in modes 2 and 3.
    most: u64,
}

impl Pit {
    /// A timer before its first control word, on a host whose TSC runs at `tsc_hz`. Nothing counts, and nobody wants its edges.
    pub const fn new(tsc_hz: u64) -> Self {
        Self {
            rate: Rate::new(tsc_hz, HZ),
            counters: [Counter::new(true), Counter::new(true), Counter::new(false)],
            port_b: 0,
            now: 0,
            edges: 0,
            most: 1,
        }
    }

    /// The guest read `port`, 0x40 to 0x43 or 0x61. The control word, 0x43, is not readable and gives ones.
    pub fn read(&mut self, port: u16, now: u64) -> u8 {
        self.run(now);
        match (port, self.counter(port)) {
            (0x61, _) => self.read_port_b(),
            (_, Some(counter)) => counter.read(),
            _ => 0xff,
        }
    }

    /// The guest wrote `value` to `port`, 0x40 to 0x43 or 0x61.
    pub fn write(&mut self, port: u16, value: u8, now: u64) {
        self.run(now);
        match (port, self.counter(port)) {
            (0x43, _) => self.write_control(value),
            (0x61, _) => {
                self.port_b = value & port_b::WRITABLE;
                let [.., counter2] = &mut self.counters;
                counter2.set_gate(value & port_b::GATE2 != 0);
            }
            (_, Some(counter)) => counter.write(value),
            _ => {}
        }
        if self.withdraws() {
            self.edges = 0;
        }
    }

    /// Whether OUT0 is low until the count that was written has run out: what it asked for before is withdrawn, as an 8259
    /// takes a request whose input falls before the acknowledge (8259A "Edge and Level Triggered Modes").
    pub const fn withdraws(&self) -> bool {
        let [counter0, ..] = &self.counters;
        !self.out0() && !counter0.is_periodic()
    }

    /// The level of OUT0, IRQ 0, as of the last call that had a time.
    pub const fn out0(&self) -> bool {
        let [counter0, ..] = &self.counters;
        counter0.out()
    }

    /// When OUT0 rises next, in cycles of the host's TSC: in the past if [`Self::advance`] still has a late edge to
    /// give, and `None` if OUT0 stays as it is.
    pub fn next_event(&self) -> Option<u64> {
        if self.edges != 0 {
            return Some(self.now);
        }
        let [counter0, ..] = &self.counters;
        counter0.next_rise().map(|tick| self.rate.cycles(tick))
    }

    /// Brings OUT0 up to `now`. Gives whether it rose; each edge is given once, one per call. In modes 2 and 3 those of
    /// the last [`LATE`] periods are kept for later calls, so that a guest that was away does not lose ticks of its
    /// clock. In the other modes one is kept, and a control word leaves one, if OUT0 stays high: more would be ticks of what
    /// the counter did before.
    pub fn advance(&mut self, now: u64) -> bool {
        self.run(now);
        let edge = self.edges != 0;
        self.edges = self.edges.saturating_sub(1);
        edge
    }

    /// Says whether edges get anywhere from `now` on. Of those that come while they don't, one is kept, as an interrupt controller's
    /// latch keeps it.
    pub fn set_wanted(&mut self, wanted: bool, now: u64) {
        self.run(now);
        self.most = if wanted { LATE } else { self.most.min(self.edges + 1) };
    }

    fn counter(&mut self, port: u16) -> Option<&mut Counter> {
        self.counters.get_mut(usize::from(port.checked_sub(0x40)?))
    }

    fn run(&mut self, now: u64) {
        self.now = self.now.max(now);
        let tick = self.rate.ticks(self.now);
        let [counter0, rest @ ..] = &mut self.counters;
        let kept = if counter0.is_periodic() { self.most } else { 1 };
        self.edges = self.edges.saturating_add(counter0.run(tick)).min(kept);
        for counter in rest {
            counter.run(tick);
        }
    }

    fn write_control(&mut self, value: u8) {
        if value >> 6 == 3 {
            return self.read_back(value);
        }
        let select = usize::from(value >> 6);
        let Some(counter) = self.counters.get_mut(select) else { return };
        if value & 0x30 == 0 {
            return counter.latch_count();
        }
        let before = counter.out();
        counter.program(value);
        if select == 0 {
            // OUT0 is an edge for the interrupt controller whatever raises it.
            self.edges = (self.edges + u64::from(counter.out() && !before)).min(1);
        }
    }

    /// Read-back command (8254 "Read-Back Command"): bits 5 and 4 are active low, bits 3:1 select counters.
    fn read_back(&mut self, value: u8) {
        for (counter, bit) in self.counters.iter_mut().zip(1..) {
            if value >> bit & 1 == 0 {
                continue;
            }
            if value & 0x20 == 0 {
                counter.latch_count();
            }
            if value & 0x10 == 0 {
                counter.latch_status();
            }
        }
    }

    fn read_port_b(&self) -> u8 {
        let [.., counter2] = &self.counters;
        let refresh = (self.rate.ticks(self.now) / REFRESH_TICKS) & 1 != 0;
        self.port_b | if refresh { port_b::REFRESH } else { 0 } | if counter2.out() { port_b::OUT2 } else { 0 }
    }
}
