//! Finds hooks that are in place, but are not run by git or by the script before them.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::file::{Hook, HookState};
use super::script::beginning;
use crate::report;

/// A file that should run refpost, or lead to it, and is not run.
pub(crate) struct Ignored {
    pub(crate) why: String,
    /// Advice; `None`: run `refpost enable`.
    pub(crate) hint: Option<String>,
}

impl Hook {
    /// Returns the file that keeps refpost from being run, if there is one (githooks(5): a hook
    /// that is not executable is ignored).
    pub(crate) fn ignored(&self, place: &HookState) -> Option<Ignored> {
        self.run_files(place).into_iter().find_map(|file| {
            let shown = file.display();
            if !file.exists() {
                let why = format!("`{shown}` is gone");
                return Some(Ignored { why, hint: None });
            }
            if access(&file, AccessFlags::X_OK).is_err() {
                let why = format!("`{shown}` is not executable");
                let hint = Some(format!("chmod +x {}", report::shell(&file)));
                return Some(Ignored { why, hint });
            }
            let interpreter = interpreter(&file)?;
            let named = report::printable(&interpreter);
            let why = format!("`{shown}` names `{named}`, which cannot be run");
            let hint = Some(
                "mend its first line; a carriage return at its end belongs to the name".to_owned(),
            );
            Some(Ignored { why, hint })
        })
    }
}

/// Returns the program that a script's first line names, if it cannot be run (execve(2)).
fn interpreter(script: &Path) -> Option<String> {
    let text = beginning(script);
    let line = text.lines().next()?.strip_prefix("#!")?;
    let name = line
        .trim_start_matches([' ', '\t'])
        .split([' ', '\t'])
        .next()?;
    // The kernel counts the carriage return, which `lines` takes for a part of the line's end, to
    // the name.
    let is_of_dos = text
        .lines()
        .next()
        .is_some_and(|first| text[first.len()..].starts_with("\r\n") && first.ends_with(name));
    let name = if is_of_dos {
        format!("{name}\r")
    } else {
        name.to_owned()
    };
    access(Path::new(&name), AccessFlags::X_OK)
        .is_err()
        .then_some(name)
}
