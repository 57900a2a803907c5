//! Errors of the configuration: file, line, key, and what to do.

use crate::support::{Environment, Ran};

/// A repository with this configuration, asked for a preview of nothing.
pub(crate) fn load(text: &str) -> (Environment, Ran) {
    let environment = Environment::new();
    environment.bare("a.git");
    environment.write("a.git/refpost.toml", text);
    let ran = preview(&environment);
    (environment, ran)
}

pub(crate) fn preview(environment: &Environment) -> Ran {
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
fn a_number_that_json_has_not_is_an_error() {
    for number in ["nan", "inf", "-inf"] {
        let text = format!("[project.milestones]\nx = {{ y = [{number}] }}\n");
        let error = "line 2: `project.milestones.x.y[0]`: `nan` and `inf` cannot be sent";
        each_says(&[(&text, error)]);
    }
}
