//! What the guest printed: the first bytes whole, and all of it either as lines for a log or raw, as it came.

use super::ring::Ring;
use arrayvec::{ArrayString, ArrayVec};

/// How many bytes are kept whole.
pub const KEPT: usize = 1024;
/// The most characters in a line.
pub const LINE: usize = 120;
/// How many complete lines wait to be taken.
pub const PENDING: usize = 8;
/// How many raw bytes wait to be taken.
pub const RAW: usize = 4096;

/// A line of printable ASCII characters, without its end.
pub type Line = ArrayString<LINE>;

/// The guest's console. It starts with lines; in raw mode there are none, and the bytes go to a terminal unchanged.
#[derive(Clone, Debug)]
pub struct Console {
    kept: ArrayVec<u8, KEPT>,
    current: Line,
    lines: Ring<Line, PENDING>,
    is_raw: bool,
    ends_line: bool,
    raw: Ring<u8, RAW>,
    lost: u64,
}

impl Console {
    /// A console on which nothing was printed.
    pub const fn new() -> Self {
        Self {
            kept: ArrayVec::new_const(),
            current: Line::new_const(),
            lines: Ring::new(Line::new_const()),
            is_raw: false,
            ends_line: false,
            raw: Ring::new(0),
            lost: 0,
        }
    }

    /// From now on the bytes are raw. What was printed before stays in lines.
    pub fn set_raw(&mut self) {
        self.flush_line();
        self.is_raw = true;
    }

    /// Whether the bytes are raw.
    #[inline]
    pub const fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// The guest printed `byte`.
    pub fn put(&mut self, byte: u8) {
        // What is past the first bytes is only in the lines.
        let _ = self.kept.try_push(byte);
        if self.is_raw {
            self.ends_line = byte == b'\n';
            if !self.raw.push(byte) {
                self.lost = self.lost.saturating_add(1);
            }
            return;
        }
        match byte {
            b'\n' => self.end_line(),
            b'\r' => {}
            b' '..=b'~' => self.append(&[byte]),
            _ => self.append(&[b'\\', b'x', hex_digit(byte >> 4), hex_digit(byte)]),
        }
    }

    /// The first [`KEPT`] bytes that were printed, as they came.
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Whether a complete line waits.
    #[inline]
    pub const fn has_line(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Takes the oldest complete line.
    pub fn take_line(&mut self) -> Option<Line> {
        self.lines.pop()
    }

    /// Turns what stands after the last line's end, if anything, into a line.
    pub fn flush_line(&mut self) {
        if !self.current.is_empty() {
            self.end_line();
        }
    }

    /// Whether the next byte that is printed is not lost for want of room. Lines always have room: the oldest one goes.
    #[inline]
    pub const fn has_room(&self) -> bool {
        !self.is_raw || !self.raw.is_full()
    }

    /// Whether a complete line or a raw byte waits.
    #[inline]
    pub const fn has_output(&self) -> bool {
        !self.raw.is_empty() || self.has_line()
    }

    /// How many raw bytes wait.
    #[inline]
    pub const fn waiting(&self) -> usize {
        self.raw.len()
    }

    /// Whether the last raw byte is the end of a line.
    #[inline]
    pub const fn ends_line(&self) -> bool {
        self.ends_line
    }

    /// Takes the oldest raw bytes, as many as there are and fit in `to`; how many.
    pub fn take_raw(&mut self, to: &mut [u8]) -> usize {
        let mut taken = 0;
        for (slot, byte) in to.iter_mut().zip(core::iter::from_fn(|| self.raw.pop())) {
            *slot = byte;
            taken += 1;
        }
        taken
    }

    /// How many complete lines, or raw bytes, were dropped because nobody took them in time.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds one shown character, which is not torn apart, and breaks the line before it where it does not fit.
    fn append(&mut self, shown: &[u8]) {
        if self.current.remaining_capacity() < shown.len() {
            self.end_line();
        }
        for &c in shown {
            let _ = self.current.try_push(char::from(c));
        }
    }

    fn end_line(&mut self) {
        if self.lines.is_full() {
            let _ = self.lines.pop();
            self.lost = self.lost.saturating_add(1);
        }
        let _ = self.lines.push(self.current);
        self.current.clear();
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

/// The low four bits of `nibble` as a hexadecimal digit.
const fn hex_digit(nibble: u8) -> u8 {
    match nibble & 0xf {
        n @ 0..=9 => b'0' + n,
        n => b'a' + (n - 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{format, string::String, vec, vec::Vec};

    fn printed(bytes: &[u8]) -> Console {
        let mut c = Console::new();
        bytes.iter().for_each(|&b| c.put(b));
        c
    }

    fn lines(c: &mut Console) -> Vec<String> {
        core::iter::from_fn(|| c.take_line()).map(|l| String::from(l.as_str())).collect()
    }

    #[test]
    fn lines_end_at_newlines_only() {
        let mut c = printed(b"one\r\n\ntwo\rthree");
        assert!(c.has_line());
        assert_eq!(lines(&mut c), ["one", ""]);
        assert!(!c.has_line());
        c.flush_line();
        c.flush_line();
        assert_eq!(lines(&mut c), ["twothree"]);
        assert_eq!(c.kept(), b"one\r\n\ntwo\rthree");
    }

    #[test]
    fn what_does_not_print_is_shown_in_hex() {
        let mut c = printed(b"a\t\x1b[\x7f\xff\\\n");
        assert_eq!(lines(&mut c), ["a\\x09\\x1b[\\x7f\\xff\\"]);
    }

    #[test]
    fn a_line_as_long_as_fits_is_one_line() {
        let mut c = printed(&[b'x'; LINE]);
        assert!(!c.has_line());
        c.put(b'\n');
        assert_eq!(lines(&mut c), ["x".repeat(LINE)]);
        c = printed(&[b'x'; LINE + 1]);
        c.flush_line();
        assert_eq!(lines(&mut c), ["x".repeat(LINE), "x".into()]);
    }

    #[test]
    fn an_escape_is_not_torn_apart() {
        let mut c = printed(&[b'x'; LINE - 3]);
        c.put(0);
        c.put(b'\n');
        assert_eq!(lines(&mut c), ["x".repeat(LINE - 3), "\\x00".into()]);
    }

    #[test]
    fn the_oldest_line_is_lost_first() {
        let mut c = printed(b"0\n1\n2\n3\n4\n5\n6\n7\n");
        assert_eq!(c.lost(), 0);
        c.put(b'8');
        c.put(b'\n');
        assert_eq!(c.lost(), 1);
        assert_eq!(lines(&mut c), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    }

    #[test]
    fn the_first_bytes_are_kept() {
        let text: Vec<u8> = (0..KEPT + 100).map(|i| i as u8).collect();
        assert_eq!(printed(&text).kept(), &text[..KEPT]);
    }

    #[test]
    fn raw_bytes_are_unchanged_and_leave_no_lines() {
        let mut c = printed(b"before");
        assert!(c.has_room() && !c.is_raw() && !c.has_output());
        c.set_raw();
        assert_eq!(lines(&mut c), ["before"]);
        assert!(!c.has_output());
        b"\x1b[1m\r\n\xff\0".iter().for_each(|&b| c.put(b));
        assert!(c.has_output() && !c.has_line() && c.is_raw());
        c.flush_line();
        let mut to = [0; 5];
        assert_eq!((c.take_raw(&mut []), c.take_raw(&mut to)), (0, 5));
        assert_eq!(&to, b"\x1b[1m\r");
        assert_eq!(c.take_raw(&mut to), 3);
        assert_eq!(&to, b"\n\xff\0m\r");
        assert_eq!(c.take_raw(&mut to), 0);
        assert!(!c.has_output() && !c.has_line());
        assert_eq!(c.kept(), b"before\x1b[1m\r\n\xff\0");
    }

    #[test]
    fn a_full_raw_console_loses_the_new_bytes() {
        let mut c = Console::new();
        c.set_raw();
        for n in 0..RAW + 3 {
            assert_eq!(c.has_room(), n < RAW);
            c.put(n as u8);
        }
        assert_eq!(c.lost(), 3);
        let mut to = [0; RAW + 1];
        assert_eq!(c.take_raw(&mut to), RAW);
        assert!(to.iter().zip(0..RAW).all(|(&b, n)| b == n as u8));
        assert!(c.has_room());
    }

    /// What the lines of `bytes` are, the slow way.
    fn model(bytes: &[u8]) -> Vec<String> {
        let mut all = vec![];
        let mut paragraphs: Vec<_> = bytes.split(|&b| b == b'\n').collect();
        let rest = paragraphs.pop().filter(|r| r.iter().any(|&b| b != b'\r'));
        for paragraph in paragraphs.into_iter().chain(rest) {
            let mut line = String::new();
            for &b in paragraph.iter().filter(|&&b| b != b'\r') {
                let shown =
                    if b == b' ' || b.is_ascii_graphic() { format!("{}", b as char) } else { format!("\\x{b:02x}") };
                if line.len() + shown.len() > LINE {
                    all.push(core::mem::take(&mut line));
                }
                line += &shown;
            }
            all.push(line);
        }
        all
    }

    proptest! {
        #[test]
        fn raw_is_a_bounded_queue(ops in prop::collection::vec((any::<bool>(), 0usize..1500), 0..20)) {
            let mut c = Console::new();
            c.set_raw();
            let (mut model, mut lost, mut next) = (Vec::new(), 0, 0u8);
            for (put, n) in ops {
                if put {
                    for _ in 0..n {
                        next = next.wrapping_add(1);
                        if c.has_room() { model.push(next) } else { lost += 1 }
                        c.put(next);
                    }
                } else {
                    let mut to = vec![0; n];
                    let taken = c.take_raw(&mut to);
                    prop_assert_eq!(taken, n.min(model.len()));
                    prop_assert_eq!(&to[..taken], &model.drain(..taken).collect::<Vec<_>>());
                }
                prop_assert_eq!((c.has_output(), c.has_room()), (!model.is_empty(), model.len() < RAW));
                prop_assert_eq!(c.lost(), lost);
            }
        }

        #[test]
        fn lines_as_in_the_model(
            bytes in prop::collection::vec(
                prop_oneof![12 => 32u8..127, 1 => any::<u8>(), 1 => prop::sample::select(b"\r\n".to_vec())], 0..2000)
        ) {
            let mut c = Console::new();
            let mut taken = vec![];
            for &b in &bytes {
                c.put(b);
                taken.extend(lines(&mut c));
            }
            c.flush_line();
            taken.extend(lines(&mut c));
            prop_assert_eq!(&taken, &model(&bytes));
            prop_assert_eq!(c.lost(), 0);
            prop_assert_eq!(c.kept(), &bytes[..bytes.len().min(KEPT)]);
            // Nobody takes the lines: the last ones are there, the others are counted.
            let mut c = printed(&bytes);
            c.flush_line();
            let lost = taken.len().saturating_sub(PENDING);
            prop_assert_eq!(c.lost(), lost as u64);
            prop_assert_eq!(lines(&mut c), &taken[lost..]);
        }
    }
}
