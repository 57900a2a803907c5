//! Two days with a wrong key, by a clock that the test moves: what each way shows of it.

use std::fs;
use std::path::PathBuf;

use crate::cron_mail::events;
use crate::support::spooled::{eventually, processes};
use crate::support::{Answer, Ran, Runner, Spooled, preload};

/// A clock that is ahead by the seconds in a file.
const CLOCK: &str = r#"
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = NEXT(clock_gettime)(clock, now);
    if (clock == CLOCK_REALTIME && result == 0) {
        FILE *file = fopen("AHEAD", "r");
        long ahead = 0;
        if (file && fscanf(file, "%ld", &ahead) == 1) now->tv_sec += ahead;
        if (file) fclose(file);
    }
    return result;
}"#;

/// A site in mode `background` whose clock the test moves.
struct Moved {
    site: Spooled,
    library: PathBuf,
}

impl Moved {
    fn new(alerts: &str) -> Self {
        let site = Spooled::with("mode = \"background\"");
        let ahead = site.path("ahead");
        fs::write(&ahead, "0").unwrap();
        let library = preload(&site, &CLOCK.replace("AHEAD", ahead.to_str().unwrap()));
        let root = format!("root = \"{}\"\n{alerts}", site.path("").display());
        site.write(
            "system.toml",
            root.replace("TOLD", site.path("told").to_str().unwrap()),
        );
        Self { site, library }
    }

    fn move_to(&self, hours: u64) {
        // A file that is read meanwhile is whole.
        let new = self.site.write("ahead.new", (hours * 3600).to_string());
        fs::rename(new, self.site.path("ahead")).unwrap();
    }

    fn then(&self, runner: Runner) -> Runner {
        runner.env("LD_PRELOAD", &self.library)
    }

    /// Pushes, and waits for the flush that the hook starts.
    fn push(&self) {
        self.site.commit("file");
        let push = self.site.git_run(&["push", "-q", "origin", "main"]);
        assert_eq!(self.then(push).run().status, 0);
        self.ended();
    }

    fn retry(&self) {
        let retry = ["queue", "retry", "--all", "--server"];
        self.refpost(&retry).well();
        self.ended();
    }

    fn ended(&self) {
        let spool = self.site.spool().display().to_string();
        eventually("no flush runs", || {
            processes(&["--detached", &spool]).is_empty()
        });
    }

    fn refpost(&self, args: &[&str]) -> Ran {
        self.then(self.site.refpost(args)).run()
    }

    /// The mail of cron's flush: the events in it.
    fn mail(&self) -> Vec<String> {
        events(&self.refpost(&["flush", "--server"]))
    }

    fn page(&self) -> String {
        self.refpost(&["page"]).well().stdout
    }

    /// The number of refused messages, as metrics have it.
    fn refused(&self) -> String {
        let metrics = self.refpost(&["metrics"]).well().stdout;
        let mut lines = metrics.lines();
        let line = lines
            .find(|line| line.contains("state=\"refused\""))
            .unwrap();
        line.rsplit_once(' ').unwrap().1.to_owned()
    }

    /// The events that the command of `[alerts]` was given since the last call.
    fn alerts(&self) -> Vec<String> {
        let ran = self.refpost(&["flush", "--server"]).well();
        assert_eq!(ran.stderr, "");
        let told = fs::read_to_string(self.site.path("told")).unwrap_or_default();
        fs::remove_file(self.site.path("told")).ok();
        let event = |line: &str| Some(line.split_once(' ')?.0.to_owned());
        let events = told.lines().filter(|line| line.starts_with("endpoint."));
        events.filter_map(event).collect()
    }
}

#[test]
fn a_wrong_key_over_two_days_in_background_is_seen_within_one_flush_once_and_its_end() {
    let ways = [
        Moved::new(""),
        Moved::new("[alerts]\ncommand = [\"sh\", \"-c\", \"cat >>TOLD\"]\n"),
    ];
    let [printed, alerted] = &ways;
    for one in &ways {
        one.site.receiver.script(|_| Answer::status(403));
    }
    let (mut mails, mut alerts) = (Vec::new(), Vec::new());
    for hours in (0..=48).step_by(4) {
        for one in &ways {
            one.move_to(hours);
            if hours % 12 == 0 {
                one.push();
            }
        }
        mails.push(printed.mail());
        alerts.push(alerted.alerts());
        let page = printed.page();
        assert!(page.contains("The endpoint fails; "), "{hours}: {page}");
        assert_ne!(printed.refused(), "0");
    }
    for told in [&mails, &alerts] {
        let of_day = |hours: usize| match hours {
            0 => vec!["endpoint.failing".to_owned()],
            24 | 48 => vec!["endpoint.still_failing".to_owned()],
            _ => Vec::new(),
        };
        let expected: Vec<_> = (0..=48).step_by(4).map(of_day).collect();
        assert_eq!(**told, expected);
    }
    for one in &ways {
        one.move_to(50);
        one.site.receiver.script(|_| Answer::status(200));
        one.retry();
    }
    assert_eq!(printed.mail(), ["endpoint.recovered"]);
    assert_eq!(alerted.alerts(), ["endpoint.recovered"]);
    assert_eq!(printed.refused(), "0");
    let page = printed.page();
    assert!(
        page.contains("The endpoint takes messages; nothing waits"),
        "{page}"
    );
    assert!(printed.mail().is_empty() && alerted.alerts().is_empty());
}
