//! A configuration that is plain, as most are: sections, names and values without quotes,
//! escapes and includes (git-config(1), "Syntax"). All else libgit2 reads, or git.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::store::Setting;

/// Room for it is made at once; what is longer than that is not plain.
const LONGEST: u64 = 8 << 10;

/// Reads a file. `None`: it cannot be read, or it is not plain.
pub(super) fn read(path: &Path) -> Option<Vec<Setting>> {
    let mut bytes = Vec::with_capacity(8 << 10);
    let mut file = File::open(path).ok()?.take(LONGEST);
    file.read_to_end(&mut bytes).ok()?;
    // At the limit, there may be more.
    parse(
        std::str::from_utf8(&bytes)
            .ok()
            .filter(|_| file.limit() > 0)?,
    )
}

fn parse(text: &str) -> Option<Vec<Setting>> {
    let mut settings = Vec::new();
    let mut section: Option<String> = None;
    for line in text.lines().map(|line| line.trim_matches([' ', '\t'])) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            section = Some(heading(rest.strip_suffix(']')?)?);
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        let name = name.trim_end_matches([' ', '\t']);
        let value = value.map(|value| value.trim_start_matches([' ', '\t']));
        if !is_word(name) || !value.is_none_or(is_plain) {
            return None;
        }
        settings.push(Setting {
            name: format!("{}.{}", section.as_ref()?, name.to_ascii_lowercase()),
            value: value.map(str::to_owned),
        });
    }
    Some(settings)
}

/// What stands in brackets: `core`, or `remote "origin"`, whose second part has its case.
fn heading(text: &str) -> Option<String> {
    let (name, part) = match text.split_once(" \"") {
        Some((name, part)) => (name, Some(part.strip_suffix('"')?)),
        None => (text, None),
    };
    let name = name.to_ascii_lowercase();
    let is_include = ["include", "includeif"].contains(&&*name);
    if is_include || !is_word(&name) || !part.is_none_or(is_plain) {
        return None;
    }
    Some(part.map_or_else(|| name.clone(), |part| format!("{name}.{part}")))
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_plain(text: &str) -> bool {
    let is_odd = |c: char| c.is_control() || ['"', '\\', '#', ';', '[', ']'].contains(&c);
    !text.contains(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::by_libgit2;

    /// What is plain is what libgit2 makes of it.
    #[track_caller]
    fn is_read(text: &str) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        std::fs::write(&file, text).expect("a file");
        let Some(read) = read(&file) else {
            return false;
        };
        let listed = by_libgit2::list_config(&file).expect("libgit2 reads it, too");
        assert_eq!(read, listed, "{text:?}");
        true
    }

    #[test]
    fn what_is_plain_is_what_libgit2_reads() {
        for plain in [
            "",
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
            "[Core]\r\n  Bare\r\n# so it is\r\n",
            "[remote \"Or.igin x\"]\n url=https://example.org/a  b/~c?d=e&f\n",
            "[a]\nb=\nb = 1\n\n;no\n[c-9]\nd-E\t =\t é x",
            "[gitweb]\n\towner = Ada <ada@example.org>\n\turl = ssh://[::1]/a\n",
        ] {
            let is_plain = !plain.contains("[::1]");
            assert_eq!(is_read(plain), is_plain, "{plain:?}");
        }
        for other in [
            "[include]\npath=x\n",
            "[IncludeIf \"gitdir:/\"]\npath=x\n",
            "[a]\nb = \"c\"\n",
            "[a]\nb = c # d\n",
            "[a]\nb = c\\\n",
            "[a.b]\nc=d\n",
            "[a] b = c\n",
            "[a \"b\\\\\"]\nc=d\n",
            "[a]\nb = c\td\n",
            "[a]\n9b = c\n",
            "a = b\n",
            "[a\nb=c\n",
            "\u{feff}[a]\nb=c\n",
        ] {
            assert!(!is_read(other), "{other:?}");
        }
        assert!(!is_read(&"[a]\nb=c\n".repeat(2000)));
    }
}
