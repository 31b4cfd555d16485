//! The fields of a control block and a set of their values.

use core::fmt;
use core::marker::PhantomData;

/// The most fields that a control block can have here.
const MOST: usize = 192;
const WORDS: usize = MOST / 64;

/// What is known of a field besides its number.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The manual's name.
    pub name: &'static str,
    /// Its width in bits: 8, 16, 32 or 64.
    pub width: u32,
    /// What its bits mean; empty for addresses and numbers.
    pub parts: &'static [Part],
}

impl Spec {
    /// All bits that the field has.
    pub const fn mask(&self) -> u64 {
        if self.width >= 64 { u64::MAX } else { (1 << self.width) - 1 }
    }
}

/// A named bit of a field, or a number within it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The lowest bit.
    pub at: u32,
    /// How many bits: 1 for a flag.
    pub len: u32,
    /// The manual's name.
    pub name: &'static str,
}

impl Part {
    /// A flag.
    pub const fn flag(at: u32, name: &'static str) -> Self {
        Self { at, len: 1, name }
    }

    /// A number of `len` bits.
    pub const fn number(at: u32, len: u32, name: &'static str) -> Self {
        Self { at, len, name }
    }

    /// The bits that it takes in the field.
    pub const fn mask(&self) -> u64 {
        let low = if self.len >= 64 { u64::MAX } else { (1 << self.len) - 1 };
        low << self.at
    }
}

/// A vendor's enumeration of fields.
pub trait Field: Copy + Eq + fmt::Debug + 'static {
    /// All of them, each at its [`Field::index`].
    const ALL: &'static [Self];

    /// Its place in [`Field::ALL`].
    fn index(self) -> usize;

    /// What is known of it.
    fn spec(self) -> &'static Spec;

    /// The manual's name.
    fn name(self) -> &'static str {
        self.spec().name
    }
}

/// Makes an enumeration of fields: of each its name in the code, its number (an encoding or an offset), its width in bits, the
/// manual's name, and what its bits mean.
macro_rules! fields {
    ($(#[$doc:meta])* $($variant:ident = $number:expr, $width:expr, $name:literal, $parts:expr;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum F {
            $($variant,)*
        }

        impl F {
            const fn number(self) -> u32 {
                const NUMBERS: &[u32] = &[$($number),*];
                NUMBERS[self as usize]
            }
        }

        impl Field for F {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn index(self) -> usize {
                self as usize
            }

            fn spec(self) -> &'static Spec {
                const SPECS: &[Spec] = &[$(Spec { name: $name, width: $width, parts: $parts }),*];
                &SPECS[self as usize]
            }
        }
    };
}
pub(crate) use fields;

/// Values of the fields of one control block. A field may be absent: the CPU does not have it, or a dump does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct State<F> {
    values: [u64; MOST],
    present: [u64; WORDS],
    field: PhantomData<F>,
}

impl<F: Field> Default for State<F> {
    fn default() -> Self {
        const { assert!(F::ALL.len() <= MOST) }
        Self { values: [0; MOST], present: [0; WORDS], field: PhantomData }
    }
}

impl<F: Field> State<F> {
    /// The value of a field; 0 where it is absent.
    pub fn get(&self, field: F) -> u64 {
        self.values.get(field.index()).copied().unwrap_or(0)
    }

    /// Whether the field is there.
    pub fn has(&self, field: F) -> bool {
        let i = field.index();
        self.present.get(i / 64).is_some_and(|word| word >> (i % 64) & 1 != 0)
    }

    /// Sets a field, to as many bits of `value` as it has.
    pub fn set(&mut self, field: F, value: u64) {
        let i = field.index();
        if let (Some(place), Some(word)) = (self.values.get_mut(i), self.present.get_mut(i / 64)) {
            *place = value & field.spec().mask();
            *word |= 1 << (i % 64);
        }
    }

    /// Makes a field absent.
    pub fn remove(&mut self, field: F) {
        let i = field.index();
        if let (Some(place), Some(word)) = (self.values.get_mut(i), self.present.get_mut(i / 64)) {
            *place = 0;
            *word &= !(1 << (i % 64));
        }
    }

    /// The fields that are there, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (F, u64)> + '_ {
        F::ALL.iter().copied().filter(|f| self.has(*f)).map(|f| (f, self.get(f)))
    }

    /// The fields whose values differ, or that only one of the two has.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = F> + 'a {
        F::ALL.iter().copied().filter(|f| self.has(*f) != other.has(*f) || self.get(*f) != other.get(*f))
    }
}

impl<F: Field> fmt::Debug for State<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A value with the names of its bits: `0x9b [type 11, S, P]`. Set bits that have no name are given by number.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    /// The value.
    pub value: u64,
    /// What its bits mean.
    pub parts: &'a [Part],
}

impl Named<'_> {
    /// Writes the names alone: `type 11, S, P`.
    pub fn names(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let mut rest = self.value;
        let mut comma = "";
        for part in self.parts {
            let value = (self.value & part.mask()) >> part.at;
            rest &= !part.mask();
            if value == 0 {
                continue;
            }
            if part.len == 1 {
                write!(f, "{comma}{}", part.name)?
            } else {
                write!(f, "{comma}{} {value}", part.name)?
            }
            comma = ", ";
        }
        for bit in (0..64).filter(|bit| rest >> bit & 1 != 0) {
            write!(f, "{comma}bit {bit}")?;
            comma = ", ";
        }
        Ok(())
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.value)?;
        if self.parts.is_empty() || self.value == 0 {
            return Ok(());
        }
        f.write_str(" [")?;
        self.names(f)?;
        f.write_str("]")
    }
}

/// A value of `field`, with the names of its bits.
pub fn named<F: Field>(field: F, value: u64) -> Named<'static> {
    Named { value, parts: field.spec().parts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_value_is_shown_with_its_names() {
        let parts = &[Part::number(0, 4, "type"), Part::flag(4, "S"), Part::flag(7, "P")];
        assert_eq!(format!("{}", Named { value: 0x9b, parts }), "0x9b [type 11, S, P]");
        assert_eq!(format!("{}", Named { value: 0x200, parts }), "0x200 [bit 9]");
        assert_eq!(format!("{}", Named { value: 0, parts }), "0x0");
        assert_eq!(format!("{}", Named { value: 5, parts: &[] }), "0x5");
    }
}
