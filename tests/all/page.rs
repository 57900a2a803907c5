//! `page`, as a person sees it who looks after the server.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::metrics::served;
use crate::spool_manage::mixed;
use crate::support::spooled::eventually;
use crate::support::{Answer, Background, REFPOST, Several, Spooled};

/// The text of a page, a cell a line.
fn cells(page: &str) -> String {
    let mut text = String::new();
    let (_, body) = page.split_once("<body>").unwrap();
    for part in body.split('<').skip(1) {
        let (tag, rest) = part.split_once('>').unwrap();
        if ["td", "th", "h1", "h2"]
            .iter()
            .any(|name| tag.starts_with(name))
        {
            text.push('\n');
        }
        text.push_str(rest);
    }
    text
}

#[test]
fn a_page_shows_who_fails_first_and_what_to_do_about_it() {
    let site = mixed();
    served(&site);
    site.announce();
    site.flush();
    site.announce();
    let file = site.path("page.html");
    let flush = ["flush", "--page", file.to_str().unwrap()];
    site.refpost(flush).run();
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    let page = fs::read_to_string(&file).unwrap();
    let text = cells(&page);
    assert!(
        text.starts_with("\n2 of 3 endpoints fail; 4 messages wait, the oldest "),
        "{text}"
    );
    let place = |word: &str| {
        text.find(word)
            .unwrap_or_else(|| panic!("{word} in {text}"))
    };
    assert!(place("\ntwo") < place("\none") && place("\nthree") < place("\none"));
    // Each failure that still waits has the command that tries it again.
    let id = site
        .attempts()
        .into_iter()
        .find(|it| it["status"] == 503)
        .unwrap();
    let id = id["id"].as_str().unwrap();
    assert!(
        text.contains(&format!("refpost queue retry {id}")),
        "{text}"
    );
    assert!(text.contains(&format!("refpost queue drop {id}")), "{text}");
    assert!(
        text.contains("refs/heads/main") && text.contains("git.receive"),
        "{text}"
    );
    assert!(
        !page.contains("/two") && !page.contains("<script"),
        "{page}"
    );
    site.receiver.script(|_| Answer::status(200));
    site.queue(&["retry", "--all"]);
    let page = || cells(&site.refpost(["page"]).run().well().stdout);
    let is_well = || page().contains("All 3 endpoints take messages; nothing waits.");
    eventually("all are well", is_well);
    let text = page();
    assert!(!text.contains("queue retry"), "{text}");
}

#[test]
fn a_watch_keeps_the_page_fresh() {
    let site = Spooled::new();
    served(&site);
    let file = site.path("page.html");
    let watch = ["flush", "--watch", "--page", file.to_str().unwrap()];
    let _watch = Background::start(site.refpost(watch));
    let is_there =
        || fs::read_to_string(&file).is_ok_and(|page| page.contains("The endpoint takes"));
    eventually("the page is there", is_there);
}

#[test]
fn a_private_repository_was_on_the_page() {
    let site = Spooled::new();
    let shared = site.path("shared");
    let top = format!("mode = \"spool\"\nspool = \"{}\"", shared.display());
    let server = |more: &str| {
        let root = site.path("");
        let text = format!("root = \"{}\"\n{top}\n{more}", root.display());
        site.write("system.toml", text);
    };
    server("");
    site.receiver.script(|_| Answer::status(503));
    site.configure("", "");
    let secret = site.bare("secret.git");
    let config = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    site.write("secret.git/refpost.toml", config.replace("one", "hidden"));
    symlink(REFPOST, secret.join("hooks/post-receive")).unwrap();
    site.announce();
    site.git(&["push", "-q", secret.to_str().unwrap(), "main"]);
    site.refpost(["flush"]).run();
    let shown = || {
        let page = site.refpost(["page"]).run().well().stdout;
        assert!(
            page.contains("test.git") && page.contains("<td class=\"x\">one"),
            "{page}"
        );
        (page.contains("secret"), page.contains("hidden"))
    };
    assert_eq!(shown(), (true, true));
    server("[page]\nexclude = [\"secret\"]\n");
    assert_eq!(shown(), (false, false));
    server("");
    let private = config.replace("one", "hidden") + "[project]\nprivate = true\n";
    site.write("secret.git/refpost.toml", private);
    assert_eq!(shown(), (false, false));
    // Which repository is meant is not known without a root.
    site.write("system.toml", "[page]\nexclude = [\"secret\"]\n");
    let ran = site.refpost(["page"]).run();
    let told = "`page.exclude` has a path below `root`, and there is no `root`";
    assert!(
        ran.status == 78 && ran.stderr.contains(told),
        "{}",
        ran.stderr
    );
}

#[test]
fn names_of_accounts_on_the_page_of_root_are_text() {
    let Some(server) = Several::new() else { return };
    server.receiver.script(|_| Answer::status(400));
    let hostile = "[[endpoint]]\nname = \"x\"\nurl = \"http://127.0.0.1:1/<b>\"\n";
    let bare = server.repository(server.alice.uid, "alice/<script>.git", hostile);
    server.repository(server.bob.uid, "bob/b.git", "");
    server.root(&["flush"]);
    // As its account can write it: words of a receiver, and an entry's id.
    let log = bare.join("refpost/spool/log");
    let lines = fs::read_to_string(&log).unwrap();
    let lines = lines.replace("git.receive", "<script>alert(1)</script>\\u202e");
    fs::write(&log, lines).unwrap();
    let page = server.root(&["page"]).well().stdout;
    assert!(
        page.contains("alice/&lt;script&gt;.git") && page.contains("bob/b.git"),
        "{page}"
    );
    assert!(
        !page.contains("<script") && !page.contains('\u{202e}'),
        "{page}"
    );
    fs::write(bare.join("refpost/spool/counts"), counts(&bare)).unwrap();
    let ran = server.root(&["page"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let account = format!("Account {} could not be examined.", server.alice.name);
    assert!(cells(&ran.stdout).contains(&account), "{}", ran.stdout);
    assert!(ran.stdout.contains("bob/b.git"), "{}", ran.stdout);
}

/// The counts of a repository's spool, with a number that is no count.
fn counts(bare: &std::path::Path) -> String {
    let text = fs::read_to_string(bare.join("refpost/spool/counts")).unwrap();
    let mut all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let counts = all.as_object_mut().unwrap().values_mut();
    for own in counts.flat_map(|own| own.as_object_mut().unwrap().values_mut()) {
        for hour in own["hours"].as_object_mut().unwrap().values_mut() {
            hour[0] = u64::MAX.into();
        }
    }
    all.to_string()
}

#[test]
fn a_paused_endpoint_waited_and_took_messages() {
    let site = Spooled::new();
    served(&site);
    let shows = |sentence: &str, state: &str| {
        let text = cells(&site.refpost(["page"]).run().well().stdout);
        assert!(text.starts_with(&format!("\n{sentence}; ")), "{text}");
        assert!(text.contains(&format!("\n{state}oldest ")), "{text}");
        let status = site.refpost(["status"]).run().well().stdout;
        let row = status.lines().nth(1).unwrap();
        assert!(row.starts_with(state), "{row}");
    };
    site.configure("mode = \"spool\"", "paused = true");
    site.announce();
    site.flush();
    shows("The endpoint is paused", "paused");
    let list = |args: &[&str]| site.queue(&[&["list"], args].concat()).well().stdout;
    let listed = list(&[]);
    assert!(
        listed.contains("  paused  ") && !listed.contains("now"),
        "{listed}"
    );
    let object: serde_json::Value = serde_json::from_str(&list(&["--json"])).unwrap();
    assert_eq!(object["reason"], "paused");
    let down = "name = \"one\"\nurl = \"http://127.0.0.1:9/\"";
    site.settings(&format!("unsigned = true\n[[endpoint]]\n{down}\n"));
    site.flush();
    shows("The endpoint fails", "down");
    site.settings("urls = []\n");
    shows("The endpoint is not configured any more", "unconfigured");
}
