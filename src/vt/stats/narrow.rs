//! What a record's info says, in words.

use core::fmt;

use crate::vt::exit::ExitKind;
use crate::vt::trace::Record;

/// The name of a record's kind; `unknown` where there is no such kind.
pub fn kind_name(kind: u16) -> &'static str {
    ExitKind::NAMES.get(usize::from(kind)).copied().unwrap_or("unknown")
}

/// What the exit of a record with this info and kind was about: `port 0x3f8, out, 1 byte`. Empty where the kind says
/// it all.
pub fn narrow(info: u64, kind: u16) -> Narrow {
    Narrow { info, kind }
}

/// A record in words: `port at 0x7c05: port 0x3f8, out, 1 byte`.
pub fn told(record: &Record) -> Told<'_> {
    Told(record)
}

/// A record, to be displayed.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a>(&'a Record);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { rip, info, kind, .. } = *self.0;
        write!(f, "{} at {rip:#x}", kind_name(kind))?;
        let what = narrow(info, kind);
        if what.is_empty() { Ok(()) } else { write!(f, ": {what}") }
    }
}

/// What an exit was about, to be displayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Narrow {
    info: u64,
    kind: u16,
}

impl Narrow {
    /// Whether the kind says it all.
    fn is_empty(&self) -> bool {
        let speaks = [
            ExitKind::Port,
            ExitKind::MsrRead,
            ExitKind::MsrWrite,
            ExitKind::Nested,
            ExitKind::Cpuid,
            ExitKind::Hypercall,
            ExitKind::Exception,
        ];
        self.info == 0 && !speaks.iter().any(|kind| *kind as u16 == self.kind)
    }
}

impl fmt::Display for Narrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.info;
        let is = |kind: ExitKind| self.kind == kind as u16;
        if is(ExitKind::Port) {
            let way = if info >> 24 & 1 != 0 { "in" } else { "out" };
            match info >> 16 & 0xff {
                // INS and OUTS: the port is not in the record.
                0 => f.write_str("string"),
                1 => write!(f, "port {:#x}, {way}, 1 byte", info & 0xffff),
                width => write!(f, "port {:#x}, {way}, {width} bytes", info & 0xffff),
            }
        } else if is(ExitKind::MsrRead) || is(ExitKind::MsrWrite) {
            write!(f, "MSR {info:#x}")
        } else if is(ExitKind::Nested) {
            write!(f, "GPA {info:#x}")
        } else if is(ExitKind::Cpuid) {
            write!(f, "leaf ")?;
            let leaf = info & 0xffff_ffff;
            if leaf > 0xffff {
                write!(f, "{:#x}_{:04x}", leaf >> 16, leaf & 0xffff)?
            } else {
                write!(f, "{leaf:#x}")?
            }
            write!(f, " subleaf {:#x}", info >> 32)
        } else if is(ExitKind::Hypercall) {
            write!(f, "number {info:#x}")
        } else if is(ExitKind::Exception) {
            write!(f, "vector {info:#x}")
        } else if info != 0 {
            write!(f, "{info:#x}")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_an_exit_was_about() {
        for (kind, info, text) in [
            (ExitKind::Port, 0x1_03f8, "port 0x3f8, out, 1 byte"),
            (ExitKind::Port, 0x104_0cf8, "port 0xcf8, in, 4 bytes"),
            (ExitKind::Port, 0, "string"),
            (ExitKind::MsrRead, 0xc000_0080, "MSR 0xc0000080"),
            (ExitKind::Nested, 0xfffe, "GPA 0xfffe"),
            (ExitKind::Cpuid, 0x4000_0001, "leaf 0x4000_0001 subleaf 0x0"),
            (ExitKind::Cpuid, 1 << 32 | 7, "leaf 0x7 subleaf 0x1"),
            (ExitKind::Hypercall, 3, "number 0x3"),
            (ExitKind::Exception, 14, "vector 0xe"),
            (ExitKind::Hlt, 0, ""),
            (ExitKind::Other, 0x1f, "0x1f"),
        ] {
            assert_eq!(narrow(info, kind as u16).to_string(), text);
        }
        let hlt = Record { rip: 0x7c03, kind: ExitKind::Hlt as u16, ..Record::default() };
        assert_eq!(told(&hlt).to_string(), "hlt at 0x7c03");
        let msr = Record { info: 0x10, kind: ExitKind::MsrRead as u16, ..hlt };
        assert_eq!(told(&msr).to_string(), "msr-read at 0x7c03: MSR 0x10");
        assert_eq!((kind_name(2), kind_name(23), kind_name(u16::MAX)), ("port", "unknown", "unknown"));
    }
}
