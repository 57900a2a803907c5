//! Repositories of other accounts: refused unless git itself trusts them.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::spooled::{commits, eventually, files_below};
use crate::support::{Git, REFPOST, Spooled, set_mode};

/// Accounts that need no name.
const OWNER: u32 = 4201;
const OTHER: u32 = 4202;

/// A site whose repository is OWNER's, in the group of OTHER, which can run the binary.
struct Shared {
    site: Spooled,
    binary: PathBuf,
}

impl Shared {
    /// Root alone can make that; where somebody else runs the tests, that is said.
    fn new(config: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            crate::support::leave_out("only root gives repositories away, so that is not tested");
            return None;
        }
        let site = Spooled::with(config);
        set_mode(&site.path(""), 0o755);
        set_mode(&site.path("system.toml"), 0o644);
        set_mode(&site.path("gitconfig"), 0o644);
        let binary = site.path("refpost");
        fs::copy(REFPOST, &binary).unwrap();
        set_mode(&binary, 0o755);
        let hook = site.bare.join("hooks/post-receive");
        fs::remove_file(&hook).unwrap();
        std::os::unix::fs::symlink(&binary, &hook).unwrap();
        site.bare_git(&["config", "core.sharedRepository", "group"]);
        let shared = Self { site, binary };
        shared.give_away();
        Some(shared)
    }

    /// Makes everything OWNER's and the group's, as `core.sharedRepository` has it.
    fn give_away(&self) {
        let bare = &self.site.bare;
        chown_with_mode(bare);
        for file in files_below(bare) {
            let path = bare.join(file);
            for above in path.ancestors().take_while(|above| above != bare) {
                chown_with_mode(above);
            }
        }
        for folder in ["refs", "refs/heads", "refs/tags", "objects", "objects/info"] {
            chown_with_mode(&bare.join(folder));
        }
        // It has a key in it.
        set_mode(&bare.join("refpost.toml"), 0o660);
    }

    /// A command as OTHER.
    fn by_other(&self, program: impl AsRef<Path>, args: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.site.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.site.path("gitconfig"))
            .env("REFPOST_CONFIG", self.site.path("system.toml"))
            .stdin(Stdio::null())
            .current_dir("/")
            .uid(OTHER)
            .gid(OTHER);
        command
    }

    fn refpost(&self, args: &[&str]) -> Output {
        self.by_other(&self.binary, args).output().unwrap()
    }

    fn trust(&self) {
        let bare = self.site.bare.display();
        let text = format!("[safe]\n\tdirectory = {bare}\n");
        self.site.write("gitconfig", text);
        set_mode(&self.site.path("gitconfig"), 0o644);
    }

    fn said(&self) -> String {
        let bare = self.site.bare.display();
        format!(
            "cannot trust repository `{bare}`: it belongs to account {OWNER}, not to {OTHER}, \
             who runs this\nhint: git config --global --add safe.directory {bare}\n"
        )
    }
}

fn chown_with_mode(path: &Path) {
    if path.is_symlink() {
        return;
    }
    chown(path, Some(OWNER), Some(OTHER)).unwrap();
    let mode = if path.is_dir() { 0o2775 } else { 0o664 };
    set_mode(path, mode);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_command_refuses_what_git_does_not_trust() {
    let Some(shared) = Shared::new("mode = \"spool\"") else {
        return;
    };
    let bare = shared.site.bare.to_str().unwrap();
    for args in [
        &["ping", bare][..],
        &["emit", "--topic", "x", bare],
        &["preview", bare],
        &["enable", bare],
        &["disable", bare],
        &["log", bare],
        &["flush", bare],
        &["status", bare],
        &["queue", "list", bare],
        &["check", bare],
    ] {
        let ran = shared.refpost(args);
        let all = text(&ran.stdout) + &text(&ran.stderr);
        assert!(all.contains(&shared.said()), "{args:?}: {all}");
    }
    for command in ["preview", "status", "check"] {
        let mut here = shared.by_other(&shared.binary, &[command]);
        let ran = here.current_dir(bare).output().unwrap();
        let all = text(&ran.stdout) + &text(&ran.stderr);
        assert!(all.contains(&shared.said()), "{command}: {all}");
    }
    let hook = shared.site.bare.join("hooks/post-receive");
    assert!(hook.is_symlink(), "nothing was unlinked");

    shared.trust();
    for args in [&["preview", bare][..], &["flush", bare], &["status", bare]] {
        let ran = shared.refpost(args);
        assert!(ran.status.success(), "{args:?}: {}", text(&ran.stderr));
        assert_eq!(text(&ran.stderr), "", "{args:?}");
    }
}

#[test]
fn a_repository_with_a_work_tree_is_trusted_by_that() {
    for git in Git::all() {
        let Some(shared) = Shared::new("mode = \"spool\"") else {
            return;
        };
        let site = &shared.site;
        let work = site.path("clone");
        site.git(&["clone", "-q", ".", work.to_str().unwrap()]);
        let mut chown = Command::new("chown");
        let owner = format!("{OWNER}:{OWNER}");
        assert!(
            chown
                .arg("-R")
                .arg(owner)
                .arg(&work)
                .status()
                .unwrap()
                .success()
        );
        let preview = || {
            let args = ["preview", work.to_str().unwrap()];
            let mut command = shared.by_other(&shared.binary, &args);
            command.env("PATH", &git.path).output().unwrap()
        };
        let said = text(&preview().stderr);
        let hint = format!("safe.directory {}\n", work.display());
        assert!(said.ends_with(&hint), "{}: {said}", git.version);
        // As git has it, the work tree is what is named.
        let trust = format!("[safe]\n\tdirectory = {}\n", work.display());
        site.write("gitconfig", trust);
        set_mode(&site.path("gitconfig"), 0o644);
        let ran = preview();
        assert!(
            ran.status.success(),
            "{}: {}",
            git.version,
            text(&ran.stderr)
        );
    }
}

#[test]
fn root_is_told_of_it_like_anybody() {
    let Some(shared) = Shared::new("mode = \"spool\"") else {
        return;
    };
    let ran = shared.site.refpost(["check", "test.git"]).run();
    assert_eq!(ran.status, 1);
    let why = format!("cannot work on `test.git` as root: it belongs to `{OWNER}`");
    assert!(ran.stdout.contains(&why), "{}", ran.stdout);
}

#[test]
fn a_repository_that_is_not_trusted_blocks_its_own_entries_alone() {
    let Some(shared) = Shared::new("mode = \"spool\"") else {
        return;
    };
    let site = &shared.site;
    // Two repositories with one spool, which is OTHER's; one of them is OTHER's too.
    let spool = site.path("spool");
    let mine = site.bare("mine.git");
    let url = site.receiver.url("/mine");
    site.write(
        "mine.git/refpost.toml",
        format!("mode = \"spool\"\nunsigned = true\nurls = [\"{url}\"]\n"),
    );
    let server = format!("spool = \"{}\"\n", spool.display());
    site.write("system.toml", server);
    set_mode(&site.path("system.toml"), 0o644);
    std::os::unix::fs::symlink(&shared.binary, mine.join("hooks/post-receive")).unwrap();
    site.write("gitconfig", "[safe]\n\tdirectory = *\n");
    // Root's hooks put both there.
    let roots = Command::new("chown")
        .args(["-R", "0:0"])
        .arg(&site.bare)
        .status();
    assert!(roots.unwrap().success());
    let (first, _) = site.announce();
    let push = site.git_run(&["push", mine.to_str().unwrap(), "main"]);
    push.run();
    let chown_all = |path: &Path| {
        let owner = format!("{OTHER}:{OTHER}");
        let mut chown = Command::new("chown");
        let ran = chown.arg("-R").arg(owner).arg(path).status();
        assert!(ran.unwrap().success());
    };
    chown_all(&spool);
    chown_all(&mine);
    shared.give_away();
    site.write("gitconfig", "");
    set_mode(&site.path("gitconfig"), 0o644);

    let flush = || shared.refpost(&["flush", spool.to_str().unwrap()]);
    let ran = flush();
    assert!(ran.status.success());
    assert_eq!(text(&ran.stderr), format!("refpost: {}", shared.said()));
    let arrived = site.receiver.take();
    let lines: Vec<_> = arrived.iter().map(|it| it.line.as_str()).collect();
    // A new branch is two messages.
    assert_eq!(lines, ["POST /mine HTTP/1.1"; 2]);
    // Nothing is lost: once it is trusted, it comes.
    shared.trust();
    let ran = flush();
    assert_eq!(text(&ran.stderr), "");
    assert_eq!(commits(&site.receiver.take()), [first]);
}

#[test]
fn a_push_to_a_shared_repository_is_delivered_if_git_takes_the_push() {
    for git in Git::all() {
        let Some(shared) = Shared::new("mode = \"background\"") else {
            return;
        };
        let site = &shared.site;
        let clone = site.path("clone");
        let bare = site.bare.to_str().unwrap();
        fs::create_dir(&clone).unwrap();
        chown(&clone, Some(OTHER), Some(OTHER)).unwrap();
        let run = |args: &[&str]| {
            let mut command = shared.by_other("git", args);
            command
                .env("PATH", &git.path)
                .env("GIT_AUTHOR_NAME", "Ada")
                .env("GIT_AUTHOR_EMAIL", "ada@example.org")
                .env("GIT_COMMITTER_NAME", "Ada")
                .env("GIT_COMMITTER_EMAIL", "ada@example.org");
            command.current_dir(&clone).output().unwrap()
        };
        assert!(run(&["init", "-q", "-b", "theirs"]).status.success());
        let commit = ["commit", "-q", "--allow-empty", "-m", "x"];
        assert!(run(&commit).status.success());
        // git looks at the owner before any hook runs: what it says, we say.
        let refused = run(&["push", bare, "theirs"]);
        assert!(!refused.status.success(), "{}", git.version);
        assert!(text(&refused.stderr).contains("safe.directory"));
        assert!(site.receiver.take().is_empty());

        shared.trust();
        let pushed = run(&["push", bare, "theirs"]);
        assert!(pushed.status.success(), "{}", text(&pushed.stderr));
        let mut arrived = Vec::new();
        eventually("the pusher's own flush delivered it", || {
            arrived.extend(site.receiver.take());
            // A new branch is two messages.
            arrived.len() == 2
        });
        eventually("its spool is empty", || site.files().is_empty());
        let owner = fs::metadata(site.spool().join("new")).unwrap().uid();
        assert_eq!(owner, OTHER, "{}", git.version);
    }
}

/// git looks for a repository further up, and finds ours.
#[test]
fn a_repository_that_git_does_not_see_is_not_the_one_above_it() {
    let Some(shared) = Shared::new("mode = \"spool\"") else {
        return;
    };
    let above = shared.site.path("above");
    let init = ["init", "-q", above.to_str().unwrap()];
    shared.site.git(&init);
    for path in [above.clone(), above.join(".git")] {
        chown(&path, Some(OTHER), Some(OTHER)).unwrap();
    }
    let bare = above.join("test.git");
    fs::rename(&shared.site.bare, &bare).unwrap();
    fs::write(bare.join("HEAD"), "garbage\n").unwrap();
    let bare = bare.to_str().unwrap();
    for args in [&["preview", bare][..], &["flush", bare]] {
        let ran = shared.refpost(args);
        let said = text(&ran.stderr);
        assert!(said.contains("cannot trust repository"), "{args:?}: {said}");
    }
}
