//! One counter of the 8254, evaluated when somebody looks: Intel's 8254 data sheet (231164), "Mode Definitions".
//!
//! Time is in pulses of the counter's CLK input, counted from some fixed point. What the CPU does between pulse `t` and
//! pulse `t + 1` has the time `t`; a count that it writes there is loaded by pulse `t + 1`.

/// How many bytes of a count the CPU reads and writes (8254 "Control Word Format", RW).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    Low,
    High,
    LowThenHigh,
}

/// A counter.
///
/// A count of 1 is illegal in modes 2 and 3 and taken as 2. BCD digits above 9 have their value (0xf is fifteen).
#[derive(Clone, Debug)]
pub struct Counter {
    /// The low six bits of the control word, as status gives them.
    control: u8,
    access: Access,
    /// The count register CR.
    register: u16,
    /// The low byte of a count, when its high byte is yet to come.
    written_low: Option<u8>,
    /// The next unlatched byte read is the high one.
    read_high: bool,
    latched_count: Option<u16>,
    latched_status: Option<u8>,
    /// CR has a count that was not loaded into the counting element yet.
    null_count: bool,
    /// A count was written since the control word.
    programmed: bool,
    /// The next pulse loads CR.
    load: bool,
    /// CR was loaded since the control word: the counter counts.
    loaded: bool,
    /// OUT is yet to change when the count reaches 0 (modes 0, 1, 4, 5).
    armed: bool,
    /// The first byte of a count disabled counting (mode 0).
    halted: bool,
    gate: bool,
    out: bool,
    /// The counting element CE at time `at`, not as BCD; what was loaded as 0 is 65536 or 10000.
    count: u32,
    /// The count that CE was loaded from was odd (mode 3).
    odd: bool,
    at: u64,
}

impl Counter {
    /// A counter before its first control word, which the data sheet leaves undefined: OUT is high, nothing counts.
    pub const fn new(gate: bool) -> Self {
        Self {
            control: 0x36,
            access: Access::LowThenHigh,
            register: 0,
            written_low: None,
            read_high: false,
            latched_count: None,
            latched_status: None,
            null_count: true,
            programmed: false,
            load: false,
            loaded: false,
            armed: false,
            halted: false,
            gate,
            out: true,
            count: 0,
            odd: false,
            at: 0,
        }
    }

    /// The OUT pin at the time the counter was brought up to.
    pub const fn out(&self) -> bool {
        self.out
    }

    /// Whether OUT rises again and again by itself (modes 2 and 3).
    pub const fn is_periodic(&self) -> bool {
        matches!(self.mode(), 2 | 3)
    }

    /// The CPU wrote control word `value` for this counter, at the time the counter was brought up to. RW of 0 is the
    /// latch command, which is [`Self::latch_count`]'s.
    pub fn program(&mut self, value: u8) {
        let access = match value >> 4 & 3 {
            1 => Access::Low,
            2 => Access::High,
            _ => Access::LowThenHigh,
        };
        *self = Self { control: value & 0x3f, access, count: self.count, at: self.at, ..Self::new(self.gate) };
        self.out = self.mode() != 0;
    }

    /// Counter latch command (8254 "Counter Latch Command"): another one before the count was read does nothing.
    pub fn latch_count(&mut self) {
        if self.latched_count.is_none() {
            self.latched_count = Some(self.shown());
            if self.access == Access::LowThenHigh {
                self.read_high = false;
            }
        }
    }

    /// Read-back command for the status (8254 "Read-Back Command", "Status Byte").
    pub fn latch_status(&mut self) {
        if self.latched_status.is_none() {
            self.latched_status = Some(u8::from(self.out) << 7 | u8::from(self.null_count) << 6 | self.control);
        }
    }

    /// The CPU reads the counter's port: latched status first, then the latched count, else the count as it is.
    pub fn read(&mut self) -> u8 {
        if let Some(status) = self.latched_status.take() {
            return status;
        }
        let [low, high] = self.latched_count.unwrap_or_else(|| self.shown()).to_le_bytes();
        let (byte, last) = match self.access {
            Access::Low => (low, true),
            Access::High => (high, true),
            Access::LowThenHigh => {
                self.read_high = !self.read_high;
                if self.read_high { (low, false) } else { (high, true) }
            }
        };
        if last {
            self.latched_count = None;
        }
        byte
    }

    /// The CPU writes the counter's port.
    pub fn write(&mut self, value: u8) {
        let count = match (self.access, self.written_low.take()) {
            (Access::Low, _) => u16::from(value),
            (Access::High, _) => u16::from(value) << 8,
            (Access::LowThenHigh, Some(low)) => u16::from_le_bytes([low, value]),
            (Access::LowThenHigh, None) => {
                self.written_low = Some(value);
                if self.mode() == 0 {
                    self.halted = true;
                    self.out = false;
                }
                return;
            }
        };
        self.register = count;
        self.null_count = true;
        self.programmed = true;
        match self.mode() {
            0 => {
                self.load = true;
                self.halted = false;
                self.out = false;
            }
            4 => self.load = true,
            // Only the first count is loaded at once; the others wait for the end of a cycle.
            2 | 3 => self.load |= !self.loaded,
            // These wait for a trigger.
            _ => {}
        }
    }

    /// The level of the GATE input (8254 "Gate Pin Operations Summary").
    pub fn set_gate(&mut self, gate: bool) {
        let rises = gate && !self.gate;
        self.gate = gate;
        match self.mode() {
            1 | 5 if rises => self.load |= self.programmed,
            2 | 3 if rises => self.load |= self.programmed,
            2 | 3 if !gate => self.out = true,
            _ => {}
        }
    }

    /// Brings the counter up to pulse `to`. Gives how often OUT rose.
    pub fn run(&mut self, to: u64) -> u64 {
        let mut pulses = to.saturating_sub(self.at);
        self.at = self.at.max(to);
        let mut rises = 0;
        if pulses != 0 && self.load {
            pulses -= 1;
            rises += self.load_pulse();
        }
        if pulses == 0 || !self.loaded {
            return rises;
        }
        rises.saturating_add(match self.mode() {
            2 if self.gate => self.run_rate(pulses),
            3 if self.gate => self.run_square(pulses),
            2 | 3 => 0,
            _ => self.run_once(pulses),
        })
    }

    /// The pulse at which OUT rises next if nobody writes, if there is one.
    pub fn next_rise(&self) -> Option<u64> {
        let (n, load) = (u64::from(self.initial()), u64::from(self.load));
        let count = u64::from(self.count);
        let pulses = match self.mode() {
            // The strobe ends at the next pulse, whichever it is.
            4 | 5 if !self.out => 1,
            2 | 3 if !self.gate => return None,
            2 | 3 if self.load => n + 1,
            2 | 3 if !self.loaded => return None,
            2 => count,
            3 if self.out => self.half_left() + n / 2,
            3 => self.half_left(),
            0 | 4 if !self.gate || self.halted => return None,
            _ if !self.load && !self.armed => return None,
            mode => load + if self.load { n } else { count } + u64::from(mode >= 4),
        };
        self.at.checked_add(pulses)
    }

    /// Modes 6 and 7 are 2 and 3.
    const fn mode(&self) -> u8 {
        match self.control >> 1 & 7 {
            mode @ 6.. => mode - 4,
            mode => mode,
        }
    }

    const fn is_bcd(&self) -> bool {
        self.control & 1 != 0
    }

    /// What a count of 0 stands for (8254 "Mode Definitions", the table of minimum and maximum counts).
    const fn modulus(&self) -> u32 {
        if self.is_bcd() { 10_000 } else { 0x1_0000 }
    }

    /// The count in CR.
    fn initial(&self) -> u32 {
        let r = u32::from(self.register);
        let count =
            if self.is_bcd() { (r >> 12) * 1000 + (r >> 8 & 0xf) * 100 + (r >> 4 & 0xf) * 10 + (r & 0xf) } else { r };
        match count {
            0 => self.modulus(),
            1 if self.is_periodic() => 2,
            count => count,
        }
    }

    /// CE as the CPU reads it.
    fn shown(&self) -> u16 {
        let count = self.count % self.modulus();
        if !self.is_bcd() {
            return count as u16;
        }
        ((count / 1000) << 12 | (count / 100 % 10) << 8 | (count / 10 % 10) << 4 | (count % 10)) as u16
    }

    /// CR goes to CE. Gives its value.
    fn load_count(&mut self) -> u32 {
        let n = self.initial();
        self.null_count = false;
        self.loaded = true;
        self.odd = n & 1 != 0;
        self.count = if self.mode() == 3 { n & !1 } else { n };
        n
    }

    fn load_pulse(&mut self) -> u64 {
        let before = self.out;
        self.load = false;
        self.load_count();
        self.armed = !self.is_periodic();
        self.out = !matches!(self.mode(), 0 | 1);
        u64::from(self.out && !before)
    }

    /// Modes 0, 1, 4 and 5: OUT changes once, and the counter counts on.
    fn run_once(&mut self, pulses: u64) -> u64 {
        let (before, mode) = (self.out, self.mode());
        if mode >= 4 {
            // A strobe is one pulse long.
            self.out = true;
        }
        let mut rises = u64::from(self.out && !before);
        if matches!(mode, 0 | 4) && (!self.gate || self.halted) {
            return rises;
        }
        let left = u64::from(self.count);
        if self.armed && pulses >= left {
            self.armed = false;
            self.out = mode < 4 || pulses > left;
            rises += u64::from(self.out);
        }
        self.count = if pulses < left {
            (left - pulses) as u32
        } else {
            let modulus = u64::from(self.modulus());
            ((modulus - (pulses - left) % modulus) % modulus) as u32
        };
        rises
    }

    /// Mode 2: OUT is low while the count is 1.
    fn run_rate(&mut self, pulses: u64) -> u64 {
        let left = u64::from(self.count);
        let mut rises = 0;
        if pulses < left {
            self.count = (left - pulses) as u32;
        } else {
            let n = u64::from(self.load_count());
            self.count = (n - (pulses - left) % n) as u32;
            rises = 1 + (pulses - left) / n;
        }
        self.out = self.count != 1;
        rises
    }

    /// Mode 3: the count goes down by two, and a half cycle with OUT high takes one pulse more if the count is odd.
    fn run_square(&mut self, pulses: u64) -> u64 {
        let left = self.half_left();
        if pulses < left {
            self.count = self.count.saturating_sub(2 * pulses as u32);
            return 0;
        }
        let n = u64::from(self.load_count());
        let (periods, mut rest) = ((pulses - left) / n, (pulses - left) % n);
        self.out = !self.out;
        let mut rises = u64::from(self.out) + periods;
        if rest >= self.half_left() {
            rest -= self.half_left();
            self.out = !self.out;
            rises += u64::from(self.out);
        }
        self.count = self.count.saturating_sub(2 * rest as u32);
        rises
    }

    /// Mode 3: how many pulses until OUT changes.
    fn half_left(&self) -> u64 {
        u64::from(self.count / 2) + u64::from(self.odd && self.out)
    }
}
