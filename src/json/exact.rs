//! JSON that others wrote, to be written once more: no number becomes another one.
//!
//! As in Python, an integer has any number of digits, and a number with a point or an
//! exponent is a double. serde's own values hold 64 bits, and serde hands longer
//! integers over as doubles; what stood there is then looked up in the text.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A value, exactly as it was read.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Exact {
    /// No list and no object, and no integer of more than 64 bits.
    Plain(Value),
    /// An integer of more than that: its digits.
    Long(Box<RawValue>),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(Object),
}

/// An object, its keys sorted by code point.
pub type Object = BTreeMap<String, Exact>;

impl<T: Into<Value>> From<T> for Exact {
    fn from(value: T) -> Self {
        Self::Plain(value.into())
    }
}

impl Exact {
    /// What kind of value it is, in JSON's own words (RFC 8259).
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Plain(Value::Null) => "null",
            Self::Plain(Value::Bool(_)) => "true or false",
            Self::Plain(Value::String(_)) => "a string",
            Self::Plain(Value::Number(_)) | Self::Long(_) => "a number",
            Self::List(_) | Self::Plain(Value::Array(_)) => "an array",
            Self::Object(_) | Self::Plain(Value::Object(_)) => "an object",
        }
    }

    /// Whether it is this text.
    #[must_use]
    pub fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Plain(Value::String(own)) if own == text)
    }
}

/// Why a text is no JSON, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub struct SyntaxError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in bytes.
    pub column: usize,
    /// What is wrong.
    pub why: String,
}

impl From<serde_json::Error> for SyntaxError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let why = text.strip_suffix(&format!(" at line {line} column {column}"));
        Self {
            line,
            column,
            why: why.unwrap_or(&text).to_owned(),
        }
    }
}

/// Reads one value. An object that has a key twice is refused: of what is signed,
/// nobody must have to guess what it means.
pub fn read(bytes: &[u8]) -> Result<Exact, SyntaxError> {
    let numbers = RefCell::new(Numbers { bytes, at: 0 });
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value = Reader(&numbers).deserialize(&mut from)?;
    from.end()?;
    Ok(value)
}

/// The numbers of a text, in their order. The text is known to be JSON up to the
/// number that is asked for.
struct Numbers<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Numbers<'a> {
    /// The text of the next number.
    fn next(&mut self) -> &'a str {
        let is_of_number =
            |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let mut is_in_text = false;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => is_in_text = !is_in_text,
                // The escaped character may be a quote.
                b'\\' => self.at += 1,
                b'-' | b'0'..=b'9' if !is_in_text => break,
                _ => {}
            }
            self.at += 1;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| !is_of_number(byte));
        let number = &rest[..end.unwrap_or(rest.len())];
        self.at += number.len();
        std::str::from_utf8(number).expect("digits and signs are ASCII")
    }
}

#[derive(Clone, Copy)]
struct Reader<'r, 'a>(&'r RefCell<Numbers<'a>>);

impl Reader<'_, '_> {
    fn number(self, value: Value) -> Exact {
        self.0.borrow_mut().next();
        Exact::Plain(value)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_, '_> {
    type Value = Exact;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Exact, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_, '_> {
    type Value = Exact;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Exact, E> {
        Ok(Exact::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Exact, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Exact, E> {
        Ok(self.number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Exact, E> {
        Ok(self.number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Exact, E> {
        let text = self.0.borrow_mut().next();
        let is_integer = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-'));
        Ok(match text {
            // To Python it is the integer 0, to serde a double.
            "-0" => 0.into(),
            _ if is_integer => {
                Exact::Long(RawValue::from_string(text.to_owned()).map_err(E::custom)?)
            }
            _ => value.into(),
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<Exact, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Exact, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element_seed(self)? {
            list.push(element);
        }
        Ok(Exact::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Exact, A::Error> {
        let mut object = Object::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format!("key `{key}` stands there twice")));
            }
            let value = map.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(Exact::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::to_bytes;

    fn again(text: &str) -> String {
        let value = read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        String::from_utf8(to_bytes(&value)).expect("ASCII is UTF-8")
    }

    fn error(text: &str) -> String {
        match read(text.as_bytes()) {
            Ok(value) => panic!("{text} is {value:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn numbers_stay_what_they_were() {
        // What Python's json.dumps(json.loads(text), sort_keys=True) gives.
        for (text, python) in [
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709551616"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("-9223372036854775809", "-9223372036854775809"),
            (
                "123456789012345678901234567890123456789012345678901",
                "123456789012345678901234567890123456789012345678901",
            ),
            ("-0", "0"),
            ("[-0, -0.0, 0]", "[0, -0.0, 0]"),
            ("1E2", "100.0"),
            ("1e16", "1e+16"),
            ("[1.10, 0.1, 100000000000000000000.0]", "[1.1, 0.1, 1e+20]"),
            (
                r#"{"b\"9": [1, {"a\\": 99999999999999999999}, "8"], "a": -88888888888888888888}"#,
                r#"{"a": -88888888888888888888, "b\"9": [1, {"a\\": 99999999999999999999}, "8"]}"#,
            ),
        ] {
            assert_eq!(again(text), python);
        }
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        assert_eq!(
            error("{\"a\": 1,\n \"b\" 2}"),
            "line 2, column 6: expected `:`"
        );
        assert_eq!(error("{} x"), "line 1, column 4: trailing characters");
        assert_eq!(error("[1e999]"), "line 1, column 6: number out of range");
        assert_eq!(
            error("{\"a\": {\"b\": 1, \"b\": 1}}"),
            "line 1, column 18: key `b` stands there twice"
        );
        assert!(error("").contains("EOF"));
        assert!(error("\"\\ud800\"").contains("hex escape"));
        assert!(error(&"[".repeat(1000)).contains("recursion"));
        assert!(read(b"\"\xff\"").is_err());
    }
}
