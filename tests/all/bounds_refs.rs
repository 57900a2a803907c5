//! More refs, lines and bytes than anybody sends: nothing is lost, and what is said
//! is one line.

use std::fmt::Write;

use crate::support::{Ran, Site, ZEROS, names, read_bodies, read_entry};

/// A site with one commit, which is pushed, and hooks that see only the push.
fn started(hooks: &[&str]) -> (Site, String) {
    let site = Site::new();
    site.spooled();
    for repository in [&site.bare, &site.work] {
        // git flushes each of its thousands of ref files.
        site.run("git")
            .dir(repository)
            .args(["config", "core.fsync", "none"])
            .run()
            .well();
    }
    let tip = site.commit("a");
    site.push(&["main"]);
    site.flush();
    site.link_only(hooks);
    (site, tip)
}

fn tag(number: usize) -> String {
    format!("v{number:06}")
}

/// So many tags of the tip, in the clone.
fn make_tags(site: &Site, tip: &str, count: usize) {
    let mut lines = String::new();
    for number in 0..count {
        writeln!(lines, "create refs/tags/{} {tip}", tag(number)).unwrap();
    }
    let update = site.git_run(&["update-ref", "--stdin"]);
    update.stdin(lines).run().well();
}

/// What a hook reads of so many new tags.
fn lines(tip: &str, count: usize) -> String {
    let mut lines = String::new();
    for number in 0..count {
        writeln!(lines, "{ZEROS} {tip} refs/tags/{}", tag(number)).unwrap();
    }
    lines
}

fn run_hook(site: &Site, name: &str, input: impl AsRef<[u8]>) -> Ran {
    let run = site.refpost(["hook", name]).dir(&site.bare);
    run.env("GIT_DIR", ".").stdin(input).run()
}

/// What refpost said to the pusher.
fn said(stderr: &str) -> Vec<&str> {
    let lines = stderr
        .lines()
        .map(|line| line.trim_start_matches("remote: "));
    let lines = lines.filter(|line| line.starts_with("refpost: "));
    lines.map(str::trim_end).collect()
}

/// The tags of all entries in `new/`, in the order of their ids; `i` counts on.
#[track_caller]
fn recorded_tags(site: &Site, sizes: &[usize]) -> Vec<String> {
    let new = site.spool().join("new");
    let mut tags = Vec::new();
    let mut found = Vec::new();
    for id in names(&new) {
        let entry = read_entry(&new.join(&id));
        let bodies = read_bodies(&new.join(&id));
        found.push(entry.len());
        for (told, body) in entry.iter().zip(bodies) {
            let i = tags.len() + 1;
            let start = format!("{{\"i\": {i}, ");
            assert!(body.starts_with(&start), "{i}: {}", &body[..40]);
            tags.push(told.rsplit('/').next().unwrap().to_owned());
        }
    }
    assert_eq!(found, sizes);
    tags
}

#[track_caller]
fn assert_all_tags(tags: &[String], count: usize) {
    assert_eq!(tags.len(), count);
    assert!(tags.iter().enumerate().all(|(at, name)| *name == tag(at)));
}

#[test]
fn a_push_of_25000_refs_is_three_entries_and_one_line() {
    let (site, tip) = started(&["pre-receive", "post-receive"]);
    make_tags(&site, &tip, 25_000);
    // One ref does not move: the batches after are not those before.
    site.bare_git(&["config", "receive.denyNonFastForwards", "true"]);
    site.git(&["checkout", "-q", "--orphan", "other"]);
    site.commit("b");
    let push = site.try_push(&["-q", "origin", "+other:main", "refs/tags/*:refs/tags/*"]);
    assert!(push.said.contains("non-fast-forward"), "{}", push.said);
    let host = "`receiver-";
    let told = said(&push.said);
    assert_eq!(told.len(), 1, "{told:?}");
    let expected = format!("refpost: 25000 messages queued for {host}");
    assert!(told[0].starts_with(&expected), "{told:?}");
    let tags = recorded_tags(&site, &[10_000, 10_000, 5000]);
    assert_all_tags(&tags, 25_000);
    assert_eq!(site.intents(), [""; 0]);
    assert_eq!(names(&site.spool().join("tmp")), [""; 0]);
}

#[test]
fn a_transaction_of_25000_refs_is_announced_whole() {
    let (site, tip) = started(&["reference-transaction"]);
    let mut input = String::new();
    for number in 0..25_000 {
        writeln!(input, "create refs/tags/{} {tip}", tag(number)).unwrap();
    }
    let update = site
        .run("git")
        .dir(&site.bare)
        .args(["update-ref", "--stdin"]);
    let ran = update.stdin(input).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let told = said(&ran.stderr);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("refpost: 25000 messages queued for "),
        "{told:?}"
    );
    let tags = recorded_tags(&site, &[10_000, 10_000, 5000]);
    assert_all_tags(&tags, 25_000);
    assert_eq!(site.intents(), [""; 0]);

    // Housekeeping names them all, from "any" to where they are, and moves none.
    for state in ["prepared", "committed"] {
        let run = site
            .refpost(["hook", "reference-transaction", state])
            .dir(&site.bare);
        let run = run.env("GIT_DIR", ".").stdin(lines(&tip, 25_000));
        run.run().well();
        assert_eq!(site.intents(), [""; 0]);
    }
    recorded_tags(&site, &[10_000, 10_000, 5000]);
}

/// The hook enqueues the first batch, and is killed while it waits for the third.
const KILLED: &str = "
cat >lines
mkfifo feed
REFPOST hook post-receive <feed &
refpost=$!
exec 3>feed
head -n 20000 lines >&3
until [ \"$(ls refpost/spool/new | wc -l)\" -eq 1 ] && [ \"$(ls refpost/spool/intent | wc -l)\" -eq 2 ]
do sleep 0.02; done
kill -9 \"$refpost\"
exit 0";

#[test]
fn a_hook_that_is_killed_between_batches_loses_nothing() {
    let (site, tip) = started(&["pre-receive"]);
    site.hook("post-receive", KILLED);
    let url = site.receiver.url("/");
    let config = format!(
        "mode = \"spool\"\nunsigned = true\n\
         [[endpoint]]\nname = \"few\"\nurl = \"{url}\"\nrefs = [\"refs/tags/*00\"]\n"
    );
    site.write("test.git/refpost.toml", config);
    make_tags(&site, &tip, 25_000);
    let push = site.try_push(&["-q", "--tags"]);
    assert_eq!(
        (push.status, said(&push.said).len()),
        (0, 0),
        "{}",
        push.said
    );
    assert_eq!(names(&site.spool().join("new")).len(), 1);
    assert_eq!(site.intents().len(), 2);

    let arrived = site.flush();
    let mut tags: Vec<_> = arrived
        .iter()
        .map(|one| one["tag"].as_str().unwrap())
        .collect();
    tags.sort_unstable();
    let expected: Vec<_> = (0..250).map(|number| tag(number * 100)).collect();
    assert_eq!(tags, expected, "each once");
    site.assert_quiet();
}

#[test]
fn a_push_of_several_batches_is_not_waited_for() {
    let (site, tip) = started(&[]);
    let url = site.receiver.url("/");
    site.config_alone(&format!(
        "unsigned = true\n\
         [[endpoint]]\nname = \"few\"\nurl = \"{url}\"\nrefs = [\"refs/tags/v000000\", \"refs/tags/v010000\"]\n\
         [[endpoint]]\nname = \"none\"\nurl = \"{url}\"\nrefs = [\"refs/heads/*\"]\n"
    ));
    let ran = run_hook(&site, "post-receive", lines(&tip, 10_001));
    let expected = "refpost: 10001 messages queued for `few` (2 of them), \
                    too many to send during the push\n";
    assert_eq!((ran.status, &*ran.stderr), (0, expected));
    let requests = site.receiver.wait_for(2);
    let counted: Vec<_> = requests
        .iter()
        .map(|it| it.message().whole["i"].clone())
        .collect();
    assert_eq!(counted, [1, 10_001]);
}

#[test]
fn a_thousand_endpoints_are_counted_and_not_all_named_to_the_pusher() {
    let (site, tip) = started(&[]);
    let url = site.receiver.url("/");
    let endpoint = |n| format!("[[endpoint]]\nname = \"e{n:03}\"\nurl = \"{url}{n}\"\n");
    let endpoints: String = (0..1000).map(endpoint).collect();
    let text = format!("mode = \"spool\"\nunsigned = true\n{endpoints}");
    site.write("test.git/refpost.toml", text);
    let ran = run_hook(&site, "post-receive", lines(&tip, 1));
    let expected = "refpost: 1 message queued for `e000`, `e001`, `e002`, `e003`, `e004`, \
                    `e005`, `e006`, `e007`, `e008`, `e009` and 990 more\n";
    assert_eq!((ran.status, &*ran.stderr), (0, expected));
}

#[test]
fn a_line_of_megabytes_is_one_line() {
    let (site, tip) = started(&[]);
    // Its end looks like a line, and begins where a reader's memory may end.
    let end = format!("{ZEROS} {tip} refs/tags/never");
    for length in [3 << 20, 1 << 20, 64 << 10] {
        let long = "x".repeat(length);
        let one = lines(&tip, 1);
        let input = format!("{long}{end}\n{one}");
        let ran = run_hook(&site, "post-receive", input);
        assert_eq!(ran.status, 0);
        let told = said(&ran.stderr);
        assert_eq!(
            told[0],
            "refpost: cannot read line 1 of the ref updates: it is longer than 64 KiB"
        );
        assert!(told[1].starts_with("refpost: 1 message queued"), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }
    // A transaction's lines too: nothing is recorded of what it does not say.
    let ran = run_hook(&site, "reference-transaction", "");
    assert_eq!((ran.status, &*ran.stderr), (0, ""));
    let input = format!("{}{end}\n", "x".repeat(1 << 20));
    let run = site.refpost(["hook", "reference-transaction", "prepared"]);
    let run = run.dir(&site.bare).env("GIT_DIR", ".").stdin(input);
    run.run().well();
    assert_eq!(site.intents(), [""; 0]);
}

#[test]
fn garbage_is_counted_and_costs_the_good_lines_nothing() {
    let (site, tip) = started(&[]);
    let garbage = "\u{1b}[31m nonsense\n".repeat(100_000);
    let input = format!("{garbage}{}{garbage}", lines(&tip, 1));
    let ran = run_hook(&site, "post-receive", &input);
    assert_eq!(ran.status, 0);
    let told = said(&ran.stderr);
    assert_eq!(told.len(), 7, "{told:?}");
    assert_eq!(told[5], "refpost: 199995 lines more like that");
    assert!(told[6].starts_with("refpost: 1 message queued"), "{told:?}");

    let preview = site.refpost(["preview", "test.git"]).stdin(&input).run();
    assert_eq!(preview.status, 1);
    let told = said(&preview.stderr);
    assert_eq!(told[20..], ["refpost: 199980 lines more like that"]);
    assert_eq!(preview.stdout.lines().count(), 1);
}

#[test]
fn more_refs_than_can_be_recorded_are_refused_only_if_that_is_required() {
    let (site, tip) = started(&[]);
    let url = site.receiver.url("/");
    let configure = |more: &str| {
        let text = format!("mode = \"spool\"\nunsigned = true\nurls = [\"{url}\"]\n{more}");
        site.write("test.git/refpost.toml", text);
    };
    let input = lines(&tip, 200_001);
    let ran = run_hook(&site, "pre-receive", &input);
    let expected =
        "refpost: cannot record the push: it moves more than 200000 refs (the push goes on)\n";
    assert_eq!((ran.status, &*ran.stderr), (0, expected));
    configure("require = true\n");
    let ran = run_hook(&site, "pre-receive", &input);
    let expected = "refpost: cannot record the push: it moves more than 200000 refs \
                    (the push is refused, as `require` has it)\n";
    assert_eq!((ran.status, &*ran.stderr), (1, expected));
    assert_eq!(site.intents(), [""; 0], "all of it is recorded, or nothing");
}

#[test]
fn what_one_entry_cannot_hold_becomes_several() {
    let (site, tip) = started(&[]);
    let url = site.receiver.url("/");
    // Each message in the header of its entry has the project's name.
    let name = "n".repeat(6000);
    let config = format!(
        "mode = \"spool\"\nunsigned = true\nurls = [\"{url}\"]\n[project]\nfullname = \"{name}\"\n"
    );
    site.write("test.git/refpost.toml", config);
    let ran = run_hook(&site, "post-receive", lines(&tip, 6000));
    let told = said(&ran.stderr);
    assert_eq!((ran.status, told.len()), (0, 1), "{told:?}");
    assert!(
        told[0].starts_with("refpost: 6000 messages queued for "),
        "{told:?}"
    );
    let tags = recorded_tags(&site, &[3000, 3000]);
    assert_all_tags(&tags, 6000);
}

#[test]
fn a_batch_that_cannot_be_recorded_costs_no_other() {
    let (site, tip) = started(&[]);
    let mut input = lines(&tip, 10);
    writeln!(input, "{ZEROS} {tip} refs/tags/{}", "x".repeat(60_000)).unwrap();
    for number in 10..20 {
        writeln!(input, "{ZEROS} {tip} refs/tags/{}", tag(number)).unwrap();
    }
    // 32 KiB (getrlimit(2), RLIMIT_FSIZE).
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec '{}' hook post-receive",
        crate::support::REFPOST
    );
    let run = site.run("sh").args(["-c", &script]).dir(&site.bare);
    let ran = run.env("GIT_DIR", ".").stdin(input).run();
    assert_eq!(ran.status, 0);
    let told = said(&ran.stderr);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("refpost: 20 messages queued for "),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("refpost: cannot enqueue 1 message: "),
        "{told:?}"
    );
    assert!(
        told[1].ends_with(": file too large (your push was accepted)"),
        "{told:?}"
    );
    let new = site.spool().join("new");
    let entries = names(&new)
        .into_iter()
        .flat_map(|id| read_entry(&new.join(id)));
    let told: Vec<_> = entries.collect();
    let expected: Vec<_> = (0..20)
        .map(|at| format!("git.tag.creation refs/tags/{}", tag(at)))
        .collect();
    assert_eq!(told, expected);
    assert_eq!(names(&site.spool().join("tmp")), [""; 0]);
}
