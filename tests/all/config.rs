//! The configuration: layers, what is in force, and what `check --show` tells of it.

use std::fs;
use std::path::Path;

use crate::support::{Environment, ZEROS};

/// The effective settings, sources and all.
fn show(environment: &Environment) -> String {
    let ran = environment
        .refpost(["check", "--show", "a.git"])
        .run()
        .well();
    let folder = environment.path("");
    ran.stdout.replace(folder.to_str().unwrap(), "/…/")
}
/// What `--show` says of one key: value and source.
fn shown(environment: &Environment, key: &str) -> Option<String> {
    let start = format!("{key} = ");
    let text = show(environment);
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&*start));
    lines.next().map(str::to_owned)
}
#[test]
fn the_repository_overrides_the_server_key_by_key() {
    let environment = Environment::new();
    environment.bare("a.git");
    environment.write(
        "system.toml",
        r#"
        instance = "https://git.example.org"
        push_budget = "3s"
        key_file = "keys/all"
        urls = ["https://server.example.org/"]
        [project]
        description = "the server's"
        user = { name = "bob", fullname = "Bob" }
        [people]
        "a@x" = { name = "a", fullname = "the server's" }
        "b@x" = { name = "b", fullname = "the server's" }
        [[endpoint]]
        name = "one"
        url = "https://one.example.org/"
        headers = { Authorization = "hidden" }
        [[endpoint]]
        name = "two"
        url = "https://two.example.org/"
        "#,
    );
    environment.write(
        "a.git/refpost.toml",
        r#"
        max_body = 65536
        push_budget = "4s"
        [project]
        user = { fullname = "Robert" }
        [people]
        "b@x" = { name = "b", fullname = "the repository's" }
        [[endpoint]]
        name = "one"
        url = "https://elsewhere.example.org/"
        "#,
    );
    let get = |key: &str| shown(&environment, key);
    let (system, own) = ("/…/system.toml", "/…/a.git/refpost.toml");
    let say = |value: &str, source: &str| Some(format!("{value}  # {source}"));
    assert_eq!(get("instance"), say("\"https://git.example.org/\"", system));
    assert_eq!(get("push_budget"), say("\"4s\"", own));
    assert_eq!(get("max_changed_files"), say("3000", "default"));
    assert_eq!(get("max_body"), say("\"64KiB\"", own));
    assert_eq!(get("key_file"), say("\"/…/keys/all\"", system));
    assert_eq!(get("project.user.name"), say("\"bob\"", system));
    assert_eq!(get("project.user.fullname"), say("\"Robert\"", own));
    assert_eq!(get("people.a@x.fullname"), say("\"the server's\"", system));
    assert_eq!(get("people.b@x.fullname"), say("\"the repository's\"", own));
    assert_eq!(
        get("endpoint.one.url"),
        say("\"https://elsewhere.example.org/…\"", own)
    );
    assert_eq!(
        get("endpoint.two.url"),
        say("\"https://two.example.org/…\"", system)
    );
}
/// What was overridden is not in force, so it is not shown: an endpoint is
/// replaced whole, the three ways to say the key are one, an empty `urls` stops
/// endpoints too.
#[test]
fn check_show_tells_only_what_is_in_force() {
    let environment = Environment::new();
    environment.bare("a.git");
    environment.write(
        "system.toml",
        "key_file = \"all\"\n[[endpoint]]\nname = \"one\"\nurl = \"https://one.example.org/\"\n\
         headers = { Authorization = \"hidden\" }\n",
    );
    let one = "[[endpoint]]\nname = \"one\"\nurl = \"https://elsewhere.example.org/\"\n";
    environment.write("a.git/refpost.toml", format!("key = \"hidden\"\n{one}"));
    let get = |key: &str| shown(&environment, key);
    assert_eq!(get("endpoint.one.headers.Authorization"), None);
    assert_eq!(get("key_file"), None);
    environment.write("a.git/refpost.toml", "unsigned = true\nurls = []");
    assert_eq!(get("endpoint.one.url"), None);
}
#[test]
fn an_empty_urls_stops_everything() {
    let environment = Environment::new();
    environment.bare("a.git");
    environment.write(
        "system.toml",
        "unsigned = true\nurls = [\"https://a.example.org/\"]\n\
         [[endpoint]]\nname = \"b\"\nurl = \"https://b.example.org/\"\n",
    );
    let requests = || {
        let line = format!("{} {ZEROS} refs/heads/x\n", "1".repeat(40));
        let preview = environment.refpost(["preview", "--http", "a.git"]);
        preview
            .stdin(line)
            .run()
            .well()
            .stdout
            .matches("POST ")
            .count()
    };
    assert_eq!(requests(), 2);
    for nothing in [
        "urls = []",
        "urls = \"\"",
        "urls = \" \\n \\n\"",
        "urls = [\"\", \" \"]",
    ] {
        environment.write("a.git/refpost.toml", nothing);
        assert_eq!(requests(), 0, "{nothing}");
    }
    environment.write(
        "a.git/refpost.toml",
        "urls = \"\"\"\nhttps://c.example.org/\n\n https://d.example.org/ \n\"\"\"",
    );
    assert_eq!(requests(), 3);
}
#[test]
fn the_servers_file_must_be_there_if_it_was_named() {
    let environment = Environment::new();
    environment.bare("a.git");
    let missing = environment.path("missing.toml");
    let error = format!(
        "refpost: cannot read config `{}`: no such file or directory\n",
        missing.display()
    );
    let preview = || environment.refpost(["preview", "a.git"]);
    preview()
        .env("REFPOST_CONFIG", &missing)
        .run()
        .fails(78, &error);
    preview()
        .arg("--config")
        .arg(&missing)
        .run()
        .fails(78, &error);
    // A variable that is set to nothing names none: then it need not be there.
    let unset = preview().env("REFPOST_CONFIG", "").run();
    assert!(!unset.stderr.contains("config ``"), "{}", unset.stderr);
    let named = environment.write("named.toml", "instance = \"https://named.example.org\"");
    let show = environment.refpost(["check", "--show", "a.git", "--config"]);
    let ran = show
        .arg(&named)
        .env("REFPOST_CONFIG", &missing)
        .run()
        .well();
    assert!(
        ran.stdout.contains("https://named.example.org/\"  # "),
        "{}",
        ran.stdout
    );
}
#[test]
fn check_show_is_toml_without_a_secret() {
    let environment = Environment::new();
    environment.bare("a.git");
    environment.write(
        "system.toml",
        "instance = \"https://git.example.org\"\n[network]\nallow_cidrs = [\"10.0.0.0/8\"]",
    );
    environment.write(
        "a.git/refpost.toml",
        r#"
        key = "hidden-key"
        urls = ["https://hidden-user:hidden-word@a.example.org/hidden-path?hidden"]
        [[endpoint]]
        name = "ci"
        url = "http://b.example.org:8080/hidden-path"
        topics = ["git.*", "!git.tag.*"]
        timeout = "45s"
        key = { env = "CI_KEY" }
        headers = { Authorization = "hidden-header", X-Other = { file = "token" } }
        [project]
        description = "Tools \u0007"
        "#,
    );
    let text = show(&environment);
    assert!(!text.contains("hidden-"), "{text}");
    crate::support::golden("show.txt", &text);
    toml::from_str::<toml::Table>(&text.replace('\u{7}', "")).expect("it is TOML");
}
#[test]
fn names_from_urls_stay_when_the_list_is_edited() {
    let environment = Environment::new();
    environment.bare("a.git");
    let names = |urls: &str| -> Vec<String> {
        environment.write(
            "a.git/refpost.toml",
            format!("unsigned = true\nurls = [{urls}]"),
        );
        let ran = environment.refpost(["check", "a.git"]).run();
        let lines = ran
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix("ok: endpoint `"));
        lines
            .map(|line| line.split('`').next().unwrap().to_owned())
            .collect()
    };
    let (a, b) = (
        "\"https://ci.example.org/pagure\"",
        "\"https://other.example.org:8443/\"",
    );
    let both = names(&format!("{a}, {b}"));
    assert_eq!(both.len(), 2);
    assert!(both[0].starts_with("ci.example.org-") && both[0].len() == "ci.example.org-".len() + 6);
    assert_eq!(names(b), both[1..]);
    assert_eq!(
        names(&format!("{a}, {a}")),
        both[..1],
        "the same URL twice is one endpoint"
    );
    assert_ne!(names("\"https://ci.example.org/other\""), both[..1]);
}
#[test]
fn no_config_at_all_is_no_error() {
    let environment = Environment::new();
    environment.bare("a.git");
    fs::remove_file(environment.path("system.toml")).unwrap();
    environment
        .refpost(["preview", "a.git"])
        .without("REFPOST_CONFIG")
        .run()
        .well();
}

#[test]
fn the_packages_configuration_says_nothing_until_its_lines_are_taken_up() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/debian/config.toml");
    let packaged = fs::read_to_string(path).unwrap();
    let environment = Environment::new();
    environment.bare("a.git");
    environment.write("system.toml", &packaged);
    assert!(!show(&environment).contains("system.toml"));
    // A line of prose has a space behind its `#`.
    let settings: Vec<_> = packaged
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.is_empty() && !line.starts_with(' '))
        .collect();
    environment.write("system.toml", settings.join("\n"));
    for setting in settings {
        let (key, _) = setting.split_once(" = ").unwrap();
        let shown = shown(&environment, key).unwrap_or_else(|| panic!("no {key}"));
        assert!(shown.ends_with("  # /…/system.toml"), "{key} = {shown}");
    }
}
