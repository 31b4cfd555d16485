//! Characters as pixels in a linear framebuffer.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::hw::console::pixel::{PixelFormat, Rgb};
use crate::hw::console::terminal::{Cell, Style, Surface};

/// Pixels across a character, before scaling.
const GLYPH_WIDTH: usize = get_raster_width(FontWeight::Regular, RasterHeight::Size16);
/// Pixels down a character, before scaling.
const GLYPH_HEIGHT: usize = RasterHeight::Size16.val();
/// How many steps there are from background to foreground.
const LEVELS: usize = 16;

const BACKGROUND: Rgb = Rgb(0x00, 0x00, 0x00);
const fn foreground(style: usize) -> Rgb {
    const COLOURS: [Rgb; Style::COUNT] = [
        Rgb(0xd8, 0xd8, 0xd8), // Plain
        Rgb(0x90, 0x90, 0x90), // Dim
        Rgb(0xff, 0xd7, 0x5f), // Warning
        Rgb(0xff, 0x6e, 0x6e), // Error
        Rgb(0x6e, 0xe0, 0x8a), // Pass
    ];
    COLOURS[style]
}

/// A linear framebuffer with this console's font.
pub struct Framebuffer {
    memory: *mut u8,
    pitch: usize,
    pixel_bytes: usize,
    scale: usize,
    columns: usize,
    rows: usize,
    /// The pixel for each style and each level of a glyph's coverage.
    palette: [[u32; LEVELS]; Style::COUNT],
}

// SAFETY: the pointer is to memory that `new`'s caller gave up to this value alone; no core differs from another in
// how it may use it.
unsafe impl Send for Framebuffer {}

impl Framebuffer {
    /// A framebuffer of `width` × `height` pixels, rows `pitch` bytes apart, made black.
    ///
    /// # Safety
    /// `memory` is mapped writable, `pitch` × `height` bytes, for good, and nobody else uses it. Rows hold `width` pixels;
    /// `memory` and `pitch` are aligned for pixels of 2 or 4 bytes.
    pub unsafe fn new(memory: *mut u8, pitch: usize, width: usize, height: usize, format: PixelFormat) -> Self {
        // On a screen of 4K, 16 pixels can't be read from a chair.
        let scale = width.div_ceil(1920).max(1);
        let palette = core::array::from_fn(|style| {
            core::array::from_fn(|level| format.pack(BACKGROUND.mix(foreground(style), level as u8)))
        });
        let (columns, rows) = (width / (GLYPH_WIDTH * scale), height / (GLYPH_HEIGHT * scale));
        let mut this = Self { memory, pitch, pixel_bytes: format.bytes(), scale, columns, rows, palette };
        this.clear(height);
        this
    }

    /// Columns and rows of characters.
    pub const fn size(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    /// Black packs to 0 in every format, so this needs no pixels: eight bytes at a time.
    fn clear(&mut self, height: usize) {
        let bytes = self.pitch * height;
        let head = self.memory.align_offset(8).min(bytes);
        let words = (bytes - head) / 8;
        for i in (0..head).chain(head + words * 8..bytes) {
            // SAFETY: i < pitch × height, which `new`'s caller vouches for.
            unsafe { self.memory.add(i).write_volatile(0) };
        }
        // SAFETY: `head` is within the memory, or at its end with no words to come.
        let start = unsafe { self.memory.add(head) }.cast::<u64>();
        for i in 0..words {
            // SAFETY: `start` is aligned to 8 where there is a word, and words × 8 bytes from it are in the memory.
            unsafe { start.add(i).write_volatile(0) };
        }
    }

    /// Draws a character line by line with `write`, which gets where a line begins on the screen and its pixels.
    /// Lines that look as they did before are left out: most of most characters is empty.
    #[inline(always)]
    fn draw_lines(
        &mut self,
        (column, row): (usize, usize),
        before: Cell,
        cell: Cell,
        write: impl Fn(*mut u8, &[u32; GLYPH_WIDTH]),
    ) {
        let mut at = (row * GLYPH_HEIGHT * self.pitch + column * GLYPH_WIDTH * self.pixel_bytes) * self.scale;
        let same_style = before.style() == cell.style();
        let palette = &self.palette[cell.style() as usize];
        for (old, new) in glyph(before).iter().zip(glyph(cell)) {
            let blank = *new == [0; GLYPH_WIDTH];
            if *old != *new || !(same_style || blank) {
                let pixels = if blank {
                    [palette[0]; GLYPH_WIDTH]
                } else {
                    new.map(|coverage| palette[(coverage >> 4) as usize])
                };
                for line in 0..self.scale {
                    write(self.memory.wrapping_add(at + line * self.pitch), &pixels);
                }
            }
            at += self.pitch * self.scale;
        }
    }
}

/// The coverage of each pixel of a character, line by line.
fn glyph(cell: Cell) -> &'static [[u8; GLYPH_WIDTH]; GLYPH_HEIGHT] {
    const EMPTY: [[u8; GLYPH_WIDTH]; GLYPH_HEIGHT] = [[0; GLYPH_WIDTH]; GLYPH_HEIGHT];
    get_raster(cell.character() as char, FontWeight::Regular, RasterHeight::Size16)
        .and_then(|raster| raster.pixels().as_chunks().0.first_chunk())
        .unwrap_or(&EMPTY)
}

impl Surface for Framebuffer {
    fn draw(&mut self, column: usize, row: usize, before: Cell, cell: Cell) {
        if column >= self.columns || row >= self.rows {
            return;
        }
        // For all the writes below. SAFETY: column and row are on the screen, so the character's box is, of which
        // `draw_lines` gives each line's beginning; a line has GLYPH_WIDTH × scale pixels. `new`'s caller vouches for
        // the screen's memory and for the alignment of its pixels.
        let (bytes, scale) = (self.pixel_bytes, self.scale);
        if (bytes, scale) == (4, 1) {
            // Nearly every machine, so this has a loop of its own, which the compiler unrolls.
            self.draw_lines((column, row), before, cell, |line, pixels| {
                for (i, &pixel) in pixels.iter().enumerate() {
                    // SAFETY: see above.
                    unsafe { line.cast::<u32>().add(i).write_volatile(pixel) };
                }
            });
            return;
        }
        self.draw_lines((column, row), before, cell, |line, pixels| {
            for i in 0..GLYPH_WIDTH * scale {
                let pixel = pixels[i / scale];
                // SAFETY: see above.
                unsafe {
                    let place = line.add(i * bytes);
                    match bytes {
                        4 => place.cast::<u32>().write_volatile(pixel),
                        2 => place.cast::<u16>().write_volatile(pixel as u16),
                        _ => {
                            let [a, b, c, _] = pixel.to_le_bytes();
                            place.write_volatile(a);
                            place.add(1).write_volatile(b);
                            place.add(2).write_volatile(c);
                        }
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hw::console::pixel::Channel;
    use crate::hw::console::terminal::Terminal;
    use std::{string::String, vec, vec::Vec};

    const MARK: u8 = 0xa5;

    fn format(bits: u8) -> PixelFormat {
        let ch = |position, size| Channel { position, size };
        match bits {
            16 => PixelFormat::new(16, ch(11, 5), ch(5, 6), ch(0, 5)),
            _ => PixelFormat::new(bits, ch(16, 8), ch(8, 8), ch(0, 8)),
        }
        .unwrap()
    }

    /// Writes `text` on a screen of that size; gives what is in its memory, with marked bytes around it.
    fn show(width: usize, height: usize, pad: usize, bits: u8, text: &str) -> (Vec<u8>, usize) {
        let format = format(bits);
        let pitch = width * format.bytes() + pad;
        // Eight-byte words, so that the memory is aligned.
        let mut memory = vec![u64::from_le_bytes([MARK; 8]); (pitch * height).div_ceil(8) + 2];
        let inner = memory.as_mut_ptr().cast::<u8>().wrapping_add(8);
        // SAFETY: the vector has pitch × height bytes and eight more at each end, and lives until the end of this
        // function.
        let mut surface = unsafe { Framebuffer::new(inner, pitch, width, height, format) };
        let mut terminal = Terminal::<4096>::new();
        let (columns, rows) = surface.size();
        terminal.resize(columns, rows);
        terminal.write(text.as_bytes(), &mut surface);
        let bytes: Vec<u8> = memory.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(bytes[..8], [MARK; 8]);
        assert!(bytes[8 + pitch * height..].iter().all(|&b| b == MARK), "written past the end");
        (bytes[8..8 + pitch * height].to_vec(), pitch)
    }

    #[test]
    fn stays_inside_and_clears() {
        for bits in [16, 24, 32] {
            for (width, height) in [(640, 480), (7, 16), (6, 15), (100, 33), (101, 40)] {
                let pad = if bits == 24 { 1 } else { 4 };
                let text = "all of it\n".repeat(30);
                let (bytes, _) = show(width, height, pad, bits, &text);
                assert_eq!(bytes.iter().any(|&b| b != 0), width >= 7 && height >= 16, "{width}x{height}x{bits}");
                let (empty, _) = show(width, height, pad, bits, "");
                assert!(empty.iter().all(|&b| b == 0));
            }
        }
    }

    #[test]
    fn a_letter_is_where_it_belongs_in_its_colour() {
        let (bytes, pitch) = show(70, 32, 0, 32, "\n |");
        let lit = |x: usize, y: usize| bytes[y * pitch + x * 4..][..3].iter().any(|&b| b > 0x60);
        let lit_in = |xs: core::ops::Range<usize>, ys: core::ops::Range<usize>| {
            xs.clone().any(|x| ys.clone().any(|y| lit(x, y)))
        };
        assert!(lit_in(7..14, 16..32));
        assert!(!lit_in(0..70, 0..16) && !lit_in(0..7, 16..32) && !lit_in(14..70, 16..32));
        let (red, _) = show(300, 16, 0, 32, "hv: error: |");
        assert!(red.chunks(4).all(|p| p[2] >= p[0] && p[2] >= p[1]), "red leads in every pixel");
    }

    #[test]
    fn what_was_there_before_leaves_nothing() {
        for bits in [16, 24, 32] {
            // The last three lines come to where others stood, in other styles.
            let mut text = String::new();
            for i in 0..10 {
                text += ["hv: error: bad\n", "hv: plain\n", "hv: warning: so so\n", "\n"][i % 4];
            }
            let (scrolled, _) = show(200, 4 * 16, 0, bits, &text);
            let shown: Vec<&str> = text.lines().collect();
            let (fresh, _) = show(200, 4 * 16, 0, bits, &shown[shown.len() - 4..].join("\n"));
            assert!(scrolled == fresh, "{bits} bits");
        }
    }

    #[test]
    fn big_screens_get_big_letters() {
        let mut memory = vec![0u64; 3840 * 64 / 2];
        // SAFETY: the vector has 3840 × 64 pixels of four bytes and outlives the surface.
        let surface = unsafe { Framebuffer::new(memory.as_mut_ptr().cast(), 3840 * 4, 3840, 64, format(32)) };
        assert_eq!(surface.size(), (3840 / 14, 2));
    }
}
