//! Where the log goes on the bare machine.

use core::fmt;

use log::{LevelFilter, Log, Metadata, Record};
use uart_16550::Uart16550;
use uart_16550::backend::PioBackend;
use x86_64::instructions::port::Port;

use crate::hw::console::framebuffer::Framebuffer;
use crate::hw::console::line::{self, PIECE, Pieces, Prefixed, Sink};
use crate::hw::console::lock::{MaskedLock, Patience};
use crate::hw::console::ring::Ring;
use crate::hw::console::screen::{ScreenInfo, ScreenKind};
use crate::hw::console::terminal::{Cell, Surface, Terminal};
use crate::hw::console::uart::Uart;
use crate::hw::console::vga::VgaText;
use crate::hw::irq;

/// I/O port of the first serial port, as every PC has had it.
const COM1: u16 = 0x3f8;
/// Its input of the legacy interrupt controllers.
const COM1_IRQ: u8 = 4;
/// I/O port of the emulators' debug console: Bochs, and QEMU's `-debugcon`. It reads as its own number.
const DEBUG_PORT: u16 = 0xe9;
/// Enough for 1920 × 1280 pixels; on larger screens letters are larger.
const CELLS: usize = 280 * 80;

/// The last 64 KiB of the log, for a debugger or a memory dump.
#[unsafe(no_mangle)]
pub static HV_LOG: Ring<{ 64 * 1024 }> = Ring::new();

static CONSOLE: MaskedLock<Console> = MaskedLock::new(Console {
    serial: Serial::Absent,
    debug_port: false,
    screen: Screen::None,
    terminal: Terminal::new(),
    in_line: false,
});

/// Everything that shows text. All zeros at first, so that it takes no room in the image.
struct Console {
    serial: Serial,
    debug_port: bool,
    screen: Screen,
    terminal: Terminal<CELLS>,
    /// Whether a line is begun and not ended.
    in_line: bool,
}

/// An `Option` whose `None` is 0, by its representation.
#[repr(u8)]
enum Serial {
    Absent = 0,
    Found(Uart<PioBackend>),
}

impl Serial {
    const fn get(&mut self) -> Option<&mut Uart<PioBackend>> {
        match self {
            Self::Absent => None,
            Self::Found(uart) => Some(uart),
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "there is one, and it does not move")]
#[repr(u8)]
enum Screen {
    None = 0,
    Pixels(Framebuffer),
    Text(VgaText),
}

impl Surface for Screen {
    fn draw(&mut self, column: usize, row: usize, before: Cell, cell: Cell) {
        match self {
            Self::None => {}
            Self::Pixels(screen) => screen.draw(column, row, before, cell),
            Self::Text(screen) => screen.draw(column, row, before, cell),
        }
    }
}

impl Sink for Console {
    fn piece(&mut self, text: &[u8]) {
        self.in_line = text.last().is_some_and(|&last| last != b'\n');
        HV_LOG.write(text);
        if let Some(uart) = self.serial.get() {
            uart.send(text);
        }
        if self.debug_port {
            for &byte in text {
                // SAFETY: the port answered as the debug console, which takes any byte and does nothing else.
                unsafe { Port::new(DEBUG_PORT).write(byte) };
            }
        }
        self.terminal.write(text, &mut self.screen);
    }
}

/// Writes to the terminal only: for what the other sinks have had.
struct ScreenOnly<'a>(&'a mut Console);

impl Sink for ScreenOnly<'_> {
    fn piece(&mut self, text: &[u8]) {
        self.0.terminal.write(text, &mut self.0.screen);
    }
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            let mut console = CONSOLE.lock();
            // A guest may have left its line open.
            if console.in_line {
                console.piece(b"\n");
            }
            line::write_record(&mut *console, record);
        }
    }

    fn flush(&self) {
        drain();
    }
}

/// Looks for the serial and the debug port and makes this the destination of `log`, at level info. Once, by the first
/// core, before anything else. Later the level follows the options by `log::set_max_level`.
pub fn init() {
    {
        let mut console = CONSOLE.lock();
        // SAFETY: COM1's eight ports are a 16550's or unused on every PC, and this kernel uses them only here.
        let registers = unsafe { Uart16550::new_port(COM1) }.map(|port| *port.backend());
        // SAFETY: as above.
        if let Some(uart) = registers.ok().and_then(|registers| unsafe { Uart::find(registers) }) {
            console.serial = Serial::Found(uart);
        }
        // SAFETY: nothing on a real PC is at this port, and reading it changes nothing in the emulators.
        console.debug_port = unsafe { Port::<u8>::new(DEBUG_PORT).read() } == DEBUG_PORT as u8;
    }
    // It fails only if a logger is set already: this one, on a second call.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}

/// Adds the screen and shows on it what was logged so far.
///
/// # Safety
/// `memory` is where `info.address` is mapped: writable, `info.bytes()` long, for good, and nobody else uses it.
pub unsafe fn add_screen(info: &ScreenInfo, memory: *mut u8) {
    let mut console = CONSOLE.lock();
    let size;
    console.screen = match info.kind {
        ScreenKind::Pixels(format) => {
            // SAFETY: this function's contract, and `ScreenInfo` was made with rows that fit and are aligned; a
            // mapping keeps the offset in the page.
            let screen = unsafe { Framebuffer::new(memory, info.pitch, info.width, info.height, format) };
            size = screen.size();
            Screen::Pixels(screen)
        }
        ScreenKind::Text => {
            hide_cursor();
            // SAFETY: as above.
            let screen = unsafe { VgaText::new(memory.cast(), info.pitch / 2, info.width, info.height) };
            size = screen.size();
            Screen::Text(screen)
        }
    };
    console.terminal.resize(size.0, size.1);
    replay(&mut console);
}

/// Shows the ring's contents, less the line of which only the end is left.
fn replay(console: &mut Console) {
    let mut screen = ScreenOnly(console);
    let mut pieces = Pieces::new(&mut screen);
    let (mut from, mut part) = (0, [0; PIECE]);
    let mut skip = HV_LOG.read(0, &mut part).0 > 0;
    loop {
        let (start, count) = HV_LOG.read(from, &mut part);
        if count == 0 {
            break;
        }
        from = start + count as u64;
        let mut text = &part[..count];
        if skip {
            let Some(end) = text.iter().position(|&byte| byte == b'\n') else { continue };
            text = &text[end + 1..];
            skip = false;
        }
        pieces.push(text);
    }
    pieces.flush();
}

/// Switches the VGA text cursor off (CRT controller, "Cursor Start Register", bit 5).
fn hide_cursor() {
    // SAFETY: the boot loader says that this is a VGA in text mode: these are its index and data ports, and bit 5
    // changes only whether a cursor is shown.
    unsafe {
        Port::<u8>::new(0x3d4).write(0x0a);
        Port::<u8>::new(0x3d5).write(0x20);
    }
}

/// Passes on what a guest says, unchanged, as much as the serial port takes now; how many bytes. Without a serial port the
/// screen alone shows it.
pub fn pass_on(bytes: &[u8]) -> usize {
    let mut console = CONSOLE.lock();
    let count = match console.serial.get() {
        Some(uart) if !uart.given_up() => uart.try_send(bytes),
        _ => bytes.len(),
    };
    let Some(sent) = bytes.get(..count).filter(|sent| !sent.is_empty()) else { return 0 };
    console.in_line = sent.last() != Some(&b'\n');
    HV_LOG.write(sent);
    let console = &mut *console;
    console.terminal.write(sent, &mut console.screen);
    count
}

/// A byte that somebody has typed at the serial port.
pub fn receive() -> Option<u8> {
    CONSOLE.lock().serial.get()?.receive()
}

/// Has the serial port's input interrupt the executing core.
pub fn interrupt_on_input() {
    if let Some(uart) = CONSOLE.lock().serial.get() {
        uart.interrupt_on_input();
        irq::open_legacy(COM1_IRQ);
    }
}

/// Waits until everything is sent: before the machine goes off. Not for ever, even if the console is held by a core
/// that is stopped.
pub fn drain() {
    if let Some(mut console) = CONSOLE.lock_in_time()
        && let Some(uart) = console.serial.get()
    {
        uart.drain();
    }
}

/// Which sinks there are, for the report at the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sinks {
    /// The first serial port works.
    pub uart: bool,
    /// An emulator's debug port is there.
    pub debug_port: bool,
    /// The screen's columns and rows of characters.
    pub screen: Option<(usize, usize)>,
}

impl fmt::Display for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.uart { "serial port" } else { "no serial port" })?;
        if self.debug_port {
            f.write_str(", debug port")?;
        }
        match self.screen {
            Some((columns, rows)) => write!(f, ", screen of {columns}x{rows} characters"),
            None => f.write_str(", no screen"),
        }
    }
}

/// Which sinks there are.
pub fn sinks() -> Sinks {
    let mut console = CONSOLE.lock();
    let screen = !matches!(console.screen, Screen::None);
    Sinks {
        uart: console.serial.get().is_some_and(|uart| !uart.given_up()),
        debug_port: console.debug_port,
        screen: screen.then(|| console.terminal.size()),
    }
}

/// Runs `report` with a writer to all sinks whose lines begin with `prefix`, past whoever holds the console, and
/// drains the serial port.
///
/// # Safety
/// Who holds the console, if anybody does after `patience`, never runs again.
pub unsafe fn emergency(prefix: &str, patience: Patience, report: impl FnOnce(&mut dyn fmt::Write)) {
    // SAFETY: this function's contract.
    let mut console = unsafe { CONSOLE.lock_or_break(patience) };
    if console.in_line {
        console.piece(b"\n");
    }
    let mut pieces = Pieces::new(&mut *console);
    report(&mut Prefixed::new(&mut pieces, prefix));
    pieces.end_line();
    if let Some(uart) = console.serial.get() {
        uart.drain();
    }
}
