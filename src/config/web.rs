//! Addresses to clone a project from and to look at it, as the configuration names them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::payload::{AddressPattern, Configured};

/// Names that can stand in braces in an address of a project.
const PROJECT: [&str; 3] = ["fullname", "name", "namespace"];

/// Names that can stand in braces in an address of a page.
const PAGE: [&str; 8] = [
    "fullname",
    "name",
    "namespace",
    "url",
    "oid",
    "old",
    "new",
    "ref",
];

/// URL of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProjectUrl(AddressPattern);

/// Address to clone a project from over SSH: a URL, or `USER@HOST:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SshAddress(AddressPattern);

/// A page of commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageUrl(AddressPattern);

/// Software that shows repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Preset {
    Cgit,
    Gitweb,
    Gitiles,
    Sourcehut,
}

/// `[web]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct WebLayer {
    pub(super) preset: Option<Preset>,
    pub(super) commit: Option<PageUrl>,
    pub(super) compare: Option<PageUrl>,
}

impl Preset {
    /// Returns the page of a commit, and that of the difference between two.
    fn pages(self) -> [&'static str; 2] {
        match self {
            Self::Cgit => ["{url}/commit/?id={oid}", "{url}/diff/?id={new}&id2={old}"],
            Self::Gitweb => [
                "{url};a=commit;h={oid}",
                "{url};a=commitdiff;hp={old};h={new}",
            ],
            Self::Gitiles => ["{url}/+/{oid}", "{url}/+log/{old}..{new}"],
            Self::Sourcehut => ["{url}/commit/{oid}", "{url}/log/{new}"],
        }
    }
}

impl WebLayer {
    pub(super) fn update(&mut self, upper: Self) {
        self.preset = upper.preset.or(self.preset);
        self.commit = upper.commit.or(self.commit.take());
        self.compare = upper.compare.or(self.compare.take());
    }
}

/// Returns the addresses that a layer configures: those of a project, where it is cloned from
/// over SSH, and `[web]`.
pub(super) fn configured(
    [clone_http, clone_git, html_url]: [Option<ProjectUrl>; 3],
    clone_ssh: Option<SshAddress>,
    web: WebLayer,
) -> Configured {
    let pages = web.preset.map(|preset| {
        preset.pages().map(|page| {
            AddressPattern::parse(page, &PAGE).expect("the presets have no other names")
        })
    });
    let [commit, compare] = pages.map_or([None, None], |pages| pages.map(Some));
    Configured {
        clone_http: clone_http.map(|set| set.0),
        clone_ssh: clone_ssh.map(|set| set.0),
        clone_git: clone_git.map(|set| set.0),
        html_url: html_url.map(|set| set.0),
        commit: web.commit.map_or(commit, |set| Some(set.0)),
        compare: web.compare.map_or(compare, |set| Some(set.0)),
    }
}

/// Parses an address; `names` can stand in braces in it. Receivers are sent it, so that it must
/// hold no secret.
fn parse(text: &str, names: &[&str], schemes: &[&str]) -> Result<AddressPattern, String> {
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err("a URL has no spaces and nothing beyond ASCII".to_owned());
    }
    let pattern = AddressPattern::parse(text, names)?;
    // Names in braces become what a URL may hold; `{url}` is a whole one.
    let sample = text
        .replace("{url}", "https://host")
        .replace(['{', '}'], "");
    let url = url::Url::parse(&sample).map_err(|error| format!("it is no URL ({error})"))?;
    if !schemes.contains(&url.scheme()) {
        return Err(format!("expected `{}://…`", schemes.join("://…` or `")));
    }
    let is_login = url.scheme() == "ssh" && url.password().is_none();
    if !is_login && (!url.username().is_empty() || url.password().is_some()) {
        return Err("it is sent to every receiver, and must have no name or password".to_owned());
    }
    Ok(pattern)
}

impl<'de> Deserialize<'de> for ProjectUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let pattern = parse(&text, &PROJECT, &["https", "http", "git"]);
        pattern.map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for PageUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let pattern = parse(&text, &PAGE, &["https", "http"]);
        pattern.map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for SshAddress {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let is_short = !text.contains("://") && text.contains(':');
        let pattern = if is_short && text.chars().all(|c| c.is_ascii_graphic()) {
            AddressPattern::parse(&text, &PROJECT)
        } else {
            parse(&text, &PROJECT, &["ssh"])
        };
        pattern.map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for ProjectUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}

impl Serialize for PageUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}

impl Serialize for SshAddress {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}
