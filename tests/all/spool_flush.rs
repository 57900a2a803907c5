//! `flush`: what it finds, what it prints, how it ends; and `--watch`.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::support::spooled::{
    announce_to, commits, eventually, files_below, late, names, sibling, to,
};
use crate::support::{Answer, KEY, Request, Spooled};

fn fullnames(requests: &[Request]) -> BTreeSet<String> {
    let name = |request: &Request| {
        request.message()["project_fullname"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    requests.iter().map(name).collect()
}

#[test]
fn repositories_spools_and_folders_are_found() {
    let site = Spooled::new();
    let deep = sibling(&site, "group/deep.git");
    let shared = site.path("shared");
    let config = fs::read_to_string(site.bare.join("refpost.toml")).unwrap();
    let spooled = sibling(&site, "group/spooled.git");
    let text = format!("spool = \"{}\"\n{config}", shared.display());
    site.write("group/spooled.git/refpost.toml", text);
    let root = site.path("");
    for (what, expected) in [
        (vec![site.bare.clone()], vec!["test"]),
        (vec![site.spool()], vec!["test"]),
        (vec![site.path("group")], vec!["deep", "spooled"]),
        (vec![shared], vec!["spooled"]),
        (vec![spooled.clone()], vec!["spooled"]),
        (vec![site.bare.clone(), deep.clone()], vec!["deep", "test"]),
        (vec![root.clone()], vec!["deep", "spooled", "test"]),
        // Twice the same is the same.
        (vec![root.clone(), root], vec!["deep", "spooled", "test"]),
    ] {
        for bare in [&site.bare, &deep, &spooled] {
            announce_to(&site, bare);
        }
        let ran = site.refpost(["flush"]).args(&what).run().well();
        assert_eq!(ran.stdout, "", "{what:?}");
        let requests = site.receiver.take();
        let expected = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(fullnames(&requests), expected, "{what:?}");
        let rest = site.refpost(["flush"]).arg(site.path("")).run().well();
        assert_eq!(rest.stdout, "");
        site.receiver.take();
    }
}

#[test]
fn without_a_path_it_is_the_whole_server() {
    let site = Spooled::new();
    let ran = site.refpost(["flush"]).run();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("cannot tell which spools are meant"),
        "{}",
        ran.stderr
    );
    let root = format!("root = \"{}\"\n", site.path("").display());
    site.write("system.toml", root);
    let (commit, _) = site.announce();
    site.refpost(["flush"]).run().well();
    assert_eq!(commits(&site.receiver.take()), [commit]);
    let ran = site.refpost(["flush", "nowhere"]).run();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr
            .contains("cannot list `nowhere`: no such file or directory")
    );
}

#[test]
fn ten_thousand_folders_are_searched() {
    let site = Spooled::new();
    let many = site.path("many");
    for group in 0..100 {
        for name in 0..100 {
            let bare = many.join(format!("{group}/{name}.git"));
            for folder in ["objects", "refs"] {
                fs::create_dir_all(bare.join(folder)).unwrap();
            }
            fs::write(bare.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        }
    }
    let bare = sibling(&site, "many/99/group/one-of-them.git");
    let commit = announce_to(&site, &bare);
    site.refpost(["flush"]).arg(&many).run().well();
    assert_eq!(commits(&site.receiver.take()), [commit]);
    // And left no trace in the others.
    assert_eq!(names(&many.join("7/7.git")), ["HEAD", "objects", "refs"]);
}

#[test]
fn nothing_is_printed_while_all_is_well() {
    let site = Spooled::new();
    let flush = |args: &[&str]| site.refpost(["flush"]).args(args).arg(&site.bare).run();
    for args in [&[][..], &["--strict"]] {
        // No spool yet, an empty one, something to do.
        flush(args).well();
        site.announce();
        let ran = flush(args).well();
        assert_eq!(ran.stdout, "");
        flush(args).well();
    }
    // A receiver that is down is no matter for a person yet.
    site.receiver.script(|_| Answer::status(503));
    site.announce();
    flush(&[]).well();
    let ran = flush(&["--strict"]);
    assert_eq!(
        (ran.status, ran.stdout.as_str(), ran.stderr.as_str()),
        (75, "", "")
    );
}

#[test]
fn json_has_a_line_for_each_queue() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", &site.endpoint("two"));
    site.receiver.script(|request| {
        let is_down = request.line.starts_with("POST /two ");
        Answer::status(if is_down { 503 } else { 200 })
    });
    site.announce_many(2);
    let mut lines = site.objects(&["flush", "--json"]);
    lines.sort_by_key(|line| line["queue"].to_string());
    let spool = site.spool();
    let expected = |queue: &str, delivered: usize, left: bool| {
        json!({
            "spool": spool.to_str().unwrap(), "queue": queue, "delivered": delivered,
            "failed": 0, "left": left,
        })
    };
    assert_eq!(lines, [expected("one", 2, false), expected("two", 0, true)]);
}

#[test]
fn the_budget_ends_new_work() {
    let site = Spooled::new();
    let chain = site.chain(5);
    for commit in &chain {
        site.push(&[&format!("{commit}:refs/heads/main")]);
    }
    site.receiver
        .script(|_| late(Duration::from_millis(700), 200));
    let ran = site
        .refpost(["flush", "--strict", "--budget", "1s"])
        .arg(&site.bare)
        .run();
    assert_eq!((ran.status, ran.stderr.as_str()), (75, ""));
    let mut arrived = site.receiver.take();
    assert!(
        !arrived.is_empty() && arrived.len() < 5,
        "{}",
        arrived.len()
    );
    // What had begun was ended: nothing is sent twice.
    site.receiver.script(|_| Answer::status(200));
    arrived.extend(site.flush_well());
    assert_eq!(commits(&arrived), chain);
    let ran = site
        .refpost(["flush", "--budget", "0s"])
        .arg(&site.bare)
        .run();
    ran.well();
}

#[test]
fn a_new_spool_adopts_what_waits_in_the_old_one() {
    for by_push in [false, true] {
        let site = Spooled::new();
        site.receiver.script(|_| Answer::status(503));
        let (first, _) = site.announce();
        site.flush_well();
        let (second, _) = site.announce();
        site.receiver.script(|_| Answer::status(200));
        let moved = site.path("moved");
        let top = format!("mode = \"spool\"\nspool = \"{}\"", moved.display());
        // The endpoint becomes the server's, whose queue has the same name there.
        let url = site.receiver.url("/one");
        let endpoint = format!("key = \"{KEY}\"\n[[endpoint]]\nname = \"one\"\nurl = \"{url}\"\n");
        site.write("system.toml", format!("{top}\n{endpoint}"));
        site.settings("");
        let mut pushed = vec![first, second];
        if by_push {
            pushed.push(site.announce().0);
        }
        site.flush_well();
        site.queue(&["retry", "--all"]);
        let mut arrived = Vec::new();
        eventually("they arrived", || {
            site.flush().well();
            arrived.extend(site.receiver.take());
            arrived.len() >= pushed.len()
        });
        assert_eq!(commits(&arrived), pushed, "{by_push}");
        assert!(site.files().is_empty(), "{:?}", site.files());
        eventually("the new spool is empty", || {
            let mut files = files_below(&moved).into_iter();
            files.all(|file| {
                file.starts_with("sizes/")
                    || ["log", "spare", "stats", "counts"].contains(&file.as_str())
            })
        });
    }
}

#[test]
fn what_waited_under_a_repositorys_own_endpoint_survives_a_move() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(503));
    let (first, _) = site.announce();
    site.flush_well();
    site.receiver.script(|_| Answer::status(200));
    let moved = site.path("moved");
    // The endpoint stays in the repository's file: its queue has another name there.
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", moved.display()),
        "",
    );
    let (second, _) = site.announce();
    site.flush().well();
    site.retry_all();
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        site.flush().well();
        arrived.extend(site.receiver.take());
        arrived.len() >= 2
    });
    assert_eq!(commits(&arrived), [first, second]);
}

#[test]
fn repositories_share_a_servers_spool() {
    let site = Spooled::new();
    let shared = site.path("shared");
    let url = site.receiver.url("/server");
    site.write(
        "system.toml",
        format!(
            "spool = \"{}\"\nroot = \"{}\"\nmode = \"spool\"\nkey = \"{KEY}\"\n\
             [[endpoint]]\nname = \"server\"\nurl = \"{url}\"\n",
            shared.display(),
            site.path("").display(),
        ),
    );
    let one = site.receiver.url("/one");
    let two = site.receiver.url("/two");
    let own =
        |url: &str| format!("key = \"{KEY}\"\n[[endpoint]]\nname = \"mine\"\nurl = \"{url}\"\n");
    site.settings(&own(&one));
    let other = sibling(&site, "other.git");
    site.write("other.git/refpost.toml", own(&two));
    // A receiver of one repository is down: that holds nothing of the other's.
    site.receiver.script(|request| {
        let is_down = request.line.starts_with("POST /one ");
        Answer::status(if is_down { 503 } else { 200 })
    });
    let mut pushed = Vec::new();
    for bare in [&site.bare, &other, &site.bare, &other] {
        pushed.push(announce_to(&site, bare));
    }
    site.refpost(["flush"]).run().well();
    let requests = site.receiver.take();
    let arrived = |path: &str| commits(&to(path, &requests));
    assert_eq!(arrived("/server"), pushed);
    assert_eq!(arrived("/two"), [pushed[1].clone(), pushed[3].clone()]);
    assert_eq!(arrived("/one"), pushed[..1]);
    let queues = names(&shared.join("retry"));
    assert_eq!(queues.len(), 1, "{queues:?}");
    let is_one = queues[0].starts_with("mine@") && queues[0].len() == "mine@012345".len();
    assert!(is_one, "{queues:?}");
    assert!(site.files().is_empty() && !other.join("refpost").exists());
    // People see the endpoint's own name.
    let status = site.refpost(["status"]).arg(&site.bare).run().well();
    assert!(
        status.stdout.contains("failing  mine "),
        "{}",
        status.stdout
    );
}

#[test]
fn what_is_not_due_is_not_even_opened() {
    let site = Spooled::new();
    site.announce_many(3);
    site.receiver.script(|_| Answer::status(503));
    site.flush_well();
    site.receiver.take();
    let waiting = site.names("retry/one");
    // Whoever opens one of these sets it aside.
    for name in &waiting {
        fs::write(site.spool().join("retry/one").join(name), "no entry").unwrap();
    }
    assert!(site.flush_well().is_empty());
    assert!(site.receiver.take().is_empty());
    assert_eq!(site.names("retry/one"), waiting);
    assert_eq!(site.names("failed/unreadable"), [""; 0]);
}
