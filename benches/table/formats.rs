//! What other formats cost the hook than Pagure's.
//!
//! - *One commit*: the process `post-receive` with one endpoint of a format, beside the same with
//!   one of Pagure's, in turns.
//! - *Many commits*: processor time of the hook for a push of 10,000 commits, each with a file,
//!   beside `git log --name-status` of them: with the 2,048 that GitHub's format lists, and with all.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;

use crate::measure::{cost, median, time, watch};
use crate::site::{Site, commit, file, run};
use crate::table::{self, Row};

/// How often each process is started for one commit, and for many.
const ROUNDS: usize = 51;
const MANY_ROUNDS: usize = 7;

const COMMITS: usize = 10_000;
const TEMPLATE: &str = "{\"text\": {{ (pusher.name ~ ' ' ~ summary)|tojson }}}";

pub(crate) fn measure() {
    table::part("formats");
    one_commit();
    many_commits();
}

fn history(commits: usize) -> Site {
    let site = Site::new();
    site.import(|to| {
        for n in 0..=commits {
            commit(to, "main", n, None);
            file(
                to,
                &format!("{}/{}/{}", n % 10, n / 10 % 10, n % 97),
                &n.to_string(),
            );
        }
    });
    site
}

/// One endpoint of a format.
fn configure(site: &Site, format: &str, more: &str) {
    fs::write(site.bare.join("own.j2"), TEMPLATE).unwrap();
    let own = if format == "template" {
        "template = { file = \"own.j2\" }\n"
    } else {
        ""
    };
    site.configure_alone(&format!(
        "{more}[[endpoint]]\nname = \"one\"\nurl = \"http://127.0.0.1:9/hook\"\n\
         format = \"{format}\"\n{own}"
    ));
}

fn one_commit() {
    const FORMATS: [&str; 4] = ["pagure", "github", "gitlab", "template"];
    let sites = FORMATS.map(|format| {
        let site = history(1);
        configure(&site, format, "");
        site
    });
    let updates = sites.each_ref().map(|site| site.moved("main", "main~1"));
    let mut taken = FORMATS.map(|_| vec![]);
    for _ in 0..=ROUNDS {
        for ((site, update), taken) in sites.iter().zip(&updates).zip(&mut taken) {
            let mut hook = site.hook("post-receive");
            taken.push(time(|| drop(run(&mut hook, update))));
        }
    }
    let [pagure, others @ ..] = taken.map(median);
    for (format, cost) in FORMATS[1..].iter().zip(others) {
        table::row(&Row {
            what: format!("`{format}`, one commit"),
            peer: "`pagure`",
            cost,
            peer_cost: pagure,
            most: (*format == "github").then_some(1.3),
            ..Row::default()
        });
    }
}

fn many_commits() {
    let site = history(COMMITS);
    let from = format!("main~{COMMITS}");
    let update = site.folder().join("update");
    File::create(&update)
        .unwrap()
        .write_all(site.moved("main", &from).as_bytes())
        .unwrap();
    let range = format!("{from}..main");
    let all = format!("max_commits = {COMMITS}\nmax_body = \"64MiB\"\n");
    for (what, more) in [("the newest listed", ""), ("all listed", &*all)] {
        configure(&site, "github", more);
        let hook = || {
            site.forget();
            let mut hook = site.hook("post-receive");
            hook.stdin(File::open(&update).unwrap()).spawn().unwrap()
        };
        let (mut ours, mut gits) = (vec![], vec![]);
        for _ in 0..MANY_ROUNDS {
            ours.push(cost(|| assert!(hook().wait().unwrap().success())));
            gits.push(cost(|| {
                let mut log = site.command("git");
                log.args(["log", "--name-status", &range])
                    .stdout(Stdio::null());
                assert!(log.status().unwrap().success());
            }));
        }
        table::row(&Row {
            what: format!("`github`, {COMMITS} commits, {what}"),
            peer: "`git log --name-status`",
            cost: median(ours),
            peer_cost: median(gits),
            most: Some(3.0),
            memory: Some(watch(&mut hook())),
        });
    }
}
