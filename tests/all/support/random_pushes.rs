//! Pushes of any kind, drawn from a seed.

use super::{Ran, Site};

/// A number after the other, the same ones for a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % most
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.below(of.len() as u64);
        &of[usize::try_from(at).unwrap()]
    }
}

const MESSAGES: [&str; 6] = [
    "One line",
    "A subject\n\nAnd a body,\nof two lines.\n\n",
    "\n  ünïcode \u{1f600} \u{2028} \"quoted\" \\ and a tab\t",
    "word word word word word word word word word word word word word word word word word word wo",
    "long: a title that goes on for more than a hundred characters, so that GitLab cuts it at a space, which is here",
    "",
];

const AUTHORS: [(&str, &str); 4] = [
    ("Ada", "ada@example.org"),
    ("Bob \"Bé\" Böhm", "bob@example.net"),
    ("<none>", "x y@z"),
    ("日本", "日@本"),
];

const ZONES: [&str; 5] = ["+0000", "+0200", "-0530", "+1400", "-0001"];

/// A commit on this one with other files; gives its id.
fn commit(site: &Site, chance: &mut Chance, parents: &[&str]) -> String {
    for _ in 0..=chance.below(3) {
        let name = format!("{}/f{}", chance.one(&["a", "b", "ö x"]), chance.below(5));
        match chance.below(5) {
            0 => drop(std::fs::remove_file(site.work.join(&name))),
            1 => {
                std::fs::remove_file(site.work.join(&name)).ok();
                std::fs::create_dir_all(site.work.join(&name).parent().unwrap()).unwrap();
                std::os::unix::fs::symlink("target", site.work.join(&name)).unwrap();
            }
            _ => {
                std::fs::remove_file(site.work.join(&name)).ok();
                site.file(&name, format!("{}\n", chance.below(1 << 30)));
            }
        }
    }
    site.git(&["add", "-A"]);
    let tree = site.git(&["write-tree"]);
    let (name, email) = chance.one(&AUTHORS);
    let date = |chance: &mut Chance| {
        format!(
            "{} {}",
            1_600_000_000 + chance.below(100_000_000),
            chance.one(&ZONES)
        )
    };
    let mut args = vec!["commit-tree", &tree];
    for parent in parents {
        args.extend(["-p", parent]);
    }
    let message = format!("{}{}", chance.one(&MESSAGES), chance.below(100));
    let (authored, committed) = (date(chance), date(chance));
    let run = site.git_run(&args).stdin(message.as_bytes());
    let run = run
        .env("GIT_AUTHOR_NAME", *name)
        .env("GIT_AUTHOR_EMAIL", *email);
    let ran = run
        .env("GIT_AUTHOR_DATE", authored)
        .env("GIT_COMMITTER_DATE", committed)
        .run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stdout.trim().to_owned()
}

/// A ref that moved.
pub(crate) struct Move {
    pub(crate) name: String,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
}

impl Move {
    /// Pushes it.
    pub(crate) fn push(&self, site: &Site) -> Ran {
        let new = self.new.as_deref().unwrap_or_default();
        let refspec = format!("+{new}:{}", self.name);
        let push = site.git_run(&["push", "-q", "origin", &refspec]);
        push.run()
    }
}

/// Commits and tags, and the moves of refs to them.
pub(crate) struct RandomPushes {
    chance: Chance,
    /// The commits up to now.
    known: Vec<String>,
    /// Number of moves up to now.
    number: u32,
}

impl RandomPushes {
    pub(crate) fn new(site: &Site, seed: u64) -> Self {
        let mut chance = Chance(seed);
        let known = vec![commit(site, &mut chance, &[])];
        Self {
            chance,
            known,
            number: 0,
        }
    }

    /// The next move of a ref, to be pushed. `None`: it would be where it is.
    pub(crate) fn next(&mut self, site: &Site) -> Option<Move> {
        let Self {
            chance,
            known,
            number,
        } = self;
        for _ in 0..chance.below(4) {
            let one = chance.one(known).clone();
            let other = chance.one(known).clone();
            let parents: &[&str] = match chance.below(6) {
                0 if one != other => &[&one, &other],
                1 => &[],
                _ => &[&one],
            };
            known.push(commit(site, chance, parents));
        }
        let names = ["heads/main", "heads/a", "heads/b ö/c", "tags/v1", "tags/v2"];
        let name = format!("refs/{}", chance.one(&names).replace(' ', "-"));
        let old = site
            .run("git")
            .dir(&site.bare)
            .args(["rev-parse", "-q", "--verify", &name])
            .run();
        let old = Some(old.stdout.trim().to_owned()).filter(|old| !old.is_empty());
        let mut new = Some(chance.one(known).clone());
        if name.starts_with("refs/tags/") && chance.below(2) == 0 {
            let target = new.clone().unwrap();
            let tag = format!("t{number}");
            site.git(&["tag", "-a", "-m", &format!("Tag {number}"), &tag, &target]);
            new = Some(site.git(&["rev-parse", &tag]));
        }
        if old.is_some() && name != "refs/heads/main" && chance.below(4) == 0 {
            new = None;
        }
        *number += 1;
        (old != new).then_some(Move { name, old, new })
    }
}
