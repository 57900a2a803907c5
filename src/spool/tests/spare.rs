//! The reserve for pushes on a full disk.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::crashes::at_every_crash;
use super::*;

/// Makes a spool as it is after a flush.
fn flushed() -> Fixture {
    let fixture = Fixture::new();
    fixture.push("/srv/z.git", &["0"], &["z"]);
    fixture.distribute();
    fixture.spool.keep_spare().unwrap();
    fixture
}

/// Records a push of a branch in the reserve, as if there were no room for its entry.
fn spare(fixture: &Fixture, repository: &str, branch: &str) -> Result<Id, SpoolError> {
    fixture.tick();
    let draft = deferred(repository, branch);
    fixture
        .spool
        .enqueue_spare(&draft, &fixture.id_parts(), None)
}

/// Makes a push of these branches, and of no other.
fn owed_all(branches: &[String]) -> Draft {
    let updates = branches.iter().map(|branch| RefUpdate {
        old: Oid::from_bytes(&[6; 20]),
        new: Oid::from_bytes(&[7; 20]),
        name: RefName::new(format!("refs/heads/{branch}")),
    });
    Draft {
        content: Content::Deferred(updates.collect()),
        ..deferred("/srv/a.git", "")
    }
}

fn state(fixture: &Fixture) -> Spare {
    fixture.spool.spare().unwrap().expect("there is one")
}

#[test]
fn a_spool_that_was_never_used_has_no_room_set_aside() {
    let fixture = Fixture::new();
    fixture.spool.keep_spare().unwrap();
    assert!(!fixture.spool.root().exists());
    assert_eq!(fixture.spool.spare().unwrap(), None);
    assert!(spare(&fixture, "/srv/a.git", "1").is_err());
}

#[test]
fn the_room_is_there_before_it_is_needed() {
    let fixture = flushed();
    let meta = fixture.path("spare").metadata().unwrap();
    assert_eq!((meta.len(), meta.blocks() * 512), (0, 65 * 4096));
    assert_eq!(mode(&fixture.path("spare")), 0o600);
    assert_eq!(state(&fixture).used, 0);
    // A copy has no reserve, and gets one.
    fs::remove_file(fixture.path("spare")).unwrap();
    fs::write(fixture.path("spare"), "").unwrap();
    assert!(!state(&fixture).is_whole);
    fixture.spool.keep_spare().unwrap();
    assert!(state(&fixture).is_whole);
}

#[test]
fn making_it_does_not_change_the_order() {
    let fixture = Fixture::new();
    let first = fixture.push("/srv/a.git", &["1"], &["ci"]);
    fixture.now.set(noon() - Duration::from_hours(48));
    fixture.spool.keep_spare().unwrap();
    let second = spare(&fixture, "/srv/a.git", "2").unwrap();
    let third = fixture.push("/srv/a.git", &["3"], &["ci"]);
    assert!(first < second && second < third);
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1", "2", "3"]);
}

#[test]
fn what_is_there_comes_before_later_pushes_and_makes_room_again() {
    let fixture = flushed();
    for branch in ["1", "2"] {
        spare(&fixture, "/srv/a.git", branch).unwrap();
    }
    fixture.push("/srv/a.git", &["3"], &["ci"]);
    assert_eq!(state(&fixture).used, 2);
    assert_eq!(fixture.spool.count_waiting().unwrap(), 4);
    assert!(!fixture.spool.is_empty().unwrap());
    assert_eq!(fixture.distribute().entries, 3);
    assert_eq!(fixture.deliver_all("ci"), ["1", "2", "3"]);
    let expected = Spare {
        is_whole: true,
        used: 0,
        lost: None,
    };
    assert_eq!(state(&fixture), expected);
    assert_eq!(fixture.distribute().entries, 0);
}

#[test]
fn a_slot_is_settled_although_nothing_else_came() {
    let fixture = flushed();
    spare(&fixture, "/srv/a.git", "1").unwrap();
    assert_eq!(fixture.distribute().entries, 1);
    assert_eq!(fixture.deliver_all("ci"), ["1"]);
}

#[test]
fn there_are_64_slots_and_what_does_not_fit_is_counted() {
    let fixture = flushed();
    let branches: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let (one_more, rest) = branches.split_last().unwrap();
    for branch in rest {
        spare(&fixture, "/srv/a.git", branch).unwrap();
    }
    let error = spare(&fixture, "/srv/a.git", one_more).unwrap_err();
    assert!(error.is_no_room(), "{error}");
    for _ in 0..2 {
        fixture.spool.count_lost(noon()).unwrap();
    }
    let lost = Some(Lost {
        pushes: 2,
        last: noon(),
    });
    assert_eq!((state(&fixture).used, state(&fixture).lost), (64, lost));
    // Look once more, and after the entries have left.
    assert_eq!(fixture.distribute().entries, 64);
    assert_eq!(fixture.deliver_all("ci"), rest);
    assert_eq!((state(&fixture).used, state(&fixture).lost), (0, lost));
    spare(&fixture, "/srv/a.git", one_more).unwrap();
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), [one_more.as_str()]);
}

#[test]
fn what_was_lost_is_forgotten_after_30_days() {
    let fixture = flushed();
    fixture.spool.count_lost(noon()).unwrap();
    // The clock is believed once two sweeps an hour apart agree.
    let sweep = |days: u64| {
        let day = noon() + Duration::from_hours(24 * days);
        fixture.spool.sweep(day).unwrap();
        fixture.spool.sweep(day + Duration::from_hours(1)).unwrap();
    };
    sweep(29);
    assert!(state(&fixture).lost.is_some());
    sweep(31);
    assert_eq!(state(&fixture).lost, None);
    assert!(state(&fixture).is_whole);
}

#[test]
fn a_push_of_many_refs_takes_several_slots() {
    let fixture = flushed();
    let branches: Vec<String> = (0..100).map(|n| format!("{n:02}")).collect();
    fixture.tick();
    let mut draft = owed_all(&branches);
    let intent = fixture.spool.intend(&draft, &fixture.id_parts()).unwrap();
    draft.confirms.push(intent);
    let id = fixture
        .spool
        .enqueue_spare(&draft, &fixture.id_parts(), None)
        .unwrap();
    let later = fixture.push("/srv/a.git", &["later"], &["ci"]);
    let used = state(&fixture).used;
    assert!((4..=8).contains(&used), "{used}");
    let mut built_of = vec![];
    let report = fixture.spool.distribute(Lock::Try, |id, header| {
        let is_last = header.updates().last() == draft.updates().last();
        assert_eq!(header.confirms.is_empty(), !is_last);
        built_of.push((id.clone(), header.updates().to_vec()));
        Ok(built(&[id.as_str()], &["ci"]))
    });
    assert_eq!(report.unwrap().unwrap().entries, used + 1);
    assert_eq!(built_of[0].0, id);
    assert!(fixture.ls("intent").is_empty());
    assert!(built_of.is_sorted_by_key(|one| one.0.clone()) && built_of.last().unwrap().0 < later);
    let updates = built_of.into_iter().flat_map(|(_, updates)| updates);
    assert_eq!(updates.collect::<Vec<_>>(), draft.updates());
    // More than there are slots for: none of it is recorded.
    let branches: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let draft = owed_all(&branches);
    let full = fixture
        .spool
        .enqueue_spare(&draft, &fixture.id_parts(), None);
    assert!(full.unwrap_err().is_no_room());
    assert_eq!(state(&fixture).used, 0);
}

#[test]
fn a_slot_that_is_cut_off_or_changed_is_passed_over() {
    let fixture = flushed();
    for branch in ["1", "2", "3"] {
        spare(&fixture, "/srv/a.git", branch).unwrap();
    }
    let file = fs::OpenOptions::new()
        .write(true)
        .open(fixture.path("spare"))
        .unwrap();
    file.write_all_at(b"x", 2 * 4096 + 200).unwrap();
    file.set_len(3 * 4096 + 100).unwrap();
    spare(&fixture, "/srv/a.git", "4").unwrap();
    assert_eq!(fixture.distribute().entries, 2);
    assert_eq!(fixture.deliver_all("ci"), ["1", "4"]);
}

#[test]
fn what_is_planted_in_its_place_is_told_and_stands_in_nobodys_way() {
    let fixture = flushed();
    let outside = fixture.dir.path().join("outside");
    fs::write(&outside, "").unwrap();
    fs::remove_file(fixture.path("spare")).unwrap();
    std::os::unix::fs::symlink(&outside, fixture.path("spare")).unwrap();
    assert!(fixture.spool.keep_spare().unwrap_err().refused().is_some());
    assert!(spare(&fixture, "/srv/a.git", "1").is_err());
    assert_eq!(fixture.spool.survey().unwrap().unseen.len(), 1);
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    assert_eq!(fixture.distribute().entries, 1);
    assert_eq!(outside.metadata().unwrap().len(), 0);
}

/// Makes writing into `tmp/` impossible, as if there were no room.
fn without_room<T>(fixture: &Fixture, act: impl FnOnce() -> T) -> T {
    let (tmp, aside) = (fixture.path("tmp"), fixture.path("aside"));
    fs::rename(&tmp, &aside).unwrap();
    let result = act();
    fs::rename(&aside, &tmp).unwrap();
    result
}

#[test]
fn without_room_only_later_pushes_of_the_repository_wait() {
    let fixture = flushed();
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    spare(&fixture, "/srv/a.git", "2").unwrap();
    fixture.push("/srv/a.git", &["3"], &["ci"]);
    fixture.push("/srv/b.git", &["4"], &["ci"]);
    let report = without_room(&fixture, || {
        let distribution = fixture.spool.distribution(Lock::Try, cannot_build).unwrap();
        // Impatience does not let it go first.
        let mut distribution = distribution.unwrap().without_patience();
        while distribution.step(|| true).unwrap() == Some(true) {}
        distribution.finish()
    });
    assert!(report.stopped.is_some() && !report.waits);
    assert_eq!(fixture.deliver_all("ci"), ["1", "4"]);
    assert_eq!(state(&fixture).used, 1);
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["2", "3"]);
}

#[test]
fn another_spool_takes_over_what_is_in_slots() {
    let fixture = flushed();
    spare(&fixture, "/srv/a.git", "1").unwrap();
    let central = Spool::new(fixture.dir.path().join("central"), Access::Owner);
    assert!(without_room(&fixture, || central.adopt(&fixture.spool)).is_err());
    central.adopt(&fixture.spool).unwrap();
    assert!(fixture.spool.is_empty().unwrap());
    let fixture = Fixture {
        spool: central,
        ..fixture
    };
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1"]);
}

#[test]
fn a_claim_that_holds_the_push_is_as_good_as_a_slot() {
    let fixture = flushed();
    fixture.tick();
    let draft = deferred("/srv/a.git", "1");
    let claim = fixture
        .spool
        .claim(&draft, &fixture.id_parts(), None)
        .unwrap();
    let id = fixture
        .spool
        .enqueue_spare(&draft, &fixture.id_parts(), Some(&claim))
        .unwrap();
    assert_eq!(state(&fixture).used, 0);
    drop(claim);
    assert_eq!(fixture.distribute().entries, 1);
    assert!(fixture.ls("retry/ci")[0].contains(id.as_str()));
    assert_eq!(fixture.deliver_all("ci"), ["1"]);
}

#[test]
fn a_part_of_a_claim_takes_a_slot_in_its_place() {
    let fixture = flushed();
    fixture.tick();
    let both = owed_all(&["1".to_owned(), "2".to_owned()]);
    let claim = fixture
        .spool
        .claim(&both, &fixture.id_parts(), None)
        .unwrap();
    fixture.push("/srv/a.git", &["3"], &["ci"]);
    let one = deferred("/srv/a.git", "1");
    fixture
        .spool
        .enqueue_spare(&one, &fixture.id_parts(), Some(&claim))
        .unwrap();
    drop(claim);
    assert!(fixture.ls("claim").is_empty());
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1", "3"]);
}

#[test]
fn a_push_in_a_slot_is_recorded_once_through_every_crash() {
    at_every_crash(
        flushed,
        |fixture| spare(fixture, "/srv/a.git", "1"),
        |fixture, result| {
            fixture.distribute();
            let delivered = fixture.deliver_all("ci");
            assert!(delivered.is_empty() || delivered == ["1"], "{delivered:?}");
            if result.is_ok() {
                assert_eq!(delivered, ["1"]);
            }
        },
    );
}

#[test]
fn a_push_in_a_slot_is_settled_once_through_every_crash() {
    let prepare = || {
        let fixture = flushed();
        for branch in ["1", "2"] {
            spare(&fixture, "/srv/a.git", branch).unwrap();
        }
        fixture.push("/srv/a.git", &["3"], &["ci"]);
        fixture.push("/srv/b.git", &["4"], &["ci"]);
        fixture
    };
    let build = |_: &Id, header: &Header| Ok(built(&[&header.updates()[0].name.short()], &["ci"]));
    let act = |fixture: &Fixture| {
        let _ = fixture.spool.distribute(Lock::Try, build);
    };
    let states = at_every_crash(prepare, act, |fixture, ()| {
        let mut arrived = fixture.deliver_all("ci");
        fixture.distribute();
        arrived.extend(fixture.deliver_all("ci"));
        arrived.retain(|id| id != "4");
        // The message that was being delivered at the kill comes again; nothing else does.
        let mut first = vec![];
        for id in &arrived {
            if !first.contains(id) {
                first.push(id.clone());
            }
        }
        assert_eq!(first, ["1", "2", "3"], "{arrived:?}");
        assert_eq!(fixture.distribute().entries, 0);
    });
    assert!(states > 20, "{states}");
}

#[test]
fn slots_are_durable_before_the_hook_ends_and_entries_before_the_slots_go() {
    let fixture = flushed();
    let (id, steps) = fixture.traced(|| spare(&fixture, "/srv/a.git", "1").unwrap());
    assert_eq!(steps, ["write spare", "flush spare"]);
    let (_, steps) = fixture.traced(|| fixture.distribute());
    let expected = [
        format!("unlink tmp/{id}.spare"),
        format!("create tmp/{id}.spare"),
        format!("write tmp/{id}.spare"),
        format!("flush tmp/{id}.spare"),
        format!("rename new/{id}"),
        "flush new".to_owned(),
        "truncate spare".to_owned(),
        "reserve spare".to_owned(),
        "flush spare".to_owned(),
    ];
    assert_eq!(steps[..expected.len()], expected);
}
