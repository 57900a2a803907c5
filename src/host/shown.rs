//! What cgit and gitweb show of a repository, from where they read it: `cgitrc` in the
//! repository (cgitrc(5), `scan-path`), `cgit.*` and `gitweb.*` in its `config`
//! (cgitrc(5), `enable-git-config`; gitweb(1), "Per-repository gitweb configuration").

use crate::git::{Repository, Setting};
use crate::plain_file::Folder;

/// A `cgitrc` of more than this is read so far.
const LONGEST_CGITRC: u64 = 64 * 1024;

/// Longer texts are cut: they show one line.
const LONGEST_TEXT: usize = 4096;

/// Texts that they show. The most specific file that has one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// `desc`, `gitweb.description`.
    pub description: Option<String>,
    /// `owner`: a name, an account, or `Name <address>`.
    pub owner: Option<String>,
    /// `section`, `gitweb.category`.
    pub category: Option<String>,
    /// `clone-url`, `gitweb.url`: the first that a browser can open, too.
    pub url: Option<String>,
    /// All of them that hold no secret and are whole.
    pub clone_urls: Vec<String>,
}

/// Lines of a repository's own config.
pub(super) struct ConfigTexts<'a>(&'a [Setting]);

impl ConfigTexts<'_> {
    /// Returns all values of a key, which is in lower case, in their order.
    fn all(&self, key: &str) -> Vec<String> {
        let settings = self.0.iter().filter(|setting| setting.name == key);
        // A key without a value is a truth, and no text.
        settings
            .filter_map(|setting| setting.value.clone())
            .collect()
    }

    /// Returns the last value of a key, which is the one that counts (git-config(1)).
    pub(super) fn last(&self, key: &str) -> Option<String> {
        self.all(key).pop()
    }
}

impl Repository {
    pub(super) fn shown(&self, config: &ConfigTexts<'_>) -> Shown {
        // What cannot be read says nothing.
        let folder = Folder::open(&self.path());
        let bytes = folder.and_then(|folder| folder.read("cgitrc", LONGEST_CGITRC));
        let bytes = bytes.unwrap_or_default();
        shown(&String::from_utf8_lossy(&bytes), &|key| config.all(key))
    }

    pub(super) fn config_texts(&self) -> ConfigTexts<'_> {
        ConfigTexts(self.own_config())
    }
}

fn shown(cgitrc: &str, config: &dyn Fn(&str) -> Vec<String>) -> Shown {
    let texts = |cgit: &str, gitweb: &str| {
        let mut sources = [
            in_cgitrc(cgitrc, cgit),
            config(&format!("cgit.{cgit}")),
            config(&format!("gitweb.{gitweb}")),
        ];
        let says = |texts: &&mut Vec<String>| texts.iter().any(|text| !text.trim().is_empty());
        sources.iter_mut().find(says).map(std::mem::take)
    };
    let text = |cgit, gitweb| {
        let last = texts(cgit, gitweb)?.pop()?;
        Some(last.trim().chars().take(LONGEST_TEXT).collect())
    };
    let is_page = |url: &&str| {
        let rest = ["https://", "http://"].iter();
        let mut rest = rest.filter_map(|scheme| url.strip_prefix(scheme));
        // cgit fills in `$…`; what stands before `@` is a secret.
        rest.next()
            .is_some_and(|rest| !rest.is_empty() && !rest.contains(['$', '@']))
    };
    let urls = texts("clone-url", "url").map(|urls| urls.join(" "));
    let urls = urls.unwrap_or_default();
    let is_whole = |url: &&str| is_page(url) || is_of_git(url);
    Shown {
        clone_urls: urls
            .split_whitespace()
            .filter(is_whole)
            .map(str::to_owned)
            .collect(),
        description: text("desc", "description"),
        owner: text("owner", "owner"),
        category: text("section", "category"),
        url: urls.split_whitespace().find(is_page).map(str::to_owned),
    }
}

/// Returns whether only git opens this address, without a password.
fn is_of_git(url: &str) -> bool {
    let rest = url.strip_prefix("ssh://").or(url.strip_prefix("git://"));
    let (login, _) = rest.unwrap_or(url).split_once('@').unwrap_or_default();
    let is_short = rest.is_none() && url.starts_with("git@") && url.contains(':');
    (rest.is_some() || is_short) && !login.contains([':', '/']) && !url.contains('$')
}

/// Returns the values of a key in a `cgitrc`: lines `key=value`, and comments.
fn in_cgitrc(text: &str, key: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_start);
    lines
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cgitrc: &str, config: &[(&str, &str)]) -> Shown {
        shown(cgitrc, &|key| {
            let values = config.iter().filter(|(name, _)| *name == key);
            values.map(|(_, value)| (*value).to_owned()).collect()
        })
    }

    #[test]
    fn cgitrc_counts_before_cgits_keys_and_these_before_gitwebs() {
        let gitweb = ("gitweb.description", "from gitweb");
        let cgit = ("cgit.desc", "from cgit");
        let said = |shown: Shown| shown.description.unwrap_or_default();
        assert_eq!(said(of("", &[gitweb])), "from gitweb");
        assert_eq!(said(of("", &[gitweb, cgit])), "from cgit");
        let file = "# desc=no\n  desc=from the file \nreadme=:x\n";
        assert_eq!(said(of(file, &[gitweb, cgit])), "from the file");
        assert_eq!(said(of("desc=\n", &[gitweb])), "from gitweb");
        assert_eq!(of("owner = no\n", &[]), Shown::default());
    }

    #[test]
    fn an_address_is_one_that_anybody_may_see_and_open() {
        let url = |value| of("", &[("gitweb.url", value)]).url;
        assert_eq!(url("git@example.org:tools.git"), None);
        assert_eq!(url("https://alice:secret@example.org/tools.git"), None);
        assert_eq!(url("http://$HTTP_HOST/$CGIT_REPO_URL"), None);
        let page = "https://git.example.org/tools.git";
        let several = of(
            "",
            &[
                ("gitweb.url", "ssh://git.example.org/tools.git"),
                ("gitweb.url", page),
            ],
        );
        assert_eq!(several.url.as_deref(), Some(page));
        let one_line = of(&format!("clone-url=git://a/b {page}\n"), &[]);
        assert_eq!(one_line.url.as_deref(), Some(page));
    }
}
