//! The only writer to the terminal: in one style, and with nothing raw of others' texts.
//!
//! Standard output has the requested data. Standard error has messages for a person, each line
//! behind `refpost:`, `warning:` or `hint:`. During a push git carries standard error to the pusher
//! (githooks(5)).

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::json;

pub mod table;

/// Prints a line of requested data.
pub fn line(text: &str) {
    raw(format!("{}\n", printable(text)).as_bytes());
}

/// Prints an object for programs, in one line of pure ASCII.
pub fn json(value: &impl Serialize) {
    let mut line = json::to_bytes(value);
    line.push(b'\n');
    raw(&line);
}

/// Prints a text of refpost's own, with its line breaks.
pub fn text(text: &str) {
    raw(text.as_bytes());
}

/// Prints bytes unchanged: bodies, man pages, completions.
pub fn raw(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Prints a text that has escapes for colours, which only a terminal gets.
pub(crate) fn styled(text: &str) {
    let mut out = anstream::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Prints the help or the version that was asked for.
pub fn help(asked: &clap::Error) {
    written(asked.print().and_then(|()| io::stdout().flush()));
}

/// True if a write to standard output failed.
static IS_CUT: AtomicBool = AtomicBool::new(false);

/// Tells, once, that standard output cannot be written.
///
/// A closed pipe is no error: its reader has read enough, or is gone.
fn written(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != io::ErrorKind::BrokenPipe
        && !IS_CUT.swap(true, Ordering::Relaxed)
    {
        say(&format!("cannot write standard output: {}", chain(&error)));
    }
}

/// Returns whether a write to standard output failed, which was told.
#[must_use]
pub fn is_cut() -> bool {
    IS_CUT.load(Ordering::Relaxed)
}

/// True if lines on standard error begin with their priority.
static HAS_PRIORITIES: AtomicBool = AtomicBool::new(false);

/// Puts its priority before each line on standard error, for the journal (sd-daemon(3)).
pub fn with_priorities() {
    HAS_PRIORITIES.store(true, Ordering::Relaxed);
}

/// Prints a message.
pub fn say(text: &str) {
    complain("refpost", "<3>", text);
}

/// Prints a warning.
pub fn warning(text: &str) {
    complain("warning", "<4>", text);
}

/// Prints advice.
pub fn hint(text: &str) {
    complain("hint", "<5>", text);
}

/// Prints an error and its whole chain of causes in one line.
pub fn error(error: &dyn Error) {
    say(&chain(error));
}

fn complain(who: &str, priority: &str, text: &str) {
    let has_priorities = HAS_PRIORITIES.load(Ordering::Relaxed);
    let priority = if has_priorities { priority } else { "" };
    let line = format!("{priority}{who}: {}\n", printable(text));
    // One write, so that git does not cut it with another process's.
    io::stderr().lock().write_all(line.as_bytes()).ok();
}

/// Joins an error and its causes with `: `, in lower case.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = tidy(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = tidy(&cause.to_string());
        // Some libraries' `Display` includes its source.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Removes the error numbers of the system and of libgit2, and the upper case in front.
///
/// These are `No space left on device (os error 28)` and `…; class=Odb (9); code=NotFound (-3)`.
fn tidy(text: &str) -> String {
    let numbers = [" (os error ", "; class="];
    let text = match numbers.iter().find_map(|number| text.rfind(number)) {
        Some(at) if text.ends_with(')') => &text[..at],
        _ => text,
    };
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            format!("{}{}", first.to_lowercase(), chars.as_str())
        }
        _ => text.to_owned(),
    }
}

/// Escapes characters that can move a cursor, break a line, turn the reading direction or hide.
///
/// These are control characters, the characters that Unicode calls format characters (`Cf`), and
/// separators of lines.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_printable(c) {
            spelled.push(c);
        } else {
            write!(spelled, "{}", c.escape_unicode()).expect("memory takes every byte");
        }
    }
    Cow::Owned(spelled)
}

/// Quotes a path for a shell, where that is needed, for a command that a hint shows.
#[must_use]
pub fn shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    // A path has no NUL byte, which alone cannot be quoted.
    shlex::try_quote(&text)
        .unwrap_or_else(|_| Cow::Borrowed(&*text))
        .into_owned()
}

fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Prints a line at a terminal only.
///
/// Programs, and the mail of cron, get only lines that a person must act on.
pub fn to_person(text: &str) {
    if io::stdout().is_terminal() {
        line(text);
    }
}

/// The progress of long work: a bar on standard error, at a terminal only.
pub struct Progress(ProgressBar);

impl Progress {
    /// Makes a bar.
    ///
    /// `total` is called only at a terminal; fewer than 100 steps are not shown.
    #[must_use]
    pub fn new(total: impl FnOnce() -> usize) -> Self {
        let total = io::stderr().is_terminal().then(total);
        let Some(total) = total.filter(|total| *total >= 100) else {
            return Self(ProgressBar::hidden());
        };
        let style = ProgressStyle::with_template("[{bar:40}] {human_pos}/{human_len}");
        let style = style.expect("the template has no faults");
        Self(ProgressBar::new(total as u64).with_style(style.progress_chars("=> ")))
    }

    /// Sets the number of steps that are done.
    pub fn set(&self, done: usize) {
        self.0.set_position(done as u64);
    }

    /// Calls `tell`, which prints a message, above the bar.
    pub fn aside(&self, tell: impl FnOnce()) {
        self.0.suspend(tell);
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

/// Formats a number as `9,874`.
#[must_use]
pub fn number(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

/// Formats a duration by its two largest units: `2h 5m`.
#[must_use]
pub fn age(duration: Duration) -> String {
    let seconds = Duration::from_secs(duration.as_secs());
    let text = humantime::format_duration(seconds).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Formats a number of things as `1 message`, `2 messages`, `2 entries`.
#[must_use]
pub fn count(number: usize, thing: &str) -> String {
    let (stem, ending) = match thing.strip_suffix('y') {
        _ if number == 1 => (thing, ""),
        Some(stem) => (stem, "ies"),
        None => (thing, "s"),
    };
    format!("{number} {stem}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_entries_were_called_entrys() {
        let texts = ["message", "entry", "file"].map(|thing| (count(1, thing), count(2, thing)));
        let texts = texts.map(|(one, two)| format!("{one}, {two}"));
        assert_eq!(
            texts,
            [
                "1 message, 2 messages",
                "1 entry, 2 entries",
                "1 file, 2 files"
            ]
        );
    }

    #[test]
    fn nothing_raw_reaches_a_terminal() {
        assert_eq!(printable("plain é 日 ``"), "plain é 日 ``");
        assert_eq!(
            printable("a\x1b[31m\nb\u{202e}c\u{7f}"),
            "a\\u{1b}[31m\\u{a}b\\u{202e}c\\u{7f}"
        );
        for hidden in [
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{200f}',
            '\u{2067}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            let spelled = printable(&format!("x{hidden}y")).into_owned();
            assert_eq!(spelled, format!("x{}y", hidden.escape_unicode()));
        }
    }

    #[test]
    fn a_chain_is_one_line_in_our_style() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot write `x`")]
        struct Outer(#[source] io::Error);
        assert_eq!(
            chain(&Outer(io::Error::from_raw_os_error(28))),
            "cannot write `x`: no space left on device"
        );
    }
}
