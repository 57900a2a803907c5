//! Which repositories a pattern is about: the globs of `match`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// `*` stays within a name, and only `**` leads on to folders below, as in
/// gitignore(5).
const OPTIONS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A glob that chooses repositories, or with `!` takes some away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPattern {
    /// Text of the pattern, as it was written.
    text: String,
    is_negated: bool,
    is_absolute: bool,
    glob: glob::Pattern,
}

impl FromStr for RepositoryPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (is_negated, glob) = match text.strip_prefix('!') {
            Some(glob) => (true, glob),
            None => (false, text),
        };
        if glob.is_empty() {
            return Err("a pattern is empty".to_owned());
        }
        let expanded = if glob.ends_with('/') {
            format!("{glob}**")
        } else {
            without_git(glob).to_owned()
        };
        let pattern =
            glob::Pattern::new(&expanded).map_err(|error| format!("pattern `{text}`: {error}"))?;
        Ok(Self {
            text: text.to_owned(),
            is_negated,
            is_absolute: glob.starts_with('/'),
            glob: pattern,
        })
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Patterns in their order: the last one that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryPatterns(Vec<RepositoryPattern>);

impl RepositoryPatterns {
    /// Patterns of the command line; none choose everything, and so do those that
    /// only take away, but for what they take.
    #[must_use]
    pub fn new(patterns: &[RepositoryPattern]) -> Self {
        Self(patterns.to_vec())
    }

    /// Returns whether they choose this repository.
    #[must_use]
    pub fn choose(&self, names: &Names) -> bool {
        let chosen = self.0.first().is_none_or(|first| first.is_negated);
        self.0.iter().fold(chosen, |chosen, pattern| {
            if names.are_matched_by(pattern) {
                !pattern.is_negated
            } else {
                chosen
            }
        })
    }

    /// The first pattern of a path below `root`.
    pub(in crate::config) fn first_relative(&self) -> Option<&RepositoryPattern> {
        self.0.iter().find(|pattern| !pattern.is_absolute)
    }

    /// All of them in one text, which no other patterns have.
    pub(in crate::config) fn identity(&self) -> String {
        let texts: Vec<&str> = self.0.iter().map(|pattern| &*pattern.text).collect();
        texts.join("\n")
    }
}

impl fmt::Display for RepositoryPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pattern) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}\"{pattern}\"")?;
        }
        Ok(())
    }
}

impl Serialize for RepositoryPatterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|pattern| &pattern.text))
    }
}

impl<'de> Deserialize<'de> for RepositoryPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PatternsVisitor;
        impl<'de> Visitor<'de> for PatternsVisitor {
            type Value = RepositoryPatterns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of patterns like `[\"infra/**\", \"!infra/secret\"]`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut patterns: Vec<RepositoryPattern> = Vec::new();
                while let Some(text) = seq.next_element::<String>()? {
                    patterns.push(text.parse().map_err(A::Error::custom)?);
                }
                match patterns.first() {
                    None => Err(A::Error::custom(
                        "it is empty: `[\"**\"]` is every repository",
                    )),
                    Some(first) if first.is_negated => Err(A::Error::custom(format_args!(
                        "`{first}` stands first, where there is nothing to take away from: \
                         begin with `**`"
                    ))),
                    Some(_) => Ok(RepositoryPatterns(patterns)),
                }
            }
        }
        deserializer.deserialize_any(PatternsVisitor)
    }
}

/// Names that patterns are matched with: a repository's path below the root, and its whole path;
/// both without `.git`.
#[derive(Clone, Debug)]
pub struct Names {
    /// Path below the root; `None` elsewhere, or without a root.
    below: Option<String>,
    /// Its path with links resolved, and by way of the root as that was written.
    absolute: Vec<String>,
}

impl Names {
    /// Returns the names of the repository in `git_dir`, the folder with `HEAD` in it, its links
    /// resolved.
    #[must_use]
    pub fn new(git_dir: &Path, root: Option<&Path>) -> Self {
        let path = match git_dir.parent() {
            Some(parent) if git_dir.ends_with(".git") => parent,
            _ => git_dir,
        };
        let text = |path: &Path| without_git(&path.to_string_lossy()).to_owned();
        let below = root.and_then(|root| below(root, path));
        let by_root = root.zip(below.as_deref());
        let mut absolute = vec![text(path)];
        absolute.extend(by_root.map(|(root, below)| text(&root.join(below))));
        Self {
            below: below.map(|below| text(&below)),
            absolute,
        }
    }

    fn are_matched_by(&self, pattern: &RepositoryPattern) -> bool {
        let matches = |name: &String| pattern.glob.matches_with(name, OPTIONS);
        if pattern.is_absolute {
            self.absolute.iter().any(matches)
        } else {
            self.below.iter().any(matches)
        }
    }
}

/// Returns the part of a path, its links resolved, below `root`. A root that the path begins with
/// is taken as it stands; of another one the links are resolved first.
#[must_use]
pub fn below(root: &Path, path: &Path) -> Option<PathBuf> {
    let below = match path.strip_prefix(root) {
        Ok(below) => below,
        Err(_) => path.strip_prefix(root.canonicalize().ok()?).ok()?,
    };
    below.file_name().is_some().then(|| below.to_owned())
}

/// A repository's name without the `.git` that most bare ones end in.
pub(in crate::config) fn without_git(name: &str) -> &str {
    match name.strip_suffix(".git") {
        Some(short) if !short.is_empty() && !short.ends_with('/') => short,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(patterns: &[&str], git_dir: &str) -> bool {
        let parse = |text: &&str| text.parse().expect("a pattern");
        let patterns: Vec<_> = patterns.iter().map(parse).collect();
        let names = Names::new(Path::new(git_dir), Some(Path::new("/srv/git")));
        RepositoryPatterns::new(&patterns).choose(&names)
    }

    #[test]
    fn a_pattern_is_the_whole_path_below_the_root() {
        let table: [(&str, &[&str], &[&str]); 9] = [
            (
                "tools",
                &["/srv/git/tools.git", "/srv/git/tools/.git"],
                &["/srv/git/a/tools.git"],
            ),
            ("*", &["/srv/git/a.git"], &["/srv/git/a/b.git"]),
            (
                "**",
                &["/srv/git/a.git", "/srv/git/a/b/c.git"],
                &["/srv/other/a.git"],
            ),
            (
                "infra/**",
                &["/srv/git/infra/a.git", "/srv/git/infra/a/b.git"],
                &["/srv/git/infra.git"],
            ),
            (
                "infra/",
                &["/srv/git/infra/a.git", "/srv/git/infra/a/b"],
                &["/srv/git/infrared/a.git"],
            ),
            (
                "**/wiki.git",
                &["/srv/git/wiki.git", "/srv/git/a/b/wiki.git"],
                &["/srv/git/a/wiki2.git"],
            ),
            ("*.wiki", &["/srv/git/a.wiki.git"], &["/srv/git/awiki.git"]),
            (
                "/srv/*/**",
                &["/srv/git/a.git", "/srv/other/a.git"],
                &["/srv/a.git", "/home/a.git"],
            ),
            (
                "[ab]?",
                &["/srv/git/a1.git"],
                &["/srv/git/c1.git", "/srv/git/a/.git"],
            ),
        ];
        for (pattern, yes, no) in table {
            for path in yes {
                assert!(chosen(&[pattern], path), "{pattern} {path}");
            }
            for path in no {
                assert!(!chosen(&[pattern], path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let patterns = ["infra/**", "!infra/secret/**", "infra/secret/public"];
        assert!(chosen(&patterns, "/srv/git/infra/a.git"));
        assert!(!chosen(&patterns, "/srv/git/infra/secret/a.git"));
        assert!(chosen(&patterns, "/srv/git/infra/secret/public.git"));
        assert!(!chosen(&patterns, "/srv/git/a.git"));
        // As on a command line: all but these.
        assert!(chosen(&["!infra/**"], "/srv/git/a.git"));
        assert!(!chosen(&["!infra/**"], "/srv/git/infra/a.git"));
        assert!(chosen(&[], "/srv/git/a.git"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "!", "a[", "a**b"] {
            assert!(text.parse::<RepositoryPattern>().is_err(), "{text}");
        }
    }
}
