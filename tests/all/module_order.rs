//! Which modules of the sources use which: downward in the table of docs/explanation/design.md, and
//! never in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Module = Vec<String>;

/// Each module without tests, and the modules that its code names.
fn uses() -> BTreeMap<Module, BTreeSet<Module>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut texts = BTreeMap::new();
    read(&root, &mut Vec::new(), &mut texts);
    let unwanted: BTreeSet<Module> = texts.iter().flat_map(tests_of).collect();
    let is_test = |module: &Module| unwanted.iter().any(|test| module.starts_with(test));
    texts.retain(|module, _| !is_test(module));
    let all: BTreeSet<_> = texts.keys().cloned().collect();
    let of = |(module, text): (Module, String)| {
        let named = paths(&code(&text));
        let named = named.iter().filter_map(|path| resolve(&module, path, &all));
        let named = named.filter(|other| *other != module).collect();
        (module, named)
    };
    texts.into_iter().map(of).collect()
}

fn read(folder: &Path, above: &mut Module, texts: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            above.push(name);
            read(&path, above, texts);
            above.pop();
            continue;
        }
        let is_named = !matches!(name.as_str(), "mod" | "lib" | "main");
        let module = above.iter().cloned().chain(is_named.then_some(name));
        let text = fs::read_to_string(&path).unwrap();
        // `main.rs` calls what `lib.rs` declares.
        texts.entry(module.collect()).or_default().push_str(&text);
    }
}

/// The modules that are declared for tests only.
fn tests_of((module, text): (&Module, &String)) -> Vec<Module> {
    let mut parts = text.split("#[cfg(test)]\n");
    parts.next();
    let declared = parts.filter_map(|part| {
        let line = part.lines().find(|line| !line.starts_with('#'))?;
        let (_, name) = line.strip_suffix(';')?.split_once("mod ")?;
        Some(module.iter().cloned().chain([name.to_owned()]).collect())
    });
    declared.collect()
}

/// A text without comments and unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths from the root, from the module above or from the module itself, with lists in braces
/// written out.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = ["crate::", "super::", "self::"]
        .iter()
        .filter_map(|start| rest.find(start))
        .min()
    {
        let is_part = |byte: char| byte.is_alphanumeric() || byte == '_' || byte == ':';
        let is_whole = !rest[..at].ends_with(is_part);
        let length = rest[at..].find(|c| !is_part(c)).unwrap_or(rest.len() - at);
        let (path, behind) = rest[at..].split_at(length);
        rest = behind;
        if !is_whole {
            continue;
        }
        if behind.starts_with('{') && path.ends_with("::") {
            rest = list(path, behind, &mut paths);
        } else {
            paths.push(path.to_owned());
        }
    }
    paths
}

/// A list in braces behind a path; gives what stands behind it.
fn list<'a>(path: &str, text: &'a str, paths: &mut Vec<String>) -> &'a str {
    let mut rest = &text[1..];
    loop {
        rest = rest.trim_start();
        let end = rest.find([',', '{', '}']).unwrap();
        let (name, behind) = rest.split_at(end);
        let whole = format!("{path}{}", name.trim());
        match &behind[..1] {
            "{" => rest = list(&whole, behind, paths),
            _ if name.trim().is_empty() => rest = behind,
            _ => {
                paths.push(whole);
                rest = behind;
            }
        }
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return rest.trim_start().strip_prefix('}').unwrap(),
        }
    }
}

/// The module that a path leads into.
fn resolve(of: &Module, path: &str, all: &BTreeSet<Module>) -> Option<Module> {
    let mut parts = path.split("::").peekable();
    let mut module = match parts.next()? {
        "crate" => Vec::new(),
        "self" => of.clone(),
        _ => of[..of.len() - 1].to_vec(),
    };
    while parts.next_if_eq(&"super").is_some() {
        module.pop();
    }
    for part in parts {
        module.push(part.to_owned());
        if !all.contains(&module) {
            module.pop();
            break;
        }
    }
    (!module.is_empty()).then_some(module)
}

/// The rows of the table "Modules", the names of each.
fn rows() -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/explanation/design.md");
    let text = fs::read_to_string(path).unwrap();
    let table = text.lines().skip_while(|line| *line != "## Modules");
    let table = table.skip_while(|line| !line.starts_with("| `"));
    let table = table.take_while(|line| line.starts_with("| `"));
    let names = |row: &str| {
        let first = row.split('|').nth(1).unwrap();
        let names = first.split('`').skip(1).step_by(2);
        let name = |name: &str| {
            name.trim_end_matches(".rs")
                .trim_end_matches('/')
                .to_owned()
        };
        names.map(name).collect()
    };
    table.map(names).collect()
}

#[test]
fn a_module_uses_those_below_it_in_the_table() {
    let rows = rows();
    let row = |name: &String| rows.iter().position(|row| row.contains(name));
    let mut upward = BTreeSet::new();
    let uses = uses();
    for (module, others) in uses.iter().filter(|(module, _)| !module.is_empty()) {
        let at = row(&module[0]).unwrap_or_else(|| panic!("{} is not in it", module[0]));
        for other in others.iter().filter(|other| other[0] != module[0]) {
            if row(&other[0]).is_none_or(|other| other <= at) {
                upward.insert(format!("{} -> {}", module.join("::"), other.join("::")));
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
    for name in rows.iter().flatten().filter(|name| *name != "main") {
        let is_there = uses.keys().any(|module| module.first() == Some(name));
        assert!(is_there, "{name} is no module");
    }
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let mut uses = uses();
    // What uses nothing else that is left is in no circle.
    loop {
        let left: BTreeSet<_> = uses.keys().cloned().collect();
        uses.retain(|_, others| others.iter().any(|other| left.contains(other)));
        if uses.len() == left.len() {
            break;
        }
    }
    assert!(uses.is_empty(), "among these: {uses:#?}");
}

#[test]
fn paths_are_read_with_their_lists() {
    let code = "use crate::a::{self, b::{C, d}, e};\nfn f() { super::super::g::h(); mycrate::x() }";
    let found = [
        "crate::a::self",
        "crate::a::b::C",
        "crate::a::b::d",
        "crate::a::e",
        "super::super::g::h",
    ];
    assert_eq!(paths(code), found);
    let all: BTreeSet<Module> = [vec!["a"], vec!["a", "b"], vec!["g"]]
        .into_iter()
        .map(|module| module.into_iter().map(str::to_owned).collect())
        .collect();
    let of = vec!["a".to_owned(), "b".to_owned()];
    let into = |path| resolve(&of, path, &all).map(|module| module.join("::"));
    assert_eq!(into("crate::a::b::C").as_deref(), Some("a::b"));
    assert_eq!(into("super::self"), Some("a".to_owned()));
    assert_eq!(into("super::super::g::h").as_deref(), Some("g"));
    assert_eq!(into("crate::nothing"), None);
}
