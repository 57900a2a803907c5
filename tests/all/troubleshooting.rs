//! docs/reference/messages.md has every text that says that something is wrong, and no
//! other. The sources are scanned: each text in them counts as one, unless it stands
//! where other things are said, or in tests/data/no-faults.txt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What follows one of these, white space and `format!(` left out, is no fault but an
/// answer, a hint (the second of two values is one), or a reason for the compiler.
const ELSEWHERE: &str = r#"
    ok( report::line( report::text( report::hint( report::to_person( write_all(
    Some( hint= hint: mend: (&text, ", "), )), .to_owned(), ||{ ||
    reason= deserialize= .expect( unreachable!(
    Path::new( .doing( find( starts_with( suffix( prefix( f, [(
"#;

/// Files without: the help, the manual, reports, and what `listen` answers.
const FILES: &str = "cli.rs command/mod.rs command/man.rs command/status.rs command/log.rs command/listen.rs receiver.rs";

#[test]
fn the_page_has_every_text_and_no_other() {
    let mut said = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    read_sources(&root.join("src"), root, &mut said);
    read_chain(&read("hooks/chain"), &mut said);
    assert!(said.len() > 200, "the scan finds only {}", said.len());

    let page = texts_of(&read("docs/reference/messages.md"));
    let others = read("tests/data/no-faults.txt");
    let others = others
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let listed: BTreeSet<_> = others.map(str::to_owned).chain(page).collect();
    let texts: BTreeSet<_> = said.keys().cloned().collect();
    let place = |text: &String| format!("{}: {text}", said[text]);
    let lacking: Vec<_> = texts.difference(&listed).map(place).collect();
    assert!(
        lacking.is_empty(),
        "docs/reference/messages.md lacks texts. Say there what each means and what to do (in the \
         first column, placeholders as `…`); one that is no fault goes into \
         tests/data/no-faults.txt:\n{}",
        lacking.join("\n")
    );
    let surplus: Vec<_> = listed.difference(&texts).collect();
    assert!(
        surplus.is_empty(),
        "nothing in src/ says these any more: remove them from docs/reference/messages.md or \
         tests/data/no-faults.txt: {surplus:#?}"
    );
}

/// The code spans in the first column of the page's tables, `<br>` between them.
fn texts_of(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row[2..].split(" | ").next());
    let spans = cells.flat_map(|cell| cell.split("<br>"));
    let text = |span: &str| match span.strip_suffix(" ``") {
        Some(text) => text.trim_start_matches("`` ").to_owned(),
        None => span.trim_matches('`').to_owned(),
    };
    spans.map(text).collect()
}

fn read_sources(folder: &Path, root: &Path, said: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        if path.is_dir() {
            if !path.ends_with("tests") && !path.ends_with("simulation") {
                read_sources(&path, root, said);
            }
        } else if !FILES.split(' ').any(|file| name == format!("src/{file}")) {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for (at, literal) in literals(code) {
                let text = normal(literal);
                // What has line breaks is no message: those are one line.
                let is_text = text.contains(' ') && text.contains(char::is_alphabetic);
                if is_text && !text.contains("\\n") && !is_elsewhere(&code[..at]) {
                    let line = code[..at].lines().count();
                    said.insert(text, format!("{name}:{line}"));
                }
            }
        }
    }
}

/// What the chain of hooks, a shell script, says.
fn read_chain(script: &str, said: &mut BTreeMap<String, String>) {
    for line in script.lines() {
        let Some(text) = line.trim().strip_prefix("say \"") else {
            continue;
        };
        let mut parts = text.trim_end_matches('"').split('$');
        let mut text = parts.next().unwrap().to_owned();
        for part in parts {
            let is_variable = |c: char| c.is_ascii_alphanumeric() || "_{#*/}".contains(c);
            text.push('…');
            text.push_str(part.trim_start_matches(is_variable));
        }
        said.insert(text.replace('\\', ""), "hooks/chain".to_owned());
    }
}

/// The string literals of a source, as they are written there, and where they begin.
fn literals(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(step) = code[at..].find(['"', '/', '\'']) {
        at += step;
        let rest = &code[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            at += 3 + rest[2..].find('\'').unwrap();
        } else if rest.starts_with('"') {
            let mut is_escaped = true;
            let is_end = |c| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            };
            let end = rest.find(is_end).unwrap();
            found.push((at, &rest[1..end]));
            at += end + 1;
        } else {
            at += 1;
        }
    }
    found
}

fn is_elsewhere(before: &str) -> bool {
    let tail = before.chars().rev().filter(|c| !c.is_whitespace()).take(60);
    let tail: String = tail.collect::<Vec<_>>().into_iter().rev().collect();
    let tail = tail
        .strip_suffix("format!(")
        .unwrap_or(&tail)
        .trim_end_matches('&');
    ELSEWHERE.split_whitespace().any(|end| tail.ends_with(end))
}

/// As it is printed, each placeholder being `…`.
fn normal(literal: &str) -> String {
    // A line that goes on in the next one, which is indented.
    let lines = literal.split("\\\n").map(str::trim_start);
    let joined: String = lines.collect();
    let mut text = String::new();
    let mut rest = &*joined;
    while let Some((before, after)) = rest.split_once('{') {
        let inner =
            after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_:.?#*".contains(c));
        text.push_str(before);
        let behind = inner.strip_prefix('}');
        text.push(if behind.is_some() { '…' } else { '{' });
        rest = behind.unwrap_or(after);
    }
    (text + rest).replace("\\\"", "\"").trim().to_owned()
}
