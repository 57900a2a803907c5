//! `enable --all`, `disable --all` and `check` of a folder: many repositories at once.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::process::Command;

use crate::support::{Fleet, REFPOST, Ran, set_mode};

/// Twenty repositories in folders of several depths, and one that is broken.
fn fleet() -> Fleet {
    let fleet = Fleet::new(&[]);
    for n in 0..10 {
        fleet.add(&format!("infra/r{n}"));
        fleet.add(&format!("apps/deep/er/r{n}"));
    }
    break_it(&fleet, "infra/broken");
    fleet
}

/// What has all that a repository has, and a configuration of git's that is none.
fn break_it(fleet: &Fleet, name: &str) {
    let broken = fleet.add(name);
    fs::write(broken.join("config"), "[core\n").unwrap();
}

/// How many repositories have the hook.
fn linked(fleet: &Fleet) -> usize {
    let folders = ["infra", "apps/deep/er"].map(|folder| fleet.path("srv").join(folder));
    let repositories = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let hooks = repositories.map(|one| one.unwrap().path().join("hooks/post-receive"));
    hooks.filter(|hook| hook.is_symlink()).count()
}

fn run(fleet: &Fleet, line: &str) -> Ran {
    let mut ran = fleet.refpost(line.split(' ')).run();
    ran.stdout = fleet.plain(&ran.stdout);
    ran.stderr = fleet.plain(&ran.stderr);
    ran
}

const BROKEN: &str = "refpost: in `/…/srv/infra/broken.git`: cannot open repository \
    `/…/srv/infra/broken.git`: failed to parse config file: missing ']' in section header (in \
    /…/srv/infra/broken.git/config:1)\n";

#[test]
fn all_are_enabled_and_disabled_but_for_those_that_fail() {
    let fleet = fleet();
    fleet.system("unsigned = true\nurls = [\"URL/x\"]\n");
    // Links are not followed, neither to one nor to a folder of them.
    fs::create_dir(fleet.path("elsewhere")).unwrap();
    symlink(fleet.bare("elsewhere/a.git"), fleet.path("srv/link.git")).unwrap();
    symlink(fleet.path("elsewhere"), fleet.path("srv/links")).unwrap();

    let some = run(
        &fleet,
        "enable --all srv --match apps/** --match !**/r9.git",
    );
    assert_eq!(some.clone().well().stdout, "enabled 9 repositories\n");
    assert_eq!(linked(&fleet), 9);

    let ran = run(&fleet, "enable --all srv").fails(1, BROKEN);
    let summary = "enabled 11 repositories, 9 were enabled already, 1 failed\n";
    assert_eq!(ran.stdout, summary);
    assert_eq!(linked(&fleet), 20);
    assert!(!fleet.path("elsewhere/a.git/hooks/post-receive").exists());
    let push = fleet.push("apps/deep/er/r3");
    assert_eq!(push.status, 0, "{}", push.stderr);
    assert!(push.stderr.contains("queued"), "{}", push.stderr);

    let ran = run(&fleet, "disable --all srv --match infra/*").fails(1, BROKEN);
    assert_eq!(ran.stdout, "disabled 10 repositories, 1 failed\n");
    let ran = run(&fleet, "disable --all srv --match !infra/broken").well();
    assert_eq!(
        ran.stdout,
        "disabled 10 repositories, 10 were not enabled\n"
    );
    assert_eq!(linked(&fleet), 0);
}

/// The hooks go where git looks for them, without git being asked for each.
#[test]
fn hooks_go_where_each_repository_has_them() {
    let fleet = Fleet::new(&["a", "b", "c", "work/d"]);
    let config = |name: &str, more: &str| {
        let file = fleet.bare_path(name).join("config");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("{text}{more}\n")).unwrap();
    };
    config("b", "[Core]\n\thooksPath = own");
    config("c", "[include]\n\tpath = more");
    let more = fleet.bare_path("c").join("more");
    fs::write(more, "[core]\n\thooksPath = included\n").unwrap();
    fleet.git(&fleet.path("srv/work"), &["init", "-q", "tree"]);
    let enable = fleet.refpost(["enable", "--all", "srv", "--guaranteed"]);
    let ran = enable.without("REFPOST_CONFIG").run();
    assert_eq!(ran.stdout, "enabled 5 repositories\n", "{}", ran.stderr);
    let warning = "warning: 5 repositories without any config: nothing is sent\n";
    assert!(ran.stderr.starts_with(warning), "{}", ran.stderr);
    for hook in [
        "a.git/hooks",
        "b.git/own",
        "c.git/included",
        "work/d.git/hooks",
        "work/tree/.git/hooks",
    ] {
        for name in ["pre-receive", "post-receive", "reference-transaction"] {
            let hook = fleet.path("srv").join(hook).join(name);
            assert!(hook.is_symlink(), "{}", hook.display());
        }
    }
    // One folder for all of them, which git's own configuration names.
    let shared = fleet.path("shared");
    fs::create_dir(&shared).unwrap();
    let name = format!("[core]\n\thooksPath = {}\n", shared.display());
    fleet.write("gitconfig", name);
    let ran = run(&fleet, "enable --all srv --match a --match work/d");
    assert_eq!(ran.stdout, "enabled 1 repository, 1 was enabled already\n");
    assert!(shared.join("post-receive").is_symlink());
}

/// Each account works on its own, and needs no trust for that.
#[test]
fn anothers_repositories_are_enabled_by_their_owner() {
    if !nix::unistd::geteuid().is_root() {
        crate::support::leave_out("only root gives repositories away, so that is not tested");
        return;
    }
    let fleet = Fleet::new(&["a", "b"]);
    let given = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(fleet.path("srv"))
        .status();
    assert!(given.unwrap().success());
    // What the account cannot reach, root does not reach for it.
    chown(fleet.path("srv"), Some(0), Some(0)).unwrap();
    set_mode(&fleet.path("srv"), 0o700);
    let ran = run(&fleet, "enable --all srv");
    assert_eq!(ran.stdout, "nobody: enabled 0 repositories\n");
    let said = "refpost: nobody: cannot open `/…/srv/a.git`: permission denied\n";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    set_mode(&fleet.path("srv"), 0o755);
    fleet.system("urls = []\n");
    set_mode(&fleet.path("system.toml"), 0o644);
    let ran = run(&fleet, "enable --all srv").well();
    assert_eq!(ran.stdout, "nobody: enabled 2 repositories\n");
    for name in ["a", "b"] {
        let hook = fleet.bare_path(name).join("hooks/post-receive");
        assert_eq!(fs::symlink_metadata(hook).unwrap().uid(), 65534);
    }
    let ran = run(&fleet, "disable --all srv --match b").well();
    assert_eq!(ran.stdout, "nobody: disabled 1 repository\n");
}

#[test]
fn check_prints_what_needs_a_person_and_a_summary() {
    let fleet = fleet();
    fleet.system(
        "unsigned = true\nurls = [\"URL/x\"]\n\
         [[repository]]\nmatch = [\"apps/**\"]\nkey = \"a key of some length\"\nunsigned = false\n\
         [[repository]]\nmatch = [\"ifra/**\"]\nquiet = true\n\
         [[repository]]\nmatch = [\"infra/r1\"]\nurls = []\n",
    );
    run(&fleet, "enable --all srv");
    run(&fleet, "disable srv/apps/deep/er/r7.git");
    fleet.own("infra/r2", "ulrs = []");
    let ran = run(&fleet, "check --server");
    let expected = "\
in `/…/srv/apps/deep/er/r7.git`:
error: no hook `/…/srv/apps/deep/er/r7.git/hooks/post-receive`: pushes are not seen
hint: refpost enable /…/srv/apps/deep/er/r7.git
in `/…/srv/infra/broken.git`:
error: cannot open repository `/…/srv/infra/broken.git`: failed to parse config file: missing ']' \
in section header (in /…/srv/infra/broken.git/config:1)
hint: name a bare repository, or run this inside one
in `/…/srv/infra/r0.git`:
warning: endpoint `NAME` is sent unsigned messages
hint: a receiver cannot tell them from anybody else's
in `/…/srv/infra/r2.git`:
error: cannot load config `/…/srv/infra/r2.git/refpost.toml`: line 1: unknown key `ulrs`, did you \
mean `urls`?
in 7 more: warning: endpoint `NAME` is sent unsigned messages
warning: no repository is in section `/…/system.toml:8 (match \"ifra/**\")`
hint: a pattern is the whole path below `root`, without `.git`
checked 21 repositories, 3 with errors, 8 with warnings alone
";
    let name = ran
        .stdout
        .split('`')
        .find(|word| word.starts_with("127.0.0.1-"));
    let stdout = ran.stdout.replace(name.unwrap(), "NAME");
    assert_eq!(
        (ran.status, stdout.as_str(), ran.stderr.as_str()),
        (1, expected, "")
    );

    let apps = run(&fleet, "check srv/apps --match !**/r7").well();
    assert_eq!(apps.stdout, "checked 9 repositories, all is well\n");
}

#[test]
fn nothing_to_be_done_is_a_mistake_that_is_told() {
    let fleet = Fleet::new(&["a"]);
    fs::create_dir(fleet.path("empty")).unwrap();
    for (line, status, error) in [
        (
            "enable --all empty",
            1,
            "refpost: cannot find any repository below `/…/empty`\n",
        ),
        (
            "disable --all nowhere",
            1,
            "refpost: cannot find `nowhere`: no such file or directory\n",
        ),
        (
            "enable --all srv --match b/**",
            1,
            "refpost: cannot find a repository that `--match` chooses among 1 repository\n\
             hint: a GLOB is a path below that folder, without `.git`\n",
        ),
        (
            "check --server",
            1,
            "refpost: cannot tell which repositories are meant\n\
             hint: name them, or set `root` in the server's config\n",
        ),
    ] {
        run(&fleet, line).fails(status, error);
    }
    for (line, error) in [
        (
            "enable --all srv --url https://x/",
            "'--url <URL>' cannot be used with",
        ),
        ("enable --all srv a.git", "cannot be used with '[REPO]...'"),
        ("disable --all srv a.git", "cannot be used with '[REPO]...'"),
        ("check --server --show", "cannot be used with '--show'"),
        (
            "enable srv/a.git --match a",
            "cannot be used with '--match <GLOB>'",
        ),
        ("check --all", "--server, or name the folder"),
        (
            "enable --all srv --match a[",
            "pattern `a[`: Pattern syntax error",
        ),
    ] {
        let ran = run(&fleet, line);
        assert_eq!(ran.status, 2, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(error), "{line}: {}", ran.stderr);
    }
    assert!(!fleet.bare_path("a").join("hooks/post-receive").exists());
    // A broken file of the server's is one error, not one for each repository.
    fleet.system("ulrs = []");
    let ran = run(&fleet, "enable --all srv");
    assert_eq!(
        (ran.status, ran.stderr.lines().count()),
        (78, 1),
        "{}",
        ran.stderr
    );
}

/// A person who watches sees how far it is; a program sees the summary alone.
#[test]
fn the_progress_is_for_a_terminal() {
    let fleet = Fleet::new(&[]);
    for n in 0..120 {
        fleet.add(&format!("r{n}"));
    }
    fleet.system("unsigned = true\nurls = []\n");
    let quiet = run(&fleet, "enable --all srv").well();
    assert_eq!(quiet.stdout, "enabled 120 repositories\n");
    let pty = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let args = ["-c", pty, REFPOST, "disable", "--all", "srv"];
    if Command::new("python3").arg("--version").output().is_err() {
        crate::support::leave_out("there is no python3 to make a terminal with");
        return;
    }
    let seen = fleet.run("python3").args(args).env("TERM", "xterm").run();
    assert_eq!(seen.status, 0, "{}", seen.stdout);
    assert!(seen.stdout.contains("/120"), "{:?}", seen.stdout);
    assert!(
        seen.stdout.contains("disabled 120 repositories"),
        "{:?}",
        seen.stdout
    );
}
