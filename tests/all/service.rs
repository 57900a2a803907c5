//! `refpost work`: a service that delivers for accounts none of which it must trust.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::service_refuses::forged;
use crate::support::served::ask;
use crate::support::spooled::{commits, eventually, files_below, to};
use crate::support::{Answer, Served, set_mode};

const SUBMITTED: [&str; 1] = ["refpost: 1 message sent to the service"];

fn waiting(served: &Served, name: &str) -> usize {
    let files = files_below(&served.own_spool(name));
    files
        .iter()
        .filter(|it| it.starts_with("retry/@service/"))
        .count()
}

#[test]
fn two_accounts_submit_and_the_service_delivers_with_a_key_that_neither_can_read() {
    let Some(served) = Served::new() else { return };
    let _service = served.start();
    let (alices, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, SUBMITTED);
    let (bobs, said) = served.push(&served.bob, "bob/b");
    assert_eq!(said, SUBMITTED);
    let arrived = served.arrived(2);
    assert_eq!(commits(&arrived), [alices, bobs]);
    for request in &arrived {
        let signature = request.header("X-Pagure-Signature-256").unwrap();
        let body = served.accounts.environment.write("body", &request.body);
        set_mode(&body, 0o644);
        let (key, body) = (served.accounts.path("service.key"), body.display());
        let line = format!(
            "{} verify --key-file {} --signature {signature} < {body}",
            served.accounts.binary.display(),
            key.display()
        );
        let service = served.service.uid;
        assert_eq!(served.accounts.shell(service, &line).status, 0);
        assert_ne!(served.accounts.shell(served.alice.uid, &line).status, 0);
    }
    assert_eq!(waiting(&served, "alice/a"), 0);
    for name in ["", "new", "retry", "failed", "tmp"] {
        let meta = fs::metadata(served.spool().join(name)).unwrap();
        let facts = (meta.uid(), meta.mode() & 0o077);
        assert_eq!(facts, (served.service.uid, 0), "{name}");
    }
    assert_eq!(
        served
            .said()
            .replace("Listening on", "")
            .lines()
            .filter(|line| line.starts_with("refpost:"))
            .count(),
        0
    );
}

#[test]
fn what_the_service_does_not_take_waits_and_goes_before_what_is_newer() {
    let Some(served) = Served::new() else { return };
    let (first, said) = served.push(&served.alice, "alice/a");
    assert!(
        said[0].starts_with("refpost: 1 message queued for the service (cannot reach it at"),
        "{said:?}"
    );
    assert_eq!(waiting(&served, "alice/a"), 1);
    let service = served.start();
    let (second, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, SUBMITTED);
    assert_eq!(commits(&served.arrived(2)), [first, second]);
    // Killed before that, it sends the last one again.
    let queues = served.spool().join("retry");
    eventually("it is crossed off", || files_below(&queues).is_empty());
    served.stop(service);
    let (third, _) = served.push(&served.alice, "alice/a");
    // The account's flush: of the shared file it looks at what is its own.
    let flush = |status: i32| {
        let ran = served
            .accounts
            .refpost(served.alice.uid, &["flush", "--strict"]);
        assert_eq!(ran.status, status, "{}", ran.stderr);
        ran.stderr
    };
    let said = flush(75);
    assert!(
        said.contains("for the service: cannot reach it at"),
        "{said}"
    );
    let _service = served.start_alone();
    assert_eq!(flush(0), "");
    assert_eq!(commits(&served.arrived(1)), [third]);
    assert_eq!(waiting(&served, "alice/a"), 0);
}

#[test]
fn roots_flush_submits_what_waits_in_every_accounts_repositories() {
    let Some(served) = Served::new() else { return };
    served.push(&served.alice, "alice/a");
    served.push(&served.bob, "bob/b");
    let _service = served.start();
    served.accounts.refpost(0, &["flush"]).well();
    assert_eq!(served.arrived(2).len(), 2);
    assert_eq!(waiting(&served, "alice/a") + waiting(&served, "bob/b"), 0);
}

/// A service that hangs, or a queue of others in front of it, keeps no push longer.
#[test]
fn a_service_that_never_answers_keeps_a_push_two_seconds() {
    let Some(served) = Served::new() else { return };
    let socket = served.accounts.path("run/submit");
    let silent = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    served.configure("mode = \"spool\"", "");
    let begun = Instant::now();
    let (commit, said) = served.push(&served.alice, "alice/a");
    let took = begun.elapsed();
    assert!(said[0].contains("timed out"), "{said:?}");
    assert!(
        took >= Duration::from_millis(1900) && took < Duration::from_secs(5),
        "{took:?}"
    );
    drop(silent);
    fs::remove_file(&socket).unwrap();
    let _service = served.start();
    let (next, _) = served.push(&served.alice, "alice/a");
    assert_eq!(commits(&served.arrived(2)), [commit, next]);
}

/// The answer is lost on the way: the entry is submitted again, and recorded once.
#[test]
fn an_entry_whose_answer_was_lost_was_delivered_twice() {
    let Some(served) = Served::new() else { return };
    served.configure("mode = \"spool\"", "");
    let socket = served.accounts.path("run/submit");
    let real = served.accounts.path("run/real");
    // Between the two is somebody who swallows the last answer.
    served.accounts.public(
        "service.toml",
        &fs::read_to_string(served.accounts.path("system.toml"))
            .unwrap()
            .replace("run/submit", "run/real"),
    );
    let start = || {
        let mut command = served.as_service(&["work"]);
        command.env("REFPOST_CONFIG", served.accounts.path("service.toml"));
        let child = crate::support::Background(command.spawn().unwrap());
        eventually("it listens", || real.exists());
        child
    };
    let service = start();
    let between = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut hook, _) = between.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while request.last() != Some(&b'\n') {
            hook.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        request
    });
    served.push(&served.alice, "alice/a");
    let request = thread.join().unwrap();
    // As the account, it is said to the service, whose answer nobody hears.
    let line = String::from_utf8(request).unwrap();
    let own = served.own_spool("alice/a").join("retry/@service");
    let entry = fs::read_dir(&own).unwrap().next().unwrap().unwrap().path();
    let python = format!(
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('{}')\ns.sendall({line:?}.encode())\n\
         print(s.recv(100))\ns.sendall(open('{}', 'rb').read())\nprint(s.recv(100))\n",
        real.display(),
        entry.display()
    );
    let script = served.accounts.public("say.py", &python);
    let ran = served
        .accounts
        .shell(served.alice.uid, &format!("python3 {}", script.display()));
    assert_eq!(ran.stdout, "b'send\\n'\nb'durable\\n'\n", "{}", ran.stderr);
    let first = served.arrived(1);
    let queues = served.spool().join("retry");
    eventually("it is crossed off", || files_below(&queues).is_empty());
    // It is known to the next process too.
    drop(service);
    fs::remove_file(&socket).unwrap();
    fs::remove_file(&real).unwrap();
    let _service = start();
    eventually("everybody may connect", || {
        fs::metadata(&real).unwrap().mode() & 0o777 == 0o666
    });
    fs::hard_link(&real, &socket).unwrap();
    let (next, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, SUBMITTED);
    let second = served.arrived(1);
    assert_eq!(commits(&second), [next]);
    assert_eq!(first.len(), 1);
    assert_eq!(waiting(&served, "alice/a"), 0);
}

#[test]
fn a_repository_that_asks_for_nothing_submits_nothing() {
    let Some(served) = Served::new() else { return };
    served.own_config(&served.alice, "alice/a", "urls = []\n");
    let _service = served.start();
    let (_, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, [""; 0]);
    let (bobs, _) = served.push(&served.bob, "bob/b");
    assert_eq!(commits(&served.arrived(1)), [bobs]);
}

/// What a repository's own file adds or changes is its own, and the service never reads it.
#[test]
fn what_a_repository_adds_is_delivered_by_who_pushes_and_check_says_so() {
    let Some(served) = Served::new() else { return };
    let own = format!(
        "mode = \"spool\"\n[[endpoint]]\nname = \"own\"\nurl = \"{}\"\nunsigned = true\n",
        served.receiver.url("/own")
    );
    served.own_config(&served.alice, "alice/a", &own);
    let _service = served.start();
    let (commit, said) = served.push(&served.alice, "alice/a");
    let line = "refpost: 1 message sent to the service, queued for `own`";
    assert_eq!(said, [line]);
    assert_eq!(commits(&served.arrived(1)), std::slice::from_ref(&commit));
    served.accounts.refpost(served.alice.uid, &["flush"]).well();
    let arrived = served.arrived(1);
    assert_eq!(commits(&to("/own", &arrived)), [commit]);
    let bare = served.bare("alice/a");
    let check = ["check", bare.to_str().unwrap()];
    let said = served.accounts.refpost(served.alice.uid, &check).stdout;
    for line in [
        "/…, by the service, which has its key\n".to_owned(),
        "ok: endpoint `own` is the repository's own: hooks deliver to it, and flushes of the "
            .to_owned(),
        format!("takes what `{}` pushes\n", served.alice.name),
    ] {
        assert!(said.contains(&line), "{line}: {said}");
    }
    assert!(said.contains("\n0 errors, 1 warning, "), "{said}");
}

#[test]
fn a_push_of_a_guaranteed_repository_is_recorded_before_and_submitted_after() {
    let Some(served) = Served::new() else { return };
    let bare = served.bare("alice/a");
    let enable = ["enable", "--guaranteed", bare.to_str().unwrap()];
    assert_eq!(served.accounts.refpost(served.alice.uid, &enable).status, 0);
    let _service = served.start();
    let (commit, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, SUBMITTED);
    assert_eq!(commits(&served.arrived(1)), [commit]);
    // The hook after is killed: what was recorded before is announced.
    fs::remove_file(bare.join("hooks/post-receive")).unwrap();
    let (commit, _) = served.push(&served.alice, "alice/a");
    eventually("it is submitted", || {
        served.accounts.refpost(served.alice.uid, &["flush"]);
        files_below(&served.spool().join("retry")).is_empty() && waiting(&served, "alice/a") == 0
    });
    assert_eq!(commits(&served.arrived(1)), [commit]);
}

#[test]
fn the_service_delivers_what_failed_and_each_of_its_sections_by_itself() {
    let Some(served) = Served::new() else { return };
    let section = |name: &str| {
        format!(
            "[[repository]]\nmatch = [\"{name}/**\"]\n[[repository.endpoint]]\nname = \"own\"\nurl = \"{}\"\n",
            served.receiver.url(&format!("/{name}"))
        )
    };
    served.configure("", &format!("{}{}", section("alice"), section("bob")));
    served.receiver.script(|request| {
        let is_down = request.line.starts_with("POST /alice ");
        Answer::status(if is_down { 503 } else { 200 })
    });
    let _service = served.start();
    let (alices, _) = served.push(&served.alice, "alice/a");
    let (bobs, _) = served.push(&served.bob, "bob/b");
    let arrived = served.arrived(4);
    assert_eq!(
        commits(&to("/ci", &arrived)),
        [alices.clone(), bobs.clone()]
    );
    assert_eq!(commits(&to("/bob", &arrived)), [bobs]);
    let spool = served.spool();
    eventually("one waits", || files_below(&spool.join("retry")).len() == 1);
    served.receiver.script(|_| Answer::status(200));
    let retry = ["queue", "retry", "--all", "--repo", spool.to_str().unwrap()];
    let mut retry = served.as_service(&retry);
    crate::support::Accounts::run(&mut retry).well();
    assert_eq!(commits(&served.arrived(1)), [alices]);
}

/// Everybody who may write a repository may announce for it, and nobody else.
#[test]
fn a_member_of_the_repositorys_group_may_submit() {
    let Some(served) = Served::new() else { return };
    let friend = crate::support::SystemAccount::in_group(&served.accounts, "friend", &served.alice);
    let bare = served.bare("alice/a");
    let share = format!(
        "chmod -R g+rwX {bare} && find {bare} -type d -exec chmod g+s {{}} + && git -C {bare} config core.sharedRepository group",
        bare = bare.display()
    );
    served.alice.shell(&share);
    let trust = format!("[safe]\n\tdirectory = {}\n", bare.display());
    served.accounts.public("gitconfig", &trust);
    let _service = served.start();
    let groups = format!(
        "setpriv --reuid {} --regid {} --init-groups",
        friend.uid, friend.uid
    );
    let push = format!(
        "cd {home} && {groups} git clone -q {bare} c && cd c && {groups} git commit -q --allow-empty -m x && {groups} git push -q {bare} main",
        home = friend.home.display(),
        bare = bare.display()
    );
    let groups = fs::metadata(&friend.home).unwrap().gid();
    let push = push.replace(
        &format!("--regid {}", friend.uid),
        &format!("--regid {groups}"),
    );
    let ran = served.accounts.shell(0, &push);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("sent to the service"), "{}", ran.stderr);
    assert_eq!(served.arrived(1).len(), 1);
    let submit = || ask(&served, friend.uid, bare.to_str().unwrap(), "", "ci");
    // Asking by itself, it has no group but its own.
    chown(&bare, None, Some(groups)).unwrap();
    assert_eq!(submit(), "send\n");
    // Of a repository that has another group.
    chown(&bare, None, Some(0)).unwrap();
    assert_eq!(submit(), "later the account may not write the repository\n");
}

/// Asks the service, as alice, to take an entry of alice's for `ci`, with a header that she wrote.
fn submit(served: &Served, change: impl Fn(String) -> String) -> String {
    let entry = forged(served, change);
    let path = served.bare("alice/a").display().to_string();
    ask(served, served.alice.uid, &path, &entry, "ci")
}

/// An account could displace the ids of all others by entries that cost it nothing.
#[test]
fn an_entry_that_is_for_no_endpoint_was_remembered() {
    let Some(served) = Served::new() else { return };
    served.configure("mode = \"spool\"", "");
    served.push(&served.alice, "alice/a");
    let _service = served.start();
    // It was acknowledged, and gone.
    let answer = submit(&served, |header| header.replace("\"ci\"", "\"other\""));
    let never = "never it is for no endpoint that the service's configuration has\n";
    assert_eq!(answer, never);
    assert!(!served.spool().join("taken").exists());
    assert_eq!(submit(&served, |header| header), "durable\n");
    assert_eq!(served.arrived(1).len(), 1);
    assert!(served.spool().join("taken").exists());
}

/// They were acknowledged and gone.
#[test]
fn messages_that_the_services_endpoint_does_not_choose_any_more_arrive() {
    let Some(served) = Served::new() else { return };
    served.configure("mode = \"spool\"", "");
    let (commit, _) = served.push(&served.alice, "alice/a");
    served.configure("", "refs = [\"refs/tags/*\"]\n");
    let _service = served.start();
    assert_eq!(submit(&served, |header| header), "durable\n");
    assert_eq!(commits(&served.arrived(1)), [commit]);
}

/// What was to be submitted can be delivered by the repository's owner instead.
#[test]
fn what_waited_for_a_service_that_is_gone_is_moved_to_an_endpoint() {
    let Some(served) = Served::new() else { return };
    let (commit, _) = served.push(&served.alice, "alice/a");
    assert_eq!(waiting(&served, "alice/a"), 1);
    let bare = served.bare("alice/a");
    let repo = bare.to_str().unwrap();
    let own = format!(
        "unsigned = true\n[[endpoint]]\nname = \"own\"\nurl = \"{}\"\n",
        served.receiver.url("/own")
    );
    served.accounts.public("system.toml", &own);
    let refpost = |args: &[&str]| served.accounts.refpost(served.alice.uid, args);
    let listed = refpost(&["queue", "list", repo]).stdout;
    assert!(listed.contains("not configured"), "{listed}");
    let moved = refpost(&["queue", "move", "@service", "own", "--repo", repo]);
    assert_eq!(moved.stdout, "1 entry moved to `own`\n", "{}", moved.stderr);
    let arrived = served.arrived(1);
    assert_eq!(commits(&to("/own", &arrived)), [commit]);
}
