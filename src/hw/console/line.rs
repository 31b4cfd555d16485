//! Lines: what stands before them, and how they are put together.

use core::fmt;

use log::{Level, Record};

/// Where finished pieces of lines go.
pub trait Sink {
    /// Takes a piece: a whole line with its line feed, or, where a line is long, a part of it. A line's first piece has at
    /// least the first [`PIECE`] bytes of it.
    fn piece(&mut self, text: &[u8]);
}

/// The longest piece in bytes.
pub const PIECE: usize = 160;

/// Gathers bytes to pieces.
pub struct Pieces<'a, S: Sink> {
    sink: &'a mut S,
    buffer: [u8; PIECE],
    length: usize,
    /// Whether the next byte begins a line.
    fresh: bool,
}

impl<'a, S: Sink> Pieces<'a, S> {
    /// Pieces for `sink`, from the beginning of a line.
    pub fn new(sink: &'a mut S) -> Self {
        Self { sink, buffer: [0; PIECE], length: 0, fresh: true }
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            // `length` is below PIECE: a full buffer is flushed at once.
            self.buffer[self.length] = byte;
            self.length += 1;
            self.fresh = byte == b'\n';
            if self.fresh || self.length == PIECE {
                self.flush();
            }
        }
    }

    /// Ends the line, unless it is ended, and hands on what is gathered.
    pub fn end_line(&mut self) {
        if !self.fresh {
            self.push(b"\n");
        }
    }

    /// Hands on what is gathered.
    pub fn flush(&mut self) {
        if self.length > 0 {
            self.sink.piece(&self.buffer[..self.length]);
            self.length = 0;
        }
    }
}

/// Writes text so that each of its lines begins with the same words.
pub struct Prefixed<'a, 'b, S: Sink> {
    pieces: &'a mut Pieces<'b, S>,
    prefix: &'a str,
    /// A module, shown after the prefix.
    module: &'a str,
}

impl<'a, 'b, S: Sink> Prefixed<'a, 'b, S> {
    /// Lines that begin with `prefix`.
    pub fn new(pieces: &'a mut Pieces<'b, S>, prefix: &'a str) -> Self {
        Self { pieces, prefix, module: "" }
    }
}

impl<S: Sink> fmt::Write for Prefixed<'_, '_, S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            if self.pieces.fresh {
                self.pieces.push(self.prefix.as_bytes());
                if !self.module.is_empty() {
                    self.pieces.push(self.module.as_bytes());
                    self.pieces.push(b": ");
                }
            }
            self.pieces.push(part.as_bytes());
        }
        Ok(())
    }
}

/// What the lines of a level begin with.
pub const fn prefix(level: Level) -> &'static str {
    match level {
        Level::Error => "hv: error: ",
        Level::Warn => "hv: warning: ",
        Level::Info => "hv: ",
        Level::Debug => "hv: debug: ",
        Level::Trace => "hv: trace: ",
    }
}

/// Writes a log record as lines; an empty message is none. Debug and trace lines name the module.
pub fn write_record(sink: &mut impl Sink, record: &Record) {
    let mut pieces = Pieces::new(sink);
    let module = if record.level() >= Level::Debug { record.target() } else { "" };
    let module = module.strip_prefix("hv::").unwrap_or(module);
    let mut lines = Prefixed { pieces: &mut pieces, prefix: prefix(record.level()), module };
    // An error can only come from a `Display` of the message; what it wrote before is shown.
    let _ = fmt::write(&mut lines, *record.args());
    pieces.end_line();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{string::String, vec::Vec};

    #[derive(Default)]
    struct Got(Vec<Vec<u8>>);
    impl Sink for Got {
        fn piece(&mut self, text: &[u8]) {
            self.0.push(text.to_vec());
        }
    }

    fn show(level: Level, message: &str) -> String {
        let mut got = Got::default();
        let mut record = Record::builder();
        record.level(level).target("hv::hw::acpi");
        write_record(&mut got, &record.args(format_args!("{message}")).build());
        String::from_utf8(got.0.concat()).unwrap()
    }

    #[test]
    fn prefixes() {
        assert_eq!(show(Level::Info, "4 cores"), "hv: 4 cores\n");
        assert_eq!(show(Level::Warn, "no UART"), "hv: warning: no UART\n");
        assert_eq!(show(Level::Error, "no"), "hv: error: no\n");
        assert_eq!(show(Level::Debug, "x"), "hv: debug: hw::acpi: x\n");
        assert_eq!(show(Level::Trace, "x"), "hv: trace: hw::acpi: x\n");
    }

    #[test]
    fn every_line_has_its_prefix() {
        assert_eq!(show(Level::Warn, "a\nb"), "hv: warning: a\nhv: warning: b\n");
        assert_eq!(show(Level::Info, "a\n\nb\n"), "hv: a\nhv: \nhv: b\n");
    }

    proptest! {
        #[test]
        fn pieces_make_the_text_again(parts in prop::collection::vec("[a-z\n]{0,400}", 0..5)) {
            let mut got = Got::default();
            let mut pieces = Pieces::new(&mut got);
            for part in &parts {
                pieces.push(part.as_bytes());
            }
            pieces.flush();
            prop_assert_eq!(got.0.concat(), parts.concat().into_bytes());
            for piece in &got.0 {
                prop_assert!(!piece.is_empty() && piece.len() <= PIECE);
                prop_assert!(!piece[..piece.len() - 1].contains(&b'\n'));
            }
        }
    }
}
