//! Files that others may have made are opened in one place, so that nothing else need be read
//! to know how.

use std::fs;
use std::path::Path;

/// What opens a path by its name.
const OPENERS: [&str; 16] = [
    "File::open",
    "File::create",
    "File::options",
    "File::at",
    "fs::read(",
    "fs::write(",
    "fs::copy(",
    "read_dir(",
    "read_to_string(",
    "OpenOptions",
    "pem_file",
    "openat(",
    "open_path(",
    "Dir::open",
    "Config::open",
    "Repository::open_ext",
];

/// Where they may be, and why.
const EXCEPTIONS: [(&str, &str); 15] = [
    ("src/plain_file.rs", "opens for all others"),
    ("src/spool/disk", "all of a spool, in folders that are open"),
    ("src/spool/folder.rs", "a spool's folders, through no link"),
    ("src/spool/search.rs", "folders alone, through no link"),
    ("src/announce/git_process.rs", "/proc is the kernel's"),
    ("src/as_account/become_account.rs", "/proc is the kernel's"),
    (
        "src/command/emit.rs",
        "--msg is a person's, and can be a pipe",
    ),
    ("src/command/enable.rs", "makes a file that was not there"),
    (
        "src/hooks/file.rs",
        "makes a file that was not there, and lists a folder",
    ),
    ("src/hooks/foreign.rs", "lists a folder"),
    ("src/command/demo.rs", "a folder that it has made"),
    (
        "src/git/history/commit_graph.rs",
        "looked at before; its reader opens by name",
    ),
    (
        "src/git/objects/by_libgit2.rs",
        "looked at before (`irregular`); libgit2 opens by name",
    ),
    ("src/git/objects/irregular.rs", "lists a folder"),
    (
        "src/git/objects/alternates.rs",
        "whether folders can be opened",
    ),
];

#[test]
fn no_other_file_opens_a_path_by_its_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    read(&root.join("src"), root, &mut found);
    let is_exception = |place: &str| {
        let mut exceptions = EXCEPTIONS.iter().map(|(name, _)| *name);
        exceptions.any(|name| place.starts_with(name))
    };
    let others: Vec<_> = found
        .iter()
        .filter(|(place, _)| !is_exception(place))
        .collect();
    assert!(others.is_empty(), "use plain_file: {others:#?}");
    for (name, _) in EXCEPTIONS {
        let is_used = found.iter().any(|(place, _)| place.starts_with(name));
        assert!(is_used, "{name} needs no exception");
    }
}

/// The page of who is believed what is one, in the sources and in the docs.
#[test]
fn the_docs_and_the_sources_name_the_same_rules_of_trust() {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        fs::read_to_string(path).unwrap()
    };
    let rows = |lines: Vec<&str>| {
        let rows = lines.into_iter().filter(|line| line.starts_with("| "));
        let cells = rows.map(|line| {
            line.splitn(4, " | ")
                .take(2)
                .collect::<Vec<_>>()
                .join(" | ")
        });
        cells.skip(1).collect::<Vec<_>>()
    };
    let (docs, page) = (
        read("docs/explanation/security.md"),
        read("src/context/trust.rs"),
    );
    let table = docs.lines().skip_while(|line| *line != "## Trust");
    let table = table.take_while(|line| *line != "## Secrets").collect();
    let page = page
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .collect();
    assert_eq!(rows(table), rows(page));
}

/// Each line of code that opens something, and where it is.
fn read(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") && !path.ends_with("simulation") {
                read(&path, root, found);
            }
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let name = path.strip_prefix(root).unwrap().display();
        let uses_nix = code.contains("nix::fcntl");
        for (at, line) in code.lines().enumerate() {
            let line = line.trim();
            let opens =
                uses_nix && calls_open(line) || OPENERS.iter().any(|opener| line.contains(opener));
            if opens && !line.starts_with("//") {
                found.push((format!("{name}:{}", at + 1), line.to_owned()));
            }
        }
    }
}

/// Whether a function is called that is named `open` alone, as nix names open(2).
fn calls_open(line: &str) -> bool {
    line.match_indices("open(").any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let is_other = before.is_some_and(|it| it.is_alphanumeric() || "_.:".contains(it));
        !is_other && !line[..at].ends_with("fn ")
    })
}
