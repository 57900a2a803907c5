//! A spool of version 0.1.0 is delivered by this one.
//!
//! `tests/data/spool-0.1.0` was left by 0.1.0: of branches `z`, `y` and `a` to `g`, pushed one
//! after another to endpoints `one` to `four`, some messages were given up, refused, held up,
//! and a flush was killed that had delivered `d` and `e` to `one` and `two`. The messages of
//! `f` were not built yet. All due times were then set to the past.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::support::spooled::{eventually, files_below, to};
use crate::support::{Message, Request, Spooled, set_mode};

/// The commit of `f`.
const OWED: &str = "3b512ec806dd75148f0f8c1ff1b1c7e8964a58a1";

/// An entry whose header has other texts in it.
fn changed(entry: &[u8], changes: &[(&str, &str)]) -> Vec<u8> {
    let mut parts = entry.splitn(2, |&byte| byte == b'\n');
    let first = str::from_utf8(parts.next().unwrap()).unwrap();
    let length = first.split(' ').nth(2).unwrap().parse().unwrap();
    let (header, bodies) = parts.next().unwrap().split_at(length);
    let mut header = str::from_utf8(header).unwrap().to_owned();
    for (from, to) in changes {
        header = header.replace(from, to);
    }
    let sha256 = hex::encode(Sha256::digest(&header));
    let head = format!("refpost-entry 1 {} {sha256}\n{header}", header.len());
    [head.as_bytes(), bodies].concat()
}

/// Puts the spool where that of the site's repository is.
fn put(site: &Spooled) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/spool-0.1.0");
    let commit = site.bare_git(&["rev-parse", "main"]);
    let bare = site.bare.to_str().unwrap();
    for name in files_below(&kept) {
        let mut bytes = fs::read(kept.join(&name)).unwrap();
        if name != "log" {
            bytes = changed(&bytes, &[("/srv/git/test.git", bare), (OWED, &commit)]);
        }
        let path = site.spool().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        set_mode(&path, 0o600);
    }
}

/// What arrived at an endpoint, in order: of each message the branch or tag, with `+` if it
/// tells that this was created.
fn arrived(endpoint: &str, requests: &[Request]) -> String {
    let told = to(endpoint, requests)
        .iter()
        .map(Request::message)
        .map(|message: Message| {
            let (topic, name) = message.about();
            let is_new = topic.ends_with(".creation");
            format!("{}{name}", if is_new { "+" } else { "" })
        })
        .collect::<Vec<_>>();
    told.join(" ")
}

#[test]
fn what_version_0_1_0_left_is_delivered() {
    let site = Spooled::new();
    site.receiver.take();
    let rest = ["two", "three", "four"]
        .map(|name| site.endpoint(name))
        .concat();
    site.configure("mode = \"spool\"", &rest);
    put(&site);
    let mut requests = site.flush_well();
    // What was given up comes when a person says so.
    site.retry_all();
    eventually("everything arrived", || site.files().is_empty());
    requests.extend(site.receiver.take());
    let came = |path| arrived(path, &requests);
    let sorted = |told: &str| {
        let mut words: Vec<_> = told.split(' ').map(str::to_owned).collect();
        words.sort();
        words
    };
    // `one` and `two` had `d` and `e`: these are repeats, whose order says nothing.
    assert_eq!(sorted(&came("/one")), sorted("+d d +e e +f +g g"));
    assert_eq!(sorted(&came("/two")), sorted("+a a +d d +e e +f +g g"));
    assert_eq!(came("/three"), "+d d +e e +f +g g +a-tag");
    let four = "+a-tag +b b +c c +d d +e e +f +g g +z z +y-tag";
    assert_eq!(came("/four"), four);
}
