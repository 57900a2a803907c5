//! The properties of `tests/fuzz`, on seeds, on seeds with a few bytes changed, and on
//! bytes of any kind; `cargo fuzz` goes on from there.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../fuzz/properties.rs"]
mod properties;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(target);
    let files = fs::read_dir(folder).unwrap().flatten();
    files.map(|file| fs::read(file.path()).unwrap()).collect()
}

/// A seed, parts of it cut out, doubled or replaced by bytes of any kind.
fn altered(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds = seeds(target);
    assert!(!seeds.is_empty());
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<Vec<u8>>(),
    );
    let changes = prop::collection::vec(change, 0..4);
    (prop::sample::select(seeds), changes).prop_map(|(mut bytes, changes)| {
        for (one, other, with) in changes {
            let (one, other) = (one.index(bytes.len() + 1), other.index(bytes.len() + 1));
            bytes.splice(one.min(other)..one.max(other), with);
        }
        bytes
    })
}

fn hold(target: &str, property: fn(&[u8])) {
    for seed in seeds(target) {
        property(&seed);
    }
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let any_bytes = any::<Vec<u8>>();
    let bytes = prop_oneof![3 => altered(target), 1 => any_bytes];
    runner
        .run(&bytes, |bytes| {
            property(&bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn ref_lines() {
    hold("ref_lines", properties::ref_lines);
}

#[test]
fn config() {
    hold("config", properties::config);
}

#[test]
fn entry() {
    hold("entry", properties::entry);
}

#[test]
fn json() {
    hold("json", properties::json);
}

#[test]
fn retry_after() {
    hold("retry_after", properties::retry_after);
}

#[test]
fn commit() {
    hold("commit", properties::commit);
}

#[test]
fn tag() {
    hold("tag", properties::tag);
}
