//! Addresses of a project, and of the pages of its commits.

use crate::event::Oid;

use super::{Format, wording};

/// An address with names in braces, for which values are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPattern(String);

/// Values to fill an [`AddressPattern`] with.
#[derive(Clone, Copy, Default)]
pub(super) struct Filling<'a> {
    pub(super) fullname: &'a str,
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) url: &'a str,
    pub(super) oid: &'a str,
    pub(super) old: &'a str,
    pub(super) new: &'a str,
    pub(super) reference: &'a str,
}

impl AddressPattern {
    /// Parses a text; `names` are those that can stand in braces. The error names one that cannot,
    /// or says that a brace is missing.
    pub fn parse(text: &str, names: &[&str]) -> Result<Self, String> {
        let mut rest = text;
        while let Some((_, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or("a `{` has no `}`")?;
            if !names.contains(&name) {
                let known: Vec<String> = names.iter().map(|name| format!("`{{{name}}}`")).collect();
                let known = known.join(", ");
                return Err(format!(
                    "`{name}` in braces stands for nothing, expected {known}"
                ));
            }
            rest = behind;
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn fill(&self, with: Filling<'_>) -> String {
        let mut filled = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            filled.push_str(before);
            let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
            filled.push_str(&match name {
                "fullname" => wording::path(with.fullname),
                "name" => wording::path(with.name),
                "namespace" => wording::path(with.namespace),
                "ref" => wording::text(with.reference),
                "url" => with.url.to_owned(),
                "oid" => with.oid.to_owned(),
                "old" => with.old.to_owned(),
                "new" => with.new.to_owned(),
                _ => String::new(),
            });
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }
}

/// Addresses of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// URL to clone from over HTTP.
    pub http: String,
    /// Address to clone from over SSH, a URL or `USER@HOST:PATH`.
    pub ssh: String,
    /// URL to clone from by git's own protocol.
    pub git: String,
    /// Address by which receivers know the project: `http` without `.git`, unless the configuration
    /// says otherwise.
    pub html: String,
    /// Page for people, if its address is another.
    pub page: Option<String>,
    /// Page of a commit, if the configuration names it.
    commit: Option<AddressPattern>,
    /// Page of the difference between two commits, if the configuration names it.
    compare: Option<AddressPattern>,
    fullname: String,
    name: String,
    namespace: String,
    url: String,
}

/// Addresses that a configuration names.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of its keys")]
pub struct Configured {
    pub clone_http: Option<AddressPattern>,
    pub clone_ssh: Option<AddressPattern>,
    pub clone_git: Option<AddressPattern>,
    pub html_url: Option<AddressPattern>,
    pub commit: Option<AddressPattern>,
    pub compare: Option<AddressPattern>,
}

/// Returns the host of a URL, or `localhost`.
pub(super) fn host(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(url::Url::host_str);
    host.unwrap_or("localhost").to_owned()
}

impl Addresses {
    /// Returns the addresses of a project on an instance; `found` are those that cgit and gitweb
    /// show.
    #[must_use]
    pub fn new(
        project: &super::Project,
        instance: &str,
        configured: &Configured,
        found: &[String],
    ) -> Self {
        let url = project.full_url.trim_end_matches('/').to_owned();
        let namespace = project.namespace.clone().unwrap_or_default();
        let filling = Filling {
            fullname: &project.fullname,
            name: &project.name,
            namespace: &namespace,
            url: &url,
            ..Filling::default()
        };
        let said = |pattern: &Option<AddressPattern>| {
            pattern.as_ref().map(|pattern| pattern.fill(filling))
        };
        let shown = |starts: &[&str]| {
            let is_such = |url: &&String| starts.iter().any(|start| url.starts_with(start));
            found.iter().find(is_such).cloned()
        };
        let host = host(instance);
        let path = wording::path(&project.fullname);
        let http = said(&configured.clone_http)
            .or_else(|| shown(&["https://", "http://"]))
            .unwrap_or_else(|| format!("{instance}{path}.git"));
        let html = said(&configured.html_url).unwrap_or_else(|| {
            let bare = http.trim_end_matches('/');
            bare.strip_suffix(".git")
                .unwrap_or(bare)
                .trim_end_matches('/')
                .to_owned()
        });
        Self {
            ssh: said(&configured.clone_ssh)
                .or_else(|| shown(&["ssh://", "git@"]))
                .unwrap_or_else(|| format!("git@{host}:{}.git", project.fullname)),
            git: said(&configured.clone_git)
                .or_else(|| shown(&["git://"]))
                .unwrap_or_else(|| format!("git://{host}/{path}.git")),
            page: Some(project.full_url.clone()).filter(|page| *page != html),
            commit: configured.commit.clone(),
            compare: configured.compare.clone(),
            fullname: project.fullname.clone(),
            name: project.name.clone(),
            http,
            html,
            namespace,
            url,
        }
    }

    /// Returns the page of a commit: the configured one, or this way behind the project's own
    /// address.
    pub(super) fn commit(&self, id: Oid, way: &str) -> String {
        let oid = id.to_string();
        match &self.commit {
            Some(pattern) => pattern.fill(Filling {
                oid: &oid,
                ..self.filling()
            }),
            None => format!("{}{way}{oid}", self.html),
        }
    }

    /// Returns the configured page of the difference between two commits.
    pub(super) fn compare(&self, old: Oid, new: Oid, reference: &str) -> Option<String> {
        let (old, new) = (old.to_string(), new.to_string());
        let filling = Filling {
            old: &old,
            new: &new,
            oid: &new,
            reference,
            ..self.filling()
        };
        Some(self.compare.as_ref()?.fill(filling))
    }

    /// Returns whether the configuration names a page that compares commits.
    pub(super) fn has_compare(&self) -> bool {
        self.compare.is_some()
    }

    /// Returns the pages of a commit and of a comparison that a format sends, with names in braces
    /// for what differs. A format that has no comparison of its own sends the configured one alone.
    #[must_use]
    pub fn pages(&self, format: Format) -> [Option<String>; 2] {
        let filling = Filling {
            oid: "{oid}",
            old: "{old}",
            new: "{new}",
            reference: "{ref}",
            ..self.filling()
        };
        // What is escaped in a URL is not in a text for people.
        let shown = |pattern: &AddressPattern| pattern.fill(filling).replace("%7Bref%7D", "{ref}");
        let way = match format {
            Format::Gitlab => "/-/commit/",
            _ => "/commit/",
        };
        let compared = match format {
            Format::Github | Format::Gitea | Format::Forgejo => {
                Some(format!("{}/compare/{{old}}...{{new}}", self.html))
            }
            _ => None,
        };
        let commit = self.commit.as_ref().map(shown);
        [
            commit.or_else(|| Some(format!("{}{way}{{oid}}", self.html))),
            self.compare.as_ref().map(shown).or(compared),
        ]
    }

    /// Returns whether every commit has the same page, as the configuration has it.
    #[must_use]
    pub fn has_one_page(&self) -> bool {
        let commit = self.commit.as_ref();
        commit.is_some_and(|commit| !commit.as_str().contains("{oid}"))
    }

    fn filling(&self) -> Filling<'_> {
        Filling {
            fullname: &self.fullname,
            name: &self.name,
            namespace: &self.namespace,
            url: &self.url,
            ..Filling::default()
        }
    }
}
