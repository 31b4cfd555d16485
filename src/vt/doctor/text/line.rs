//! One line of a dump: the same description serves to write it and to read it, so that the two cannot disagree.

use core::fmt;

use super::what::What;
use crate::vt::doctor::rule::Patient;
use crate::vt::doctor::state::{Field, State};

/// A piece of a line.
pub enum Piece<F: 'static, P: 'static> {
    /// Text. A run of blanks stands for any number of them when it is read.
    Lit(&'static str),
    /// So many bits of a field from bit `shift` on, in hexadecimal, filled with zeros to so many digits.
    Hex(F, u32, u32, usize),
    /// A field that is written as 0 where it is absent, in hexadecimal with so many digits.
    OrZero(F, usize),
    /// A field in decimal, with a sign as C's `%d` gives it.
    Dec(F),
    /// A number that is not of the control block: how to get it, and its digits. Not read.
    Calc(fn(&P) -> u64, usize),
    /// A hexadecimal number that is read and not kept.
    Skip,
    /// Anything up to the end of the line, not kept.
    Tail,
    /// Further lines that it brings with it. The [`super::Dumped`] reads them.
    More(fn(&P, &mut dyn fmt::Write) -> fmt::Result),
}

/// A line of a dump.
pub struct Line<F: 'static, P: 'static> {
    /// Which section it belongs to.
    pub section: usize,
    /// Whether it is written; `None` if only other versions of Linux write it. It is left out where a field is absent, too.
    pub when: Option<fn(&P) -> bool>,
    /// What it consists of.
    pub pieces: &'static [Piece<F, P>],
}

/// What a field got from a line: field, lowest bit, number of bits, value.
pub type Found<F> = (F, u32, u32, u64);

/// The lowest `bits` bits.
pub const fn mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

impl<F: Field, P: Patient<Field = F>> Line<F, P> {
    /// Whether the line is to be written.
    pub fn shows(&self, case: &P) -> bool {
        self.when.is_some_and(|when| when(case))
            && self.pieces.iter().all(|piece| match piece {
                Piece::Hex(f, ..) | Piece::Dec(f) => case.state().has(*f),
                _ => true,
            })
    }

    /// The bits of `field` that the line shows.
    pub fn covers(&self, field: F) -> u64 {
        self.pieces.iter().fold(0, |bits, piece| match piece {
            Piece::Hex(f, shift, len, _) if *f == field => bits | mask(*len) << shift,
            Piece::OrZero(f, _) | Piece::Dec(f) if *f == field => bits | f.spec().mask(),
            _ => bits,
        })
    }

    /// Whether the line shows an absent `field` as 0.
    pub fn pretends(&self, field: F) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::OrZero(f, _) if *f == field))
    }

    /// Writes it.
    pub fn write(&self, case: &P, out: &mut impl fmt::Write) -> fmt::Result {
        let state = case.state();
        let mut ended = false;
        for piece in self.pieces {
            match piece {
                Piece::Lit(text) => out.write_str(text)?,
                Piece::Hex(f, shift, len, digits) => {
                    write!(out, "{:0digits$x}", state.get(*f) >> shift & mask(*len), digits = *digits)?
                }
                Piece::OrZero(f, digits) => write!(out, "{:0digits$x}", state.get(*f), digits = *digits)?,
                Piece::Dec(f) => match f.spec().width {
                    64 => write!(out, "{}", state.get(*f).cast_signed())?,
                    32 => write!(out, "{}", (state.get(*f) as u32).cast_signed())?,
                    _ => write!(out, "{}", state.get(*f))?,
                },
                Piece::Calc(number, digits) => write!(out, "{:0digits$x}", number(case), digits = *digits)?,
                Piece::Skip | Piece::Tail => {}
                Piece::More(lines) => {
                    out.write_char('\n')?;
                    lines(case, out)?;
                    ended = true;
                }
            }
        }
        if ended { Ok(()) } else { out.write_char('\n') }
    }

    /// The text that it begins with.
    pub fn key(&self) -> &'static str {
        self.pieces.iter().find_map(|piece| if let Piece::Lit(text) = piece { Some(*text) } else { None }).unwrap_or("")
    }

    /// Reads `text` by it: `None` if that begins otherwise.
    pub fn read(&self, text: &[u8], state: &mut State<F>) -> Option<Result<(), What>> {
        literal(text, self.key())?;
        // Nothing of a line is kept that is not good to its end.
        let good = self.walk(text, |_| {}).and_then(|()| {
            self.walk(text, |(field, shift, bits, value)| {
                let rest = state.get(field) & !(mask(bits) << shift);
                state.set(field, rest | value << shift);
            })
        });
        Some(good)
    }

    fn walk(&self, text: &[u8], mut found: impl FnMut(Found<F>)) -> Result<(), What> {
        let mut rest = text;
        for piece in self.pieces {
            match piece {
                Piece::Lit(lit) => rest = literal(rest, lit).ok_or(What::Expected(lit))?,
                Piece::Hex(f, shift, bits, digits) => {
                    let value;
                    (value, rest) = hex(rest, *bits, *digits, f.name())?;
                    found((*f, *shift, *bits, value));
                }
                Piece::OrZero(f, digits) => {
                    let value;
                    (value, rest) = hex(rest, f.spec().width, *digits, f.name())?;
                    found((*f, 0, 64, value));
                }
                Piece::Dec(f) => {
                    let value;
                    (value, rest) = decimal(rest, f.spec().width, f.name())?;
                    found((*f, 0, 64, value));
                }
                Piece::Calc(_, digits) => (_, rest) = hex(rest, 64, *digits, "a number")?,
                Piece::Skip => (_, rest) = hex(rest, 64, 1, "a number")?,
                Piece::Tail => return Ok(()),
                Piece::More(_) => {}
            }
        }
        if rest.trim_ascii().is_empty() { Ok(()) } else { Err(What::Extra) }
    }
}

/// What follows `lit` in `text`, if that begins with it. Runs of blanks may have any length.
pub fn literal<'a>(mut text: &'a [u8], lit: &str) -> Option<&'a [u8]> {
    for c in lit.bytes() {
        if c == b' ' {
            text = text.trim_ascii_start();
        } else {
            let (first, rest) = text.split_first()?;
            if *first != c {
                return None;
            }
            text = rest;
        }
    }
    Some(text)
}

/// A hexadecimal number of at most `bits` bits and at least `digits` digits, and what follows it.
pub fn hex<'a>(text: &'a [u8], bits: u32, digits: usize, name: &'static str) -> Result<(u64, &'a [u8]), What> {
    let text = text.trim_ascii_start();
    let len = text.iter().take_while(|c| c.is_ascii_hexdigit()).count();
    let (number, rest) = text.split_at_checked(len).unwrap_or((text, &[]));
    if number.is_empty() || rest.first().is_some_and(u8::is_ascii_alphanumeric) {
        return Err(What::NoNumber(name));
    }
    if number.len() < digits {
        return Err(What::Short(name, digits));
    }
    let mut value = 0u64;
    for c in number {
        let digit = char::from(*c).to_digit(16).unwrap_or(0);
        value = value.checked_mul(16).ok_or(What::TooLarge(name, bits))? | u64::from(digit);
    }
    if value > mask(bits) { Err(What::TooLarge(name, bits)) } else { Ok((value, rest)) }
}

/// A decimal number as C's `%d` and `%lld` give it, cut to `bits` bits, and what follows it.
pub fn decimal<'a>(text: &'a [u8], bits: u32, name: &'static str) -> Result<(u64, &'a [u8]), What> {
    let text = text.trim_ascii_start();
    let (negative, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let len = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(len).unwrap_or((text, &[]));
    if number.is_empty() || rest.first().is_some_and(u8::is_ascii_alphanumeric) {
        return Err(What::NoNumber(name));
    }
    let too_large = What::TooLarge(name, bits);
    let mut value = 0u64;
    for c in number {
        value = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(c - b'0'))).ok_or(too_large)?;
    }
    // Only `int` and `long long` are printed with a sign.
    if negative {
        let most = if bits >= 32 { 1 << (bits - 1) } else { 0 };
        return if value > most { Err(too_large) } else { Ok((value.wrapping_neg() & mask(bits), rest)) };
    }
    if value > mask(bits) { Err(too_large) } else { Ok((value, rest)) }
}
