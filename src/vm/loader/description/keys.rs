//! The keys of a module's command line and their values.

use core::fmt;
use core::num::NonZeroU32;

use super::{Console, Description, DescriptionError, Expect, Kind, Protocol};
use crate::base::{GIB, KIB, MIB};
use crate::hw::options::nearest;
use crate::vm::loader::memory_map::MemoryMap;

/// The longest name of a VM, in bytes.
const LONGEST_NAME: usize = 24;

/// A key, for the parser and for help.
#[derive(Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What may follow `=`.
    pub values: &'static str,
    /// What it does, half a sentence.
    pub help: &'static str,
    /// The modules that may have it.
    pub kinds: &'static [Kind],
    /// Gives whether the value is one that is allowed.
    set: for<'d, 'a> fn(&'d mut Description<'a>, &'a str) -> bool,
}

impl fmt::Display for Key {
    /// A line of the list of keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: {}", self.name, self.values, self.help)
    }
}

/// The kinds that begin a VM.
const VM: &[Kind] = &[Kind::Linux, Kind::Multiboot, Kind::Flat];

/// All keys.
pub const KEYS: [Key; 10] = [
    Key {
        name: "name",
        values: "<letters, digits, - and _, at most 24>",
        help: "the VM's name; default: linux1, linux2, multiboot1, ...",
        kinds: VM,
        set: |d, v| {
            d.name = Some(v);
            v.len() <= LONGEST_NAME && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        },
    },
    Key {
        name: "memory",
        values: "<bytes, or a number with K, M or G: 1M to 1024G, whole 4K pages>",
        help: "the VM's RAM; default: 256M, but 1M for flat",
        kinds: VM,
        set: |d, v| {
            d.memory = size(v).filter(|&bytes| MemoryMap::is_valid(bytes));
            d.memory.is_some()
        },
    },
    Key {
        name: "core",
        values: "<number of a core of the host>",
        help: "the core that runs the VM; default: any",
        kinds: VM,
        set: |d, v| {
            d.core = number(v).and_then(|n| u32::try_from(n).ok());
            d.core.is_some()
        },
    },
    Key {
        name: "budget",
        values: "<milliseconds, 1 to 4294967295>",
        help: "how long the VM may run; default: as long as it wants",
        kinds: VM,
        set: |d, v| {
            d.budget_ms = number(v).and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new);
            d.budget_ms.is_some()
        },
    },
    Key {
        name: "tsc",
        values: "<kHz, 1000 to 100000000>",
        help: "how fast the VM's time-stamp counter runs, where the CPU can scale it; default: as the host's",
        kinds: VM,
        set: |d, v| {
            d.tsc_khz = number(v).and_then(|n| u32::try_from(n).ok()).filter(|khz| (1000..=100_000_000).contains(khz));
            d.tsc_khz.is_some()
        },
    },
    Key {
        name: "console",
        values: "raw|lines",
        help: "how its serial console is shown; default: raw for the first VM, lines for the others",
        kinds: VM,
        set: |d, v| choose(&mut d.console, v, &[("raw", Console::Raw), ("lines", Console::Lines)]),
    },
    Key {
        name: "expect",
        values: "poweroff|reset|exit:<number>|halt|triple-fault|any",
        help: "how the VM should end; default: any",
        kinds: VM,
        set: |d, v| {
            if let Some(n) = v.strip_prefix("exit:") {
                d.expect = number(n).and_then(|n| u32::try_from(n).ok()).map(Expect::Exit);
                return d.expect.is_some();
            }
            choose(&mut d.expect, v, &ENDS)
        },
    },
    Key {
        name: "protocol",
        values: "64|32",
        help: "the kernel's entry; default: 64 if the kernel has it",
        kinds: &[Kind::Linux],
        set: |d, v| choose(&mut d.protocol, v, &[("64", Protocol::Bits64), ("32", Protocol::Bits32)]),
    },
    Key {
        name: "at",
        values: "<address, 0x before hexadecimal>",
        help: "where the image is loaded; default: 0x7c00",
        kinds: &[Kind::Flat],
        set: |d, v| {
            d.at = number(v);
            d.at.is_some()
        },
    },
    Key {
        name: "entry",
        values: "<address below 1M, 0x before hexadecimal>",
        help: "where it starts; default: where it is loaded",
        kinds: &[Kind::Flat],
        set: |d, v| {
            d.entry = number(v).filter(|&at| at < MIB);
            d.entry.is_some()
        },
    },
];

const ENDS: [(&str, Expect); 5] = [
    ("poweroff", Expect::PowerOff),
    ("reset", Expect::Reset),
    ("halt", Expect::Halt),
    ("triple-fault", Expect::TripleFault),
    ("any", Expect::Any),
];

/// Sets what `word`, `key=value`, says.
pub fn apply<'a>(
    description: &mut Description<'a>,
    seen: &mut [bool; KEYS.len()],
    word: &'a str,
) -> Result<(), DescriptionError<'a>> {
    let kind = description.kind;
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let mut allowed = KEYS.iter().zip(seen).filter(|(key, _)| key.kinds.contains(&kind));
    let Some((key, seen)) = allowed.find(|(key, _)| key.name == name) else {
        let names = KEYS.iter().filter(|key| key.kinds.contains(&kind)).map(|key| key.name);
        return Err(DescriptionError::Key { kind, word: name, nearest: nearest(name, names) });
    };
    let (name, allowed) = (key.name, key.values);
    if core::mem::replace(seen, true) {
        return Err(DescriptionError::Twice { key: name });
    }
    match value {
        "" => Err(DescriptionError::NoValue { key: name, allowed }),
        value if (key.set)(description, value) => Ok(()),
        value => Err(DescriptionError::Value { key: name, value, allowed, nearest: nearest(value, words(allowed)) }),
    }
}

/// The words among the values that are allowed.
fn words(allowed: &'static str) -> impl Iterator<Item = &'static str> {
    allowed.split('|').filter(|word| !word.contains('<') && allowed.contains('|'))
}

fn choose<T: Copy>(place: &mut Option<T>, value: &str, among: &[(&str, T)]) -> bool {
    *place = among.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    place.is_some()
}

/// Decimal, or hexadecimal with 0x before it.
fn number(word: &str) -> Option<u64> {
    let (digits, radix) = match word.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    // `from_str_radix` would take a sign.
    if digits.bytes().all(|b| b.is_ascii_hexdigit()) { u64::from_str_radix(digits, radix).ok() } else { None }
}

/// A number of bytes, KiB (K), MiB (M) or GiB (G).
fn size(word: &str) -> Option<u64> {
    let units = [('K', KIB), ('M', MIB), ('G', GIB)];
    let unit = units.into_iter().find_map(|(letter, unit)| Some((word.strip_suffix(letter)?, unit)));
    let (digits, unit) = unit.unwrap_or((word, 1));
    number(digits)?.checked_mul(unit)
}
