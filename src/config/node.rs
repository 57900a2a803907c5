//! Values of a TOML document for serde. An error has its key and its place from where it is
//! met, and no text of a value, which may be a secret in the wrong place.

use std::cell::Cell;
use std::fmt;
use std::iter;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserialize, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use toml::de::{DeTable, DeValue};

/// Tables of which a file has several.
const REPEATED: [&str; 2] = ["endpoint", "repository"];

/// Error in a value.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Its place; `None` for the whole document.
    pub(super) at: Option<usize>,
    /// Its key, such as `endpoint[0].url`.
    key: String,
    why: String,
    /// True if the key is told beside the reason.
    tells_key: bool,
    /// True if there is one table in the place of several.
    is_one: bool,
    /// The unknown key that the error is about.
    unknown: Option<String>,
    /// Length of the end of `key` that lies below the outermost table that has the unknown key.
    misplaced: Option<usize>,
}

/// Reads a document.
pub(super) fn read<'de, T: Deserialize<'de>>(document: DeTable<'_>) -> Result<T, Wrong> {
    T::deserialize(Node(&DeValue::Table(document)))
}

#[derive(Clone, Copy)]
struct Node<'a>(&'a DeValue<'a>);

/// The place and the key of a part.
type Part = Option<(usize, String)>;

/// After the last part, nothing is any part's fault.
fn end<T>(part: &Cell<Part>) -> impl Iterator<Item = T> {
    iter::from_fn(|| part.take().and(None))
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        // The part that is being read: what goes wrong in between is its fault.
        let part = Cell::<Part>::default();
        let read = match self.0 {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Boolean(truth) => visitor.visit_bool(*truth),
            DeValue::Datetime(time) => visitor.visit_string(time.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_) => Err(de::Error::custom("a whole number has at most 64 bits")),
                }
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => visitor.visit_f64(number),
                _ => Err(de::Error::custom("`nan` and `inf` cannot be sent")),
            },
            DeValue::Array(values) => {
                let values = values.iter().enumerate().map(|(at, value)| {
                    part.set(Some((value.span().start, format!("[{at}]"))));
                    Node(value.get_ref())
                });
                visitor.visit_seq(SeqDeserializer::new(values.chain(end(&part))))
            }
            DeValue::Table(table) => {
                let pairs = table.iter().map(|(key, value)| {
                    part.set(Some((key.span().start, key.get_ref().to_string())));
                    (key.get_ref().as_ref(), Node(value.get_ref()))
                });
                visitor.visit_map(MapDeserializer::new(pairs.chain(end(&part))))
            }
        };
        read.map_err(|wrong| match part.take() {
            Some((at, key)) => wrong.within(at, &key),
            None => wrong,
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.0 {
            DeValue::String(text) => visitor.visit_enum(text.as_ref().into_deserializer()),
            _ => Err(de::Error::custom("expected a string")),
        }
    }

    /// Refuses an array, which serde would take for the values of a table in the order of its keys.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.0 {
            DeValue::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self
                .deserialize_any(visitor)
                .map_err(|wrong| wrong.in_table_of(keys)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Wrong> for Node<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Wrong {
    /// Returns the error as one in the value that has this key and stands at this place.
    fn within(mut self, at: usize, outer: &str) -> Self {
        if self.key.is_empty() && REPEATED.contains(&outer) && self.is_one {
            self.why = format!("{}: its header is `[[{outer}]]`", self.why);
        }
        let dot = if matches!(self.key.chars().next(), None | Some('[')) {
            ""
        } else {
            "."
        };
        self.key = format!("{outer}{dot}{}", self.key);
        self.at.get_or_insert(at);
        self
    }

    /// Returns the error as one in a table that has these keys.
    fn in_table_of(mut self, keys: &[&str]) -> Self {
        let unknown = self.unknown.as_deref();
        if unknown.is_some_and(|unknown| keys.contains(&unknown)) {
            self.misplaced = Some(self.key.len());
        }
        self
    }

    /// Returns where the unknown key belongs, if a table around has it.
    fn remedy(&self) -> Option<String> {
        let owner = &self.key[..self.key.len() - self.misplaced?];
        let (below, _) = self.key.rsplit_once(self.unknown.as_deref()?)?;
        let below = header(below);
        Some(if !owner.is_empty() {
            format!("a key of `{}` goes above `{below}`", header(owner))
        } else if self.key.starts_with("repository[") {
            format!(
                "a key of the whole file goes above the first header, and one of a section above \
                 its `{below}`"
            )
        } else {
            format!("a key of the whole file goes above the first header, such as `{below}`")
        })
    }
}

/// Returns the header of a table: `repository[0].endpoint[1].` → `[[repository.endpoint]]`.
fn header(path: &str) -> String {
    let path = path.trim_end_matches('.');
    let names = path.split('.').map(|part| match part.split_once('[') {
        Some((name, _)) => name,
        None => part,
    });
    let names = names.collect::<Vec<_>>().join(".");
    if path.ends_with(']') {
        format!("[[{names}]]")
    } else {
        format!("[{names}]")
    }
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self {
            at: None,
            key: String::new(),
            why: why.to_string(),
            tells_key: true,
            is_one: false,
            unknown: None,
            misplaced: None,
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let is_one = found == Unexpected::Map && expected == "a sequence";
        let found = match found {
            Unexpected::Map => Unexpected::Other("table"),
            Unexpected::Seq => Unexpected::Other("array"),
            Unexpected::Str(_) => Unexpected::Other("text"),
            found => found,
        };
        let expected = match expected.as_str() {
            "a sequence" => "an array",
            "a map" => "a table",
            "u64" | "usize" => "a whole number, 0 or more",
            other => other,
        };
        let why = format_args!("invalid type: {found}, expected {expected}");
        Self {
            is_one,
            ..Self::custom(why)
        }
    }

    /// Returns an error of type: of the values that are read, only numbers can be of the right type
    /// and not fit.
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn missing_field(key: &'static str) -> Self {
        Self::custom(format_args!("missing key `{key}`"))
    }

    fn unknown_field(unknown: &str, known: &'static [&'static str]) -> Self {
        let distance = |known: &str| strsim::damerau_levenshtein(unknown, known);
        let near = known
            .iter()
            .filter(|known| distance(known) <= 1.max(known.len() / 3));
        let why = match near.min_by_key(|known| (distance(known), **known)) {
            Some(meant) => format!("unknown key `{unknown}`, did you mean `{meant}`?"),
            None => format!("unknown key `{unknown}`"),
        };
        Self {
            tells_key: false,
            unknown: Some(unknown.to_owned()),
            ..Self::custom(why)
        }
    }
}

impl std::error::Error for Wrong {}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tells_key && !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        match (&self.unknown, self.remedy()) {
            (Some(unknown), Some(remedy)) => write!(f, "unknown key `{unknown}`: {remedy}"),
            _ => f.write_str(&self.why),
        }
    }
}
