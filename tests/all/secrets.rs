//! No secret is ever shown: in no output, log, spool, dump or title of a process.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use refpost::config;

use crate::support::{Answer, REFPOST, Request, Site, ZEROS};

const SECRETS: [&str; 11] = [
    "hidden-key",
    "hidden-old",
    "hidden-file",
    "hidden-user",
    "hidden-word",
    "hidden-path",
    "hidden-query",
    "hidden-header",
    "hidden-token",
    "hidden-proxy",
    "hidden-env",
];

#[track_caller]
fn assert_hidden(text: &str, what: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} shows {secret}: {text}");
    }
    // As `Authorization: Basic` has them.
    for encoded in ["aGlkZGVuLXVzZXI", "aGlkZGVuLXByb3h5"] {
        assert!(!text.contains(encoded), "{what} shows {encoded}: {text}");
    }
}

/// A receiver, a dead one, and one behind a dead proxy; secrets wherever one can be.
fn started() -> Site {
    let site = Site::new();
    let live = site.receiver.url("");
    let live = live.replace("http://", "http://hidden-user:hidden-word@");
    let dead = "http://hidden-user:hidden-word@127.0.0.1:9";
    let place = "/hidden-path?hidden-query";
    site.write("test.git/key", "hidden-file\n");
    site.write("test.git/token", "hidden-token\n");
    site.config_alone(&format!(
        "key = \"hidden-key\"\nprevious_key = {{ text = \"hidden-old\", until = 2999-01-01 }}\n\
         urls = [\"{live}{place}&1\", \"{dead}{place}\"]\n\
         [[endpoint]]\nname = \"own\"\nurl = \"{live}{place}&2\"\nkey_file = \"key\"\n\
         [endpoint.headers]\nX-Auth = \"hidden-header\"\nX-Token = {{ file = \"token\" }}\n\
         X-Env = {{ env = \"HIDDEN\" }}\n\
         [[endpoint]]\nname = \"away\"\nurl = \"{dead}{place}\"\nkey = {{ env = \"HIDDEN\" }}\n"
    ));
    site
}

fn push(site: &Site, branch: &str) -> crate::support::Push {
    site.commit("a");
    let push = site.git_run(&["push", "origin", &format!("HEAD:refs/heads/{branch}")]);
    site.push_by(push.env("HIDDEN", "hidden-env"))
}

/// A receiver that repeats what it was sent.
fn repeat(request: &Request) -> Answer {
    let heads = request.headers.iter();
    let heads: Vec<String> = heads
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let text = format!("{} {}", request.line, heads.join(" "));
    Answer::Reply(500, vec![("X-Repeat", text.clone())], text.into_bytes())
}

#[test]
fn no_secret_is_in_any_output_or_in_the_spool() {
    let site = started();
    let answers: [fn(&Request) -> Answer; 5] = [
        |_| Answer::status(200),
        repeat,
        |_| {
            let to = "http://hidden-user@x/hidden-path".into();
            Answer::Reply(302, vec![("Location", to)], Vec::new())
        },
        |_| Answer::CutHead,
        |_| Answer::status(404),
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        site.receiver.script(answer);
        let push = push(&site, &format!("b{at}"));
        assert_eq!(push.status, 0);
        assert_hidden(&push.said, "push");
    }
    // With a proxy whose name and password are secrets, too.
    let system = "[network]\nproxy = \"socks5://hidden-proxy:hidden-word@127.0.0.1:9\"\n";
    for system in ["", system] {
        site.write("system.toml", system);
        all_commands(&site);
    }
    let spooled = read_all(&site.bare.join("refpost"));
    assert!(!spooled.is_empty());
    for (path, text) in spooled {
        assert_hidden(&path, "a name in the spool");
        assert_hidden(&text, &path);
    }
}

/// An endpoint of each format at a live receiver and at a dead one, with each secret that it can
/// have.
fn started_in_each_format() -> Site {
    let site = Site::new();
    let live = site.receiver.url("");
    let live = live.replace("http://", "http://hidden-user:hidden-word@");
    let dead = "http://hidden-user:hidden-word@127.0.0.1:9";
    site.write("test.git/token", "hidden-file\n");
    site.write("test.git/own.j2", "{{ summary|tojson }}");
    site.write("test.git/bad.j2", "{{ summary.oops|tojson }}");
    let template = |name: &str| format!("template = {{ file = \"{name}.j2\" }}\n");
    let key = "key = \"hidden-key\"\nstandard_webhooks = true\n\
               previous_key = { text = \"hidden-old\", until = 2999-01-01 }\n";
    let formats = [
        ("pagure", "pagure", key.to_owned()),
        ("github", "github", format!("{key}topics = [\"*\"]\n")),
        ("gitea", "gitea", format!("{key}topics = [\"*\"]\n")),
        ("forgejo", "forgejo", key.to_owned()),
        (
            "gitlab",
            "gitlab",
            format!("{key}token = \"hidden-token\"\n"),
        ),
        (
            "lab-file",
            "gitlab",
            "token = { file = \"token\" }\n".to_owned(),
        ),
        (
            "lab-env",
            "gitlab",
            "token = { env = \"HIDDEN\" }\n".to_owned(),
        ),
        ("slack", "slack", key.to_owned()),
        ("template", "template", key.to_owned() + &template("own")),
        ("bad", "template", key.to_owned() + &template("bad")),
    ];
    let mut config = String::new();
    for (name, format, more) in formats {
        for (kind, host) in [("live", &*live), ("dead", dead)] {
            writeln!(
                config,
                "[[endpoint]]\nname = \"{name}-{kind}\"\nformat = \"{format}\"\n\
                 url = \"{host}/hidden-path/{{ref}}?hidden-query={{fullname}}\"\n{more}\
                 [endpoint.headers]\nX-Auth = \"hidden-header\"",
            )
            .unwrap();
        }
    }
    site.config_alone(&config);
    site
}

#[test]
fn no_secret_of_any_format_is_in_any_output_or_in_the_spool() {
    let site = started_in_each_format();
    let answers: [fn(&Request) -> Answer; 3] =
        [|_| Answer::status(200), repeat, |_| Answer::status(404)];
    for (at, answer) in answers.into_iter().enumerate() {
        site.receiver.script(answer);
        site.commit("a");
        let refspecs = [
            format!("HEAD:refs/heads/b{at}"),
            format!("HEAD:refs/tags/t{at}"),
        ];
        let push = site.git_run(&["push", "origin"]).args(refspecs);
        let ran = push.env("HIDDEN", "hidden-env").run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert_hidden(&ran.stderr, "push");
        let requests = site.receiver.take();
        let has_token = |token: &str| {
            let mut all = requests.iter();
            all.any(|one| one.header("X-Gitlab-Token") == Some(token))
        };
        let tokens = ["hidden-token", "hidden-file", "hidden-env"];
        assert!(at > 0 || tokens.into_iter().all(has_token));
    }
    site.receiver.script(repeat);
    let ping = || {
        site.refpost(["ping", "test.git"])
            .env("HIDDEN", "hidden-env")
            .run()
    };
    let ran = ping();
    assert_hidden(&(ran.stdout + &ran.stderr), "ping");
    all_commands(&site);
    let loaded = config::load(&site.path("system.toml"), true, Some(&site.bare), "host").unwrap();
    assert_hidden(
        &format!("{:#?} {:#?}", loaded.settings, loaded.shown()),
        "the settings",
    );
    let spooled = read_all(&site.bare.join("refpost"));
    let failed = |(path, _): &&(String, String)| path.contains("/failed/bad-live/");
    assert!(spooled.iter().any(|file| failed(&file)), "nothing failed");
    for (path, text) in spooled {
        assert_hidden(&path, "a name in the spool");
        assert_hidden(&text, &path);
    }
}

fn all_commands(site: &Site) {
    let commands: &[&[&str]] = &[
        &["check", "test.git"],
        &["check", "--show", "test.git"],
        &["status", "test.git"],
        &["status", "--json", "test.git"],
        &["log", "test.git"],
        &["log", "--json", "test.git"],
        &["queue", "list", "test.git"],
        &["queue", "list", "--json", "test.git"],
        &["flush", "test.git"],
        &["flush", "--json", "test.git"],
        &["preview", "--http", "test.git"],
        &["enable", "test.git"],
        &["queue", "retry", "--all", "--repo", "test.git"],
    ];
    let tip = site.git(&["rev-parse", "HEAD"]);
    let line = format!("{ZEROS} {tip} refs/heads/x\n");
    let shown = |args: &[&str]| {
        let run = site.refpost(args).env("HIDDEN", "hidden-env").stdin(&line);
        let ran = run.run();
        assert_ne!(ran.status, 2, "{args:?}: {}", ran.stderr);
        assert_hidden(&ran.stdout, &args.join(" "));
        assert_hidden(&ran.stderr, &args.join(" "));
        ran.stdout
    };
    let listed = shown(&["queue", "list", "test.git"]);
    let rows = listed.lines().skip(1);
    let ids = rows.filter_map(|line| line.split(' ').next_back());
    for id in ids.collect::<BTreeSet<_>>() {
        shown(&["queue", "show", id, "--repo", "test.git"]);
    }
    for args in commands {
        shown(args);
    }
}

#[test]
fn a_ping_shows_nothing_of_what_a_receiver_repeats() {
    let site = started();
    site.receiver.script(repeat);
    let ran = site
        .refpost(["ping", "test.git"])
        .env("HIDDEN", "hidden-env")
        .run();
    assert_eq!(ran.status, 1);
    assert_hidden(&ran.stdout, "ping");
    assert_hidden(&ran.stderr, "ping");
    assert!(
        ran.stdout.contains("is down: it answered 500"),
        "{}",
        ran.stdout
    );
}

#[test]
fn an_error_of_the_configuration_quotes_no_secret() {
    let site = Site::new();
    for text in [
        "key = \"hidden-key\nmode = 1",
        "mode = \"hidden-key\"",
        "key = { fle = \"hidden-key\" }",
        "key = [\"hidden-key\"]",
        "urls = [\"hidden-user:hidden-word@host\"]",
        "urls = [\"ftp://hidden-user:hidden-word@host/hidden-path\"]",
        "urls = [\"http://hidden-user:hidden-word@host:99999/hidden-path\"]",
        "push_budget = \"hidden-key\"",
        "key = \"k\"\nprevious_key = { text = \"hidden-old\", until = \"hidden-old\" }",
        "network.proxy = \"ftp://hidden-proxy:hidden-word@x\"",
        "[[endpoint]]\nname = \"hidden key\"\nurl = \"http://x\"\nheaders = { X = 7, Y = \"hidden-header\" }",
        "[[endpoint]]\nname = \"e\"\nurl = \"http://hidden-user@\"",
    ] {
        site.config_alone(text);
        for args in [&["check", "test.git"][..], &["preview", "test.git"]] {
            let ran = site.refpost(args).run();
            assert_ne!(ran.status, 0, "{text}");
            assert_hidden(&ran.stdout, text);
            assert_hidden(&ran.stderr, text);
        }
    }
}

#[test]
fn a_dump_of_the_settings_has_no_secret_in_it() {
    let site = started();
    let system = site.write(
        "system.toml",
        "[network]\nproxy = \"http://hidden-proxy:hidden-word@127.0.0.1:9\"\n",
    );
    let loaded = config::load(&system, true, Some(&site.bare), "host").unwrap();
    let dump = format!("{:#?} {:#?}", loaded.settings, loaded.shown());
    assert!(dump.contains("127.0.0.1:9"), "{dump}");
    assert_hidden(&dump, "the settings");
    for endpoint in &loaded.settings.endpoints {
        let variable = |_: &str| Some("hidden-env".to_owned());
        let now = std::time::SystemTime::now();
        let credentials = endpoint.credentials(&variable, now).unwrap();
        assert_hidden(&format!("{:?}", credentials.key), "a key");
        assert_hidden(&format!("{:?}", credentials.previous), "a previous key");
        assert_hidden(&format!("{:?}", credentials.headers), "headers");
    }
}

#[test]
fn no_process_has_a_secret_in_its_title() {
    let site = started();
    for mode in ["sync", "background"] {
        let path = site.bare.join("refpost.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"sync\"", &format!("\"{mode}\""))).unwrap();
        let (arrived, waiting) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        site.receiver.script(move |_| {
            arrived.send(()).ok();
            released.lock().unwrap().recv().ok();
            Answer::status(200)
        });
        thread::scope(|scope| {
            let pushed = scope.spawn(|| push(&site, mode));
            waiting.recv().unwrap();
            let titles = titles();
            assert!(!titles.is_empty(), "{mode}: nobody delivers");
            for title in titles {
                assert_hidden(&title, "a title");
            }
            drop(release);
            assert_eq!(pushed.join().unwrap().status, 0);
        });
    }
}

/// What ps(1) shows of every refpost that runs.
fn titles() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ours = processes.filter(|process| {
        fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe == Path::new(REFPOST))
    });
    ours.filter_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("{} {name}", String::from_utf8_lossy(&line)))
    })
    .collect()
}

fn read_all(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(read_all(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
    found
}
