//! contrib/refpost.schema.json has the keys that the parser knows.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::alerts::AlertsLayer;
use super::broker::{BrokerLayer, WorkerLayer};
use super::schema::{
    DeliveryLayer, EndpointLayer, Layer, NetworkLayer, PageLayer, ProjectLayer, RetryLayer,
    UserLayer,
};
use super::web::WebLayer;

/// The names of a struct's keys, as an error.
#[derive(Debug)]
struct Keys(Vec<&'static str>);

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Keys {}

impl Error for Keys {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(Vec::new())
    }
}

/// Asks a struct for its keys, and has no value for it.
struct Ask;

impl<'de> Deserializer<'de> for Ask {
    type Error = Keys;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Keys> {
        Err(Keys(Vec::new()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Keys> {
        Err(Keys(fields.to_vec()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn keys<'de, T: Deserialize<'de>>() -> BTreeSet<String> {
    let keys = T::deserialize(Ask).err().map(|keys| keys.0);
    keys.into_iter().flatten().map(str::to_owned).collect()
}

#[test]
fn the_schema_has_the_keys_that_the_parser_knows() {
    let text = include_str!("../../contrib/refpost.schema.json");
    let schema: Value = serde_json::from_str(text).expect("JSON");
    let known = [
        ("", keys::<Layer>()),
        ("/definitions/endpoint", keys::<EndpointLayer>()),
        ("/definitions/retry", keys::<RetryLayer>()),
        ("/definitions/network", keys::<NetworkLayer>()),
        ("/definitions/delivery", keys::<DeliveryLayer>()),
        ("/definitions/page", keys::<PageLayer>()),
        ("/definitions/alerts", keys::<AlertsLayer>()),
        ("/definitions/broker", keys::<BrokerLayer>()),
        ("/definitions/worker", keys::<WorkerLayer>()),
        ("/definitions/project", keys::<ProjectLayer>()),
        ("/definitions/user", keys::<UserLayer>()),
        ("/definitions/web", keys::<WebLayer>()),
    ];
    for (place, known) in known {
        let table = schema.pointer(place).expect("a table");
        let said = table["properties"].as_object().expect("its keys");
        let said: BTreeSet<String> = said.keys().cloned().collect();
        assert!(!known.is_empty(), "{place}");
        assert_eq!(said, known, "{place}");
        assert_eq!(table["additionalProperties"], false, "{place}");
    }
}
