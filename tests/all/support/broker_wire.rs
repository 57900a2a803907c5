//! Values of AMQP 0-9-1 on the wire.

use std::collections::BTreeMap;

/// The properties of a message in the order of their flags (AMQP 0-9-1, class `basic`).
pub(super) const PROPERTIES: [&str; 14] = [
    "content-type",
    "content-encoding",
    "headers",
    "delivery-mode",
    "priority",
    "correlation-id",
    "reply-to",
    "expiration",
    "message-id",
    "timestamp",
    "type",
    "user-id",
    "app-id",
    "cluster-id",
];

pub(super) fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

pub(super) fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

pub(super) fn field(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
    [&short(name), &[kind][..], value].concat()
}

pub(super) fn closing(code: u16, text: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], &short(text), &[0; 4]].concat()
}

/// A content header of `basic`: these properties, but headers.
pub(super) fn content(length: usize, properties: &BTreeMap<&'static str, String>) -> Vec<u8> {
    let mut flags = 0_u16;
    let mut values = Vec::new();
    for (bit, name) in PROPERTIES.iter().enumerate() {
        let Some(value) = properties.get(name) else {
            continue;
        };
        flags |= 0x8000 >> bit;
        match *name {
            "delivery-mode" | "priority" => values.push(value.parse().unwrap()),
            _ => values.extend(short(value)),
        }
    }
    let length = (length as u64).to_be_bytes();
    [&[0, 60, 0, 0][..], &length, &flags.to_be_bytes(), &values].concat()
}

/// Takes values from the front of bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    fn text(&mut self, length: usize) -> String {
        String::from_utf8(self.bytes(length).to_vec()).unwrap()
    }

    pub(super) fn short(&mut self) -> String {
        let length = self.byte();
        self.text(length.into())
    }

    fn length(&mut self) -> usize {
        u32::from_be_bytes(self.bytes(4).try_into().unwrap()) as usize
    }

    pub(super) fn long(&mut self) -> String {
        let length = self.length();
        self.text(length)
    }

    pub(super) fn table(&mut self) -> BTreeMap<String, String> {
        let length = self.length();
        let mut inner = Reader(self.bytes(length));
        let mut table = BTreeMap::new();
        while !inner.0.is_empty() {
            let name = inner.short();
            let kind = inner.byte();
            let value = match kind {
                b'S' => inner.long(),
                b'I' => i32::from_be_bytes(inner.bytes(4).try_into().unwrap()).to_string(),
                b't' => (inner.byte() == 1).to_string(),
                b'F' => format!("{:?}", inner.table()),
                other => panic!("a field of type {other}"),
            };
            let value = format!("{}:{value}", char::from(kind));
            assert_eq!(table.insert(name, value), None, "a field twice");
        }
        table
    }
}
