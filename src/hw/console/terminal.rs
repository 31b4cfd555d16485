//! A screen of characters: what stands where, wrapping, scrolling. It draws through a [`Surface`].

/// How a line looks; chosen by what the line is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(u8)]
pub enum Style {
    /// An ordinary line.
    #[default]
    Plain = 0,
    /// A line for who looks for a mistake.
    Dim = 1,
    /// A warning.
    Warning = 2,
    /// An error, or the verdict that something failed.
    Error = 3,
    /// The verdict that all is well.
    Pass = 4,
}

impl Style {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// The style of a line by how it begins.
    pub fn of_line(line: &[u8]) -> Self {
        const STYLES: [(&[u8], Style); 7] = [
            (b"hv: warning: ", Style::Warning),
            (b"hv: error: ", Style::Error),
            (b"hv: panic: ", Style::Error),
            (b"hv: fail: ", Style::Error),
            (b"hv: pass: ", Style::Pass),
            (b"hv: debug: ", Style::Dim),
            (b"hv: trace: ", Style::Dim),
        ];
        STYLES.iter().find(|(start, _)| line.starts_with(start)).map_or(Self::Plain, |&(_, style)| style)
    }
}

/// One place on the screen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cell {
    glyph: u8,
    style: Style,
}

impl Cell {
    /// Nothing. All of its bytes are 0, so a blank terminal takes no room in the image.
    pub const BLANK: Self = Self { glyph: 0, style: Style::Plain };

    /// The cell of `character`, a printable ASCII character; a blank is the same in every style.
    const fn of(character: u8, style: Style) -> Self {
        if character == b' ' { Self::BLANK } else { Self { glyph: character - b' ', style } }
    }

    /// The character, from blank to tilde.
    pub const fn character(self) -> u8 {
        self.glyph + b' '
    }

    /// How it looks.
    pub const fn style(self) -> Style {
        self.style
    }
}

/// What a terminal draws on.
pub trait Surface {
    /// Makes the place at `column`, `row`, which shows `before`, show `cell`. It showed a blank at first.
    fn draw(&mut self, column: usize, row: usize, before: Cell, cell: Cell);
}

/// A terminal of at most `CELLS` cells.
///
/// It knows what every cell shows and draws those that change. At the bottom it jumps by a third of the screen: a step
/// of one line would draw nearly all cells for each line.
pub struct Terminal<const CELLS: usize> {
    cells: [Cell; CELLS],
    columns: usize,
    rows: usize,
    column: usize,
    row: usize,
    style: Style,
}

impl<const CELLS: usize> Terminal<CELLS> {
    /// A terminal without a screen: what is written to it is gone.
    pub const fn new() -> Self {
        Self { cells: [Cell::BLANK; CELLS], columns: 0, rows: 0, column: 0, row: 0, style: Style::Plain }
    }

    /// Starts over with a blank screen of this size, made smaller where there are not so many cells.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        let columns = columns.min(CELLS);
        let rows = CELLS.checked_div(columns).map_or(0, |most| rows.min(most));
        *self = Self { columns, rows, ..Self::new() };
    }

    /// Columns and rows.
    pub const fn size(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    /// The cell at `column`, `row`; blank outside of the screen.
    pub fn cell(&self, column: usize, row: usize) -> Cell {
        if column < self.columns && row < self.rows { self.cells[row * self.columns + column] } else { Cell::BLANK }
    }

    /// Writes `text`. A line's style is found when its first byte comes, by what else of the line is in the same
    /// `text`. A character that is not ASCII shows as one question mark.
    pub fn write(&mut self, text: &[u8], surface: &mut impl Surface) {
        if self.columns == 0 || self.rows == 0 {
            return;
        }
        let mut line_start = self.column == 0;
        for (i, &byte) in text.iter().enumerate() {
            if line_start {
                self.style = Style::of_line(&text[i..]);
                line_start = false;
            }
            match byte {
                b'\n' => {
                    self.new_line();
                    line_start = true;
                }
                b'\t' => {
                    for _ in 0..8 - self.column % 8 {
                        self.put(b' ', surface);
                    }
                }
                b' '..=b'~' => self.put(byte, surface),
                0xc0..=0xff => self.put(b'?', surface),
                // Control characters, and what follows in a character of several bytes.
                _ => {}
            }
        }
    }

    fn new_line(&mut self) {
        self.column = 0;
        self.row += 1;
    }

    fn put(&mut self, character: u8, surface: &mut impl Surface) {
        if self.column == self.columns {
            self.new_line();
        }
        // Only now, so that the last row is in use and not an empty one.
        if self.row >= self.rows {
            self.scroll(surface);
        }
        self.set(self.column, self.row, Cell::of(character, self.style), surface);
        self.column += 1;
    }

    fn scroll(&mut self, surface: &mut impl Surface) {
        let by = (self.row + 1 - self.rows).max(self.rows / 3).min(self.rows);
        for row in 0..self.rows {
            for column in 0..self.columns {
                let cell = self.cell(column, row + by);
                self.set(column, row, cell, surface);
            }
        }
        self.row = self.row.saturating_sub(by).min(self.rows - 1);
    }

    fn set(&mut self, column: usize, row: usize, cell: Cell, surface: &mut impl Surface) {
        let place = &mut self.cells[row * self.columns + column];
        if *place != cell {
            let before = core::mem::replace(place, cell);
            surface.draw(column, row, before, cell);
        }
    }
}

impl<const CELLS: usize> Default for Terminal<CELLS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, string::String, vec::Vec};

    /// Remembers what was drawn last at each place, and counts.
    #[derive(Default)]
    struct Screen {
        shown: BTreeMap<(usize, usize), Cell>,
        draws: usize,
    }

    impl Surface for Screen {
        fn draw(&mut self, column: usize, row: usize, before: Cell, cell: Cell) {
            assert_eq!(self.shown.insert((row, column), cell).unwrap_or(Cell::BLANK), before);
            self.draws += 1;
        }
    }

    fn terminal(columns: usize, rows: usize) -> Terminal<200> {
        let mut terminal = Terminal::new();
        terminal.resize(columns, rows);
        terminal
    }

    fn rows<const N: usize>(terminal: &Terminal<N>) -> Vec<String> {
        let (columns, rows) = terminal.size();
        let row = |r| (0..columns).map(|c| terminal.cell(c, r).character() as char).collect::<String>();
        (0..rows).map(|r| row(r).trim_end().into()).collect()
    }

    #[test]
    fn wraps_and_uses_the_last_row() {
        let (mut t, mut s) = (terminal(5, 3), Screen::default());
        t.write(b"abcdefg\nx\n", &mut s);
        assert_eq!(rows(&t), ["abcde", "fg", "x"]);
        t.write(b"y", &mut s);
        assert_eq!(rows(&t), ["fg", "x", "y"]);
    }

    #[test]
    fn a_full_line_makes_no_empty_one() {
        let (mut t, mut s) = (terminal(3, 3), Screen::default());
        t.write(b"abc\ndef\n", &mut s);
        assert_eq!(rows(&t), ["abc", "def", ""]);
    }

    #[test]
    fn jumps_by_a_third() {
        let (mut t, mut s) = (terminal(4, 9), Screen::default());
        t.write(b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n", &mut s);
        assert_eq!(rows(&t), ["3", "4", "5", "6", "7", "8", "9", "", ""]);
        t.write(b"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nz", &mut s);
        assert_eq!(rows(&t).last().unwrap(), "z");
        assert_eq!(rows(&t)[..8].concat(), "");
    }

    #[test]
    fn draws_only_what_changes() {
        let (mut t, mut s) = (terminal(10, 3), Screen::default());
        t.write(b"aaaa\naaaa\naaaa\n", &mut s);
        s.draws = 0;
        t.write(b"b", &mut s);
        assert_eq!(s.draws, 5, "the last row became blank, then a letter came");
    }

    #[test]
    fn a_line_is_styled_by_its_beginning_and_so_is_what_wraps() {
        let (mut t, mut s) = (terminal(14, 8), Screen::default());
        t.write(b"hv: error: it broke\nhv: pass: all\nhv: x", &mut s);
        assert_eq!(t.cell(0, 0).style(), Style::Error);
        assert_eq!(t.cell(0, 1).style(), Style::Error);
        assert_eq!(t.cell(0, 2).style(), Style::Pass);
        assert_eq!(t.cell(0, 3).style(), Style::Plain);
    }

    #[test]
    fn other_characters() {
        let (mut t, mut s) = (terminal(12, 2), Screen::default());
        t.write("\u{e4}b\u{4e16}\r\u{7}c\td".as_bytes(), &mut s);
        assert_eq!(rows(&t)[0], "?b?c    d");
    }

    #[test]
    fn no_size_is_no_trouble() {
        for (columns, lines) in [(0, 0), (0, 5), (5, 0)] {
            let mut t = terminal(columns, lines);
            t.write(b"hello\n", &mut Screen::default());
        }
        let big = terminal(150, 100);
        assert_eq!(big.size(), (150, 1));
    }

    proptest! {
        #[test]
        fn the_surface_shows_what_the_terminal_holds(
            columns in 1usize..12, lines in 1usize..9,
            parts in prop::collection::vec("[a-c \n\t\u{e4}]{0,40}", 0..6)
        ) {
            let (mut t, mut s) = (terminal(columns, lines), Screen::default());
            for part in &parts {
                t.write(part.as_bytes(), &mut s);
            }
            for row in 0..lines {
                for column in 0..columns {
                    let shown = s.shown.get(&(row, column)).copied().unwrap_or(Cell::BLANK);
                    prop_assert_eq!(shown, t.cell(column, row));
                }
            }
        }

        #[test]
        fn what_is_shown_is_the_end_of_what_was_written(
            columns in 1usize..12, lines in 1usize..9, text in "[a-c\n]{0,120}"
        ) {
            let mut t = terminal(columns, lines);
            t.write(text.as_bytes(), &mut Screen::default());
            // The naive model: all lines, cut to the width.
            let mut all: Vec<String> = Vec::new();
            for line in text.lines() {
                let bytes: Vec<char> = line.chars().collect();
                if bytes.is_empty() {
                    all.push(String::new());
                }
                all.extend(bytes.chunks(columns).map(|c| c.iter().collect::<String>()));
            }
            let shown = rows(&t);
            let trimmed = |v: &[String]| -> Vec<String> {
                let end = v.iter().rposition(|l| !l.is_empty()).map_or(0, |p| p + 1);
                v[..end].to_vec()
            };
            let (shown, all) = (trimmed(&shown), trimmed(&all));
            prop_assert!(all.ends_with(&shown), "{:?} is not the end of {:?}", shown, all);
            prop_assert!(shown.len() >= all.len().min(lines - lines / 3) || all.len() <= lines);
        }
    }
}
