//! What a line might be that is not one of a dump as it should be.

use super::What;
use super::line::hex;
use super::prefix::find;

/// A number with `0x` that is all there is.
pub fn number(text: &[u8], bits: u32, name: &'static str) -> Result<u64, What> {
    let digits = text.strip_prefix(b"0x").ok_or(What::NoNumber(name))?;
    if !digits.first().is_some_and(u8::is_ascii_hexdigit) {
        return Err(What::NoNumber(name));
    }
    let (value, rest) = hex(digits, bits, 1, name)?;
    if rest.is_empty() { Ok(value) } else { Err(What::Extra) }
}

/// Whether a text that could not be read begins much like a line of a dump: half of its beginning, or broken off, or its
/// first word where the text ends with a number.
pub fn resembles(text: &[u8], key: &str) -> bool {
    let key = key.trim_ascii().as_bytes();
    let same = text.iter().zip(key).take_while(|(a, b)| a == b).count();
    let word = key.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_').count();
    let digits = text.iter().rev().take_while(|c| c.is_ascii_hexdigit()).count();
    same == text.len() && same >= 2 || same >= 4 && same * 2 >= key.len() || word >= 2 && same >= word && digits >= 4
}

/// Whether a text is like `name = 0x1` or `name: 0001`, with nothing before it that logs have.
pub fn looks_like_a_value(text: &[u8]) -> bool {
    let is_number = |text: &[u8]| {
        let text = text.trim_ascii();
        let digits = text.strip_prefix(b"0x").unwrap_or(text);
        let len = digits.iter().take_while(|c| c.is_ascii_hexdigit()).count();
        len >= 1 && digits.get(len).is_none_or(|c| !c.is_ascii_alphanumeric())
    };
    if let Some(at) = text.iter().position(|c| *c == b'=') {
        let (name, value) = text.split_at_checked(at).unwrap_or_default();
        let logged = find(name, ": ").is_some() || find(name, "] ").is_some();
        return !logged && is_number(value.get(1..).unwrap_or_default());
    }
    // Only hexadecimal digits and blanks after the colon, and a name without blanks at its end before it.
    match text.iter().position(|c| *c == b':') {
        Some(at) => {
            let value = text.get(at + 1..).unwrap_or_default().trim_ascii();
            !value.is_empty() && value.iter().all(|c| c.is_ascii_hexdigit() || *c == b' ')
        }
        None => false,
    }
}
