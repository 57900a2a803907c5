//! A body that an endpoint's own template makes of the facts, as `minijinja` renders it.
//!
//! A template is of a person on this server, and the facts are of strangers: a render is bounded
//! in time and memory, and what should be JSON is parsed before it counts.

use std::io;
use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value};
use serde::de::IgnoredAny;

use super::{escape, wording};

/// Bound of a render: about as many instructions, or 64 times as many bytes.
const FUEL: u64 = 1_000_000;

/// Widest indentation of JSON. `minijinja` makes the whole text before it counts its length.
const WIDEST: usize = 8;

/// Depth to which macros call each other, and to which lists are in each other.
const DEPTH: usize = 64;

/// A filter of a text, after its name.
type TextFilter = (&'static str, fn(&str) -> String);

/// The filters of a text.
const TEXT_FILTERS: [TextFilter; 4] = [
    ("plain", escape::plain),
    ("mrkdwn", escape::mrkdwn),
    ("markdown", escape::markdown),
    ("urlencode", wording::text),
];

/// Filters of `minijinja` that make a text of any value before they spend fuel.
const OF_ANY_VALUE: [&str; 15] = [
    "capitalize",
    "e",
    "escape",
    "format",
    "indent",
    "join",
    "lines",
    "lower",
    "pprint",
    "replace",
    "split",
    "string",
    "title",
    "trim",
    "upper",
];

/// Reason for which a template makes no body.
#[derive(Debug, thiserror::Error)]
pub enum TemplateFault {
    /// It is no template.
    #[error("invalid template")]
    Invalid(#[source] minijinja::Error),
    /// It failed with these facts, for example by a name that stands for nothing.
    #[error("cannot render the template")]
    Render(#[source] minijinja::Error),
    /// The facts are no JSON: an entry was changed.
    #[error("cannot read the facts")]
    Facts(#[source] serde_json::Error),
    /// The body is longer than `max_body`.
    #[error("the rendered body is longer than `max_body`, {0} bytes")]
    TooLong(usize),
    /// The body should be JSON by its content type.
    #[error("the rendered body is no JSON")]
    NoJson(#[source] serde_json::Error),
}

/// A template, compiled.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    name: String,
    is_json: bool,
}

impl Template {
    /// Compiles a template; errors name it by `name`. Bodies of a JSON `content_type` must be JSON.
    pub fn parse(name: &str, text: String, content_type: &str) -> Result<Self, TemplateFault> {
        let mut environment = bounded();
        let original = Arc::new(bounded());
        for filter in OF_ANY_VALUE {
            let original = Arc::clone(&original);
            environment.add_filter(
                filter,
                move |state: &State<'_, '_>, args: Rest<ValueOrKwargs>| {
                    let args = args.into_values();
                    args.iter().try_for_each(|value| spend(state, value, 0))?;
                    let made = original.empty_state().apply_filter(filter, &args)?;
                    spend(state, &made, 0)?;
                    Ok::<_, minijinja::Error>(made)
                },
            );
        }
        for (name, filter) in TEXT_FILTERS {
            let own = move |state: &State<'_, '_>, text: &Value| of_text(state, text, filter);
            environment.add_filter(name, own);
        }
        environment.add_filter("tojson", to_json);
        let added = environment.add_template_owned(name.to_owned(), text);
        added.map_err(TemplateFault::Invalid)?;
        let kind = content_type.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        Ok(Self {
            environment,
            name: name.to_owned(),
            is_json: kind == "application/json" || kind.ends_with("+json"),
        })
    }

    /// Renders a body of the facts, a JSON document, of `longest` bytes at most.
    pub fn render(&self, facts: &[u8], longest: usize) -> Result<Vec<u8>, TemplateFault> {
        let facts: Value = serde_json::from_slice(facts).map_err(TemplateFault::Facts)?;
        let template = self.environment.get_template(&self.name);
        let template = template.map_err(TemplateFault::Invalid)?;
        let mut room = Room {
            bytes: Vec::new(),
            longest,
            is_full: false,
        };
        let rendered = template.render_captured_to(facts, &mut room);
        match rendered.err() {
            Some(_) if room.is_full => return Err(TemplateFault::TooLong(longest)),
            Some(error) => return Err(TemplateFault::Render(error)),
            None => {}
        }
        if !self.is_json {
            return Ok(room.bytes);
        }
        let body = room.bytes.trim_ascii();
        serde_json::from_slice::<IgnoredAny>(body).map_err(TemplateFault::NoJson)?;
        Ok(body.to_vec())
    }
}

/// Returns an environment whose renders are bounded, with the filters of `minijinja`.
fn bounded() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment
}

const UNDEFINED: ErrorKind = ErrorKind::UndefinedError;

/// Passes a value as text to a filter.
fn of_text(
    state: &State<'_, '_>,
    value: &Value,
    filter: fn(&str) -> String,
) -> Result<String, minijinja::Error> {
    spend(state, value, 0)?;
    Ok(filter(&value.to_string()))
}

/// Writes a value as JSON. The filter of `minijinja` writes an undefined value as null.
fn to_json(
    state: &State<'_, '_>,
    value: &Value,
    indent: Option<Value>,
    args: Kwargs,
) -> Result<Value, minijinja::Error> {
    let named: Option<Value> = args.peek("indent")?;
    let width = indent.clone().or(named).map(usize::try_from);
    if width.is_some_and(|width| width.is_ok_and(|width| width > WIDEST)) {
        return Err(refused(format!("`tojson` indents by {WIDEST} at most")));
    }
    spend(state, value, 0)?;
    let json = minijinja::filters::tojson(value, indent, args)?;
    // As its own filter costs, besides the text itself.
    state.consume_fuel(json.as_str().map_or(0, str::len) as u64 / 4)?;
    Ok(json)
}

/// Consumes fuel for a value and each in it, before anything is made of them. Fails if one of them
/// stands for nothing.
///
/// A list that was multiplied has its parts in memory once, and in a text each time.
fn spend(state: &State<'_, '_>, value: &Value, depth: usize) -> Result<(), minijinja::Error> {
    if depth > DEPTH {
        return Err(refused("lists are too deep in each other".to_owned()));
    }
    // A line of JSON begins with spaces.
    let length = value.as_bytes().map_or(0, <[u8]>::len) + depth * WIDEST;
    state.consume_fuel(1 + length as u64 / 64)?;
    let part = |one: &Value| spend(state, one, depth + 1);
    match value.kind() {
        ValueKind::Undefined => Err(UNDEFINED.into()),
        ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.try_for_each(|one| part(&one)),
        ValueKind::Map => value.try_iter()?.try_for_each(|key| {
            part(&key)?;
            part(&value.get_item(&key)?)
        }),
        _ => Ok(()),
    }
}

fn refused(why: String) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, why)
}

/// A writer of a limited number of bytes.
struct Room {
    bytes: Vec<u8>,
    longest: usize,
    is_full: bool,
}

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.longest - self.bytes.len() {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;

    fn rendered(text: &str, content_type: &str) -> Result<String, String> {
        let facts = br#"{"a": "x\"\n@y", "n": null, "l": [1, 2], "ref": {"name": "a b/c"}}"#;
        let template = Template::parse("t.json", text.to_owned(), content_type);
        let body = template.and_then(|template| template.render(facts, 1 << 16));
        let body = body.map_err(|fault| report::chain(&fault))?;
        Ok(String::from_utf8(body).expect("a template is text"))
    }

    #[test]
    fn a_template_has_filters_for_each_place() {
        for (text, expected) in [
            ("{\"a\": {{ a|tojson }}}\n\n", "{\"a\": \"x\\\"\\n@y\"}"),
            ("{{ ref.name|urlencode|tojson }}", "\"a%20b%2Fc\""),
            ("{{ (a|mrkdwn)|tojson }}", "\"x\\\" @\u{2060}y\""),
            (
                "{% set t %}{% for i in l %}{{ i }},{% endfor %}{% endset %}{{ t|tojson }}",
                "\"1,2,\"",
            ),
            ("{{ (n is none and l|length == 2)|tojson }}", "true"),
            ("{{ l|tojson(1) }}", "[\n 1,\n 2\n]"),
            ("{{ l|tojson(true) }}", "[\n  1,\n  2\n]"),
            ("{{ l|tojson(indent=false) }}", "[1, 2]"),
        ] {
            assert_eq!(rendered(text, "application/json").as_deref(), Ok(expected));
        }
        let text = rendered(" <{{ a }}> ", "text/plain");
        assert_eq!(text.as_deref(), Ok(" <x\"\n@y> "));
    }

    /// A list in lists, each multiplied, has milliards of parts and a few bytes.
    #[test]
    fn a_filter_made_a_text_of_any_length_before_it_spent_fuel() {
        let list = "{% set n = namespace(x='x' * 65000) %}{% for i in range(4) %}{% set n.x = [n.x] * 999 %}{% endfor %}";
        let filters = OF_ANY_VALUE.iter().chain(["tojson"].iter());
        for filter in filters.chain(TEXT_FILTERS.iter().map(|(name, _)| name)) {
            let args = match *filter {
                "replace" => "('a', 'b')",
                _ => "",
            };
            let text = format!("{list}{{{{ n.x|{filter}{args} }}}}");
            let fault = rendered(&text, "text/plain").expect_err(filter);
            assert!(
                fault.contains("engine ran out of fuel"),
                "{filter}: {fault}"
            );
        }
        // What they make is as before.
        for (text, expected) in [
            ("{{ a|upper }}", "X\"\n@Y"),
            ("{{ l|join('-') }}", "1-2"),
            ("{{ '%s of %s'|format(1, 2) }}", "1 of 2"),
            ("{{ 'a\nb'|indent(width=2, first=true) }}", "  a\n  b"),
            ("{{ ['a', 'b']|map('upper')|join }}", "AB"),
            ("{{ '<a>'|e }}", "&lt;a&gt;"),
            ("{{ 'a b'|split|length }}", "2"),
        ] {
            assert_eq!(
                rendered(text, "text/plain").as_deref(),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_a_template_cannot_do_is_an_error_that_says_where() {
        for (text, expected) in [
            ("{{ oops }}", "cannot render the template: undefined value"),
            ("\n{{ ref.oops }}", "(in t.json:2)"),
            (
                "{{ ref.oops|tojson }}",
                "cannot render the template: undefined value",
            ),
            (
                "{{ {'x': [ref.oops]}|tojson }}",
                "cannot render the template: undefined value",
            ),
            (
                "{{ ref.oops|mrkdwn|tojson }}",
                "cannot render the template: undefined value",
            ),
            (
                "{{ ref.oops|urlencode|tojson }}",
                "cannot render the template: undefined value",
            ),
            (
                "{{ (ref.name ~ ref.oops)|tojson }}",
                "cannot render the template: undefined value",
            ),
            (
                "{{ 1 if ref.oops else 2 }}",
                "cannot render the template: undefined value",
            ),
            (
                "{% for c in ref.oops %}1{% endfor %}",
                "cannot render the template: undefined value",
            ),
            (
                "{{ ref.oops|upper|tojson }}",
                "cannot render the template: ",
            ),
            ("{{ ref.oops|length }}", "cannot render the template: "),
            ("{{ n.name }}", "cannot render the template: "),
            ("{% if %}", "invalid template: syntax error"),
            ("{% include 'x' %}", "invalid template: syntax error"),
            ("{\"a\": \"{{ a }}\"}", "the rendered body is no JSON: "),
            ("", "the rendered body is no JSON: "),
            (
                "{% for i in range(99999) %}{% for j in range(99) %}{% endfor %}{% endfor %}",
                "engine ran out of fuel",
            ),
            (
                "{% set x = 'x' * 65000 %}{% for i in range(9999) %}{% set y = x ~ x %}{% endfor %}",
                "engine ran out of fuel",
            ),
            ("{{ l|tojson(9) }}", "`tojson` indents by 8 at most"),
            (
                "{{ l|tojson(indent=1000000000) }}",
                "`tojson` indents by 8 at most",
            ),
            ("{{ l|tojson(99999999999999999999) }}", "cannot render"),
            (
                "{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = [n.x] %}\
                 {% endfor %}{{ n.x|tojson }}",
                "lists are too deep in each other",
            ),
            ("{{ l|tojson(-1) }}", "cannot render"),
            (
                "{{ (['x' * 65000] * 90000000)|tojson }}",
                "engine ran out of fuel",
            ),
            (
                "{{ (['x' * 65000] * 90000000)|plain }}",
                "engine ran out of fuel",
            ),
            (
                "{{ ({'x': ['x' * 9999999] * 999})|tojson }}",
                "engine ran out of fuel",
            ),
            (
                "{{ ({'x': ['x' * 9999999] * 999})|mrkdwn }}",
                "engine ran out of fuel",
            ),
            ("{{ l|tojson(2, indent=2) }}", "cannot render"),
            (
                "\"{{ 'x' * 70000 }}\"",
                "longer than `max_body`, 65536 bytes",
            ),
            (
                "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                "recursion limit exceeded",
            ),
        ] {
            let fault = rendered(text, "application/json").expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }
}
