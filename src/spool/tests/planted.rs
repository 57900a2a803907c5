//! Objects that an attacker planted in the spool, or could.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A spool with items in each of its folders, and a folder elsewhere that looks like each of them.
struct Planted {
    fixture: Fixture,
    outside: PathBuf,
    before: Vec<String>,
}

impl Planted {
    fn new() -> Self {
        let fixture = Fixture::new();
        fixture.push("/srv/a.git", &["1", "2", "3"], &["ci", "deploy"]);
        fixture.distribute();
        for name in ["ci", "deploy"] {
            let lane = fixture.lane(name);
            let head = lane.waiting().unwrap().in_order.remove(0);
            lane.fail_one(&head, 3).unwrap();
        }
        fixture.push("/srv/a.git", &["4"], &["ci"]);
        fixture.push("/srv/b.git", &["5"], &["deploy"]);
        fixture.intend_x().unwrap();
        fixture
            .spool
            .log()
            .append(&super::log::attempt("1"))
            .unwrap();
        let outside = fixture.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        Self {
            fixture,
            outside,
            before: vec![],
        }
    }

    /// Moves one of the spool's folders elsewhere and puts a link in its place.
    fn replace(&mut self, name: &str) {
        let place = self.fixture.path(name);
        let moved = self.outside.join("moved");
        fs::rename(&place, &moved).unwrap();
        symlink(&moved, &place).unwrap();
        self.before = listing(&self.outside);
    }

    #[track_caller]
    fn untouched(&self) {
        assert_eq!(listing(&self.outside), self.before);
    }
}

impl Fixture {
    fn intend_x(&self) -> Result<Id, SpoolError> {
        self.pushes.set(self.pushes.get() + 1);
        let parts = IdParts {
            now: self.now.get(),
            host: "git1",
            random: self.pushes.get(),
        };
        self.spool.intend(&deferred("/srv/a.git", "x"), &parts)
    }
}

/// Returns every path below a folder, with data that show a change of it.
fn listing(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = vec![];
    for name in ls(folder) {
        let path = folder.join(name);
        let meta = path.symlink_metadata().unwrap();
        let what = if meta.is_file() {
            // Its bytes; it may have other names in the spool, which come and go.
            String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
        } else {
            format!("{:o} {}.{}", meta.mode(), meta.ctime(), meta.ctime_nsec())
        };
        found.push(format!("{} {what}", path.display()));
        if meta.is_dir() {
            found.extend(listing(&path));
        }
    }
    found
}

fn refused(error: &IoError, at: &Path) {
    let source = error.source.to_string();
    assert_eq!(source, format!("`{}` is a symbolic link", at.display()));
    assert!(
        error
            .hint()
            .unwrap()
            .ends_with(&format!("rm {}", at.display()))
    );
}

/// Runs every operation of a spool. Returns the errors that say "planted".
fn everything(fixture: &Fixture) -> Vec<IoError> {
    let mut errors = vec![];
    let mut note = |result: Result<(), SpoolError>| {
        if let Err(SpoolError::Io(error)) = result
            && error.refused().is_some()
        {
            errors.push(error);
        }
    };
    let spool = &fixture.spool;
    note(fixture.push_result_of("6"));
    note(fixture.intend_x().map(drop));
    note(
        spool
            .log()
            .append(&super::log::attempt("2"))
            .map_err(Into::into),
    );
    note(spool.log().last(1, |_| true).map(drop).map_err(Into::into));
    match spool.distribute(Lock::Try, cannot_build) {
        Err(error) => note(Err(error.into())),
        Ok(None) => {}
        Ok(Some(report)) => {
            for problem in report.problems {
                if let Problem::Refused(_, error) = problem {
                    note(Err(error.into()));
                }
            }
            note(report.stopped.map_or(Ok(()), Err));
        }
    }
    for name in ["ci", "deploy"] {
        note(spool.peek(&queue(name)).map(drop).map_err(Into::into));
        match spool.lane(&queue(name)) {
            Err(error) => note(Err(error.into())),
            Ok(None) => {}
            Ok(Some(lane)) => {
                let in_order = lane.waiting().map(|waiting| waiting.in_order);
                for item in in_order.unwrap_or_default() {
                    let stepped = lane.step_aside(&item, 3, noon(), 1);
                    note(stepped.map(drop).map_err(Into::into));
                }
                let in_order = lane.waiting().map(|waiting| waiting.in_order);
                for item in in_order.unwrap_or_default() {
                    note(lane.fail_rest(&item));
                }
            }
        }
        match spool.failed(&queue(name)) {
            Err(error) => note(Err(error.into())),
            Ok(failed) => failed
                .iter()
                .for_each(|one| note(spool.retry_failed(one, noon()))),
        }
    }
    note(
        spool
            .sweep(noon() + Duration::from_hours(24 * 365))
            .map(drop)
            .map_err(Into::into),
    );
    match spool.intents() {
        Err(error) => note(Err(error.into())),
        Ok(intents) => intents
            .iter()
            .for_each(|intent| note(spool.settle(intent, intent.updates().to_vec()))),
    }
    let other = Spool::new(fixture.dir.path().join("other"), Access::Owner);
    note(other.adopt(spool).map(drop).map_err(Into::into));
    errors
}

impl Fixture {
    fn push_result_of(&self, msg_id: &str) -> Result<(), SpoolError> {
        self.enqueue(&draft("/srv/a.git", &[msg_id], &["ci"]))
            .map(drop)
    }
}

#[test]
fn no_folder_can_be_a_link() {
    for name in [
        "tmp",
        "new",
        "intent",
        "retry",
        "retry/ci",
        "failed",
        "failed/ci",
    ] {
        let mut planted = Planted::new();
        planted.replace(name);
        let errors = everything(&planted.fixture);
        assert!(!errors.is_empty(), "{name}");
        for error in errors {
            refused(&error, &planted.fixture.path(name));
        }
        planted.untouched();
    }
}

#[test]
fn the_log_can_be_no_link_and_no_others_file() {
    let mut planted = Planted::new();
    planted.replace("log");
    let log = planted.fixture.spool.log().rotating_at(1);
    let error = log.append(&super::log::attempt("2")).unwrap_err();
    refused(&error, &planted.fixture.path("log"));
    assert!(log.last(1, |_| true).is_err());
    planted.untouched();

    // Nor can it be a second name of a file elsewhere.
    let mut planted = Planted::new();
    let elsewhere = planted.outside.join("theirs");
    fs::write(&elsewhere, "theirs").unwrap();
    let log = planted.fixture.path("log");
    fs::remove_file(&log).unwrap();
    fs::hard_link(&elsewhere, &log).unwrap();
    planted.before = listing(&planted.outside);
    let append = planted
        .fixture
        .spool
        .log()
        .append(&super::log::attempt("2"));
    let error = append.unwrap_err().source.to_string();
    assert!(error.ends_with("is no file of its own"), "{error}");
    planted.untouched();

    // Rotation replaces the file `log.1`, even if that is a link.
    let mut planted = Planted::new();
    fs::write(planted.fixture.path("log.1"), "old").unwrap();
    planted.replace("log.1");
    let log = planted.fixture.spool.log().rotating_at(1);
    log.append(&super::log::attempt("2")).unwrap();
    planted.untouched();
    assert!(
        planted
            .fixture
            .path("log.1")
            .symlink_metadata()
            .unwrap()
            .is_file()
    );
}

#[test]
fn one_planted_queue_stops_no_other() {
    let mut planted = Planted::new();
    planted.replace("retry/ci");
    let fixture = &planted.fixture;
    let report = fixture.spool.distribute(Lock::Try, cannot_build).unwrap();
    let report = report.unwrap();
    // Of `/srv/a.git`, the entry for `ci` stays; that of `/srv/b.git` has left.
    assert!(report.stopped.is_none());
    let [Problem::Refused(repository, error)] = &report.problems[..] else {
        panic!("{:?}", report.problems)
    };
    assert_eq!(repository, Path::new("/srv/a.git"));
    refused(error, &fixture.path("retry/ci"));
    assert_eq!(fixture.ls("new").len(), 1);
    assert_eq!(fixture.deliver_all("deploy"), ["2", "3", "5"]);
    let survey = fixture.spool.survey().unwrap();
    assert_eq!(survey.unseen.len(), 1);
    refused(&survey.unseen[0], &fixture.path("retry/ci"));
    planted.untouched();
    // Once the link is gone, everything is there.
    fs::remove_file(fixture.path("retry/ci")).unwrap();
    fs::rename(planted.outside.join("moved"), fixture.path("retry/ci")).unwrap();
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["2", "3", "4"]);
}

#[test]
fn what_happens_to_a_queues_path_changes_nothing_for_who_holds_it() {
    let mut planted = Planted::new();
    let lane = planted.fixture.lane("ci");
    planted.replace("retry/ci");
    // The folder that was opened is worked on, even under another name.
    let head = lane.waiting().unwrap().in_order.remove(0);
    lane.advance(&head, 3).unwrap();
    let moved = planted.outside.join("moved");
    assert_eq!(ls(&moved).len(), 1);
    assert!(ls(&moved)[0].contains(".2."), "{:?}", ls(&moved));
}

#[test]
fn above_the_spool_links_are_the_admins() {
    let mut fixture = Fixture::new();
    let elsewhere = fixture.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let linked = fixture.dir.path().join("linked");
    symlink(&elsewhere, &linked).unwrap();
    fixture.spool = Spool::new(&linked, Access::Owner);
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1"]);
    assert!(elsewhere.join("new").is_dir());
    // But not inside a repository, which others may be able to write.
    fixture.spool = Spool::within(fixture.dir.path(), "linked/spool", Access::Owner);
    let error = fixture.push_result_of("2").unwrap_err();
    let SpoolError::Io(error) = error else {
        panic!("{error}")
    };
    refused(&error, &linked);
    assert!(!elsewhere.join("spool").exists());
}

#[test]
fn a_folder_that_others_may_write_is_not_used() {
    for name in ["", "tmp", "new", "retry", "retry/ci", "failed"] {
        let fixture = Fixture::new();
        fixture.push("/srv/a.git", &["1"], &["ci"]);
        fixture.distribute();
        let path = fixture.path(name);
        let before = mode(&path);
        for others in [0o002, 0o007, 0o1003] {
            let open = before | others;
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            let errors = everything(&fixture);
            let said = format!(
                "mode {open:04o} of `{}` lets others write it",
                path.display()
            );
            let said = said.replace("/`", "`");
            assert!(!errors.is_empty(), "{name}");
            for error in errors {
                assert_eq!(error.source.to_string(), said);
                assert!(error.hint().unwrap().contains("chmod o-w "));
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
        fixture.push_result_of("7").unwrap();
    }
}

/// The flush panicked.
#[test]
fn an_item_in_a_queue_that_its_entry_does_not_name_stays_as_its_repository_is_renamed() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    fixture.distribute();
    let [item] = &fixture.ls("retry/ci")[..] else {
        panic!("one item");
    };
    fs::create_dir(fixture.path("retry/other")).unwrap();
    let place = fixture.path("retry");
    fs::copy(place.join("ci").join(item), place.join("other").join(item)).unwrap();
    let renamed = fixture.rename(Path::new("/srv/a.git"), Path::new("/srv/b.git"));
    assert_eq!(renamed.unwrap().entries, 1);
    assert_eq!(fixture.ls("retry/other").len(), 1);
}
