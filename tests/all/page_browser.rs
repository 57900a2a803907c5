//! The page in a browser: `.ci/run --long` installs Chromium and sets `REFPOST_TEST_BROWSER`.

use std::os::unix::fs::symlink;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::metrics::served;
use crate::support::{Answer, KEY, REFPOST, Spooled};

const WIDTHS: [u64; 2] = [360, 1280];

/// Chromium's numbers of the colour schemes.
const DARK: &str = "0";
const LIGHT: &str = "1";

/// A text as others can choose it: for names, and as a receiver's words.
const HOSTILE: &str = "<img/src=x/onerror=alert(1)>'\"&amp;\u{202e}";

/// A page on which every text that others choose is hostile, or long and without a space.
fn hostile_page() -> (Spooled, String) {
    let site = Spooled::new();
    served(&site);
    let long = "W".repeat(60);
    let name = format!("{HOSTILE}{}.git", "W".repeat(120));
    let bare = site.bare(&name);
    let host = format!("{long}.{long}.invalid");
    let own = format!(
        "key = \"{KEY}\"\nmode = \"spool\"\n[[endpoint]]\nname = \"{long}\"\nurl = \"http://{host}:65535/\"\n\
         [[endpoint]]\nname = \"refuses\"\nurl = \"{}\"\n",
        site.receiver.url("/refuses")
    );
    site.write(bare.join("refpost.toml"), own);
    symlink(REFPOST, bare.join("hooks/post-receive")).unwrap();
    site.receiver.script(|_| {
        let words = format!("{HOSTILE}{}", "W".repeat(200));
        Answer::Reply(400, Vec::new(), words.into())
    });
    let branch = format!("main:refs/heads/<script>alert(1)</script>{long}");
    site.announce();
    site.git(&["push", "-q", bare.to_str().unwrap(), &branch]);
    site.refpost(["flush", "--server"]).run();
    let page = site.refpost(["page"]).run().well().stdout;
    (site, page)
}

/// Returns the report of the script in the frame page, for each width.
fn seen(site: &Spooled, page: &str, scheme: &str) -> Vec<Value> {
    let frames = include_str!("../data/page-in-a-browser.html");
    let widths = WIDTHS.map(|width| width.to_string()).join(", ");
    let frames = frames.replace("@PAGE@", &STANDARD.encode(page));
    let file = site.write("frames.html", frames.replace("@WIDTHS@", &widths));
    let profile = format!("--user-data-dir={}", site.path("profile").display());
    let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
    let url = format!("file://{}", file.display());
    // Root's browser has no sandbox.
    let options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ];
    let run = site.run("chromium").args(options).args([&profile, &scheme]);
    let ran = run.args(["--dump-dom", &url]).run();
    let result = ran.stdout.split("<body id=\"r").nth(1);
    let result = result.and_then(|rest| rest.split('"').next());
    let result = result.unwrap_or_else(|| panic!("{}\n{}", ran.stdout, ran.stderr));
    serde_json::from_slice(&hex::decode(result).unwrap()).unwrap()
}

/// Returns whether Chromium is there, and says so if not.
fn is_told_of_a_browser() -> bool {
    let is_set = std::env::var_os("REFPOST_TEST_BROWSER").is_some();
    if !is_set {
        eprintln!("warning: REFPOST_TEST_BROWSER is not set: no browser looks at the page");
    }
    is_set
}

#[test]
fn a_browser_shows_the_whole_page_and_names_as_text() {
    if !is_told_of_a_browser() {
        return;
    }
    let (site, page) = hostile_page();
    for scheme in [DARK, LIGHT] {
        for seen in seen(&site, &page, scheme) {
            let what = format!("{} wide, scheme {scheme}", seen["width"]);
            assert_eq!(seen["dark"], scheme == DARK, "{what}");
            assert_eq!(seen["faults"], json!([]), "{what}");
            let text = seen["text"].as_str().unwrap();
            for own in [
                "<img/src=x/onerror=alert(1)>",
                "<script>alert(1)</script>",
                "&amp;",
            ] {
                assert!(text.contains(own), "{own} in {text}");
            }
            for tag in ["img", "script"] {
                let tags = seen["tags"].as_array().unwrap();
                assert!(!tags.contains(&json!(tag)), "{tags:?}");
            }
        }
    }
}

#[test]
fn a_browser_finds_a_style_that_is_wrong() {
    if !is_told_of_a_browser() {
        return;
    }
    let (site, page) = hostile_page();
    // A changed style is another one than the page's policy allows.
    let page = page.replace("Content-Security-Policy", "x");
    let faults = |page: &str, scheme| -> Vec<String> {
        let seen = seen(&site, page, scheme);
        seen.iter().map(|seen| seen["faults"].to_string()).collect()
    };
    assert_eq!(faults(&page, DARK), ["[]", "[]"]);
    for (right, wrong, fault) in [
        (
            "overflow-wrap:anywhere",
            "overflow-wrap:normal",
            "runs over",
        ),
        (".wide{overflow-x:auto}", "", "the page is "),
        ("--bg:#0d1117", "--bg:#555", "is hard to read"),
    ] {
        assert!(page.contains(right), "{right}");
        let found = faults(&page.replace(right, wrong), DARK);
        assert!(found[0].contains(fault), "{right}: {found:?}");
    }
}
