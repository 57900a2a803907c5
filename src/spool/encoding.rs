//! The encoding of header values that JSON has no type for.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Length of the longest list in a header. `[[],[],…]` must not take more memory than the text has.
const LONGEST_LIST: usize = 1_000_000;

/// Reads a list of [`LONGEST_LIST`] elements at most.
pub(super) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    mapped(from, Ok)
}

/// Reads a list of `T` and converts each element, which can refuse it.
fn mapped<'de, T, U, D>(from: D, make: fn(T) -> Result<U, &'static str>) -> Result<Vec<U>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Elements<T, U>(fn(T) -> Result<U, &'static str>);

    impl<'de, T: Deserialize<'de>, U> Visitor<'de> for Elements<T, U> {
        type Value = Vec<U>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<U>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = seq.next_element()? {
                if list.len() == LONGEST_LIST {
                    return Err(de::Error::custom("a list is too long"));
                }
                list.push((self.0)(element).map_err(de::Error::custom)?);
            }
            Ok(list)
        }
    }

    from.deserialize_seq(Elements(make))
}

/// Bytes to be written without loss: text if they are UTF-8, else `{"hex": "…"}`.
enum Bytes<'a> {
    Text(&'a str),
    Hex(&'a [u8]),
}

impl<'a> Bytes<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or(Self::Hex(bytes), Self::Text)
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => to.serialize_str(text),
            Self::Hex(bytes) => to.collect_map([("hex", hex::encode(bytes))]),
        }
    }
}

/// Bytes that were read.
struct OwnBytes(Vec<u8>);

impl<'de> Deserialize<'de> for OwnBytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Hex<'a> {
            #[serde(borrow)]
            hex: Cow<'a, str>,
        }

        struct BytesVisitor;

        impl<'de> Visitor<'de> for BytesVisitor {
            type Value = OwnBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or bytes in hex")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OwnBytes, E> {
                Ok(OwnBytes(text.as_bytes().to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OwnBytes, A::Error> {
                let Hex { hex } = Hex::deserialize(MapAccessDeserializer::new(map))?;
                let bytes = hex::decode(hex.as_bytes()).map_err(de::Error::custom)?;
                Ok(OwnBytes(bytes))
            }
        }

        from.deserialize_any(BytesVisitor)
    }
}

/// Paths, as bytes.
pub(super) mod path {
    use super::{Bytes, Deserialize, Deserializer, OwnBytes, Serialize, Serializer};
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    pub(in super::super) fn serialize<S: Serializer>(
        path: &Path,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        Bytes::of(path.as_os_str().as_bytes()).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<PathBuf, D::Error> {
        let OwnBytes(bytes) = OwnBytes::deserialize(from)?;
        Ok(OsString::from_vec(bytes).into())
    }
}

/// Times, as RFC 3339 with nanoseconds.
pub(super) mod time {
    use super::super::names::times;
    use super::{Cow, Deserialize, Deserializer, Serializer, de};
    use std::time::SystemTime;

    pub(in super::super) fn serialize<S: Serializer>(
        time: &SystemTime,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_rfc3339_nanos(times::clamp(*time)))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SystemTime, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        humantime::parse_rfc3339(&text).map_err(de::Error::custom)
    }
}

/// Times that may be unknown.
pub(super) mod optional_time {
    use super::{Cow, Deserialize, Deserializer, Serializer, de, time};
    use std::time::SystemTime;

    // serde passes a reference to the field.
    #[allow(clippy::ref_option)]
    pub(in super::super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => time::serialize(time, to),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let text = Option::<Cow<str>>::deserialize(from)?;
        let time = text.map(|text| humantime::parse_rfc3339(&text));
        time.transpose().map_err(de::Error::custom)
    }
}

/// Ref updates. `old` and `new` are hex, and absent if the ref did not exist before or does not
/// after.
pub(super) mod updates {
    use super::{Bytes, Deserialize, Deserializer, OwnBytes, Serialize, Serializer, mapped};
    use crate::event::{Oid, RefName, RefUpdate};

    #[derive(Serialize)]
    struct Update<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        old: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        new: Option<String>,
        name: Bytes<'a>,
    }

    #[derive(Deserialize)]
    struct OwnUpdate {
        old: Option<String>,
        new: Option<String>,
        name: OwnBytes,
    }

    pub(in super::super) fn serialize<S: Serializer>(
        updates: &[RefUpdate],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(updates.iter().map(|update| Update {
            old: update.old.map(|oid| oid.to_string()),
            new: update.new.map(|oid| oid.to_string()),
            name: Bytes::of(update.name.as_bytes()),
        }))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<RefUpdate>, D::Error> {
        mapped(from, |update: OwnUpdate| {
            Ok(RefUpdate {
                old: update.old.as_deref().map(oid).transpose()?,
                new: update.new.as_deref().map(oid).transpose()?,
                name: RefName::new(update.name.0),
            })
        })
    }

    fn oid(text: &str) -> Result<Oid, &'static str> {
        let raw = hex::decode(text).ok();
        raw.and_then(|raw| Oid::from_bytes(&raw))
            .ok_or("no object id")
    }
}

/// Returns whether a number is zero, which is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives the field")]
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Ids, as text.
pub(super) mod ids {
    use super::super::names::id::Id;
    use super::{Deserializer, Serializer, mapped};

    pub(in super::super) fn serialize<S: Serializer>(ids: &[Id], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(Id::as_str))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Id>, D::Error> {
        mapped(from, |text: String| Id::parse(&text).ok_or("no id"))
    }
}
