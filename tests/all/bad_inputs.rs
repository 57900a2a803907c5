//! The table of bad inputs in docs/explanation/security.md: each is tried, and what it gets is
//! written there as it was said.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::bad_inputs_tried::{CONFIGURATIONS, NETWORK, PUSHERS, SPOOLS};
use crate::support::Spooled;

/// Stands around the table in the document.
const BEGIN: &str = "<!-- tried by tests/all/bad_inputs.rs -->\n";
const END: &str = "<!-- end -->\n";

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

#[test]
fn what_bad_input_gets_is_what_the_document_says() {
    let mut table = String::new();
    for (title, cases) in [
        ("From whoever pushes", PUSHERS),
        ("In files", CONFIGURATIONS),
        ("From the network", NETWORK),
        ("In a spool", SPOOLS),
    ] {
        write!(
            table,
            "\n### {title}\n\n| input | what it gets |\n|---|---|\n"
        )
        .unwrap();
        for (input, tried) in cases {
            let site = Spooled::new();
            let text = plain(&tried(&site));
            let lines: Vec<String> = text
                .lines()
                .map(|line| format!("`` {} ``", without_time(line).replace('|', r"\|")))
                .collect();
            assert!(!lines.is_empty(), "{input}: nothing is said");
            writeln!(table, "| {input} | {} |", lines.join("<br>")).unwrap();
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/explanation/security.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("REFPOST_UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}\n{END}{after}")).unwrap();
    } else {
        assert_eq!(
            written,
            format!("{table}\n"),
            "REFPOST_UPDATE_GOLDEN=1 takes the new text"
        );
    }
}
