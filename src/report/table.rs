//! Tables for people: columns without lines, nothing wrapped and nothing cut.
//!
//! The first column says the state of a row, and is painted at a terminal (`NO_COLOR`, `--color`).

use std::fmt::Write as _;

use anstream::ColorChoice;
use clap::builder::styling::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table as Drawn};

use super::printable;

/// Blanks between two columns.
const GAP: u16 = 2;

/// The colour of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// None.
    Plain,
    /// Green: all is well.
    Good,
    /// Yellow: nobody has to act yet.
    Doubtful,
    /// Red: a person should look.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Doubtful => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// A table with a line of headings.
pub struct Table<const N: usize> {
    /// The headings, until they are printed.
    heads: Option<[&'static str; N]>,
    rows: Vec<(Tone, [String; N])>,
    /// Numbers of characters of the columns so far.
    widths: [usize; N],
}

impl<const N: usize> Table<N> {
    /// Makes an empty table. The first heading is that of the state.
    #[must_use]
    pub fn new(heads: [&'static str; N]) -> Self {
        Self {
            heads: Some(heads),
            rows: Vec::new(),
            widths: [0; N],
        }
    }

    /// Adds a row. An empty cell is shown as `-`.
    pub fn row(&mut self, tone: Tone, cells: [String; N]) {
        let cells = cells.map(|cell| match cell.as_str() {
            "" => "-".to_owned(),
            cell => printable(cell).into_owned(),
        });
        self.rows.push((tone, cells));
    }

    /// Prints the rows that were added since the last call, and the headings before the first of
    /// them. A table without rows is not printed.
    pub fn print(&mut self) {
        super::styled(&self.draw());
    }

    fn draw(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return String::new();
        }
        let heads = self.heads.take().map(|heads| heads.map(str::to_owned));
        for cells in heads.iter().chain(rows.iter().map(|(_, cells)| cells)) {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut drawn = Drawn::new();
        drawn.load_style(NOTHING);
        drawn.set_content_arrangement(ContentArrangement::Disabled);
        let tones = rows.iter().map(|(tone, _)| *tone);
        let tones: Vec<Tone> = heads.iter().map(|_| Tone::Plain).chain(tones).collect();
        let mut states = Vec::new();
        for cells in heads
            .into_iter()
            .chain(rows.into_iter().map(|(_, cells)| cells))
        {
            states.push(cells[0].clone());
            let mut widths = self.widths.iter();
            // Rows that come later stand below these.
            let padded = cells.map(|cell| {
                let width = widths.next().copied().unwrap_or_default();
                // No formatted text is wider than 65,535.
                let width = width.min(usize::from(u16::MAX));
                format!("{cell:width$}")
            });
            drawn.add_row(padded);
        }
        for column in drawn.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        let mut text = String::new();
        for ((line, state), tone) in drawn.lines().zip(states).zip(tones) {
            let style = tone.style();
            let rest = line.strip_prefix(&state).unwrap_or_default().trim_end();
            writeln!(text, "{style}{state}{style:#}{rest}").expect("memory takes every byte");
        }
        text
    }
}

/// Decides about colours, for all that is printed.
pub fn paint(when: clap::ColorChoice) {
    match when {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    }
    .write_global();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_nothing_is_cut() {
        let mut table = Table::new(["STATE", "NAME", "ID"]);
        assert_eq!(table.draw(), "");
        let long = "x".repeat(300);
        table.row(
            Tone::Plain,
            ["ok".into(), "a\x1b[31mb\nc".into(), long.clone()],
        );
        table.row(Tone::Plain, ["failed".into(), String::new(), "2".into()]);
        let expected = format!(
            "STATE   NAME                ID\nok      a\\u{{1b}}[31mb\\u{{a}}c  {long}\n\
             failed  -                   2\n"
        );
        assert_eq!(table.draw(), expected);
        // Later rows have the same columns, and no headings.
        table.row(Tone::Plain, ["ok".into(), "b".into(), "3".into()]);
        assert_eq!(table.draw(), "ok      b                   3\n");
        assert_eq!(table.draw(), "");
    }

    #[test]
    fn the_state_alone_is_painted() {
        let mut table = Table::new(["STATE", "NAME"]);
        table.row(Tone::Bad, ["down".into(), "down".into()]);
        let drawn = table.draw();
        let bad = Tone::Bad.style();
        assert!(
            drawn.ends_with(&format!("{bad}down{bad:#}   down\n")),
            "{drawn:?}"
        );
    }
}
