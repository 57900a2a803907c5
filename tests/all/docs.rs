//! Links in the docs lead somewhere, and so do the paths of docs in messages and comments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders that name pages. `.ci` and `fuzz` are not in the published crate.
const PLACES: &str = "README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md install.sh Cargo.toml \
                      docs src tests contrib hooks .ci fuzz/Cargo.toml";

/// Characters of paths.
const PATH: fn(char) -> bool = |c| c.is_ascii_alphanumeric() || "/-_.".contains(c);

#[test]
fn links_lead_to_pages_and_headings() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = prose(&fs::read_to_string(&page).unwrap());
        for part in text.split("](").skip(1) {
            let link = part.split(')').next().unwrap();
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let has_heading = || {
                let anchors = headings(&target).into_iter().map(|it| slug(&it));
                anchor.is_empty() || anchors.collect::<BTreeSet<_>>().contains(anchor)
            };
            if !target.exists() || !has_heading() {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn paths_of_docs_name_pages_and_headings() {
    let mut dead = Vec::new();
    for file in files() {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let text = unwrapped(&text);
        for part in text.split("docs/").skip(1) {
            let end = part.find(|c| !PATH(c)).unwrap_or(part.len());
            let Some(name) = part[..end].trim_end_matches('.').strip_suffix(".md") else {
                continue;
            };
            let page = root().join("docs").join(format!("{name}.md"));
            let heading = part[end..].strip_prefix(", \"");
            let heading = heading.and_then(|rest| rest.split('"').next());
            let is_there = |it: &str| {
                headings(&page)
                    .iter()
                    .any(|heading| *heading == it.trim_end_matches(','))
            };
            if !page.exists() || !heading.is_none_or(is_there) {
                let heading = heading.unwrap_or_default();
                dead.push(format!("{}: docs/{name}.md {heading}", file.display()));
            }
        }
    }
    assert!(dead.is_empty(), "no such pages:\n{}", dead.join("\n"));
}

#[test]
fn the_summary_has_every_page() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for page in pages() {
        let Ok(name) = page.strip_prefix(root().join("docs")) else {
            continue;
        };
        let name = name.to_str().unwrap();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("]({name})")),
            "docs/SUMMARY.md lacks {name}"
        );
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for place in PLACES.split_whitespace() {
        add(&root().join(place), &mut found);
    }
    assert!(found.len() > 200);
    found
}

pub(crate) fn pages() -> Vec<PathBuf> {
    let mut found = files();
    found.retain(|file| file.extension().is_some_and(|it| it == "md"));
    found
}

fn add(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            add(&entry.unwrap().path(), found);
        }
    } else if path.exists() {
        found.push(path.to_owned());
    }
}

/// A page without its code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        // Odd parts lie between backticks.
        if !is_code {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join(""));
        }
    }
    lines.join("\n")
}

fn headings(page: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(page) else {
        return Vec::new();
    };
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if line.starts_with('#') && !is_code {
            found.push(line.trim_start_matches('#').trim().to_owned());
        }
    }
    found
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

/// A text in which a sentence that goes on in the next line, also of a comment or of a
/// string, is one line.
fn unwrapped(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_end_matches('\\').trim();
        let line = line.trim_start_matches("//!").trim_start_matches("///");
        line.trim_start_matches("//")
            .trim_start_matches("# ")
            .trim()
    });
    lines.collect::<Vec<_>>().join(" ").replace("\\\"", "\"")
}

#[test]
fn the_spec_of_the_rpm_has_the_version_of_the_crate() {
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/rpm/refpost.spec");
    let spec = fs::read_to_string(spec).unwrap();
    let version = spec.lines().find_map(|line| line.strip_prefix("Version:"));
    assert_eq!(version.map(str::trim), Some(env!("CARGO_PKG_VERSION")));
}
