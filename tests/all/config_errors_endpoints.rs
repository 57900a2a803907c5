//! Errors of endpoints and of keys: which one, and what to do.

use crate::config_errors::{load, preview};
use crate::support::{Environment, set_mode};

#[test]
fn an_error_in_an_endpoint_names_the_endpoint() {
    let endpoint = |more: &str| {
        format!(
            "key = \"k\"\n[[endpoint]]\nname = \"ci\"\nurl = \"https://ci.example.org/\"\n{more}"
        )
    };
    let table = [
        (
            "[[endpoint]]\nname = \"ci\"\nurl = \"https://ci.example.org/\"".to_owned(),
            "two endpoints are named `ci`",
        ),
        (
            "[[endpoint]]\nname = \"b\"\nurl = \"https://a:b@host/\"\nheaders = { authorization = \"x\" }"
                .to_owned(),
            "the name and password in the URL of `b` and its header `Authorization` are two answers \
             to one question: take one",
        ),
        (
            "timeout = \"0s\"".to_owned(),
            "`timeout` of `ci` must be longer than nothing, and 60s at most",
        ),
        (
            "topic = []".to_owned(),
            "line 5: unknown key `topic`, did you mean `topics`?",
        ),
        (
            "refs = [\"[\"]".to_owned(),
            "line 5: `endpoint[0].refs`: pattern `[`: ",
        ),
        (
            "headers = { \"a b\" = \"hidden\" }".to_owned(),
            "line 5: `endpoint[0].headers.a b`: this is no name of a header",
        ),
        (
            "[retry]\nschedule = [\n\"1s\",\n2]".to_owned(),
            "line 8: `retry.schedule",
        ),
        (
            "key = \"hidden\"\nkey_file = \"x\"".to_owned(),
            "`key` and `key_file` are two answers to one question: take one",
        ),
    ];
    for (more, error) in table {
        let (_environment, ran) = load(&endpoint(&more));
        assert_eq!(ran.status, 78, "{more}");
        assert!(ran.stderr.contains(error), "{more}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hidden"), "{}", ran.stderr);
    }
    for name in ["../x", "", ".x", "a b", "ä", &"x".repeat(65)] {
        let (_environment, ran) = load(&format!(
            "[[endpoint]]\nname = \"{name}\"\nurl = \"https://ci.example.org/\""
        ));
        assert_eq!(ran.status, 78, "{name}");
        assert!(
            ran.stderr.contains("an endpoint's name is at most 64"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn headers_that_refpost_sets_are_not_to_be_set() {
    for name in [
        "Host",
        "content-LENGTH",
        "Content-Type",
        "Connection",
        "Transfer-Encoding",
        "User-Agent",
        "x-pagure",
        "X-Pagure-Signature",
        "X-Pagure-Whatever",
    ] {
        let (_environment, ran) = load(&format!(
            "key = \"k\"\n[[endpoint]]\nname = \"ci\"\nurl = \"https://ci.example.org/\"\n\
             headers = {{ {name} = \"hidden\" }}"
        ));
        assert_eq!(ran.status, 78, "{name}");
        let error = format!("refpost sets header `{name}` itself\n");
        assert!(ran.stderr.ends_with(&error), "{}", ran.stderr);
    }
    let (_environment, ran) = load(
        "key = \"k\"\n[[endpoint]]\nname = \"ci\"\nurl = \"https://ci.example.org/\"\n\
         headers = { \"A: B\" = \"hidden\" }",
    );
    assert!(
        ran.stderr.ends_with("this is no name of a header\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_url_without_a_key_is_an_error_that_says_how_to_get_one() {
    let (environment, ran) = load("[[endpoint]]\nname = \"ci\"\nurl = \"https://ci.example.org/\"");
    let file = environment.path("a.git/refpost.toml");
    ran.fails(
        78,
        &format!(
            "refpost: cannot load config `{}`: endpoint `ci` has no key\n\
             hint: make one with `refpost keygen`, and name its file as `key_file`; or say \
             `unsigned = true`\n",
            file.display()
        ),
    );
    for fine in [
        "urls = []",
        "mode = \"spool\"",
        "urls = [\"https://a.example.org/\"]\nunsigned = true",
    ] {
        load(fine).1.well();
    }
}

#[test]
fn a_config_that_holds_a_key_must_not_be_for_everybody() {
    let (environment, _) = load("urls = [\"https://a.example.org/\"]\nkey = \"hidden\"");
    let file = environment.path("a.git/refpost.toml");
    let shown = file.display();
    for mode in [0o644, 0o604, 0o664] {
        set_mode(&file, mode);
        preview(&environment).fails(
            78,
            &format!(
                "refpost: cannot load config `{shown}`: it holds a secret, and mode {mode:04o} lets \
                 others read it\nhint: chmod o= {shown}\n"
            ),
        );
    }
    for mode in [0o600, 0o640, 0o400] {
        set_mode(&file, mode);
        preview(&environment).well();
    }
    // Without a key in it there is nothing to hide.
    environment.write(
        "a.git/refpost.toml",
        "urls = [\"https://a.example.org/\"]\nkey_file = \"k\"",
    );
    set_mode(&file, 0o644);
    preview(&environment).well();
}

#[test]
fn a_key_that_is_none_is_found_by_check() {
    let environment = Environment::new();
    let bare = environment.bare("a.git");
    environment.refpost(["enable", "a.git"]).run();
    let path = bare.join("secret");
    let table = [
        (
            "key_file = \"secret\"",
            format!(
                "cannot read key `{}`: no such file or directory",
                path.display()
            ),
        ),
        (
            "key = { file = \"secret\" }",
            format!(
                "cannot read key `{}`: no such file or directory",
                path.display()
            ),
        ),
        (
            "key = \"\"",
            "cannot read key: its text in the config is empty".to_owned(),
        ),
        (
            "key = { env = \"NOT_SET\" }",
            "cannot read key: environment variable `NOT_SET` is not set".to_owned(),
        ),
        (
            "key = { env = \"EMPTY\" }",
            "cannot read key: environment variable `EMPTY` is empty".to_owned(),
        ),
    ];
    let check = |key: &str| {
        let url = "https://a.example.org/hook";
        environment.write(
            "a.git/refpost.toml",
            format!("{key}\n[[endpoint]]\nname = \"ci\"\nurl = \"{url}\""),
        );
        let check = environment.refpost(["check", "a.git"]);
        check.env("EMPTY", "").env("FULL", "hidden").run()
    };
    let error = |key: &str, error: &str| {
        let ran = check(key);
        assert_eq!(ran.status, 1, "{key}: {}", ran.stdout);
        let line = format!("error: endpoint `ci`: {error}\n");
        assert!(ran.stdout.contains(&line), "{key}: {}", ran.stdout);
    };
    for (key, why) in table {
        error(key, &why);
    }
    environment.write("a.git/secret", " \n");
    let empty = format!(
        "cannot read key: `{}` is empty\nhint: `refpost keygen` makes one",
        path.display()
    );
    error("key_file = \"secret\"", &empty);
    environment.write("a.git/secret", "hidden\n");
    for mode in [0o644, 0o604] {
        set_mode(&path, mode);
        let (file, hint) = (path.display(), path.display());
        let open = format!(
            "cannot read key `{file}`: mode {mode:04o} lets others read it\nhint: chmod o= {hint}"
        );
        error("key_file = \"secret\"", &open);
    }
    set_mode(&path, 0o640);
    for fine in [
        "key_file = \"secret\"",
        "key = { file = \"secret\" }",
        "key = { env = \"FULL\" }",
    ] {
        assert_eq!(check(fine).status, 0, "{}", check(fine).stdout);
    }
}
