//! What the boot loader says about the screen, checked.

use core::fmt;

use multiboot2::{FramebufferTag, MaybeDynSized};

use crate::base::Hpa;
use crate::hw::console::pixel::{Channel, PixelFormat};

/// A screen to write on (Multiboot2 specification, "Framebuffer info").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScreenInfo {
    /// Where its memory begins.
    pub address: Hpa,
    /// Bytes from one row (of pixels, or of characters) to the next.
    pub pitch: usize,
    /// Pixels or characters in a row.
    pub width: usize,
    /// Rows of pixels or of characters.
    pub height: usize,
    /// What is in a row.
    pub kind: ScreenKind,
}

/// What a screen's memory holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScreenKind {
    /// Pixels.
    Pixels(PixelFormat),
    /// Characters with attributes, as VGA text mode has them.
    Text,
}

/// Why a screen can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScreenError {
    /// The tag is shorter than what it should hold.
    TooShort,
    /// A pixel is a number in a palette.
    Palette,
    /// The type is none that the specification knows.
    UnknownType(u8),
    /// Pixels of that many bits, or channels that do not fit them.
    Pixels(u8),
    /// Rows shorter than what is in them, not aligned, or past the end of memory.
    Geometry,
}

impl fmt::Display for ScreenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("the boot loader's framebuffer tag is too short"),
            Self::Palette => f.write_str("the framebuffer has a palette"),
            Self::UnknownType(kind) => write!(f, "the framebuffer has the unknown type {kind}"),
            Self::Pixels(bits) => write!(f, "the framebuffer has an unknown pixel format of {bits} bits"),
            Self::Geometry => f.write_str("the framebuffer's address, pitch and size contradict each other"),
        }
    }
}

impl ScreenInfo {
    /// Reads the boot loader's tag, got by `get_tag`. By its bytes: `framebuffer_tag` and [`FramebufferTag`]'s own methods
    /// panic on a short tag.
    pub fn from_tag(tag: &FramebufferTag) -> Result<Self, ScreenError> {
        Self::from_bytes(tag.payload())
    }

    /// Reads what follows the tag's type and size.
    fn from_bytes(tag: &[u8]) -> Result<Self, ScreenError> {
        let (head, colours) = tag.split_at_checked(24).ok_or(ScreenError::TooShort)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let address = u64::from(word(0)) | u64::from(word(4)) << 32;
        let (pitch, width, height, bits) = (word(8) as usize, word(12) as usize, word(16) as usize, head[20]);
        let (kind, unit, align) = match head[21] {
            0 => return Err(ScreenError::Palette),
            1 => {
                let [rp, rs, gp, gs, bp, bs] = *colours.first_chunk().ok_or(ScreenError::TooShort)?;
                let channel = |position, size| Channel { position, size };
                let format = PixelFormat::new(bits, channel(rp, rs), channel(gp, gs), channel(bp, bs))
                    .ok_or(ScreenError::Pixels(bits))?;
                // Pixels of three bytes are written byte by byte.
                let align = if format.bytes() == 3 { 1 } else { format.bytes() };
                (ScreenKind::Pixels(format), format.bytes(), align)
            }
            2 => (ScreenKind::Text, 2, 2),
            other => return Err(ScreenError::UnknownType(other)),
        };
        let info = Self { address: Hpa::new(address), pitch, width, height, kind };
        let row = width.checked_mul(unit).ok_or(ScreenError::Geometry)?;
        let aligned = address.is_multiple_of(align as u64) && pitch.is_multiple_of(align);
        let ends = pitch.checked_mul(height).and_then(|bytes| address.checked_add(bytes as u64));
        if row == 0 || height == 0 || row > pitch || !aligned || address == 0 || ends.is_none() {
            return Err(ScreenError::Geometry);
        }
        Ok(info)
    }

    /// The size of its memory in bytes.
    pub const fn bytes(&self) -> usize {
        // `from_bytes` made sure that this does not overflow.
        self.pitch * self.height
    }
}

impl fmt::Display for ScreenInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ScreenKind::Pixels(format) => write!(f, "{}x{}, {} bits", self.width, self.height, 8 * format.bytes()),
            ScreenKind::Text => write!(f, "{}x{} text", self.width, self.height),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{string::ToString, vec::Vec};

    fn tag(address: u64, pitch: u32, width: u32, height: u32, bits: u8, kind: u8, colours: &[u8]) -> Vec<u8> {
        let mut tag = Vec::new();
        tag.extend(address.to_le_bytes());
        for word in [pitch, width, height] {
            tag.extend(word.to_le_bytes());
        }
        tag.extend([bits, kind, 0, 0]);
        tag.extend(colours);
        tag
    }

    const XRGB: [u8; 6] = [16, 8, 8, 8, 0, 8];

    #[test]
    fn reads_pixels_and_text() {
        let info = ScreenInfo::from_bytes(&tag(0xfd00_0000, 4096, 1024, 768, 32, 1, &XRGB)).unwrap();
        assert_eq!((info.address, info.bytes()), (Hpa::new(0xfd00_0000), 4096 * 768));
        assert_eq!(info.to_string(), "1024x768, 32 bits");
        let info = ScreenInfo::from_bytes(&tag(0xb8000, 160, 80, 25, 16, 2, &[])).unwrap();
        assert_eq!((info.kind, info.to_string().as_str()), (ScreenKind::Text, "80x25 text"));
    }

    #[test]
    fn refuses_what_it_can_not_use() {
        let read = |t: Vec<u8>| ScreenInfo::from_bytes(&t).unwrap_err();
        let good = tag(0xfd00_0000, 4096, 1024, 768, 32, 1, &XRGB);
        for end in 0..good.len() {
            assert_eq!(read(good[..end].to_vec()), ScreenError::TooShort);
        }
        assert_eq!(read(tag(0x1000, 1024, 1024, 768, 8, 0, &[0; 8])), ScreenError::Palette);
        assert_eq!(read(tag(0x1000, 1024, 1024, 768, 8, 3, &[0; 8])), ScreenError::UnknownType(3));
        assert_eq!(read(tag(0x1000, 4096, 1024, 768, 8, 1, &XRGB)), ScreenError::Pixels(8));
        assert_eq!(read(tag(0x1000, 4095, 1024, 768, 32, 1, &XRGB)), ScreenError::Geometry);
        assert_eq!(read(tag(0x1000, 4098, 1024, 768, 32, 1, &XRGB)), ScreenError::Geometry);
        assert_eq!(read(tag(0x1002, 4096, 1024, 768, 32, 1, &XRGB)), ScreenError::Geometry);
        assert_eq!(read(tag(0, 4096, 1024, 768, 32, 1, &XRGB)), ScreenError::Geometry);
        assert_eq!(read(tag(0x1000, 4096, 0, 768, 32, 1, &XRGB)), ScreenError::Geometry);
        assert_eq!(read(tag(u64::MAX - 3, 4096, 1024, 768, 32, 1, &XRGB)), ScreenError::Geometry);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), kind in 0u8..4) {
            let mut bytes = bytes;
            if let Some(place) = bytes.get_mut(21) {
                *place = kind;
            }
            if let Ok(info) = ScreenInfo::from_bytes(&bytes) {
                prop_assert!(info.address.checked_add(info.bytes() as u64).is_some());
            }
        }
    }
}
