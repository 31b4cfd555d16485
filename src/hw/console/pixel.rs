//! Colours, and how a framebuffer packs them.

/// A colour, 8 bits a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// The colour `level`/15 of the way from `self` to `to`.
    pub const fn mix(self, to: Self, level: u8) -> Self {
        const fn channel(from: u8, to: u8, level: u8) -> u8 {
            let (from, to, level) = (from as u32, to as u32, level as u32);
            ((from * (15 - level) + to * level + 7) / 15) as u8
        }
        let level = if level > 15 { 15 } else { level };
        Self(channel(self.0, to.0, level), channel(self.1, to.1, level), channel(self.2, to.2, level))
    }
}

/// Where one colour channel sits in a pixel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channel {
    /// The number of its lowest bit.
    pub position: u8,
    /// How many bits it has; 0 for a channel that is not there.
    pub size: u8,
}

impl Channel {
    const fn pack(self, value: u8) -> u32 {
        let value = if self.size <= 8 { (value as u32) >> (8 - self.size) } else { (value as u32) << (self.size - 8) };
        value << self.position
    }

    const fn fits(self, bits: u8) -> bool {
        self.size <= 16 && self.position as u16 + self.size as u16 <= bits as u16
    }
}

/// How a pixel is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PixelFormat {
    bytes: u8,
    red: Channel,
    green: Channel,
    blue: Channel,
}

impl PixelFormat {
    /// The format with `bits` bits a pixel (15, 16, 24 or 32) and these channels; `None` if a channel does not fit.
    pub const fn new(bits: u8, red: Channel, green: Channel, blue: Channel) -> Option<Self> {
        let bytes = match bits {
            15 | 16 => 2,
            24 => 3,
            32 => 4,
            _ => return None,
        };
        if red.fits(bits) && green.fits(bits) && blue.fits(bits) {
            Some(Self { bytes, red, green, blue })
        } else {
            None
        }
    }

    /// Bytes from one pixel to the next: 2, 3 or 4.
    pub const fn bytes(self) -> usize {
        self.bytes as usize
    }

    /// The pixel, in its low `bytes()` bytes.
    pub const fn pack(self, colour: Rgb) -> u32 {
        self.red.pack(colour.0) | self.green.pack(colour.1) | self.blue.pack(colour.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ch(position: u8, size: u8) -> Channel {
        Channel { position, size }
    }

    #[test]
    fn packs_the_common_formats() {
        let xrgb = PixelFormat::new(32, ch(16, 8), ch(8, 8), ch(0, 8)).unwrap();
        assert_eq!((xrgb.pack(Rgb(0x12, 0x34, 0x56)), xrgb.bytes()), (0x12_3456, 4));
        let bgr = PixelFormat::new(24, ch(0, 8), ch(8, 8), ch(16, 8)).unwrap();
        assert_eq!((bgr.pack(Rgb(0x12, 0x34, 0x56)), bgr.bytes()), (0x56_3412, 3));
        let r565 = PixelFormat::new(16, ch(11, 5), ch(5, 6), ch(0, 5)).unwrap();
        assert_eq!(r565.pack(Rgb(0xff, 0, 0)), 0xf800);
        assert_eq!(r565.pack(Rgb(0, 0xff, 0)), 0x07e0);
        assert_eq!(r565.pack(Rgb(0, 0, 0xff)), 0x001f);
        let deep = PixelFormat::new(32, ch(20, 10), ch(10, 10), ch(0, 10)).unwrap();
        assert_eq!(deep.pack(Rgb(0xff, 0, 0x80)), (0x3fc << 20) | 0x200);
        let r555 = PixelFormat::new(15, ch(10, 5), ch(5, 5), ch(0, 5)).unwrap();
        assert_eq!((r555.pack(Rgb(0xff, 0xff, 0xff)), r555.bytes()), (0x7fff, 2));
    }

    #[test]
    fn refuses_channels_that_do_not_fit() {
        assert_eq!(PixelFormat::new(16, ch(11, 6), ch(5, 6), ch(0, 5)), None);
        assert_eq!(PixelFormat::new(32, ch(255, 255), ch(8, 8), ch(0, 8)), None);
        assert_eq!(PixelFormat::new(8, ch(0, 2), ch(2, 2), ch(4, 2)), None);
        assert!(PixelFormat::new(32, ch(31, 1), ch(0, 0), ch(0, 16)).is_some());
    }

    #[test]
    fn mixes_from_end_to_end() {
        let (a, b) = (Rgb(0, 10, 255), Rgb(255, 10, 0));
        assert_eq!(a.mix(b, 0), a);
        assert_eq!(a.mix(b, 15), b);
        assert_eq!(a.mix(b, 200), b);
        assert_eq!(a.mix(b, 5), Rgb(85, 10, 170));
    }
}
