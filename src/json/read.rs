//! Reading JSON of others, to write it again.

use std::fmt;

use serde::Deserializer;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Doubles from which on a number was an integer of more than 64 bits, or might have been one.
const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
const TOO_SMALL: f64 = -9_223_372_036_854_775_808.0;

/// A syntax error and its position.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub struct SyntaxError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1, in bytes.
    pub column: usize,
    /// The error.
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

/// Reads one value.
///
/// An object that has a key twice is refused, and so is a number that would become another one: the
/// meaning of signed data must not depend on the parser.
pub fn read(bytes: &[u8]) -> Result<Value, SyntaxError> {
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value = Reader.deserialize(&mut from)?;
    from.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Reader;

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        if value >= TOO_LARGE || value <= TOO_SMALL {
            return Err(E::custom("a number needs more than 64 bits"));
        }
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element_seed(self)? {
            list.push(element);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format!("key `{key}` stands there twice")));
            }
            let value = map.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(object.into())
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
            ("-9223372036854775808", "-9223372036854775808"),
            ("[-0.0, 0]", "[-0.0, 0]"),
            ("1E2", "100.0"),
            ("1e16", "1e+16"),
            ("[1.10, 0.1, 1e-7]", "[1.1, 0.1, 1e-07]"),
            (
                r#"{"b\"9": [1, {"a\\": 9}, "8"], "a": -8}"#,
                r#"{"a": -8, "b\"9": [1, {"a\\": 9}, "8"]}"#,
            ),
        ] {
            assert_eq!(again(text), python);
        }
    }

    #[test]
    fn an_integer_of_more_than_64_bits_is_an_error() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890123456789012345678901",
        ] {
            let why = "a number needs more than 64 bits";
            assert!(error(&format!("[{text}]")).contains(why), "{text}");
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
