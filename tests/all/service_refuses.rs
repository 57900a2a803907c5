//! What `refpost work` refuses, bounds and says: whoever submits may lie in everything.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::Digest;

use crate::support::served::{ID, ask};
use crate::support::spooled::{commits, eventually, files_below};
use crate::support::{Accounts, Served, set_mode};

/// An entry of alice's, with a header that she wrote.
pub(crate) fn forged(served: &Served, change: impl Fn(String) -> String) -> String {
    let own = served.own_spool("alice/a").join("retry/@service");
    let entry = fs::read_dir(own).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(entry).unwrap();
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    let line = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length: usize = line.split(' ').nth(2).unwrap().parse().unwrap();
    let (header, bodies) = bytes[end + 1..].split_at(length);
    let header = change(String::from_utf8(header.to_vec()).unwrap());
    let sum = hex::encode(sha2::Sha256::digest(&header));
    let mut forged = format!("refpost-entry 1 {} {sum}\n{header}", header.len()).into_bytes();
    forged.extend(bodies);
    let path = served.accounts.environment.write("forged", forged);
    set_mode(&path, 0o644);
    path.display().to_string()
}

/// The path that an entry named was used as it was written, and with another section's keys.
#[test]
fn a_path_that_leads_elsewhere_got_the_keys_of_another_section() {
    let Some(served) = Served::new() else { return };
    let section = format!(
        "[[repository]]\nmatch = [\"infra/**\"]\n[[repository.endpoint]]\nname = \"infra\"\nurl = \"{}\"\n",
        served.receiver.url("/infra")
    );
    served.configure("mode = \"spool\"", &section);
    let srv = served.accounts.path("srv");
    let infra = srv.join("infra");
    fs::create_dir(&infra).unwrap();
    let (alice, own) = (served.alice.uid, served.bare("alice/a"));
    // Where she may make names, she makes a link, and a folder in another's repository.
    symlink(&infra, srv.join("alice/link")).unwrap();
    fs::create_dir(infra.join("x.git")).unwrap();
    for name in ["HEAD", "objects", "refs"] {
        fs::create_dir(infra.join("x.git").join(name)).unwrap();
    }
    let within = infra.join("x.git/objects/own");
    for folder in ["", "objects", "refs", "HEAD"] {
        let folder = within.join(folder);
        fs::create_dir(&folder).unwrap();
        chown(&folder, Some(alice), None).unwrap();
    }
    served.push(&served.alice, "alice/a");
    let entry = forged(&served, |header| {
        header.replace("\"queue\":\"ci\"", "\"queue\":\"infra\"")
    });
    let _service = served.start();
    let srv = srv.display();
    let ask = |path: &str, endpoint: &str| ask(&served, alice, path, &entry, endpoint);
    for (path, why) in [
        (
            format!("{srv}/infra/../alice/a.git"),
            "later its path is no plain path\n",
        ),
        (
            "alice/a.git".to_owned(),
            "later its path is no plain path\n",
        ),
        (
            format!("{srv}/infra/x.git"),
            "later the account may not write the repository\n",
        ),
        (
            format!("{srv}/bob/b.git"),
            "later the account may not write the repository\n",
        ),
        (
            srv.to_string(),
            "later the repository is not below the service's `root`\n",
        ),
        (
            "/etc".to_owned(),
            "later the repository is not below the service's `root`\n",
        ),
        (format!("{srv}/alice"), "later there is no repository\n"),
    ] {
        assert_eq!(ask(&path, "infra"), why, "{path}");
    }
    let inside = format!("{srv}/infra/x.git");
    let said = ask(within.to_str().unwrap(), "infra");
    assert_eq!(
        said,
        format!("later it lies inside the repository `{inside}`\n")
    );
    let said = ask(&format!("{srv}/alice/link/x.git"), "infra");
    assert!(
        said.starts_with("later the service cannot reach `"),
        "{said}"
    );
    let own = own.to_str().unwrap();
    let said = ask(own, "infra");
    assert_eq!(
        said,
        "later the service's configuration has no endpoint `infra`\n"
    );
    assert!(served.receiver.take().is_empty());
    // Whose queue and whose repository it is, she does not say.
    assert_eq!(ask(own, "ci"), "durable\n");
    let arrived = served.arrived(1);
    assert!(arrived[0].line.starts_with("POST /ci "));
    let log = fs::read_to_string(served.spool().join("log"));
    eventually("it is logged", || {
        fs::read_to_string(served.spool().join("log")).is_ok()
    });
    drop(log);
}

#[test]
fn what_is_no_whole_entry_is_refused_and_leaves_nothing() {
    let Some(served) = Served::new() else { return };
    served.configure("mode = \"spool\"", "");
    served.push(&served.alice, "alice/a");
    let _service = served.start();
    let own = served.bare("alice/a");
    let own = own.to_str().unwrap();
    let entries = [
        served
            .accounts
            .public("text", "no entry\n")
            .display()
            .to_string(),
        forged(&served, |header| {
            header.replace("\"length\":", "\"length\":1")
        }),
    ];
    for entry in &entries {
        let said = ask(&served, served.alice.uid, own, entry, "ci");
        assert!(said.starts_with("never cannot use it: "), "{said}");
    }
    let owed = forged(&served, |header| {
        let start = header.find("\"content\"").unwrap();
        format!("{}\"content\":{{\"owed\":[]}}}}", &header[..start])
    });
    // Its bodies do not fit such a header: that is an entry without any.
    let text = fs::read(&owed).unwrap();
    let end = text.iter().position(|&byte| byte == b'\n').unwrap();
    let length: usize = String::from_utf8_lossy(&text[..end])
        .split(' ')
        .nth(2)
        .unwrap()
        .parse()
        .unwrap();
    fs::write(&owed, &text[..end + 1 + length]).unwrap();
    let said = ask(&served, served.alice.uid, own, &owed, "ci");
    assert_eq!(said, "never its messages are not made\n");
    assert_eq!(files_below(&served.spool().join("new")), [""; 0]);
    assert_eq!(files_below(&served.spool().join("tmp")), [""; 0]);
    let said = served.said();
    assert!(said.contains("cannot take an entry of account"), "{said}");
}

/// One account that opens connections and says nothing keeps no other.
#[test]
fn an_account_that_says_nothing_keeps_its_own_places_alone() {
    let Some(served) = Served::new() else { return };
    let _service = served.start();
    let line = format!(
        "import socket, time\nall = []\nfor _ in range(300):\n    s = socket.socket(socket.AF_UNIX)\n    s.connect('{}')\n    all.append(s)\nprint('open', flush=True)\ntime.sleep(60)\n",
        served.accounts.path("run/submit").display()
    );
    let script = served.accounts.public("silent.py", &line);
    let mut python = served.accounts.command(served.bob.uid, "python3");
    python.arg(script).stdout(Stdio::piped());
    let mut silent = python.spawn().unwrap();
    let mut said = [0; 5];
    silent.stdout.take().unwrap().read_exact(&mut said).unwrap();
    let (commit, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, ["refpost: 1 message sent to the service"]);
    assert_eq!(commits(&served.arrived(1)), [commit]);
    let (_, said) = served.push(&served.bob, "bob/b");
    let full = "refpost: 1 message queued for the service (too many requests are under way)";
    assert_eq!(said, [full]);
    silent.kill().unwrap();
    silent.wait().unwrap();
    let (_, said) = served.push(&served.bob, "bob/b");
    assert_eq!(said, ["refpost: 1 message sent to the service"]);
    assert_eq!(served.arrived(2).len(), 2);
}

/// Numbers that an account has beside its own (subuid(5)), eight places for each.
#[test]
fn numbers_without_a_name_took_the_places_of_all() {
    let Some(served) = Served::new() else { return };
    let _service = served.start();
    let script = format!(
        "import os, socket\nfor uid in range(64000, 64040):\n    if os.fork() == 0:\n        \
         os.setgroups([])\n        os.setuid(uid)\n        all = []\n        for _ in range(8):\n            \
         s = socket.socket(socket.AF_UNIX)\n            s.connect('{}')\n            all.append(s)\n        \
         print('open', flush=True)\n        os.read(0, 1)\n        os._exit(0)\n",
        served.accounts.path("run/submit").display()
    );
    let mut python = Command::new("python3");
    python.args(["-c", &script]).stdin(Stdio::piped());
    let mut silent = python.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = silent.stdout.take().unwrap();
    said.read_exact(&mut [0; 5 * 40]).unwrap();
    let (_, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, ["refpost: 1 message sent to the service"]);
    assert_eq!(served.arrived(1).len(), 1);
    let told = "its account has no name on this server";
    assert_eq!(served.said().matches(told).count(), 1);
    drop(silent.stdin.take());
    silent.wait().unwrap();
}

/// A home that the service cannot enter, and whoever is nobody: told, and kept where it is.
#[test]
fn what_the_service_cannot_reach_keeps_its_own_spool_and_check_says_so() {
    let Some(served) = Served::new() else { return };
    set_mode(&served.accounts.path("srv/alice"), 0o700);
    let _service = served.start();
    let (_, said) = served.push(&served.alice, "alice/a");
    let why = format!(
        "the service cannot reach `{}`: permission denied",
        served.bare("alice/a").display()
    );
    let said = said.join("\n");
    assert!(said.to_lowercase().contains(&why.to_lowercase()), "{said}");
    let bare = served.bare("alice/a");
    let check = ["check", bare.to_str().unwrap()];
    let ran = served.accounts.refpost(served.alice.uid, &check);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("error: the service takes nothing of this repository: "),
        "{}",
        ran.stdout
    );
    let own = served.own_spool("alice/a").join("retry/@service");
    assert_eq!(files_below(&own).len(), 1);
    let status = ["status", bare.to_str().unwrap()];
    let ran = served.accounts.refpost(served.alice.uid, &status);
    assert!(
        ran.stdout.contains("\nwaiting  @service  "),
        "{}",
        ran.stdout
    );
    // Root may be anybody, and is root; nobody is nobody.
    let nobody = 65534;
    let said = ask(&served, nobody, bare.to_str().unwrap(), "", "ci");
    assert!(
        said.starts_with("later its account is that of another user namespace"),
        "{said}"
    );
    let unknown = 64_999;
    let said = ask(&served, unknown, bare.to_str().unwrap(), "", "ci");
    assert_eq!(said, "later its account has no name on this server\n");
    set_mode(&served.accounts.path("srv/alice"), 0o755);
    let (_, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, ["refpost: 1 message sent to the service"]);
    assert_eq!(served.arrived(2).len(), 2);
}

/// The service opens nothing in a repository, and runs no git.
#[test]
fn the_service_opened_files_of_those_who_push() {
    let Some(served) = Served::new() else { return };
    let service = served.start();
    served.push(&served.alice, "alice/a");
    served.arrived(1);
    let queues = served.spool().join("retry");
    eventually("it is crossed off", || files_below(&queues).is_empty());
    drop(service);
    fs::remove_file(served.accounts.path("run/submit")).unwrap();
    let trace = served.accounts.path("state/trace");
    let mut strace = served.accounts.command(served.service.uid, "strace");
    let calls = "trace=open,openat,openat2,execve";
    // With the path of the folder in which a name is opened.
    // As the service's grandchild: the process that is ended is the service itself.
    strace.args(["-D", "-f", "-y", "-qq", "-e", calls, "-o"]);
    strace.arg(&trace).arg(&served.accounts.binary).arg("work");
    let _traced = crate::support::Background(strace.spawn().unwrap());
    let socket = served.accounts.path("run/submit");
    eventually("it listens", || {
        UnixStream::connect(&socket).is_ok_and(|mut it| it.write(b"").is_ok())
    });
    // What could be read there, beside `HEAD`, `config` and `description`.
    let bare = served.bare("alice/a");
    let line = format!(
        "cd {} && echo '# x' >refpost.toml && echo desc=x >cgitrc && : >shallow",
        bare.display()
    );
    served.alice.shell(&line);
    for name in ["HEAD", "config", "description", "cgitrc", "shallow"] {
        assert!(bare.join(name).is_file(), "{name}");
    }
    let (commit, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, ["refpost: 1 message sent to the service"]);
    assert_eq!(commits(&served.arrived(1)), [commit]);
    let text = fs::read_to_string(&trace).unwrap();
    assert_eq!(text.matches("execve(").count(), 1, "it runs nothing");
    // What is opened below `root` is a path alone (`O_PATH`), and a folder.
    let srv = served.accounts.path("srv").display().to_string();
    let (folders, files): (Vec<_>, Vec<_>) = text
        .lines()
        .filter(|line| line.contains(&srv))
        .partition(|line| line.contains("O_PATH") && line.contains("O_DIRECTORY"));
    assert!(files.is_empty(), "{files:#?}");
    let repository = format!("{srv}/alice>, \"a.git\", ");
    let looked = folders.iter().any(|line| line.contains(&repository));
    assert!(looked, "it looked at the repository: {text}");
}

/// As an earlier refpost left it: a folder into which everybody put entries.
#[test]
fn a_mail_drop_of_an_earlier_version_is_drained_once_as_its_files_owners() {
    let Some(served) = Served::new() else { return };
    served.configure("mode = \"spool\"", "");
    let (commit, _) = served.push(&served.alice, "alice/a");
    let own = served.own_spool("alice/a").join("retry/@service");
    let entry = fs::read_dir(&own).unwrap().next().unwrap().unwrap().path();
    // Entries of that version name the endpoint.
    let drop = served.accounts.folder("state/old", served.service.uid);
    for (name, mode) in [
        ("new", 0o3733),
        ("tmp", 0o3733),
        ("retry", 0o700),
        ("failed", 0o700),
    ] {
        served
            .accounts
            .folder(&format!("state/old/{name}"), served.service.uid);
        set_mode(&drop.join(name), mode);
    }
    let text = forged(&served, |header| header.replace("@service", "ci"));
    for (id, owner) in [(1, served.alice.uid), (2, served.bob.uid)] {
        let name = ID.replace("e46e", &format!("000{id}"));
        let file = drop.join("new").join(name);
        fs::copy(&text, &file).unwrap();
        set_mode(&file, 0o660);
        let group = Path::new(&file).parent().unwrap().metadata().unwrap();
        chown(&file, Some(owner), Some(group.gid())).unwrap();
    }
    fs::remove_file(entry).unwrap();
    let path = drop.display().to_string();
    let ran = Accounts::run(&mut served.as_service(&["work", "--drain", &path]));
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let said = format!("1 entry taken, 0 files of queues moved, 1 left in `{path}`\n");
    assert_eq!(ran.stdout, said, "{}", ran.stderr);
    let why = "the account may not write the repository\n";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert_eq!(files_below(&drop.join("new")).len(), 1);
    let _service = served.start_alone();
    assert_eq!(commits(&served.arrived(1)), [commit]);
}

/// Whoever is not the service's account, and a spool that others can look into.
#[test]
fn the_service_runs_only_where_its_spool_is_its_own() {
    let Some(served) = Served::new() else { return };
    let ran = served.accounts.refpost(0, &["work"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("as root"), "{}", ran.stderr);
    let ran = served.accounts.refpost(served.alice.uid, &["work"]);
    assert_ne!(ran.status, 0);
    served.accounts.folder("state/spool", served.service.uid);
    set_mode(&served.spool(), 0o711);
    let ran = Accounts::run(&mut served.as_service(&["work"]));
    assert_eq!(ran.status, 1);
    let hint = format!("chmod 0700 {}\n", served.spool().display());
    assert!(ran.stderr.ends_with(&hint), "{}", ran.stderr);
    served.accounts.public("system.toml", "root = \"/srv\"\n");
    let ran = Accounts::run(&mut served.as_service(&["work"]));
    let why = "neither `socket` nor `[worker]` is set";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
}
