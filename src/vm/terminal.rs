//! A guest's console on the host's: what it says goes out unchanged, what is typed goes in. Ctrl-] is for the hypervisor.

use arrayvec::ArrayVec;

use crate::dev::bus::Bus;
use crate::hw::{console, percpu, time};

/// Ctrl-].
const ESCAPE: u8 = 0x1d;
/// How many typed characters wait for the guest.
const WAITING: usize = 256;
/// While something waits to be sent, how often the serial port is looked after, in microseconds: sixteen characters at 115,200
/// baud take 1389.
const PACE_US: u64 = 1400;
/// How often input is looked for that does not interrupt, in microseconds.
const POLL_US: u64 = 50_000;
/// So much is worth sending at once, as is a whole line.
const PIECE: usize = 64;
/// How long that may take, in microseconds.
const HELP_US: u64 = 100_000;
/// What is shown for Ctrl-] ?.
const HELP: &[u8] =
    b"\r\n[hv: Ctrl-] q ends the machine, Ctrl-] s shows statistics of its exits, Ctrl-] Ctrl-] sends Ctrl-]]\r\n";

/// What the user wants of the hypervisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// The machine's end.
    Quit,
    /// The statistics of its exits.
    Statistics,
}

/// The connection between the two consoles.
#[derive(Debug)]
pub struct Terminal {
    typed: ArrayVec<u8, WAITING>,
    /// Ctrl-] has been typed.
    escaped: bool,
    /// What the guest said and the serial port has not taken yet.
    unsent: ArrayVec<u8, PIECE>,
    /// When the serial port is looked after next, for what is to be sent: a TSC of the host.
    due: Option<u64>,
    /// The input does not interrupt this core, and is looked for from time to time.
    polled: bool,
}

impl Terminal {
    /// Connects them: the input interrupts the executing core from now on.
    pub fn connect() -> Self {
        console::interrupt_on_input();
        // On a PC the legacy interrupt controllers reach the boot core.
        let polled = percpu::this().index() != 0;
        Self { typed: ArrayVec::new(), escaped: false, unsent: ArrayVec::new(), due: None, polled }
    }

    /// Passes on what there is in both directions, as far as each side takes it now.
    pub fn pass(&mut self, bus: &mut Bus) -> Option<Wish> {
        self.send(bus);
        let mut wish = None;
        while let Some(byte) = console::receive() {
            wish = self.take(byte).or(wish);
        }
        while bus.can_receive()
            && let Some(byte) = self.typed.first().copied()
        {
            self.typed.remove(0);
            bus.receive(byte);
        }
        wish
    }

    /// A typed character.
    fn take(&mut self, byte: u8) -> Option<Wish> {
        if !self.escaped {
            self.escaped = byte == ESCAPE;
            if !self.escaped {
                // Whoever types faster than the guest reads loses it, as with any UART.
                let _ = self.typed.try_push(byte);
            }
            return None;
        }
        self.escaped = false;
        match byte {
            b'q' | b'Q' => Some(Wish::Quit),
            b's' | b'S' => Some(Wish::Statistics),
            ESCAPE => {
                let _ = self.typed.try_push(byte);
                None
            }
            _ => {
                let mut rest = HELP;
                time::wait_until(HELP_US, || {
                    rest = rest.get(console::pass_on(rest)..).unwrap_or(&[]);
                    rest.is_empty()
                });
                None
            }
        }
    }

    /// Sends what the guest said: lines at once, less after a while.
    fn send(&mut self, bus: &mut Bus) {
        let (now, pace) = (time::tsc(), time::cycles(PACE_US));
        let waiting = bus.console().waiting();
        if self.unsent.is_empty() && waiting == 0 {
            self.due = None;
            return;
        }
        let early = self.due.is_none_or(|due| now < due);
        if early && waiting < PIECE && !bus.console().ends_line() {
            self.due.get_or_insert(now + pace);
            return;
        }
        self.due = None;
        loop {
            if self.unsent.is_empty() {
                let mut piece = [0; PIECE];
                let count = bus.take_output(&mut piece);
                self.unsent.extend(piece.into_iter().take(count));
            }
            let sent = console::pass_on(&self.unsent);
            self.unsent.drain(..sent.min(self.unsent.len()));
            if !self.unsent.is_empty() {
                self.due = Some(now + pace);
                return;
            }
            if bus.console().waiting() == 0 {
                return;
            }
        }
    }

    /// When it must be looked after again: a TSC of the host.
    pub fn next_event(&self) -> Option<u64> {
        let poll = self.polled.then(|| time::tsc() + time::cycles(POLL_US));
        self.due.into_iter().chain(poll).min()
    }

    /// Sends all that is left, and waits for it as long as that takes.
    pub fn finish(&mut self, bus: &mut Bus) {
        self.due = Some(0);
        time::wait_until(PACE_US * 1000, || {
            self.due = self.due.map(|_| 0);
            self.send(bus);
            self.due.is_none()
        });
    }
}
