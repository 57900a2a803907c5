//! The man pages: of refpost, of each subcommand, and of the configuration.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::support::{Environment, golden_at};

/// Names of subcommands, from the headings of the page of commands.
fn commands() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/reference/commands.md")).unwrap();
    let titles = page
        .lines()
        .filter_map(|line| line.strip_prefix("## refpost "));
    titles.map(str::to_owned).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Has groff render a page. Returns `None` without groff.
fn rendered(environment: &Environment, page: &[u8]) -> Option<String> {
    let has_groff = environment.run("sh").args(["-c", "command -v groff"]).run();
    if has_groff.status != 0 {
        crate::support::leave_out("groff is not here: man pages are not rendered");
        return None;
    }
    let groff = environment
        .run("groff")
        .args(["-man", "-Tutf8", "-ww", "-K", "utf8"]);
    Some(groff.stdin(page).run().well().stdout)
}

#[test]
fn subcommands_had_no_page_of_their_own() {
    let environment = Environment::new();
    let script = fs::read_to_string(root().join("install.sh")).unwrap();
    let (_, pages) = script.split_once("\npages='").unwrap();
    let pages: Vec<&str> = pages
        .split('\'')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    let mut names: Vec<String> = commands.iter().map(|name| name.replace(' ', "-")).collect();
    names.sort();
    assert_eq!(pages, names, "install.sh has one page for each");
    let mut all = Vec::new();
    for name in &commands {
        let page = environment
            .refpost(["man"])
            .args(name.split(' '))
            .run()
            .well();
        let version = env!("CARGO_PKG_VERSION");
        let title = name.replace(' ', "-");
        let title = format!(".TH refpost-{title} 1  \"refpost {version}\"");
        assert!(page.stdout.contains(&title), "{name}: {}", page.stdout);
        assert!(
            page.stdout.contains(".SH \"SEE ALSO\"\nrefpost(1)"),
            "{name}: {}",
            page.stdout
        );
        all.extend(page.bytes);
    }
    if let Some(text) = rendered(&environment, &all) {
        assert!(text.contains("refpost-queue-drop(1)"), "{text}");
        assert!(text.contains("75  with --strict"), "{text}");
    }
    let ran = environment.refpost(["man", "queue", "typo"]).run();
    let told = "refpost: cannot print the man page of `queue typo`: there is no such command\n\
                hint: `refpost --help` lists the commands\n";
    ran.fails(1, told);
}

/// The page is made of the tables of the reference, as `REFPOST_UPDATE_GOLDEN` writes it.
#[test]
fn the_page_of_the_configuration_is_its_reference() {
    let reference = fs::read_to_string(root().join("docs/reference/configuration.md")).unwrap();
    let mut page = String::from(
        ".\\\" Made of the tables of docs/reference/configuration.md by a test.\n\
         .TH refpost.toml 5 \"\" refpost\n\
         .SH NAME\nrefpost.toml \\- configuration of refpost\n\
         .SH SYNOPSIS\n/etc/refpost/config.toml\n.br\nrefpost.toml in a bare repository\n\
         .SH DESCRIPTION\nBoth files are TOML, and optional. That of a repository overrides that of \
         the server, key by key. \
         \\fBrefpost check \\-\\-show\\fR prints what is in force and which file says so; \
         \\fBrefpost check \\-\\-config\\fR \\fIFILE\\fR checks a file alone.\n.PP\n\
         Durations are strings such as \"1m 30s\", sizes strings with a unit or a number of bytes. \
         Relative file names are below the folder of their file.\n.SH KEYS\n",
    );
    let (mut count, mut heads) = (0, Vec::new());
    for line in reference.lines() {
        if line.starts_with("## One file") {
            break;
        }
        if let Some(title) = line.strip_prefix("### `") {
            writeln!(page, ".SS {}", title.trim_end_matches('`')).unwrap();
        }
        // It has no heading of its own.
        if line.starts_with("`[web]` says") {
            page.push_str(".SS [web]\n");
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if cells[0] == "key" {
            heads = cells;
        } else if cells.len() == heads.len() && line.starts_with("| `") {
            let of = |head| {
                heads
                    .iter()
                    .position(|it| *it == head)
                    .map(|at| roff(cells[at]))
            };
            write!(page, ".TP\n{}\n{}", roff(cells[0]), of("type").unwrap()).unwrap();
            if let Some(default) = of("default") {
                write!(page, "; default: {default}").unwrap();
            }
            let meaning = of("meaning").map(|meaning| meaning + "\n");
            write!(page, ".\n{}", meaning.unwrap_or_default()).unwrap();
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
    page.push_str(
        ".SH SECTIONS\nIn the server's file \\fB[[repository]]\\fR sections carry any key for the \
         repositories that their \\fBmatch\\fR chooses, an array of patterns of paths below \
         \\fBroot\\fR.\n.SH SEE ALSO\nrefpost(1), refpost\\-check(1)\n",
    );
    golden_at(Path::new("contrib/refpost.toml.5"), &page);
    rendered(&Environment::new(), page.as_bytes());
}

/// Returns whether a link's text is words, or code as a whole.
fn is_word(text: &str) -> bool {
    let code = text
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    !code.unwrap_or(text).contains('`')
}

/// Markdown of a table's cell as roff: code is bold, links are their text.
fn roff(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let linked = link
            .split_once("](")
            .and_then(|(name, rest)| Some((name, rest.split_once(')')?.1)));
        match linked {
            Some((name, after)) if !before.ends_with('`') && is_word(name) => {
                plain += before;
                plain += name;
                rest = after;
            }
            _ => {
                plain += before;
                plain.push('[');
                rest = link;
            }
        }
    }
    plain += rest;
    let plain = plain
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace("<br>", " ");
    let parts = plain.split('`').enumerate();
    let parts = parts.map(|(at, part)| match at % 2 {
        1 => format!("\\fB{part}\\fR"),
        _ => part.to_owned(),
    });
    let text = parts.collect::<String>();
    // A line that begins so is a request.
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}
