//! The hour with gitolite, run as the page has it: every prompt's command, and what it shows.
//!
//! Only `root$` is left out: packages and accounts are those of the tests. Names and ports of the
//! page stand for ones that this machine has.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::readme::page_text;
use crate::support::{Accounts, Server, Sshd, SystemAccount, free_port, has_host_and_accounts};
use crate::tutorial::masked;

const PAGE: &str = "docs/tutorial/an-hour-with-gitolite.md";

/// Time within which everything that the page shows is there.
const PATIENCE: Duration = Duration::from_mins(1);

/// Stand-ins for the page's server, its people and its receivers.
struct Page {
    git: SystemAccount,
    sshd: Sshd,
    accounts: Accounts,
    /// Names on the page, each with its stand-in.
    names: Vec<(&'static str, String)>,
    /// Listening receivers.
    receivers: Vec<Server>,
}

/// A fenced block: the line before it, and its lines.
struct Block {
    before: String,
    text: String,
}

fn blocks(section: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut parts = section.split("\n```");
    let mut before = parts.next().unwrap();
    while let (Some(block), Some(after)) = (parts.next(), parts.next()) {
        let (_kind, text) = block.split_once('\n').unwrap();
        let last = before.trim_end().lines().next_back().unwrap_or_default();
        found.push(Block {
            before: last.to_owned(),
            text: text.to_owned(),
        });
        before = after;
    }
    found
}

/// Returns whether all that is shown was printed, in this order. `…` stands for any lines.
fn has_shown(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (masked(shown), masked(printed));
    let mut rest = printed.as_str();
    shown.split('…').map(str::trim).all(|part| {
        let after = rest.split_once(part).map(|(_, after)| after);
        rest = after.unwrap_or_default();
        after.is_some()
    })
}

impl Page {
    fn new() -> Option<Self> {
        let needed = [("gitolite", "gitolite3"), ("sshd", "openssh-server")];
        if !has_host_and_accounts(&needed) {
            return None;
        }
        let accounts = Accounts::new()?;
        let git = SystemAccount::new(&accounts, "git");
        let sshd = Sshd::start(&accounts);
        accounts.public("gitconfig", "[init]\n\tdefaultBranch = main\n");
        let alice = accounts.public("alice.pub", &sshd.key("alice"));
        fs::write(accounts.path("home/bob.pub"), sshd.key("bob")).unwrap();
        let names = vec![
            ("/tmp/alice.pub", alice.display().to_string()),
            (
                "/usr/local/bin/refpost",
                accounts.binary.display().to_string(),
            ),
            ("/home/git", git.home.display().to_string()),
            (
                "git@git.example.org",
                format!("{}@git.example.org", git.name),
            ),
            // This machine, by an address that does not look like it.
            ("ci.example.org", "[::ffff:127.0.0.1]".to_owned()),
            ("chat.example.org", "[::ffff:127.0.0.1]".to_owned()),
            (":8001", format!(":{}", free_port())),
            (":8002", format!(":{}", free_port())),
        ];
        Some(Self {
            git,
            sshd,
            accounts,
            names,
            receivers: Vec::new(),
        })
    }

    /// The page's text with names that exist here.
    fn here(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (on_page, here)| {
            text.replace(on_page, here)
        })
    }

    /// The file in which a person's current folder is remembered.
    fn folder(&self, who: &str) -> PathBuf {
        self.accounts.path(&format!("folder-of-{who}"))
    }

    /// Runs a line at a person's prompt. Returns its exit code and everything that it printed.
    fn run(&self, who: &str, line: &str) -> (i32, String) {
        if who == "git" {
            let script = format!("exec 2>&1; [ ! -e ~/.profile ] || . ~/.profile; {line}");
            let path = format!("{}:/usr/bin:/bin", self.accounts.path("").display());
            let mut command = self.git.command("/bin/sh");
            let ran = Accounts::run(command.env("PATH", path).args(["-ec", &script]));
            return (ran.status, ran.stdout);
        }
        let folder = self.folder(who);
        if !folder.exists() {
            let home = self.accounts.path(&format!("at-{who}"));
            fs::create_dir(&home).unwrap();
            fs::write(&folder, home.to_str().unwrap()).unwrap();
        }
        let folder = folder.display();
        let script = format!("exec 2>&1; cd \"$(cat {folder})\"; {line} && pwd > {folder}");
        let run = self.accounts.environment.run("bash");
        let run = run.env("GIT_SSH_COMMAND", self.sshd.ssh(who));
        let ran = run.args(["-c", &script]).run();
        (ran.status, ran.stdout)
    }

    /// Runs a line, until it has printed what the page shows: what goes on beside it takes a while.
    #[track_caller]
    fn assert_shows(&self, who: &str, line: &str, shown: &str) {
        let until = Instant::now() + PATIENCE;
        let line = self.here(line);
        let may_repeat = ["status", "check", "queue list"].iter();
        let may_repeat = may_repeat
            .clone()
            .any(|command| line.starts_with(&format!("refpost {command}")));
        loop {
            let (status, printed) = self.run(who, &line);
            let is_right = if shown.is_empty() {
                // What other programs say of their work is left out of the page.
                printed.is_empty() || !line.contains("refpost ")
            } else {
                has_shown(&self.here(shown), &printed)
            };
            if status == 0 && is_right {
                return;
            }
            assert!(
                may_repeat && Instant::now() < until,
                "{line}: {status}\n{printed}\nThe page shows:\n{shown}"
            );
        }
    }

    /// Starts a receiver, which prints into a file.
    fn listen(&mut self, line: &str) {
        let line = self.here(line);
        let (_, port) = line.split_once("127.0.0.1:").unwrap();
        let port = port.split(' ').next().unwrap().parse().unwrap();
        let output = File::create(self.printed_by(port)).unwrap();
        let mut command = self.accounts.command(0, &self.accounts.binary);
        let key = fs::read(self.git.home.join(".refpost.key")).unwrap();
        self.accounts.environment.write("ci.key", key);
        let words = line.split(' ').skip(1);
        command
            .args(words)
            .current_dir(self.accounts.path(""))
            .stdout(output);
        self.receivers.push(Server::start(&mut command, port));
    }

    fn printed_by(&self, port: u16) -> PathBuf {
        self.accounts.path(&format!("printed-{port}"))
    }

    /// Does what a block says.
    fn follow(&mut self, block: &Block) {
        let file = block
            .before
            .strip_prefix('`')
            .and_then(|rest| rest.strip_suffix("`:"));
        if let Some(file) = file.filter(|file| !file.contains('`')) {
            let folder = fs::read_to_string(self.folder("alice")).unwrap();
            let path = PathBuf::from(folder.trim_end()).join(file);
            fs::write(path, self.here(&block.text)).unwrap();
        } else if block.before.starts_with("`ci` prints") {
            let until = Instant::now() + PATIENCE;
            let printed = self.printed_by(self.here(":8001")[1..].parse().unwrap());
            let printed = || fs::read_to_string(&printed).unwrap();
            while !has_shown(&block.text, &printed()) {
                assert!(Instant::now() < until, "{}\n{}", printed(), block.text);
            }
        } else if let Some((variable, line)) = block.text.split_once("\n* * * * * ") {
            let line = format!("export {}; {line}", self.here(variable));
            self.assert_shows("git", &line, "");
        } else {
            self.at_prompts(&block.text);
        }
    }

    /// Runs every command of a block.
    fn at_prompts(&mut self, text: &str) {
        let mut commands: Vec<(&str, &str, String)> = Vec::new();
        for line in text.lines() {
            if let Some((who, command)) = line.split_once("$ ")
                && ["root", "git", "alice", "ci"].contains(&who)
            {
                commands.push((who, command, String::new()));
            } else {
                let (_, _, shown) = commands.last_mut().expect("a prompt comes first");
                shown.push_str(line);
                shown.push('\n');
            }
        }
        for (who, command, shown) in &commands {
            match *who {
                "root" => {}
                "ci" => self.listen(command),
                who => self.assert_shows(who, command, shown),
            }
        }
    }

    /// A push as the page has one before it says "in the same way".
    fn push(&self, who: &str, repository: &str) {
        let name = repository.split('/').next_back().unwrap();
        let url = self.here(&format!("git@git.example.org:{repository}"));
        let line = format!(
            "cd {}; [ -e {who}-{name} ] || git clone -q {url} {who}-{name}; cd {who}-{name}; \
             git commit -q --allow-empty -m more && git push -u origin HEAD",
            self.accounts.path("").display()
        );
        let (status, printed) = self.run(who, &line);
        assert!(
            status == 0 && printed.contains("queued for `ci`, `chat`"),
            "{printed}"
        );
    }
}

#[test]
fn the_hour_with_gitolite_is_as_the_page_says() {
    let Some(mut page) = Page::new() else {
        return;
    };
    let text = page_text(PAGE);
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), 4);
    let mut count = 0;
    for (number, section) in sections.iter().enumerate() {
        for block in blocks(section) {
            if number == 3 && block.text.contains("queue retry") {
                page.listen("refpost listen --addr 127.0.0.1:8002 --key-file ci.key");
            }
            page.follow(&block);
            count += 1;
        }
        if number == 2 {
            page.push("bob", "web/site");
            page.push("alice", "docs/handbook");
            page.push("alice", "infra/tools");
        }
    }
    assert!(count > 12, "{count}");
}
