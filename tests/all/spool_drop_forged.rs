//! What somebody who may put anything into a mail drop puts there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::support::spooled::commits;
use crate::support::{ALICE, Answer, BOB, MailDrop, SERVICE, names, set_mode};

/// An entry's header, changed, and its checksum made right again.
fn forge(bytes: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    let line = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    let first = String::from_utf8(bytes[..line].to_vec()).unwrap();
    let length: usize = first.split(' ').nth(2).unwrap().parse().unwrap();
    let (header, bodies) = bytes[line + 1..].split_at(length);
    let header = change(String::from_utf8(header.to_vec()).unwrap());
    let sum = hex::encode(Sha256::digest(&header));
    let mut forged = format!("refpost-entry 1 {} {sum}\n", header.len()).into_bytes();
    forged.extend(header.as_bytes());
    forged.extend(bodies);
    forged
}

/// The name of an entry that is older than any.
fn id(n: usize) -> String {
    format!("20200101T000000.000000000Z-x-{n:016x}")
}

/// Puts bytes into `new/` as an account does that writes them itself.
fn plant(drop: &MailDrop, account: u32, name: &str, bytes: &[u8]) -> PathBuf {
    let source = drop.accounts.path("planted");
    fs::write(&source, bytes).unwrap();
    set_mode(&source, 0o644);
    let new = drop.spool.join("new").join(name);
    let line = format!(
        "umask 0; cat {} > {new} && chmod 660 {new}",
        source.display(),
        new = new.display()
    );
    drop.accounts.shell(account, &line).well();
    new
}

fn set_aside(drop: &MailDrop) -> Vec<String> {
    names(&drop.spool.join("failed/unreadable"))
}

fn said(why: &str, stderr: &str) {
    assert!(stderr.contains(why), "{stderr}");
    assert!(
        stderr.contains("it lies in `failed/unreadable/` now"),
        "{stderr}"
    );
}

#[test]
fn nobody_announces_for_a_repository_that_is_not_his() {
    let Some(drop) = MailDrop::new() else { return };
    drop.push(ALICE, "alice");
    let entry = drop.entry();
    let genuine = fs::read(&entry).unwrap();
    fs::remove_file(&entry).unwrap();
    let bobs = drop.bare("bob").display().to_string();
    let forged = forge(&genuine, |header| {
        header.replace(&drop.bare("alice").display().to_string(), &bobs)
    });
    plant(&drop, ALICE, &id(1), &forged);
    let (commit, _) = drop.push(BOB, "bob");
    let ran = drop.flush();
    let why = format!("account {ALICE}, whose file it is, cannot write `{bobs}`");
    said(&why, &ran.stderr);
    assert_eq!(set_aside(&drop), [id(1)]);
    assert_eq!(commits(&drop.receiver.take()), [commit]);
    // `queue retry` puts it back, and it is judged anew.
    let path = drop.spool.to_str().unwrap();
    drop.service(&["queue", "retry", &id(1), "--in", path]);
    crate::support::spooled::eventually("it is set aside again", || {
        set_aside(&drop) == [id(1)] && names(&drop.spool.join("new")).is_empty()
    });
    assert!(drop.receiver.take().is_empty());
    // A repository that is not there is nobody's.
    let forged = forge(&genuine, |header| {
        header.replace(&drop.bare("alice").display().to_string(), "/nowhere")
    });
    plant(&drop, ALICE, &id(2), &forged);
    said("cannot write `/nowhere`", &drop.flush().stderr);
}

#[test]
fn nobody_gets_into_the_queue_of_another_repository() {
    let Some(drop) = MailDrop::new() else { return };
    // Alice has an endpoint of her own, which takes nothing.
    let dead = "[[endpoint]]\nname = \"deploy\"\nurl = \"http://127.0.0.1:9/\"\nunsigned = true\n";
    drop.own_config(ALICE, "alice", dead);
    drop.push(ALICE, "alice");
    let entry = drop.entry();
    let genuine = fs::read(&entry).unwrap();
    fs::remove_file(&entry).unwrap();
    // In the queue of the server's endpoint it would hold everybody's messages.
    let forged = forge(&genuine, |header| {
        let at = header.find("\"queue\":\"deploy@").unwrap() + 9;
        let end = at + header[at..].find("\",").unwrap();
        format!("{}ci{}", &header[..at], &header[end..])
    });
    plant(&drop, ALICE, &id(1), &forged);
    let (commit, _) = drop.push(BOB, "bob");
    let ran = drop.flush();
    said("it names a queue that is none of `", &ran.stderr);
    assert_eq!(set_aside(&drop), [id(1)]);
    assert_eq!(commits(&drop.receiver.take()), [commit]);
}

#[test]
fn a_file_that_its_owner_changes_later_changes_nothing() {
    let Some(drop) = MailDrop::new() else { return };
    drop.receiver.script(|_| Answer::status(503));
    let (commit, _) = drop.push(ALICE, "alice");
    let entry = drop.entry();
    // Alice keeps a name of her own for the file that she owns.
    let home = drop.accounts.folder("alices", ALICE);
    let kept = home.join("kept");
    let link = format!("ln {} {}", entry.display(), kept.display());
    drop.accounts.shell(ALICE, &link).well();
    drop.flush();
    drop.receiver.take();
    let genuine = fs::read(&kept).unwrap();
    let forged = forge(&genuine, |header| header.replace("alice.git", "bob.git"));
    fs::write(&kept, forged).unwrap();
    assert_eq!(
        fs::metadata(&kept).unwrap().nlink(),
        1,
        "nothing of hers is left"
    );
    drop.receiver.script(|_| Answer::status(200));
    let path = drop.spool.to_str().unwrap();
    let retry = drop.service(&["queue", "retry", "--all", "--in", path]);
    assert_eq!(retry.status, 0, "{}", retry.stderr);
    let mut arrived = Vec::new();
    crate::support::spooled::eventually("it arrived", || {
        drop.flush();
        arrived.extend(drop.receiver.take());
        !arrived.is_empty()
    });
    assert_eq!(commits(&arrived), [commit]);
    assert_eq!(arrived[0].header("X-Pagure-Project"), Some("alice"));

    // Before it is taken over: its checksum tells.
    drop.push(ALICE, "alice");
    let entry = drop.entry();
    let mut bytes = fs::read(&entry).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&entry, bytes).unwrap();
    said("does not match its checksum", &drop.flush().stderr);
    assert!(drop.receiver.take().is_empty());
}

#[test]
fn what_is_no_entry_keeps_no_other_and_leads_nowhere() {
    let Some(drop) = MailDrop::new() else { return };
    let secret = drop
        .accounts
        .environment
        .write("secret", "refpost-entry 1 of root's\n");
    let home = drop.accounts.folder("alices", ALICE);
    let new = drop.spool.join("new");
    let at = |n| new.join(id(n)).display().to_string();
    let theirs = home.join("theirs");
    for line in [
        format!("mkdir -m 0700 {}", at(1)),
        format!("mkfifo -m 0666 {}", at(2)),
        format!("ln -s {} {}", secret.display(), at(3)),
        format!("umask 0; echo x > {} && ln {0} {}", theirs.display(), at(4)),
        format!("umask 077; echo x > {}", at(5)),
        format!("umask 0; : > {} && truncate -s 1T {0}", at(6)),
        format!("mkdir {}/folder && touch {0}/file", new.display()),
        format!("mkdir {}/tmp/{}", drop.spool.display(), id(7)),
    ] {
        drop.accounts.shell(ALICE, &line).well();
    }
    let (commit, _) = drop.push(BOB, "bob");
    let ran = drop.flush();
    assert_eq!(ran.status, 0);
    assert_eq!(commits(&drop.receiver.take()), [commit], "{}", ran.stderr);
    let unreadable = set_aside(&drop);
    assert_eq!(unreadable, [id(2), id(3), id(4), id(6)], "{}", ran.stderr);
    // A folder, and what the service cannot open, stay, and are told.
    let mut left = names(&new);
    left.retain(|name| Path::new(name).extension().is_some());
    assert_eq!(left, [id(1), id(5)]);
    for n in [1, 5] {
        assert!(ran.stderr.contains(&id(n)), "{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("of root's"));
    assert_eq!(
        fs::read_to_string(&secret).unwrap(),
        "refpost-entry 1 of root's\n"
    );
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "x\n");
    assert_eq!(fs::metadata(&theirs).unwrap().uid(), ALICE);
    // A person can remove what is left.
    let path = drop.spool.to_str().unwrap();
    let ran = drop.service(&["queue", "drop", &id(5), "--in", path]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(!Path::new(&at(5)).exists());
    let owner = fs::metadata(drop.spool.join("failed/unreadable")).unwrap();
    assert_eq!(owner.uid(), SERVICE);
}

#[test]
fn nobody_has_the_services_files_sent_to_him() {
    let Some(drop) = MailDrop::new() else { return };
    let url = drop.receiver.url("/alices");
    let key = drop.accounts.path("service.key");
    let endpoint = format!("[[endpoint]]\nname = \"mine\"\nurl = \"{url}\"\n");
    for (names, what) in [
        (
            "endpoint.headers.X.file",
            format!("headers = {{ X = {{ file = \"{0}\" }} }}", key.display()),
        ),
        (
            "endpoint.headers.X.env",
            "headers = { X = { env = \"HOME\" } }".to_owned(),
        ),
        (
            "endpoint.key_file",
            format!("key_file = \"{}\"", key.display()),
        ),
        (
            "endpoint.ca_file",
            format!("ca_file = \"{}\"", key.display()),
        ),
    ] {
        drop.own_config(ALICE, "alice", &format!("{endpoint}{what}\n"));
        drop.push(ALICE, "alice");
        let (commit, _) = drop.push(BOB, "bob");
        let ran = drop.flush();
        let why = format!(
            "cannot send what `{}` asks for: it belongs to `4301`, and what `{names}` names would \
             be read with the rights of `4300`",
            drop.bare("alice").join("refpost.toml").display()
        );
        assert!(ran.stderr.contains(&why), "{}", ran.stderr);
        assert_eq!(commits(&drop.receiver.take()), [commit]);
        let ping = drop.service(&["ping", drop.bare("alice").to_str().unwrap()]);
        assert!(ping.stderr.contains(&why), "{}", ping.stderr);
        assert!(drop.receiver.take().is_empty());
    }
    // What names nothing of the service's is sent, and so is what has waited.
    drop.own_config(
        ALICE,
        "alice",
        &format!("{endpoint}key = {{ file = \"x\" }}\n"),
    );
    assert!(drop.flush().stderr.contains("`endpoint.key.file`"));
    drop.own_config(ALICE, "alice", &endpoint);
    // Each of the four pushes, to her endpoint and to the server's.
    assert_eq!(drop.flush_well().len(), 8);
}

#[test]
fn the_owner_of_a_drop_takes_nothing_from_another_accounts_spool() {
    let Some(drop) = MailDrop::new() else { return };
    drop.push(BOB, "bob");
    let entry = drop.entry();
    let genuine = fs::read(&entry).unwrap();
    fs::remove_file(&entry).unwrap();
    plant(&drop, ALICE, "bobs", &genuine);
    // In the drop, Alice can make a folder of the service's group, which that could write.
    let home = drop.accounts.folder("alices", ALICE);
    let (new, spool) = (drop.spool.join("new"), home.join("spool"));
    let line = format!(
        "umask 0; mkdir {new}/evil {new}/evil/new {new}/evil/tmp {new}/evil/retry \
         {new}/evil/failed && chmod 2770 {new}/evil {new}/evil/* && cp {new}/bobs \
         {new}/evil/new/{} && mv {new}/evil {} && rm {new}/bobs",
        id(1),
        spool.display(),
        new = new.display(),
    );
    drop.accounts.shell(ALICE, &line).well();
    assert_eq!(fs::metadata(&spool).unwrap().gid(), SERVICE);
    let config = format!("spool = \"{}\"\n", spool.display());
    drop.own_config(ALICE, "alice", &config);
    let why = format!(
        "cannot flush `{}`: it is another account's",
        spool.display()
    );
    for path in [drop.bare("alice"), spool, home] {
        let ran = drop.service(&["flush", path.to_str().unwrap()]);
        assert!(ran.stderr.contains(&why), "{path:?}: {}", ran.stderr);
        assert!(drop.receiver.take().is_empty());
    }
}
