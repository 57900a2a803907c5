//! Large pushes: all is counted, nothing is lost.

use std::fmt::Write;

use crate::support::{Site, ZEROS};

/// Fills the clone by `git fast-import`.
fn import(site: &Site, stream: &str) {
    let import = site.git_run(&["fast-import", "--quiet", "--force"]);
    import.stdin(stream).run().well();
}

#[test]
fn a_thousand_commits_are_one_message() {
    let site = Site::told_twice();
    let mut stream = String::new();
    for number in 0..1000 {
        let author = number % 7;
        write!(
            stream,
            "commit refs/heads/main\nauthor Author {author} <a@x> {time} +0000\n\
             committer C <c@x> {time} +0000\ndata 1\nx\nM 644 inline f{file}\ndata 3\n{number:03}\n",
            time = 1_700_000_000 + number,
            file = number % 50,
        )
        .unwrap();
    }
    import(&site, &stream);
    let push = site.push(&["main"]);
    let message = &push.messages[1];
    assert_eq!(message["total_commits"], 1000);
    let all = site.git(&["rev-list", "main"]);
    assert_eq!(message["end_commit"], all.lines().next().unwrap());
    assert_eq!(message["start_commit"], all.lines().last().unwrap());
    assert_eq!(message["old_commit"], ZEROS);
    assert_eq!(message.changed().len(), 50);
    let authors: Vec<_> = (0..7).map(|number| format!("Author {number}")).collect();
    assert_eq!(message.authors(), authors);
}

#[test]
fn five_thousand_tags_are_five_thousand_messages() {
    let site = Site::new();
    let tip = site.commit("a");
    site.push(&["main"]);
    let mut lines = String::new();
    for number in 0..5000 {
        writeln!(lines, "create refs/tags/v{number:04} {tip}").unwrap();
    }
    site.git_run(&["update-ref", "--stdin"])
        .stdin(lines)
        .run()
        .well();
    let push = site.push(&["--tags"]);
    assert_eq!(push.messages.len(), 5000);
    for (number, message) in push.messages.iter().enumerate() {
        assert_eq!(
            message.about(),
            ("git.tag.creation", &*format!("v{number:04}"))
        );
    }
    assert!(
        push.requests
            .iter()
            .all(|request| request.connection == push.requests[0].connection)
    );
    assert_eq!(push.remote().len(), 1, "{:?}", push.remote());
    assert!(
        push.remote()[0].starts_with("refpost: 5000 messages sent to "),
        "{}",
        push.said
    );
}
