//! The tables of bad inputs in docs/explanation/security.md: each is tried, and what it gets is
//! written there as it was said.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::bad_inputs_tried::{
    ADDRESSES, ANSWERS, CERTIFICATES, CONFIGURATIONS, Case, KEY_FILES, PUSHES, SPOOLS,
};
use crate::support::Spooled;

/// The same for everything that is a number of this run.
fn plain(text: &str) -> String {
    let mut words = Vec::new();
    for line in text.trim_end().lines() {
        let line: Vec<String> = line.split(' ').map(plain_word).collect();
        words.push(line.join(" "));
    }
    words.join("\n")
}

fn plain_word(word: &str) -> String {
    let is_id = |text: &str| text.len() > 40 && text.starts_with("20") && text.contains('Z');
    let mut parts: Vec<String> = Vec::new();
    for part in word.split('/') {
        let bare = part.trim_matches(|c: char| "`:,".contains(c));
        parts.push(if is_id(bare) {
            part.replace(bare, "ID")
        } else {
            part.to_owned()
        });
    }
    let word = parts.join("/");
    match word
        .split_once("127.0.0.1-")
        .or_else(|| word.split_once("receiver-"))
    {
        Some((before, rest)) if rest.len() >= 6 => format!("{before}NAME{}", &rest[6..]),
        _ => word,
    }
}

/// `in 3 ms` is of no interest to a reader.
fn without_time(text: &str) -> String {
    match text.rsplit_once(" in ") {
        Some((before, rest)) if rest.contains(" ms") => {
            let after = rest.split_once(" ms").map_or("", |(_, after)| after);
            format!("{before}{}", after.split(": ").next().unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}

/// Held while a table is compared or written: tests of other subjects can be writing theirs.
static DOCUMENT: Mutex<()> = Mutex::new(());

/// Tries each input and compares the table below this heading of the document with what was said.
fn compare(title: &str, cases: &[Case]) {
    let mut table = vec![
        "| input | what it gets |".to_owned(),
        "|---|---|".to_owned(),
    ];
    for (input, tried) in cases {
        let text = plain(&tried(&Spooled::new()));
        let lines: Vec<String> = text
            .lines()
            .map(|line| format!("`` {} ``", without_time(line).replace('|', r"\|")))
            .collect();
        assert!(!lines.is_empty(), "{input}: nothing is said");
        table.push(format!("| {input} | {} |", lines.join("<br>")));
    }
    let _held = DOCUMENT.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/explanation/security.md");
    let document = fs::read_to_string(&path).unwrap();
    let heading = format!("### {title}\n\n");
    let (before, rest) = document.split_once(&heading).unwrap();
    let end = rest.find("\n\n").unwrap_or(rest.len() - 1);
    let (written, after) = rest.split_at(end);
    if std::env::var_os("REFPOST_UPDATE_GOLDEN").is_some() {
        let table = table.join("\n");
        fs::write(&path, format!("{before}{heading}{table}{after}")).unwrap();
    } else {
        let written: Vec<&str> = written.lines().collect();
        assert_eq!(written, table, "REFPOST_UPDATE_GOLDEN=1 takes the new text");
    }
}

#[test]
fn bad_pushes() {
    compare("Pushes", PUSHES);
}

#[test]
fn bad_configurations() {
    compare("Configuration files", CONFIGURATIONS);
}

#[test]
fn bad_key_files() {
    compare("Key files", KEY_FILES);
}

#[test]
fn bad_addresses() {
    compare("Addresses", ADDRESSES);
}

#[test]
fn bad_answers() {
    compare("Answers", ANSWERS);
}

#[test]
fn bad_certificates() {
    compare("Certificates", CERTIFICATES);
}

#[test]
fn bad_spools() {
    compare("Spools", SPOOLS);
}
