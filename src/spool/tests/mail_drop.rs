//! A mail drop, killed between any two system calls.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::crashes::at_every_crash;
use super::disk::fault::killed_after;
use super::*;

/// A mail drop as docs/operations.md has it, but for the accounts.
fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    let root = fixture.path("");
    for (name, mode) in [
        ("", 0o711),
        ("tmp", 0o3733),
        ("new", 0o3733),
        ("retry", 0o700),
        ("failed", 0o700),
    ] {
        let path = root.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fixture.spool = Spool::new(fixture.spool.root(), Access::Drop);
    fixture
}

fn enqueued() -> Fixture {
    let fixture = fixture();
    fixture.push("/srv/a.git", &["1", "2", "3"], &["ci", "deploy"]);
    fixture.push("/srv/a.git", &["4"], &["ci"]);
    fixture.enqueue(&owed("/srv/a.git", "5")).unwrap();
    fixture
}

impl Fixture {
    fn admit_all(&self) -> Distributed {
        let build = |_: &Id, header: &Header| match &header.content {
            Content::Owed(_) => Ok(built(&["5"], &["ci"])),
            Content::Built(_) => Err(Unbuilt::All("built already".to_owned())),
        };
        let admit = |_: u32, _: &Header| Admission::Granted;
        let done = self.spool.distribute(Lock::Try, build, admit);
        done.unwrap().expect("nobody else distributes")
    }
}

#[test]
fn two_flushes_without_opening_the_folder() {
    let fixture = fixture();
    let (id, steps) = fixture.traced(|| fixture.push("/srv/a.git", &["1"], &["ci"]));
    let expected = [
        format!("create tmp/{id}"),
        format!("write tmp/{id}"),
        format!("flush tmp/{id}"),
        format!("link new/{id}"),
        format!("flush new/{id}"),
        format!("unlink tmp/{id}"),
    ];
    assert_eq!(steps, expected);
    assert_eq!(mode(&fixture.path("new").join(id.as_str())), 0o660);
}

#[test]
fn what_is_dropped_is_taken_over_whole() {
    let act = |fixture: &Fixture| {
        let build = |_: &Id, _: &Header| Ok::<_, Unbuilt>(built(&["5"], &["ci"]));
        let admit = |_: u32, _: &Header| Admission::Granted;
        let _ = fixture.spool.distribute(Lock::Try, build, admit);
    };
    let states = at_every_crash(enqueued, act, |fixture, ()| {
        let done = fixture.admit_all();
        assert!(
            done.stopped.is_none() && done.notices.is_empty(),
            "{done:?}"
        );
        let delivered = fixture.deliver_all("ci");
        let mut first = vec![];
        for id in delivered {
            if !first.contains(&id) {
                first.push(id);
            }
        }
        assert_eq!(first, ["1", "2", "3", "4", "5"]);
        assert_eq!(fixture.deliver_all("deploy"), ["1", "2", "3"]);
        assert!(fixture.ls("new").is_empty());
    });
    assert!(states > 30, "{states}");
}

#[test]
fn the_copy_is_durable_before_the_dropped_file_goes() {
    let fixture = fixture();
    let id = fixture.push("/srv/a.git", &["1"], &["ci"]);
    let dropped = fs::metadata(fixture.path("new").join(id.as_str())).unwrap();
    let (_, steps) = fixture.traced(|| fixture.admit_all());
    let expected = [
        "mkdir work".to_owned(),
        format!("unlink work/{id}"),
        format!("create work/{id}"),
        format!("flush work/{id}"),
        format!("rename new/{id}"),
        "flush new".to_owned(),
    ];
    assert_eq!(steps[..6], expected);
    let item = fixture.path("retry/ci").join(&fixture.ls("retry/ci")[0]);
    assert_eq!(mode(&item), 0o600);
    assert_ne!(item.metadata().unwrap().ino(), dropped.ino());
}

#[test]
fn what_is_refused_is_set_aside_through_every_crash() {
    let act = |fixture: &Fixture| {
        let build = cannot_build;
        let admit = |_: u32, _: &Header| Admission::Refused("no".to_owned());
        let _ = fixture.spool.distribute(Lock::Try, build, admit);
    };
    at_every_crash(enqueued, act, |fixture, ()| {
        act(fixture);
        assert!(fixture.ls("new").is_empty());
        assert_eq!(fixture.ls("failed/unreadable").len(), 3);
        assert!(fixture.ls("retry").is_empty());
    });
}

#[test]
fn what_cannot_be_judged_stays_in_its_order() {
    let fixture = enqueued();
    let other = fixture.push("/srv/b.git", &["6"], &["ci"]);
    let admit = |_: u32, header: &Header| {
        if header.repository == Path::new("/srv/a.git") {
            Admission::Later("broken".to_owned())
        } else {
            Admission::Granted
        }
    };
    let build = cannot_build;
    let done = fixture.spool.distribute(Lock::Try, build, admit).unwrap();
    let done = done.unwrap();
    assert_eq!(done.entries, 1);
    assert!(matches!(&done.notices[..], [Notice::Later(..)]), "{done:?}");
    let left = fixture.ls("new");
    assert!(left.len() == 3 && !left.contains(&other.to_string()));
}

#[test]
fn what_is_ours_is_not_copied_again() {
    let fixture = enqueued();
    let build = |_: &Id, _: &Header| Err::<Built<Message>, _>(Unbuilt::All("not now".to_owned()));
    let ours = |_: u32, _: &Header| Admission::Ours;
    let done = fixture.spool.distribute(Lock::Try, build, ours).unwrap();
    assert_eq!(done.unwrap().entries, 2);
    assert!(!fixture.path("work").exists());
}

#[test]
fn a_drop_takes_over_what_was_not_yet_distributed_elsewhere() {
    let prepare = || {
        let fixture = fixture();
        let other = Spool::new(fixture.dir.path().join("own"), Access::Owner);
        let stamp = |random| Stamp {
            now: noon(),
            host: "git1",
            random,
        };
        for n in [1, 2] {
            let draft = draft("/srv/a.git", &[&n.to_string()], &["ci"]);
            other.enqueue(&draft, &stamp(n)).unwrap();
        }
        fixture
    };
    let own = |fixture: &Fixture| Spool::new(fixture.dir.path().join("own"), Access::Owner);
    at_every_crash(
        prepare,
        |fixture| drop(fixture.spool.adopt(&own(fixture))),
        |fixture, ()| {
            fixture.spool.adopt(&own(fixture)).unwrap();
            assert!(own(fixture).is_empty().unwrap());
            fixture.admit_all();
            assert_eq!(fixture.deliver_all("ci"), ["1", "2"]);
        },
    );
}

#[test]
fn a_drops_folders_are_made_by_its_owner_alone() {
    let fixture = fixture();
    fs::remove_dir(fixture.path("tmp")).unwrap();
    let error = fixture.enqueue(&owed("/srv/a.git", "1")).unwrap_err();
    assert!(error.to_string().starts_with("cannot create `"), "{error}");
    assert_eq!(fixture.ls(""), ["failed", "new", "retry"]);
    // Nor is a link in its place followed.
    let outside = fixture.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, fixture.path("tmp")).unwrap();
    let (result, _) = killed_after(100, || fixture.enqueue(&owed("/srv/a.git", "1")));
    assert!(result.is_err());
    assert!(ls(&outside).is_empty());
}
