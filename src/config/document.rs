//! One file's text → its layer. An error has the line and the key.

use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::schema::{EndpointLayer, Layer, Origin};
use super::sections::{self, Section, Wrong};
use super::values::text::EndpointName;
use super::{bus, defaults, node};
use crate::payload::Format;

/// The longest timeout of an attempt. A run ends this long after its budget at the latest.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(1);

/// The largest number of requests at once, of which each holds some file descriptors.
const MOST_IN_FLIGHT: usize = 1024;

/// Contents of a file.
pub(super) struct Document {
    /// For all repositories of the file.
    pub(super) layer: Layer,
    /// For some of them.
    pub(super) sections: Vec<Section>,
}

impl Document {
    fn layers(&mut self) -> impl Iterator<Item = &mut Layer> {
        let sections = self.sections.iter_mut().map(|section| &mut section.layer);
        iter::once(&mut self.layer).chain(sections)
    }

    /// Returns whether a secret's text stands in the file itself.
    pub(super) fn holds_secret(&mut self) -> bool {
        self.layers().any(|layer| layer.holds_secret())
    }

    /// Makes relative file names ones below the folder of the file, which belongs to
    /// `owner`.
    pub(super) fn rebase(&mut self, folder: &Path, owner: u32) {
        self.layers().for_each(|layer| layer.rebase(folder, owner));
    }
}

/// Owner of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Server,
    Repository,
}

/// A step on the way to a value.
#[derive(Clone, Copy)]
enum Step {
    Key(&'static str),
    At(usize),
}

/// Error in the value at the end of a way.
type Fault = (Vec<Step>, String);

/// Parses a file's text.
pub(super) fn parse(text: &str, whose: Whose) -> Result<Document, Wrong> {
    let line_at = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
    let document = DeTable::parse(text).map_err(|error| {
        let line = line_at(error.span().map_or(0, |span| span.start));
        (line, first_line(error.message()))
    })?;
    let headers = sections::headers(document.get_ref());
    if whose == Whose::Server {
        sections::check_order(document.get_ref(), text, &line_at)?;
    }
    let mut layer: Layer = node::read(document.into_inner())
        .map_err(|wrong| (line_at(wrong.at.unwrap_or_default()), wrong.to_string()))?;
    check(&layer, whose).map_err(|(way, why)| (line_at(place(text, &way)), why))?;
    if whose == Whose::Repository {
        layer.mark(&Origin::Repository);
    }
    let lines: Vec<usize> = headers.into_iter().map(line_at).collect();
    Ok(Document {
        sections: sections::take(&mut layer, &lines),
        layer,
    })
}

/// Returns the place of the value at the end of a way, or of the last table that exists on it.
fn place(text: &str, way: &[Step]) -> usize {
    let Ok(document) = DeTable::parse(text) else {
        return 0;
    };
    let mut at = 0;
    let root = DeValue::Table(document.into_inner());
    let mut value = &root;
    for step in way {
        let next = match (step, value) {
            (Step::Key(name), DeValue::Table(table)) => {
                let found = table.iter().find(|(key, _)| key.get_ref() == name);
                found.map(|(key, value)| (key.span(), value))
            }
            (Step::At(index), DeValue::Array(array)) => {
                array.get(*index).map(|value| (value.span(), value))
            }
            _ => None,
        };
        let Some((span, found)) = next else { break };
        at = span.start;
        value = found.get_ref();
    }
    at
}

/// Checks rules that types do not express: keys that exclude or need each other.
fn check(layer: &Layer, whose: Whose) -> Result<(), Fault> {
    let refused = |key, why: String| Err((vec![Step::Key(key)], why));
    if layer.matched.is_some() {
        let why = "`match` is a key of a `[[repository]]` in the server's file";
        return refused("match", why.to_owned());
    }
    if whose == Whose::Repository
        && let Some(key) = layer.system_only()
    {
        let why = format!("`{key}` can only be set in the server's file, not by a repository");
        return refused(key, why);
    }
    check_layer(layer)?;
    for (at, section) in layer.repository.iter().enumerate() {
        check_section(section).map_err(|(way, why)| {
            let section = [Step::Key("repository"), Step::At(at)];
            (section.into_iter().chain(way).collect(), why)
        })?;
    }
    Ok(())
}

fn check_section(section: &Layer) -> Result<(), Fault> {
    if section.matched.is_none() {
        let why = "a `[[repository]]` needs a `match`, such as `match = [\"infra/**\"]`";
        return Err((Vec::new(), why.to_owned()));
    }
    if let Some(key) = section.system_only() {
        let why = format!("`{key}` is the whole server's, and cannot be set in a `[[repository]]`");
        return Err((vec![Step::Key(key)], why));
    }
    check_layer(section)
}

fn check_layer(layer: &Layer) -> Result<(), Fault> {
    let own = [
        layer.key.is_some(),
        layer.key_file.is_some(),
        layer.previous_key.is_some(),
    ];
    check_keys(own)?;
    check_filled(layer)?;
    if layer.format == Some(Format::Template) {
        let why =
            "format `template` is of an `[[endpoint]]`, which has a `template`, and not of `urls`";
        return Err((vec![Step::Key("format")], why.to_owned()));
    }
    for (at, endpoint) in layer.endpoint.iter().enumerate() {
        let in_endpoint = |(way, why): Fault| {
            let endpoint = [Step::Key("endpoint"), Step::At(at)];
            (endpoint.into_iter().chain(way).collect(), why)
        };
        check_endpoint(endpoint, &layer.endpoint[..at]).map_err(in_endpoint)?;
    }
    if (layer.delivery.in_flight).is_some_and(|most| !(1..=MOST_IN_FLIGHT).contains(&most)) {
        return Err((
            vec![Step::Key("delivery"), Step::Key("in_flight")],
            format!("`delivery.in_flight` must be 1 to {MOST_IN_FLIGHT}"),
        ));
    }
    let format_of = |name: &EndpointName| {
        let own = layer.endpoint.iter().find(|one| one.name.0 == name.0);
        own.map(|own| own.format)
    };
    let alerts = layer.alerts.check(layer.socket.is_some(), format_of);
    alerts.map_err(|(key, why)| {
        let way = [Some("alerts"), key].into_iter().flatten();
        (way.map(Step::Key).collect(), why)
    })?;
    check_fleet(layer)?;
    let exclude = layer.page.exclude.as_ref();
    if layer.root.is_none() && exclude.is_some_and(|it| it.first_relative().is_some()) {
        return Err((
            vec![Step::Key("page"), Step::Key("exclude")],
            "`page.exclude` has a path below `root`, and there is no `root`".into(),
        ));
    }
    if layer.retry.schedule.as_ref().is_some_and(Vec::is_empty) {
        return Err((
            vec![Step::Key("retry"), Step::Key("schedule")],
            "`retry.schedule` needs one delay at least".into(),
        ));
    }
    Ok(())
}

/// Checks `[broker]` and `[worker]`.
fn check_fleet(layer: &Layer) -> Result<(), Fault> {
    let fault = |table, (key, why): (Option<&'static str>, String)| {
        let way = [Some(table), key].into_iter().flatten();
        (way.map(Step::Key).collect(), why)
    };
    let max_body = layer.max_body.map_or(defaults::MAX_BODY, |own| own.0);
    let broker = layer.broker.check(max_body, layer.root.as_ref());
    broker.map_err(|wrong| fault("broker", wrong))?;
    let worker = layer.worker.check(&layer.broker, layer.spool.as_ref());
    worker.map_err(|wrong| fault("worker", wrong))
}

/// Checks that keys which name something are not empty.
fn check_filled(layer: &Layer) -> Result<(), Fault> {
    let empty = |way: &[&'static str]| {
        let why = format!("`{}` is empty: leave the key out", way.join("."));
        Err((way.iter().copied().map(Step::Key).collect(), why))
    };
    let is_empty = |path: &Option<PathBuf>| path.as_ref().is_some_and(|it| it == Path::new(""));
    for (key, path) in [("root", &layer.root), ("spool", &layer.spool)] {
        if is_empty(path) {
            return empty(&[key]);
        }
    }
    let project = &layer.project;
    for (key, text) in [("name", &project.name), ("fullname", &project.fullname)] {
        if text.as_ref().is_some_and(String::is_empty) {
            return empty(&["project", key]);
        }
    }
    Ok(())
}

/// Checks the keys of one table, by whether it has `key`, `key_file` and `previous_key`.
fn check_keys([key, key_file, previous]: [bool; 3]) -> Result<(), Fault> {
    if key && key_file {
        let why = "`key` and `key_file` are two answers to one question: take one";
        return Err((vec![Step::Key("key_file")], why.into()));
    }
    if previous && !key && !key_file {
        let why = "`previous_key` stands beside the key that replaces it, `key` or `key_file`";
        return Err((vec![Step::Key("previous_key")], why.into()));
    }
    Ok(())
}

fn check_endpoint(endpoint: &EndpointLayer, before: &[EndpointLayer]) -> Result<(), Fault> {
    let name = &endpoint.name.0;
    check_keys([
        endpoint.key.is_some(),
        endpoint.key_file.is_some(),
        endpoint.previous_key.is_some(),
    ])?;
    if before.iter().any(|other| other.name.0 == *name) {
        let why = format!("two endpoints are named `{name}`");
        return Err((vec![Step::Key("name")], why));
    }
    let mut headers = endpoint.headers.keys();
    if endpoint.url.has_userinfo()
        && headers.any(|header| header.0.eq_ignore_ascii_case("authorization"))
    {
        let why = format!(
            "the name and password in the URL of `{name}` and its header `Authorization` are \
             two answers to one question: take one"
        );
        return Err((vec![Step::Key("headers")], why));
    }
    if endpoint.client_cert_file.is_some() != endpoint.client_key_file.is_some() {
        let why = format!(
            "`client_cert_file` and `client_key_file` of `{name}` are of use only together"
        );
        return Err((Vec::new(), why));
    }
    bus::check(endpoint).map_err(|(key, why)| (vec![Step::Key(key)], why))?;
    check_format(endpoint)?;
    let fits = |timeout: Duration| !timeout.is_zero() && timeout <= LONGEST_TIMEOUT;
    if endpoint.timeout.is_some_and(|timeout| !fits(timeout.0)) {
        let why = format!("`timeout` of `{name}` must be longer than nothing, and 60s at most");
        return Err((vec![Step::Key("timeout")], why));
    }
    Ok(())
}

/// Checks that an endpoint asks for nothing that its format does not have.
fn check_format(endpoint: &EndpointLayer) -> Result<(), Fault> {
    let (name, format) = (&endpoint.name.0, endpoint.format);
    let topics = endpoint.topics.as_ref().zip(format.topics());
    if let Some((topic, known)) = topics.and_then(|(own, known)| Some((own.idle(known)?, known))) {
        let format = format.name();
        let known = known.join("`, `");
        let why = format!(
            "format `{format}` has no topic `{topic}`, which `{name}` asks for: it has `{known}`"
        );
        return Err((vec![Step::Key("topics")], why));
    }
    if endpoint.token.is_some() && format != Format::Gitlab {
        let why = format!(
            "`token` of `{name}` is of format `gitlab` alone, and its format is `{}`",
            format.name()
        );
        return Err((vec![Step::Key("token")], why));
    }
    if format == Format::Template && endpoint.template.is_none() {
        let why = format!("`{name}` has format `template` and no `template = {{ file = \"…\" }}`");
        return Err((vec![Step::Key("format")], why));
    }
    let of_template = [
        ("template", endpoint.template.is_some()),
        ("content_type", endpoint.content_type.is_some()),
    ];
    let mut of_template = of_template.into_iter().filter(|(_, is_set)| *is_set);
    if format != Format::Template
        && let Some((key, _)) = of_template.next()
    {
        let why = format!(
            "`{key}` of `{name}` is of format `template` alone, and its format is `{}`",
            format.name()
        );
        return Err((vec![Step::Key(key)], why));
    }
    if endpoint.standard_webhooks == Some(true) && endpoint.unsigned == Some(true) {
        let why = format!("`standard_webhooks` of `{name}` signs, and `unsigned` says not to");
        return Err((vec![Step::Key("standard_webhooks")], why));
    }
    Ok(())
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
