//! How the header of an entry spells what JSON has no word for.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes without loss: text where they are UTF-8, `{"hex": "…"}` where not.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes<'a> {
    Text(Cow<'a, str>),
    Hex { hex: Cow<'a, str> },
}

impl<'a> Bytes<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Hex {
                hex: hex::encode(bytes).into(),
            },
        }
    }

    fn into_vec<E: de::Error>(self) -> Result<Vec<u8>, E> {
        match self {
            Self::Text(text) => Ok(text.into_owned().into_bytes()),
            Self::Hex { hex } => hex::decode(hex.as_bytes()).map_err(E::custom),
        }
    }
}

/// A path: bytes.
pub(super) mod path {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer};
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
        let bytes = Bytes::deserialize(from)?.into_vec()?;
        Ok(OsString::from_vec(bytes).into())
    }
}

/// A time: RFC 3339, to the nanosecond.
pub(super) mod time {
    use super::super::stamp;
    use super::{Cow, Deserialize, Deserializer, Serializer, de};
    use std::time::SystemTime;

    pub(in super::super) fn serialize<S: Serializer>(
        time: &SystemTime,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_rfc3339_nanos(stamp::clamp(*time)))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SystemTime, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        humantime::parse_rfc3339(&text).map_err(de::Error::custom)
    }
}

/// Ref updates: `old` and `new` as hex, left out where there was or is nothing.
pub(super) mod updates {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer, de};
    use crate::event::{Oid, RefName, RefUpdate};

    #[derive(Serialize, Deserialize)]
    struct Update<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        old: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        new: Option<String>,
        #[serde(borrow)]
        name: Bytes<'a>,
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
        Vec::<Update>::deserialize(from)?
            .into_iter()
            .map(|update| {
                Ok(RefUpdate {
                    old: update.old.as_deref().map(oid).transpose()?,
                    new: update.new.as_deref().map(oid).transpose()?,
                    name: RefName::new(update.name.into_vec()?),
                })
            })
            .collect()
    }

    fn oid<E: de::Error>(text: &str) -> Result<Oid, E> {
        let raw = hex::decode(text).map_err(E::custom)?;
        Oid::from_bytes(&raw).ok_or_else(|| E::custom("no object id"))
    }
}

/// Ids: text.
pub(super) mod ids {
    use super::super::id::Id;
    use super::{Deserialize, Deserializer, Serializer, de};

    pub(in super::super) fn serialize<S: Serializer>(ids: &[Id], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(Id::as_str))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Id>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let id = |text: &String| Id::parse(text).ok_or_else(|| de::Error::custom("no id"));
        texts.iter().map(id).collect()
    }
}
