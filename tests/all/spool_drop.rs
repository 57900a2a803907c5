//! A spool that belongs to a service account, while pushes come from many.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::support::spooled::{commits, eventually, files_below};
use crate::support::{
    ALICE, Accounts, Answer, BOB, Background, MailDrop, SERVICE, names, set_mode,
};

fn waiting(drop: &MailDrop) -> Vec<String> {
    let mut files = files_below(&drop.spool);
    files.retain(|file| file != "log" && file != "stats");
    files
}

#[test]
fn two_accounts_push_and_the_service_delivers() {
    let Some(drop) = MailDrop::new() else { return };
    let (alices, said) = drop.push(ALICE, "alice");
    assert_eq!(said, ["refpost: 1 message queued for `ci`"]);
    let (bobs, said) = drop.push(BOB, "bob");
    assert_eq!(said, ["refpost: 1 message queued for `ci`"]);
    let new = drop.spool.join("new");
    let dropped = names(&new);
    let facts: Vec<_> = dropped
        .iter()
        .map(|name| {
            let meta = fs::metadata(new.join(name)).unwrap();
            (meta.uid(), meta.gid(), meta.mode() & 0o7777, meta.nlink())
        })
        .collect();
    assert_eq!(
        facts,
        [(ALICE, SERVICE, 0o660, 1), (BOB, SERVICE, 0o660, 1)]
    );
    assert_eq!(names(&drop.spool.join("tmp")), [""; 0]);

    let arrived = drop.flush_well();
    assert_eq!(commits(&arrived), [alices, bobs]);
    // Signed with a key that neither of them can read.
    for request in &arrived {
        let signature = request.header("X-Pagure-Signature-256").unwrap();
        let body = drop.accounts.path("body");
        fs::write(&body, &request.body).unwrap();
        set_mode(&body, 0o644);
        let (key, body) = (drop.accounts.path("service.key"), body.display());
        let line = format!(
            "{} verify --key-file {} --signature {signature} < {body}",
            drop.accounts.binary.display(),
            key.display()
        );
        assert_eq!(drop.accounts.shell(SERVICE, &line).status, 0);
        assert_ne!(drop.accounts.shell(ALICE, &line).status, 0);
    }
    assert_eq!(waiting(&drop), [""; 0]);
    for name in ["retry", "work", "failed", "log"] {
        let meta = fs::metadata(drop.spool.join(name)).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o077), (SERVICE, 0), "{name}");
    }
}

#[test]
fn nobody_sees_or_takes_what_others_dropped() {
    let Some(drop) = MailDrop::new() else { return };
    let (commit, _) = drop.push(ALICE, "alice");
    let (spool, entry) = (drop.spool.display(), drop.entry());
    let entry = entry.display();
    for line in [
        format!("ls {spool}"),
        format!("ls {spool}/new"),
        format!("ls {spool}/tmp"),
        format!("ls {spool}/retry"),
        format!("cat {entry}"),
        format!("echo >> {entry}"),
        format!("rm -f {entry}"),
        format!("mv {entry} {entry}.x"),
        format!("ln {entry} {spool}/new/x"),
        format!("touch {spool}/x"),
        format!("mkdir {spool}/retry/x"),
    ] {
        let ran = drop.accounts.shell(BOB, &line);
        assert_ne!(ran.status, 0, "{line}");
    }
    let path = drop.spool.to_str().unwrap();
    for args in [
        &["flush", path][..],
        &["status", path],
        &["queue", "list", "--in", path],
    ] {
        let ran = drop.accounts.refpost(BOB, args);
        let bare = drop.bare("bob");
        let by_repository = drop
            .accounts
            .refpost(BOB, &["status", bare.to_str().unwrap()]);
        assert_ne!(ran.stderr + &by_repository.stderr, "", "{args:?}");
        assert_eq!(ran.stdout + &by_repository.stdout, "", "{args:?}");
    }
    assert_eq!(commits(&drop.flush_well()), [commit]);
}

#[test]
fn a_watch_of_the_service_delivers_at_once() {
    let Some(drop) = MailDrop::new() else { return };
    let watch = ["flush", "--watch", drop.spool.to_str().unwrap()];
    let child = drop
        .as_service(&watch)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _watch = Background(child);
    let mut pushed = Vec::new();
    for (account, name) in [(ALICE, "alice"), (BOB, "bob"), (ALICE, "alice")] {
        pushed.push(drop.push(account, name).0);
    }
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        arrived.extend(drop.receiver.take());
        arrived.len() == 3
    });
    assert_eq!(commits(&arrived), pushed);
}

#[test]
fn modes_that_deliver_at_once_leave_it_to_the_service() {
    let Some(drop) = MailDrop::new() else { return };
    for mode in ["sync", "background", "spool"] {
        drop.configure(&format!("mode = \"{mode}\""));
        let (commit, said) = drop.push(ALICE, "alice");
        assert_eq!(said, ["refpost: 1 message queued for `ci`"], "{mode}");
        assert!(drop.receiver.take().is_empty());
        assert_eq!(commits(&drop.flush_well()), [commit]);
    }
}

#[test]
fn a_push_under_a_broken_config_is_announced_once_that_is_mended() {
    let Some(drop) = MailDrop::new() else { return };
    drop.own_config(ALICE, "alice", "ulrs = []");
    let (owed, said) = drop.push(ALICE, "alice");
    assert!(said[0].contains("recorded, to be announced"), "{said:?}");
    let (bobs, _) = drop.push(BOB, "bob");
    let ran = drop.flush();
    assert!(
        ran.stderr.contains("did you mean `urls`?"),
        "{}",
        ran.stderr
    );
    assert_eq!(commits(&drop.receiver.take()), [bobs]);
    drop.own_config(ALICE, "alice", "");
    let (next, _) = drop.push(ALICE, "alice");
    assert_eq!(commits(&drop.flush_well()), [owed, next]);
}

#[test]
fn what_a_repositorys_own_spool_holds_goes_to_the_drop_with_the_next_push() {
    let Some(drop) = MailDrop::new() else { return };
    // While the server's file was broken, nobody knew of the drop.
    drop.accounts.public("system.toml", "spol = \"x\"");
    let (first, said) = drop.push(ALICE, "alice");
    assert!(said[0].contains("recorded, to be announced"), "{said:?}");
    drop.configure("");
    let (second, _) = drop.push(ALICE, "alice");
    assert_eq!(names(&drop.spool.join("new")).len(), 2);
    assert_eq!(commits(&drop.flush_well()), [first, second]);
    let own = drop.bare("alice").join("refpost/spool");
    assert_eq!(files_below(&own), [""; 0]);
}

#[test]
fn a_member_of_the_repositorys_group_may_announce() {
    let Some(drop) = MailDrop::new() else { return };
    // An account that every system has, and its group.
    let Ok(Some(mail)) = nix::unistd::User::from_name("mail") else {
        eprintln!("warning: there is no account `mail`: groups are not tested");
        return;
    };
    let bare = drop.bare("alice");
    let group = mail.gid.as_raw();
    let shared = format!(
        "chgrp -R {group} {bare} && chmod -R g+rwX {bare} && find {bare} -type d -exec chmod \
         g+s {{}} + && git -C {bare} config core.sharedRepository group",
        bare = bare.display()
    );
    // As root, whom git's ownership check does not let in without this.
    let trust = format!("[safe]\n\tdirectory = {}\n", bare.display());
    drop.accounts.public("gitconfig", &trust);
    drop.accounts.shell(0, &shared).well();
    let clone = drop.accounts.folder("clone", mail.uid.as_raw());
    let as_mail = |line: &str| {
        let mut git = drop.accounts.command(mail.uid.as_raw(), "sh");
        git.gid(group).args(["-ec", line]).current_dir(&clone);
        Accounts::run(&mut git)
    };
    let push = format!(
        "git clone -q {0} c && cd c && git commit -q --allow-empty -m x && git push -q {0} main",
        bare.display()
    );
    let ran = as_mail(&push);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(fs::metadata(drop.entry()).unwrap().uid(), mail.uid.as_raw());
    assert_eq!(drop.flush_well().len(), 1);

    // The same account, of a repository that has another group.
    as_mail("cd c && git commit -q --allow-empty -m y").well();
    let push = format!("cd c && git push -q {} main", bare.display());
    assert_eq!(as_mail(&push).status, 0);
    chown(&bare, None, Some(ALICE)).unwrap();
    let ran = drop.flush();
    let why = format!("account {}, whose file it is, cannot write", mail.uid);
    assert!(ran.stderr.contains(&why), "{}", ran.stderr);
    assert!(drop.receiver.take().is_empty());
}

#[test]
fn what_cannot_be_recorded_before_refs_move_is_refused_or_told() {
    let Some(drop) = MailDrop::new() else { return };
    let bare = drop.bare("alice");
    let enable = ["enable", "--guaranteed", bare.to_str().unwrap()];
    let no = format!(
        "refpost: spool `{}` is a mail drop, which holds no intents\nhint: `refpost enable` \
         without --guaranteed, or `spool` in the repository itself\n",
        drop.spool.display()
    );
    drop.accounts.refpost(ALICE, &enable).fails(1, &no);
    assert!(!bare.join("hooks/pre-receive").exists());
    // Hooks that were there before.
    drop.link("alice", "pre-receive");
    let (commit, said) = drop.push(ALICE, "alice");
    assert!(
        said[0].contains("cannot record the push: spool `"),
        "{said:?}"
    );
    assert!(said[0].ends_with("(the push goes on)"), "{said:?}");
    let check = drop
        .accounts
        .refpost(ALICE, &["check", bare.to_str().unwrap()]);
    assert!(check.stdout.contains("error: spool `"), "{}", check.stdout);
    assert_eq!(commits(&drop.flush_well()), [commit]);
    drop.configure("require = true");
    let ran = drop.try_push(ALICE, "alice");
    assert_eq!(ran.status, 0, "nothing to push: {}", ran.stderr);
    let work = drop.accounts.path("alice.work");
    drop.accounts
        .git(ALICE, &work, &["commit", "-q", "--allow-empty", "-m", "x"]);
    let ran = drop.try_push(ALICE, "alice");
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("the push is refused"), "{}", ran.stderr);
}

#[test]
fn check_knows_a_mail_drop_and_mends_its_modes() {
    let Some(drop) = MailDrop::new() else { return };
    let bare = drop.bare("alice");
    let check = |account| {
        let args = ["check", bare.to_str().unwrap()];
        if account == SERVICE {
            drop.service(&args).stdout
        } else {
            drop.accounts.refpost(account, &args).stdout
        }
    };
    let fine = format!(
        "ok: spool `{}`, a mail drop of `4300`",
        drop.spool.display()
    );
    for account in [ALICE, SERVICE] {
        let said = check(account);
        assert!(said.contains(&fine), "{said}");
        assert!(said.contains("\n0 errors, "), "{said}");
    }
    let path = |name: &str| drop.spool.join(name);
    for (name, mode) in [
        ("", 0o755),
        ("new", 0o3777),
        ("new", 0o1733),
        ("tmp", 0o3730),
        ("retry", 0o755),
        ("failed", 0o711),
    ] {
        set_mode(&path(name), mode);
        let shown = path(name).display().to_string();
        let shown = shown.trim_end_matches('/');
        let said = check(SERVICE);
        let error = format!("error: mode {mode:04o} of `{shown}` must be ");
        assert!(said.contains(&error), "{name} {mode:o}: {said}");
        let hint = format!(" {shown}\n");
        let mend = said.lines().filter_map(|line| line.strip_prefix("hint: "));
        let mend: Vec<_> = mend.filter(|hint| hint.starts_with("chmod ")).collect();
        assert_eq!(mend.len(), 1, "{said}");
        assert!(format!("{}\n", mend[0]).ends_with(&hint), "{said}");
        assert_eq!(drop.accounts.shell(SERVICE, mend[0]).status, 0);
        assert!(check(SERVICE).contains(&fine));
    }
    chown(path("tmp"), Some(0), None).unwrap();
    let said = check(SERVICE);
    assert!(said.contains("hint: chown 4300:4300 "), "{said}");
    chown(path("tmp"), Some(SERVICE), None).unwrap();
    set_mode(&path("tmp"), 0o3733);
    // Without the sticky bit, anybody could take what others dropped.
    set_mode(&path("new"), 0o733);
    let (_, said) = drop.push(ALICE, "alice");
    let why = format!(
        "mode 0733 of `{}` lets others write it",
        path("new").display()
    );
    assert!(said[0].contains(&why), "{said:?}");
    let mend = said[1].split("in a mail drop, ").nth(1).unwrap();
    let ran = drop.accounts.shell(SERVICE, mend.trim_end_matches(')'));
    assert_eq!(ran.status, 0);
    drop.push(ALICE, "alice");
    assert_eq!(drop.flush_well().len(), 1);
}

#[test]
fn an_endpoint_of_some_repositories_waits_by_itself() {
    let Some(drop) = MailDrop::new() else { return };
    let section = |name: &str| {
        format!(
            "[[repository]]\nmatch = [\"{name}\"]\n[[repository.endpoint]]\nname = \"own\"\n\
             url = \"{}\"\n",
            drop.receiver.url(&format!("/{name}"))
        )
    };
    let root = drop.bare("alice");
    let text = format!(
        "root = \"{}\"\nspool = \"{}\"\nkey_file = \"service.key\"\n[[endpoint]]\n\
         name = \"ci\"\nurl = \"{}\"\n{}{}",
        root.parent().unwrap().display(),
        drop.spool.display(),
        drop.receiver.url("/ci"),
        section("alice"),
        section("bob")
    );
    drop.accounts.public("system.toml", &text);
    drop.receiver.script(|request| {
        let is_down = request.line.starts_with("POST /alice ");
        Answer::status(if is_down { 503 } else { 200 })
    });
    let (alices, said) = drop.push(ALICE, "alice");
    assert_eq!(said, ["refpost: 1 message queued for `ci`, `own`"]);
    let (bobs, _) = drop.push(BOB, "bob");
    let arrived = drop.flush_well();
    let lines: Vec<_> = arrived.iter().map(|it| it.line.as_str()).collect();
    let came = |path: &str, commit: &String| {
        let line = format!("POST {path} HTTP/1.1");
        let to = arrived.iter().filter(|request| request.line == line);
        to.flat_map(|request| commits(std::slice::from_ref(request)))
            .any(|it| it == *commit)
    };
    assert!(came("/ci", &alices) && came("/ci", &bobs), "{lines:?}");
    assert!(came("/alice", &alices) && came("/bob", &bobs), "{lines:?}");
    assert_eq!(arrived.len(), 4, "{lines:?}");
    let waits = waiting(&drop);
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert!(waits[0].starts_with("retry/own@"), "{waits:?}");

    drop.receiver.script(|_| Answer::status(200));
    assert_eq!(drop.flush_well().len(), 0, "it is not due");
    let retry = [
        "queue",
        "retry",
        "--all",
        "--in",
        drop.spool.to_str().unwrap(),
    ];
    drop.service(&retry).well();
    // What is due again is delivered in the background.
    assert_eq!(commits(&drop.receiver.wait_for(1)), [alices]);
    eventually("nothing waits", || waiting(&drop).is_empty());
}
