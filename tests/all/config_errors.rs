//! Errors of the configuration: file, line, key, and what to do.

use crate::support::{Environment, Ran, set_mode};

/// A repository with this configuration, asked for a preview of nothing.
fn load(text: &str) -> (Environment, Ran) {
    let environment = Environment::new();
    environment.bare("a.git");
    environment.write("a.git/refpost.toml", text);
    let ran = preview(&environment);
    (environment, ran)
}

fn preview(environment: &Environment) -> Ran {
    environment.refpost(["preview", "a.git"]).run()
}
/// Each of these files is refused with that.
#[track_caller]
fn each_says(table: &[(&str, &str)]) {
    for (text, error) in table {
        let (environment, ran) = load(text);
        let file = environment.path("a.git/refpost.toml");
        let expected = format!(
            "refpost: cannot load config `{}`: {error}\n",
            file.display()
        );
        assert_eq!((ran.status, ran.stderr), (78, expected), "{text}");
        assert_eq!(ran.stdout, "", "{text}");
    }
}

#[test]
fn an_error_names_file_line_and_key() {
    let table = [
        (
            "ulrs = []",
            "line 1: unknown key `ulrs`, did you mean `urls`?",
        ),
        (
            "\n\n[retry]\nshedule = []",
            "line 4: unknown key `shedule`, did you mean `schedule`?",
        ),
        (
            "\nfrobnicate_everything = 1",
            "line 2: unknown key `frobnicate_everything`",
        ),
        (
            "require = 1",
            "line 1: `require`: invalid type: integer `1`, expected a boolean",
        ),
        (
            "\nmode = \"later\"",
            "line 2: `mode`: unknown variant `later`, expected one of `background`, `spool`, `sync`",
        ),
        (
            "push_budget = 5",
            "line 1: `push_budget`: invalid type: integer `5`, expected a duration like `\"15s\"`, \
             `\"5m\"` or `\"2h\"`",
        ),
        (
            "max_body = \"1KiB\"",
            "line 1: `max_body`: 1024 bytes are not between 16KiB and 64MiB",
        ),
        (
            "max_body = \"much\"",
            "line 1: `max_body`: no size, expected one like `1MiB`",
        ),
        (
            "max_body = true",
            "line 1: `max_body`: invalid type: boolean `true`, expected a number of bytes, or a \
             size like `\"1MiB\"`",
        ),
        (
            "urls = 7",
            "line 1: `urls`: invalid type: integer `7`, expected an array of URLs, or one text \
             with a URL a line",
        ),
        (
            "urls = [\"https://ok.example.org/\", \"ftp://user:pass@host/hidden\"]",
            "line 1: `urls`: URL number 2: scheme `ftp` is not supported, expected `https` or `http`",
        ),
        (
            "\nurls = \"\"\"\n\n  https://ok.example.org/\n user:pass@host/hidden\"\"\"",
            "line 2: `urls`: URL number 3: it has no scheme, expected `https://host/path`",
        ),
        (
            "urls = [\"/hidden\"]",
            "line 1: `urls`: URL number 1: it is no URL (relative URL without a base), expected \
             `https://host/path`",
        ),
        (
            "\nroot = \"/srv/git\"",
            "line 2: `root` can only be set in the server's file, not by a repository",
        ),
        (
            "# [network]\n\n[network]\nallow = \"any\"",
            "line 3: `network` can only be set in the server's file, not by a repository",
        ),
        (
            "[delivery]\nin_flight = 2",
            "line 1: `delivery` can only be set in the server's file, not by a repository",
        ),
        (
            "key = \"hidden\"\nkey_file = \"k\"",
            "line 2: `key` and `key_file` are two answers to one question: take one",
        ),
        (
            "key = 5",
            "line 1: `key`: expected text, `{ file = \"…\" }`, `{ env = \"…\" }` or `{ credential = \"…\" }`",
        ),
        (
            "instance = \"https://a b/\"",
            "line 1: `instance`: it has a blank or a control character: one URL in each string",
        ),
        ("urls = [", "line 1: unclosed array, expected `]`"),
    ];
    each_says(&table);
    drop(load("key = \"k\"\n").1.well());
}

#[test]
fn a_key_that_is_appended_below_a_table_is_told_where_it_belongs() {
    let endpoint = "key = \"k\"\n[[endpoint]]\nname = \"ci\"\nurl = \"https://ci.example.org/\"\n";
    for line in [
        "instance = \"https://git.example.org/\"",
        "mode = \"sync\"",
        "quiet = true",
        "max_body = \"1MiB\"",
        "require = true",
        "urls = [\"https://a.example.org/\"]",
        "root = \"/srv/git\"",
    ] {
        let key = line.split(' ').next().unwrap();
        let told = |table: &str| {
            format!(
                "unknown key `{key}`: a key of the whole file goes above the first header, such as \
                 `{table}`"
            )
        };
        each_says(&[
            (
                &format!("{endpoint}{line}"),
                &format!("line 5: {}", told("[[endpoint]]")),
            ),
            (
                &format!("{endpoint}[retry]\n{line}"),
                &format!("line 6: {}", told("[retry]")),
            ),
        ]);
    }
    each_says(&[
        (
            "[[repository]]\nmatch = [\"a\"]\n[[repository.endpoint]]\nmode = \"sync\"",
            "line 4: unknown key `mode`: a key of the whole file goes above the first header, and \
             one of a section above its `[[repository.endpoint]]`",
        ),
        (
            "[project.user]\ndescription = \"x\"",
            "line 2: unknown key `description`: a key of `[project]` goes above `[project.user]`",
        ),
        (
            "[retry]\nshedule = []",
            "line 2: unknown key `shedule`, did you mean `schedule`?",
        ),
    ]);
}

#[test]
fn two_urls_in_one_string_were_one() {
    let told = "it has a blank or a control character: one URL in each string";
    for two in [
        "https://a.example.org/x, https://b.example.org/y",
        "https://a.example.org/x https://b.example.org/y",
        "https://a.example.org/x\\thttps://b.example.org/y",
        "https://a.example.org/x\\u0000y",
    ] {
        let urls = format!("urls = [\"{two}\"]");
        let endpoint = format!("[[endpoint]]\nname = \"ci\"\nurl = \"{two}\"");
        each_says(&[
            (&urls, &format!("line 1: `urls`: URL number 1: {told}")),
            (&endpoint, &format!("line 3: `endpoint[0].url`: {told}")),
        ]);
    }
    let fine = "unsigned = true\nurls = [\" https://a.example.org/my%20job?q=a+b,{ref}&ü#x \"]";
    load(fine).1.well();
}

#[test]
fn a_value_of_another_kind_is_told_in_words_of_toml() {
    each_says(&[
        ("mode = 1", "line 1: `mode`: expected a string"),
        (
            "max_changed_files = -3",
            "line 1: `max_changed_files`: invalid type: integer `-3`, expected a whole number, 0 \
             or more",
        ),
        (
            "[project]\nid = \"x\"",
            "line 2: `project.id`: invalid type: text, expected a whole number, 0 or more",
        ),
        (
            "retry = [[\"1m\"], \"5d\"]",
            "line 1: `retry`: invalid type: array, expected a table",
        ),
        (
            "[project]\ntags = true",
            "line 2: `project.tags`: invalid type: boolean `true`, expected an array",
        ),
        (
            "[endpoint]\nname = \"one\"",
            "line 1: `endpoint`: invalid type: table, expected an array: its header is \
             `[[endpoint]]`",
        ),
        (
            "[[endpoint]]\nname = \"one\"\n[retry]\n",
            "line 1: `endpoint[0]`: missing key `url`",
        ),
        (
            "[people]\n\"a@x\" = { name = 1, fullname = \"x\" }",
            "line 2: `people.a@x.name`: invalid type: integer `1`, expected a string",
        ),
        (
            "[project.milestones]\nx = 99999999999999999999",
            "line 2: `project.milestones.x`: a whole number has at most 64 bits",
        ),
        (
            "spool = \"\"",
            "line 1: `spool` is empty: leave the key out",
        ),
        (
            "[project]\nfullname = \"\"",
            "line 2: `project.fullname` is empty: leave the key out",
        ),
    ]);
}

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

#[test]
fn a_number_that_json_has_not_is_an_error() {
    for number in ["nan", "inf", "-inf"] {
        let text = format!("[project.milestones]\nx = {{ y = [{number}] }}\n");
        let error = "line 2: `project.milestones.x.y[0]`: `nan` and `inf` cannot be sent";
        each_says(&[(&text, error)]);
    }
}
