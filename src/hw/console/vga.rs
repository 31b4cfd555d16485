//! VGA text mode: a character and an attribute byte for each place.

use crate::hw::console::terminal::{Cell, Style, Surface};

/// A text screen.
pub struct VgaText {
    memory: *mut u16,
    /// Characters from one row to the next.
    stride: usize,
    columns: usize,
    rows: usize,
}

// SAFETY: the pointer is to memory that `new`'s caller gave up to this value alone; no core differs from another in
// how it may use it.
unsafe impl Send for VgaText {}

impl VgaText {
    /// A text screen, made blank.
    ///
    /// # Safety
    /// `memory` is mapped writable, `stride` × `rows` words, for good, aligned to 2, and nobody else uses it; `columns` is not
    /// above `stride`.
    pub unsafe fn new(memory: *mut u16, stride: usize, columns: usize, rows: usize) -> Self {
        let mut this = Self { memory, stride, columns, rows };
        for row in 0..rows {
            for column in 0..columns {
                this.draw(column, row, Cell::BLANK, Cell::BLANK);
            }
        }
        this
    }

    /// Columns and rows.
    pub const fn size(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }
}

/// Light grey, dark grey, yellow, light red, light green on black.
const fn attribute(style: Style) -> u8 {
    match style {
        Style::Plain => 0x07,
        Style::Dim => 0x08,
        Style::Warning => 0x0e,
        Style::Error => 0x0c,
        Style::Pass => 0x0a,
    }
}

impl Surface for VgaText {
    fn draw(&mut self, column: usize, row: usize, _before: Cell, cell: Cell) {
        if column < self.columns && row < self.rows {
            let word = u16::from_le_bytes([cell.character(), attribute(cell.style())]);
            // SAFETY: on the screen as just checked, and `new`'s caller vouches for the screen's memory.
            unsafe { self.memory.add(row * self.stride + column).write_volatile(word) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hw::console::terminal::Terminal;

    #[test]
    fn letters_and_attributes() {
        let mut memory = [0xffff_u16; 4 * 12];
        // SAFETY: the array has 4 rows of 12 words; the screen is 3 rows of it and dies before it.
        let mut screen = unsafe { VgaText::new(memory.as_mut_ptr(), 12, 10, 3) };
        let mut terminal = Terminal::<64>::new();
        terminal.resize(10, 3);
        terminal.write(b"\nhv: pass: x", &mut screen);
        assert_eq!(memory[0], 0x0720);
        assert_eq!(memory[12], 0x0a00 | u16::from(b'h'));
        assert_eq!(memory[12 + 9], 0x0720, "a blank is the same in every style");
        assert_eq!(memory[24], 0x0a00 | u16::from(b'x'));
        assert_eq!(memory[25], 0x0720);
        assert!(memory[10..12].iter().chain(&memory[36..]).all(|&w| w == 0xffff), "outside of the screen");
    }
}
