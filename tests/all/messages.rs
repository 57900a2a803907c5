//! docs/reference/messages.md quotes messages as the sources have them.

use std::fs;
use std::path::Path;

/// Shorter parts of a message, between two placeholders, are in any source.
const SHORTEST: usize = 4;

#[test]
fn the_page_quotes_what_is_no_longer_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = fs::read_to_string(root.join("hooks/chain")).unwrap();
    let mut sources = script.replace("\\`", "`");
    read(&root.join("src"), &mut sources);
    let page = fs::read_to_string(root.join("docs/reference/messages.md")).unwrap();
    let quoted = quoted(&page);
    assert!(quoted.len() > 100, "{} messages", quoted.len());
    let is_said = |message: &String| {
        let parts = message.split('…').map(str::trim);
        let mut long = parts.filter(|part| part.len() >= SHORTEST);
        long.all(|part| sources.contains(part))
    };
    let stale: Vec<_> = quoted.iter().filter(|it| !is_said(it)).collect();
    assert!(stale.is_empty(), "not in the sources: {stale:#?}");
}

/// The code spans in the first column of the page's tables, `<br>` between them.
fn quoted(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row[2..].split(" | ").next());
    let spans = cells.flat_map(|cell| cell.split("<br>"));
    let text = |span: &str| match span.strip_suffix(" ``") {
        Some(text) => text.trim_start_matches("`` ").to_owned(),
        None => span.trim_matches('`').to_owned(),
    };
    spans.map(text).collect()
}

/// Adds the sources below a folder, string literals on one line and without escapes.
fn read(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            for part in text.split("\\\n") {
                sources.push_str(&part.trim_start().replace("\\\"", "\""));
            }
        }
    }
}
