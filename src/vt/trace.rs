//! What the trace ring of a core holds: one record an exit, 32 bytes, written in a few instructions; and its form as
//! lines of text on the serial console, which a program on the workstation reads back.
//!
//! ```text
//! trace@0 begin guest=hello vendor=vmx tsc-hz=2400000000 records=4 lost=0
//! trace@0 <base64 of three records> <CRC>
//! trace@0 <base64 of one record> <CRC>
//! trace@0 end
//! ```
//!
//! The CRC (CRC-32 as in Ethernet, eight hexadecimal digits) is over all of its line that stands before the space
//! before it, the core's number too. Such a line with `hv: ` before it fits in one piece of the console, so that
//! other cores do not write into it. A line with `@<core>| ` in it is what a guest printed, and never one of these.

use core::fmt;

use arrayvec::ArrayVec;
use base64ct::{Base64, Encoding};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// An exit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(C, align(32))]
pub struct Record {
    /// The host's TSC right after the exit.
    pub exit: u64,
    /// The guest's RIP then.
    pub rip: u64,
    /// What the exit was about, by its kind: the port with the width in bytes in bits 23:16 and 1 in bit 24 for IN;
    /// the MSR; the CPUID leaf, with the subleaf in bits 63:32; the GPA; the hypercall's number; the vector.
    pub info: u64,
    /// The low half of the host's TSC right before the next entry: what the exit cost is `entry - exit`, modulo 2^32.
    /// 0 where there was no next entry.
    pub entry: u32,
    /// The [`ExitKind`](super::exit::ExitKind) as a number.
    pub kind: u16,
    /// Not used yet: 0.
    pub reserved: u16,
}

const _: () = assert!(core::mem::size_of::<Record>() == 32);

/// How many bytes a record is.
pub const RECORD_BYTES: usize = 32;

/// How many records a line of data holds at most.
pub const PER_LINE: usize = 3;

const LINE_BYTES: usize = PER_LINE * RECORD_BYTES;
/// Base64 makes four characters of three bytes.
const LINE_CHARS: usize = LINE_BYTES.div_ceil(3) * 4;
const MARK: &[u8] = b"trace@";
/// Without a table: a line takes far longer on the wire than here.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

impl Record {
    /// The fields in their order, each little-endian.
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let fields = [self.exit, self.rip, self.info].map(u64::to_le_bytes);
        let tail = [&self.entry.to_le_bytes()[..], &self.kind.to_le_bytes(), &self.reserved.to_le_bytes()];
        let all = fields.as_flattened().iter().chain(tail.into_iter().flatten());
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// The record that [`to_bytes`](Self::to_bytes) gave these bytes for.
    pub fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Self {
        let whole = u128::from_le_bytes(core::array::from_fn(|i| bytes[i]));
        let tail = u128::from_le_bytes(core::array::from_fn(|i| bytes[16 + i]));
        Self {
            exit: whole as u64,
            rip: (whole >> 64) as u64,
            info: tail as u64,
            entry: (tail >> 64) as u32,
            kind: (tail >> 96) as u16,
            reserved: (tail >> 112) as u16,
        }
    }
}

/// What a dump says before its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// The guest's name: printable ASCII without spaces.
    pub guest: &'a str,
    /// `"vmx"` or `"svm"`.
    pub vendor: &'a str,
    /// How often the TSC counts in a second; 0 where that is not known.
    pub tsc_hz: u64,
    /// How many records follow.
    pub records: u64,
    /// How many older records the ring no longer had.
    pub lost: u64,
}

/// A line of a dump.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// A dump begins.
    Begin(Header<'a>),
    /// Some of its records, one at least.
    Data(ArrayVec<Record, PER_LINE>),
    /// It ends.
    End,
}

/// What is wrong with a line that is marked as one of a dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// The core's number is none.
    Core,
    /// The word of a `begin` line that is missing or wrong.
    Word(&'static str),
    /// Neither `begin`, nor `end`, nor data with a CRC.
    Shape,
    /// The CRC is not that of the line.
    Crc {
        /// As the line has it.
        written: u32,
        /// As it should be.
        computed: u32,
    },
    /// The data is not base64.
    Base64,
    /// The data is not one, two or three whole records.
    Length,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core => f.write_str("no core's number after `trace@`"),
            Self::Word(word) => write!(f, "`{word}` is missing or has a wrong value"),
            Self::Shape => f.write_str("neither `begin`, nor `end`, nor data with a CRC"),
            Self::Crc { written, computed } => write!(f, "the CRC is {written:08x} but should be {computed:08x}"),
            Self::Base64 => f.write_str("the data is not base64"),
            Self::Length => f.write_str("the data is not a whole number of records"),
        }
    }
}

impl core::error::Error for Damage {}

/// Hands the lines of a dump of `core`'s records to `line`, one by one, without line feeds. `header.records` must be
/// the number of `records`: a reader takes fewer for a loss.
pub fn encode(
    core: u32,
    header: &Header<'_>,
    records: impl IntoIterator<Item = Record>,
    line: &mut dyn FnMut(fmt::Arguments<'_>),
) {
    let Header { vendor, tsc_hz, records: count, lost, .. } = *header;
    let guest = Word(header.guest);
    line(format_args!("trace@{core} begin guest={guest} vendor={vendor} tsc-hz={tsc_hz} records={count} lost={lost}"));
    let mut records = records.into_iter();
    loop {
        let mut bytes: ArrayVec<u8, LINE_BYTES> = ArrayVec::new();
        for record in records.by_ref().take(PER_LINE) {
            bytes.extend(record.to_bytes());
        }
        if bytes.is_empty() {
            break;
        }
        let mut chars = [0; LINE_CHARS];
        // The buffer is as long as the longest line.
        let data = Base64::encode(&bytes, &mut chars).unwrap_or_default();
        let mut sum = Sum(CRC.digest());
        // `Sum` takes all text.
        let _ = fmt::write(&mut sum, format_args!("trace@{core} {data}"));
        line(format_args!("trace@{core} {data} {:08x}", sum.0.finalize()));
    }
    line(format_args!("trace@{core} end"));
}

/// The core and the content of a line of the console, with or without its line ending and what the console puts
/// before it. `None`: it is not one of a dump.
pub fn decode(line: &[u8]) -> Result<Option<(u32, Line<'_>)>, Damage> {
    let Some(line) = marked(line.trim_ascii_end()) else { return Ok(None) };
    let after = line.get(MARK.len()..).unwrap_or_default();
    let digits = after.iter().take_while(|c| c.is_ascii_digit()).count();
    let (core, rest) = after.split_at_checked(digits).ok_or(Damage::Core)?;
    let core: u32 = number(core).ok_or(Damage::Core)?;
    let rest = rest.strip_prefix(b" ").ok_or(Damage::Shape)?;
    let content = if rest == b"end" {
        Line::End
    } else if let Some(words) = rest.strip_prefix(b"begin ") {
        Line::Begin(begin(words)?)
    } else {
        Line::Data(data(line, rest)?)
    };
    Ok(Some((core, content)))
}

/// Whether a line of the console has in it what a guest printed: `NAME@CORE| ` and the guest's text. Nothing in it can
/// be believed, and no other line has this mark.
pub fn is_of_guest(line: &[u8]) -> bool {
    line.iter().enumerate().filter(|(_, c)| **c == b'@').any(|(at, _)| {
        let after = line.get(at + 1..).unwrap_or_default();
        let digits = after.iter().take_while(|c| c.is_ascii_digit()).count();
        digits > 0 && after.get(digits..).is_some_and(|rest| rest.starts_with(b"| "))
    })
}

/// What of a line is from a dump: from the last mark that stands at the line's beginning or after the console's `hv: `,
/// and that a digit follows. What is before it may be anything but a guest's text.
fn marked(line: &[u8]) -> Option<&[u8]> {
    if is_of_guest(line) {
        return None;
    }
    let mut starts =
        (0..line.len()).rev().filter(|&at| at == 0 || line.get(..at).is_some_and(|b| b.ends_with(b"hv: ")));
    starts.find_map(|at| {
        let from = line.get(at..)?;
        from.strip_prefix(MARK)?.first()?.is_ascii_digit().then_some(from)
    })
}

fn number<N: core::str::FromStr>(digits: &[u8]) -> Option<N> {
    // `parse` would take a sign too.
    digits.first().filter(|c| c.is_ascii_digit())?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

fn begin(words: &[u8]) -> Result<Header<'_>, Damage> {
    let mut words = words.split(|&c| c == b' ');
    let mut next = |name: &'static str| {
        let word = words.next().and_then(|w| w.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        word.ok_or(Damage::Word(name))
    };
    let header = Header {
        guest: text(next("guest")?).ok_or(Damage::Word("guest"))?,
        vendor: text(next("vendor")?).filter(|v| matches!(*v, "vmx" | "svm")).ok_or(Damage::Word("vendor"))?,
        tsc_hz: number(next("tsc-hz")?).ok_or(Damage::Word("tsc-hz"))?,
        records: number(next("records")?).ok_or(Damage::Word("records"))?,
        lost: number(next("lost")?).ok_or(Damage::Word("lost"))?,
    };
    if words.next().is_some() { Err(Damage::Shape) } else { Ok(header) }
}

/// A word of printable ASCII.
fn text(word: &[u8]) -> Option<&str> {
    let printable = !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    core::str::from_utf8(word).ok().filter(|_| printable)
}

/// The records of a line whose part after the core's number is `rest`.
fn data(line: &[u8], rest: &[u8]) -> Result<ArrayVec<Record, PER_LINE>, Damage> {
    let (before, crc) = line.split_at_checked(line.len().saturating_sub(9)).ok_or(Damage::Shape)?;
    let crc = crc.strip_prefix(b" ").filter(|c| c.iter().all(u8::is_ascii_hexdigit)).ok_or(Damage::Shape)?;
    let written = core::str::from_utf8(crc).ok().and_then(|c| u32::from_str_radix(c, 16).ok()).ok_or(Damage::Shape)?;
    let chars = rest.len().checked_sub(9).and_then(|n| rest.get(..n)).ok_or(Damage::Shape)?;
    let computed = CRC.checksum(before);
    if written != computed {
        return Err(Damage::Crc { written, computed });
    }
    if chars.len() > LINE_CHARS {
        return Err(Damage::Length);
    }
    let mut bytes = [0; LINE_BYTES];
    let bytes = Base64::decode(chars, &mut bytes).map_err(|_| Damage::Base64)?;
    let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
    if records.is_empty() || !rest.is_empty() {
        return Err(Damage::Length);
    }
    Ok(records.iter().take(PER_LINE).map(Record::from_bytes).collect())
}

/// Text as one word of a line: what is not printable ASCII is `?`.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |c: char| if c.is_ascii_graphic() { c } else { '?' };
        if self.0.is_empty() { f.write_str("?") } else { self.0.chars().try_for_each(|c| write!(f, "{}", one(c))) }
    }
}

/// Sums up text as it is written.
struct Sum<'a>(crc::Digest<'a, u32, NoTable>);

impl fmt::Write for Sum<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
