//! A number of bytes as people write it: `"1MiB"`, `"64 KiB"`, `1048576`.

use std::fmt;

use bytesize::ByteSize;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Smallest and largest `max_body`.
const LEAST: u64 = 16 * KIB;
const MOST: u64 = 64 * MIB;

/// `max_body`: how long a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct BodySize(pub(in crate::config) usize);

/// `max_spool`: how much may wait for one repository; `None`, written as 0, is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct SpoolSize(pub(in crate::config) Option<u64>);

impl BodySize {
    fn new<E: Error>(bytes: u64) -> Result<Self, E> {
        if !(LEAST..=MOST).contains(&bytes) {
            return Err(E::custom(format_args!(
                "{bytes} bytes are not between 16KiB and 64MiB"
            )));
        }
        usize::try_from(bytes).map(Self).map_err(E::custom)
    }
}

impl Serialize for BodySize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        show(self.0 as u64, serializer)
    }
}

impl<'de> Deserialize<'de> for BodySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(SizeVisitor)
            .and_then(Self::new)
    }
}

impl Serialize for SpoolSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        show(self.0.unwrap_or_default(), serializer)
    }
}

impl<'de> Deserialize<'de> for SpoolSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_any(SizeVisitor)?;
        Ok(Self((bytes > 0).then_some(bytes)))
    }
}

/// Shows a size in the largest unit that gives a whole number.
fn show<S: Serializer>(bytes: u64, serializer: S) -> Result<S::Ok, S::Error> {
    if bytes > 0 && bytes.is_multiple_of(MIB) {
        serializer.collect_str(&format_args!("{}MiB", bytes / MIB))
    } else if bytes > 0 && bytes.is_multiple_of(KIB) {
        serializer.collect_str(&format_args!("{}KiB", bytes / KIB))
    } else {
        serializer.serialize_u64(bytes)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, or a size like `\"1MiB\"`")
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes).map_err(|_| E::custom("a size is not negative"))
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<u64, E> {
        Ok(bytes)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        let size: Result<ByteSize, _> = text.parse();
        size.map(|size| size.as_u64())
            .map_err(|_| E::custom("no size, expected one like `1MiB`"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<usize, String> {
        let read: Result<BodySize, _> = serde_json::from_value(value);
        read.map(|size| size.0).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_are_text_or_bytes() {
        for (value, bytes) in [
            (json!("1MiB"), 1 << 20),
            (json!("1 MiB"), 1 << 20),
            (json!("1.5mib"), 3 << 19),
            (json!("2MB"), 2_000_000),
            (json!("16KiB"), 16 << 10),
            (json!("64MiB"), 64 << 20),
            (json!(1_000_000), 1_000_000),
            (json!("1000000"), 1_000_000),
        ] {
            assert_eq!(read(value.clone()), Ok(bytes), "{value}");
        }
    }

    #[test]
    fn what_is_no_size_is_said() {
        let range = |bytes: u64| format!("{bytes} bytes are not between 16KiB and 64MiB");
        for (value, why) in [
            (json!("1KiB"), range(1024)),
            (json!("16383"), range(16383)),
            (json!("1GiB"), range(1 << 30)),
            (json!(67_108_865), range(67_108_865)),
            (json!(0), range(0)),
            (json!(-1), "a size is not negative".to_owned()),
            (
                json!("much"),
                "no size, expected one like `1MiB`".to_owned(),
            ),
            (
                json!("-1MiB"),
                "no size, expected one like `1MiB`".to_owned(),
            ),
            (json!("99999999999999999999GiB"), range(u64::MAX)),
        ] {
            assert_eq!(read(value.clone()), Err(why), "{value}");
        }
    }

    #[test]
    fn no_bound_of_a_spool_is_written_as_0() {
        for (value, bytes, shown) in [
            (json!(0), None, json!(0)),
            (json!("0"), None, json!(0)),
            (json!("1KiB"), Some(KIB), json!("1KiB")),
            (json!("256MiB"), Some(256 * MIB), json!("256MiB")),
            (json!("2GiB"), Some(2 << 30), json!("2048MiB")),
        ] {
            let size: SpoolSize = serde_json::from_value(value).expect("it is a size");
            assert_eq!(size, SpoolSize(bytes));
            let text = serde_json::to_value(size).expect("it has a JSON form");
            assert_eq!(text, shown);
        }
    }

    #[test]
    fn sizes_are_shown_as_they_can_be_written() {
        for (bytes, text) in [
            (1 << 20, json!("1MiB")),
            (16 << 10, json!("16KiB")),
            (1_000_000, json!(1_000_000)),
        ] {
            let shown = serde_json::to_value(BodySize(bytes)).expect("it has a JSON form");
            assert_eq!(shown, text);
            assert_eq!(read(shown), Ok(bytes));
        }
    }
}
