//! Keys: where they are kept, how they are replaced, which ones are refused.

use std::fs;
use std::process::Command;

use crate::support::{Push, Request, Site, set_mode};

const NEW: &str = "new-key-of-more-than-16-bytes";
const OLD: &str = "old-key-of-more-than-16-bytes";

/// The command line that checks one of a request's signatures.
fn verify(site: &Site, request: &Request, header: &str, keys: &[&str]) -> i32 {
    let signature = request.header(header).unwrap();
    let mut args = vec!["verify", "--signature", signature];
    for key in keys {
        args.extend(["--key-file", key]);
    }
    site.refpost(args).stdin(&request.body).run().status
}

fn push(site: &Site) -> Push {
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert!(!push.requests.is_empty(), "{}", push.said);
    push
}

/// A site whose endpoint has this to say about its keys.
fn with_keys(keys: &str) -> Site {
    let site = Site::new();
    site.write("new", NEW);
    site.write("old", OLD);
    configure(&site, keys);
    site
}

fn configure(site: &Site, keys: &str) {
    let folder = site.path("");
    let keys = keys.replace('@', folder.to_str().unwrap().trim_end_matches('/'));
    let url = site.receiver.url("/hook");
    site.config_alone(&format!("urls = [\"{url}\"]\n{keys}\n"));
}

#[test]
fn a_byte_order_mark_signed_with_another_key() {
    let site = with_keys("key_file = \"@/new\"");
    site.write("new", format!("\u{feff}{NEW}\r\n"));
    site.write("plain", NEW);
    for request in push(&site).requests {
        let header = "X-Pagure-Signature-256";
        assert_eq!(verify(&site, &request, header, &["plain"]), 0);
        assert_eq!(verify(&site, &request, header, &["new"]), 0);
    }
}

#[test]
fn a_key_is_replaced_with_both_signing_for_a_while() {
    let site =
        with_keys("key_file = \"@/new\"\nprevious_key = { file = \"@/old\", until = 2999-12-31 }");
    for request in push(&site).requests {
        for hash in ["", "-256"] {
            let header = format!("X-Pagure-Signature{hash}");
            assert_eq!(verify(&site, &request, &header, &["new"]), 0);
            assert_eq!(verify(&site, &request, &header, &["old"]), 1);
            // A receiver that knows both does not care which one it is.
            assert_eq!(verify(&site, &request, &header, &["old", "new"]), 0);
            let header = format!("{header}-Previous");
            assert_eq!(verify(&site, &request, &header, &["old"]), 0);
            assert_eq!(verify(&site, &request, &header, &["new"]), 1);
        }
    }
    let preview = site.refpost(["preview", "--http", "test.git"]);
    let zeros = crate::support::ZEROS;
    let head = site.git(&["rev-parse", "HEAD"]);
    let preview = preview
        .stdin(format!("{zeros} {head} refs/heads/x\n"))
        .run();
    assert!(
        preview
            .stdout
            .contains("\nX-Pagure-Signature-256-Previous: ")
    );
    let check = site.refpost(["check", "test.git"]).run();
    assert!(
        check
            .stdout
            .contains("signed with its previous key too, until 3000-01-01T00:00:00Z"),
        "{}",
        check.stdout
    );
}

#[test]
fn a_previous_key_ends_by_itself() {
    let site = with_keys(
        "key_file = \"@/new\"\nprevious_key = { file = \"@/gone\", until = 2020-01-31T10:00:00Z }",
    );
    for request in push(&site).requests {
        let names = request.headers.iter().map(|(name, _)| name);
        assert!(names.into_iter().all(|name| !name.ends_with("-Previous")));
    }
    let check = site.refpost(["check", "test.git"]).run();
    let expected = "its `previous_key` signed until 2020-01-31T10:00:00Z\n\
                    hint: every receiver has the new key by now? then remove `previous_key`\n";
    assert!(check.stdout.contains(expected), "{}", check.stdout);
}

#[test]
fn an_endpoint_with_a_key_of_its_own_has_no_previous_key_of_others() {
    let site =
        with_keys("key_file = \"@/new\"\nprevious_key = { file = \"@/old\", until = 2999-12-31 }");
    let own = site.receiver.url("/own");
    let text = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    let own = format!("[[endpoint]]\nname = \"own\"\nurl = \"{own}\"\nkey = \"{OLD}\"\n");
    site.write("test.git/refpost.toml", text + &own);
    for request in push(&site).requests {
        let has_previous = request.header("X-Pagure-Signature-Previous").is_some();
        assert_eq!(has_previous, request.line.starts_with("POST /hook "));
    }
}

#[test]
fn a_repository_that_replaces_the_key_drops_the_one_before_it() {
    let site = with_keys("key_file = \"@/new\"");
    let old = site.path("old");
    site.write(
        "system.toml",
        format!("key = \"{OLD}\"\nprevious_key = {{ file = {old:?}, until = 2999-12-31 }}\n"),
    );
    for request in push(&site).requests {
        assert_eq!(request.header("X-Pagure-Signature-Previous"), None);
    }
}

#[test]
fn a_credential_of_systemd_is_a_key() {
    let site = with_keys("key = { credential = \"refpost-key\" }");
    fs::create_dir(site.path("credentials")).unwrap();
    fs::copy(site.path("new"), site.path("credentials/refpost-key")).unwrap();
    site.commit("a");
    let push = |credentials: Option<&str>| {
        let push = site.git_run(&["push", "origin", "HEAD:main"]);
        site.push_by(match credentials {
            Some(folder) => push.env("CREDENTIALS_DIRECTORY", site.path(folder)),
            None => push,
        })
    };
    let without = push(None);
    let remote = without.remote().join("\n");
    let expected = "cannot read key: no credential `refpost-key`: environment variable \
                    `CREDENTIALS_DIRECTORY` is not set\n\
                    refpost: hint: `LoadCredential=refpost-key:FILE` in the systemd unit that runs refpost";
    let expected = expected.replace("refpost: hint", "hint");
    assert!(remote.contains(&expected), "{remote}");
    assert!(without.requests.is_empty());
    site.commit("b");
    let with = push(Some("credentials"));
    // Behind the older ones, all of them go on in the background.
    let mut requests = with.requests;
    let missing = 3 - requests.len();
    requests.extend(site.receiver.wait_for(missing));
    for request in &requests {
        let header = "X-Pagure-Signature-256";
        assert_eq!(verify(&site, request, header, &["new"]), 0);
    }
}

#[test]
fn a_key_that_is_none_or_anothers_is_refused() {
    let site = with_keys("key_file = \"@/key\"");
    site.commit("a");
    let key = site.path("key");
    let said = |expected: &str, hint: &str| {
        let ran = site.refpost(["check", "test.git"]).run();
        let hint = if hint.is_empty() {
            String::new()
        } else {
            format!("hint: {hint}\n")
        };
        let expected = format!("{}{expected}\n{hint}", "cannot read key `");
        let expected = expected.replace('@', key.to_str().unwrap());
        assert!(ran.stdout.contains(&expected), "{expected}\n{}", ran.stdout);
        assert_eq!(ran.status, 1);
    };
    // Nobody writes into it: whoever reads it without care waits for ever.
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    said("@`: it is no regular file", "");
    fs::remove_file(&key).unwrap();
    site.write("key", vec![b'x'; 64 * 1024 + 1]);
    said("@`: it is longer than 64 KiB", "");
    site.write("key", NEW);
    set_mode(&key, 0o604);
    said("@`: mode 0604 lets others read it", "chmod o= @");
    if nix::unistd::geteuid().is_root() {
        site.write("key", NEW);
        std::os::unix::fs::chown(&key, Some(65534), None).unwrap();
        said(
            "@`: it belongs to user 65534, who can change it",
            "chown root @",
        );
    } else {
        crate::support::leave_out("only root can give a file away: another's key is not tested");
    }
}

#[test]
fn check_warns_of_a_short_key() {
    let site = with_keys("key = \"fifteen bytes..\"");
    let ran = site.refpost(["check", "test.git"]).run();
    let expected = "its key is shorter than 16 bytes\n\
                    hint: a short key can be guessed; `refpost keygen` makes one of 32 bytes\n";
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    configure(&site, "key = \"sixteen bytes...\"");
    let ran = site.refpost(["check", "test.git"]).run();
    assert!(!ran.stdout.contains("shorter"), "{}", ran.stdout);
}

#[test]
fn a_previous_key_is_said_in_full_or_not_at_all() {
    let site = with_keys("");
    for (keys, error) in [
        (
            "key = \"k\"\nprevious_key = { file = \"a\", text = \"b\", until = 2027-01-31 }",
            "line 5: `previous_key`: expected one of `text`, `file`, `env` and `credential`, and `until`",
        ),
        (
            "key = \"k\"\nprevious_key = { file = \"a\" }",
            "line 5: `previous_key`: missing key `until`",
        ),
        (
            "key = \"k\"\nprevious_key = { file = \"a\", until = 12:00:00 }",
            "line 5: `previous_key`: `until` is no date, expected one like 2027-01-31",
        ),
        (
            "previous_key = { file = \"a\", until = 2027-01-31 }",
            "line 4: `previous_key` stands beside the key that replaces it, `key` or `key_file`",
        ),
        (
            "key = { credential = \"../key\" }",
            "line 4: `key`: a credential's name is that of a file, without a folder",
        ),
    ] {
        configure(&site, keys);
        let ran = site.refpost(["preview", "test.git"]).run();
        assert!(ran.stderr.contains(error), "{keys}\n{}", ran.stderr);
        assert_eq!(ran.status, 78);
    }
}
