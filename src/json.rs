//! JSON as Python's `json.dumps(value, sort_keys=True)` writes it.
//!
//! `", "` and `": "` as separators, everything beyond printable ASCII as
//! `\uXXXX`, floats as Python's `repr`. Keys come sorted from the types: maps
//! here are ordered, and structs list their fields by name.
//!
//! Bodies must be these bytes (docs/reference/payloads.md). The log and the output of `--json` are written in
//! the same way: pure ASCII moves no cursor and changes no reading direction in any viewer.

mod read;

pub use read::{SyntaxError, read};
pub use serde_json::Value;

/// An object, its keys sorted by code point.
pub type Object = serde_json::Map<String, Value>;

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Serializes a value. Writing to memory does not fail.
#[must_use]
pub fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    to_bytes_within(value, usize::MAX).expect("there is room for every byte")
}

/// Serializes a value. Returns `None` if the text has more than `longest` bytes.
///
/// The limit is checked while writing, before all bytes are in memory.
#[must_use]
pub fn to_bytes_within(value: &impl Serialize, longest: usize) -> Option<Vec<u8>> {
    let mut room = Room {
        bytes: Vec::new(),
        longest,
    };
    let mut serializer = Serializer::with_formatter(&mut room, Python);
    match value.serialize(&mut serializer) {
        Ok(()) => Some(room.bytes),
        Err(error) if error.is_io() => None,
        Err(error) => unreachable!("our maps have text for keys: {error}"),
    }
}

/// A writer of a limited number of bytes.
struct Room {
    bytes: Vec<u8>,
    longest: usize,
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.longest - self.bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        separate(out, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        separate(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Most text is plain, and is checked faster byte by byte than char by char.
        if fragment.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return out.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !(' '..='~').contains(&c)) {
            let (plain, beyond) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            let mut chars = beyond.chars();
            let mut units = [0; 2];
            for unit in chars.next().expect("found above").encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = chars.as_str();
        }
        out.write_all(rest.as_bytes())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        out.write_all(python_repr(value).as_bytes())
    }
}

fn separate<W: ?Sized + Write>(out: &mut W, first: bool) -> io::Result<()> {
    if first { Ok(()) } else { out.write_all(b", ") }
}

/// Formats a finite float as Python's `repr`.
///
/// The shortest digits that read back the same, in plain notation from 1e-4 up to below 1e16.
fn python_repr(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific
        .split_once('e')
        .expect("`{:e}` writes an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    if (-4..16).contains(&exponent) {
        format!("{value:?}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &serde_json::Value) -> String {
        let bytes = to_bytes(value);
        String::from_utf8(bytes).expect("ASCII is UTF-8")
    }

    #[test]
    fn is_never_longer_than_was_asked_for() {
        let value = json!({"a": ["é", 1.5, null, "x"], "b": {}});
        let length = text(&value).len();
        for longest in 0..length {
            assert_eq!(to_bytes_within(&value, longest), None, "{longest}");
        }
        assert_eq!(
            to_bytes_within(&value, length).map(|it| it.len()),
            Some(length)
        );
    }

    #[test]
    fn writes_what_python_writes() {
        let value = json!({
            "b": [1, -2, true, null, {}, []],
            "a": "\u{7f}\u{80}\u{1f}\u{0}\u{8}\u{c}\n\r\t/\"\\ é 日 \u{1f600} \u{2028}",
            "B": {"é": 1, "z": 2},
        });
        assert_eq!(
            text(&value),
            r#"{"B": {"z": 2, "\u00e9": 1}, "a": "\u007f\u0080\u001f\u0000\b\f\n\r\t/\"\\ \u00e9 \u65e5 \ud83d\ude00 \u2028", "b": [1, -2, true, null, {}, []]}"#
        );
    }

    #[test]
    fn writes_floats_as_python_does() {
        let value = json!([
            1e16,
            1e-5,
            1.0,
            1e15,
            0.0001,
            123_456_789_012_345_680.0,
            5e-324,
            1e22,
            -0.0,
            1.5e300,
            100_000.0
        ]);
        assert_eq!(
            text(&value),
            "[1e+16, 1e-05, 1.0, 1000000000000000.0, 0.0001, 1.2345678901234568e+17, \
             5e-324, 1e+22, -0.0, 1.5e+300, 100000.0]"
        );
    }
}
