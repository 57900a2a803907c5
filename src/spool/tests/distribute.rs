//! Distributing entries from `new/` to queues.

use std::fs;

use super::*;

#[test]
fn each_recipient_gets_a_link_and_new_is_empty() {
    let fixture = Fixture::new();
    let first = fixture.push("/srv/a.git", &["1"], &["ci", "deploy"]);
    let second = fixture.push("/srv/b.git", &["2"], &["ci"]);
    let (report, steps) = fixture.traced(|| fixture.distribute());
    assert_eq!(report.entries, 2);
    assert!(report.problems.is_empty() && report.blocked.is_empty());
    assert!(fixture.ls("new").is_empty());
    let name = |id: &Id| Item::first(id).to_string();
    assert_eq!(fixture.ls("retry/ci"), [name(&first), name(&second)]);
    assert_eq!(fixture.ls("retry/deploy"), [name(&first)]);
    // Each queue is flushed once, and before anything leaves `new/`.
    let from = steps
        .iter()
        .position(|step| step.starts_with("flush"))
        .unwrap();
    let expected = [
        "flush retry/ci".to_owned(),
        "flush retry/deploy".to_owned(),
        "flush retry".to_owned(),
        format!("unlink new/{first}"),
        format!("unlink new/{second}"),
    ];
    assert_eq!(steps[from..], expected);
}

#[test]
fn an_entry_for_nobody_is_removed() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &[]);
    assert_eq!(fixture.distribute().entries, 1);
    assert!(fixture.ls("new").is_empty());
    assert!(fixture.ls("retry").is_empty());
}

#[test]
fn only_one_distributes_at_a_time() {
    let fixture = Fixture::new();
    let nothing = fixture.spool.distribute(Lock::Try, cannot_build).unwrap();
    assert_eq!(
        nothing.map(|report| report.entries),
        Some(0),
        "no spool at all"
    );
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    let held = disk::lock(&fixture.spool.new_dir(), Lock::Try).unwrap();
    let busy = fixture.spool.distribute(Lock::Try, cannot_build).unwrap();
    assert!(busy.is_none());
    drop(held);
    assert_eq!(fixture.distribute().entries, 1);
}

/// An object of `missing` is missing; pushes of `other` and of other repositories pass.
#[test]
fn what_misses_an_object_holds_its_own_refs_and_no_other() {
    let fixture = Fixture::new();
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let held = fixture.enqueue(&deferred("/srv/a.git", "missing")).unwrap();
    let mut of_both = deferred("/srv/a.git", "missing");
    let mut updates = of_both.updates().to_vec();
    updates.extend(deferred("/srv/a.git", "third").updates().iter().cloned());
    of_both.content = Content::Deferred(updates);
    let both = fixture.enqueue(&of_both).unwrap();
    fixture.enqueue(&deferred("/srv/a.git", "other")).unwrap();
    let behind = fixture.enqueue(&deferred("/srv/a.git", "third")).unwrap();
    fixture.enqueue(&deferred("/srv/b.git", "missing")).unwrap();
    for _ in 0..2 {
        let build = |id: &Id, header: &Header| {
            if *id == held {
                let why = "it is gone".to_owned();
                let since = Some(since);
                let opened = since;
                Err(Unbuilt::Missing { why, since, opened })
            } else {
                let short = header.updates()[0].name.short();
                Ok(built(&[&short], &["ci"]))
            }
        };
        let report = fixture.spool.distribute(Lock::Try, build);
        let report = report.unwrap().unwrap();
        let blocked = &report.blocked[Path::new("/srv/a.git")];
        assert_eq!(
            (&blocked.id, &*blocked.error, blocked.entries),
            (&held, "it is gone", 3)
        );
        assert!(blocked.others_pass);
        let stay = [held.as_str(), both.as_str(), behind.as_str()];
        assert_eq!(fixture.ls("new"), stay);
        let entry = fixture.spool.open_new(&held).unwrap();
        assert_eq!(entry.header().missing_since, Some(since));
        assert_eq!(entry.header().updates().len(), 1);
        // Entries that wait behind it have a time of their own from then on.
        for behind in [&both, &behind] {
            let entry = fixture.spool.open_new(behind).unwrap();
            assert_eq!(entry.header().missing_since, Some(since));
        }
    }
    assert_eq!(fixture.deliver_all("ci"), ["other", "missing"]);
    assert_eq!(fixture.distribute().entries, 3);
    assert_eq!(fixture.deliver_all("ci"), ["missing", "missing", "third"]);
}

#[test]
fn an_entry_for_many_endpoints_is_distributed_in_steps() {
    let fixture = Fixture::new();
    let names: Vec<String> = (0..200).map(|n| format!("q{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fixture.push("/srv/a.git", &["1"], &names);
    let started = fixture.spool.distribution(Lock::Try, cannot_build).unwrap();
    let mut distribution = started.unwrap();
    let mut most = 0;
    loop {
        let (step, traced) = fixture.traced(|| distribution.step(|| false).unwrap());
        let flushes = traced.iter().filter(|step| step.starts_with("flush"));
        most = most.max(flushes.count());
        if step != Some(true) {
            break;
        }
        assert!(distribution.touched().is_empty(), "some are not durable");
        assert_eq!(fixture.ls("new").len(), 1);
    }
    assert_eq!(most, 64);
    assert_eq!(distribution.touched().len(), 200);
    assert!(fixture.ls("new").is_empty());
}

#[test]
fn what_another_process_distributes_meanwhile_is_delivered_once() {
    let fixture = Fixture::new();
    let others: Vec<String> = (0..70).map(|n| format!("q{n}")).collect();
    let mut names: Vec<&str> = others.iter().map(String::as_str).collect();
    names.extend(["ci", "deploy"]);
    fixture.push("/srv/a.git", &["1"], &names);
    let started = fixture.spool.distribution(Lock::Try, cannot_build).unwrap();
    let mut distribution = started.unwrap();
    assert_eq!(distribution.step(|| false).unwrap(), Some(true));
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1"]);
    while distribution.step(|| false).unwrap() == Some(true) {}
    assert_eq!(distribution.finish().entries, 0);
    assert_eq!(fixture.deliver_all("ci").len(), 0);
    assert_eq!(fixture.deliver_all("deploy"), ["1"]);
}

#[test]
fn a_distribution_ends_when_its_spool_is_removed() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    fixture.push("/srv/a.git", &["2"], &["ci"]);
    let started = fixture.spool.distribution(Lock::Try, cannot_build).unwrap();
    let mut distribution = started.unwrap();
    let step = distribution.step(|| false);
    assert_eq!(step.unwrap(), Some(true));
    fs::remove_dir_all(fixture.spool.root().join("new")).unwrap();
    let step = distribution.step(|| true);
    assert_eq!(step.unwrap(), Some(false), "it is gone, not busy");
    assert_eq!(distribution.finish().entries, 1);
}

#[test]
fn what_is_owed_holds_its_repository_and_no_other() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    let held = fixture.enqueue(&deferred("/srv/a.git", "2")).unwrap();
    let other = fixture.enqueue(&deferred("/srv/b.git", "3")).unwrap();
    let behind = fixture.push("/srv/a.git", &["4"], &["ci"]);

    let report = fixture
        .spool
        .distribute(Lock::Try, |_, header| {
            assert_eq!(header.pusher.as_deref(), Some("alice"));
            if header.repository == Path::new("/srv/a.git") {
                Err(Unbuilt::All("no key".to_owned()))
            } else {
                Ok(built(&["3"], &["ci"]))
            }
        })
        .unwrap()
        .unwrap();
    assert_eq!(report.entries, 2);
    let blocked = &report.blocked[Path::new("/srv/a.git")];
    assert_eq!(
        (&blocked.id, &*blocked.error, blocked.entries),
        (&held, "no key", 2)
    );
    assert_eq!(fixture.ls("new"), [held.as_str(), behind.as_str()]);
    assert_eq!(fixture.deliver_all("ci"), ["1", "3"]);

    // With the cause removed, it takes its place in the order, with its pusher and time.
    fixture.distribute();
    let item = &fixture.spool.peek(&queue("ci")).unwrap().in_order[0];
    assert_eq!(item.id, held);
    let entry = fixture.spool.open_item(&queue("ci"), item).unwrap();
    assert_eq!(entry.header().time, deferred("", "").time);
    assert_eq!(entry.header().pusher.as_deref(), Some("alice"));
    assert_eq!(fixture.deliver_all("ci"), ["2", "4"]);
    assert!(fixture.ls("tmp").is_empty());
    assert!(
        !fixture
            .ls("retry/ci")
            .contains(&Item::first(&other).to_string())
    );
}

#[test]
fn an_unreadable_entry_is_set_aside_and_the_others_pass() {
    let fixture = Fixture::new();
    let bad = fixture.push("/srv/a.git", &["1"], &["ci"]);
    fixture.push("/srv/a.git", &["2"], &["ci"]);
    let path = fixture.path("new").join(bad.as_str());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();

    let report = fixture.distribute();
    assert_eq!(report.entries, 1);
    let [Problem::SetAside(error)] = &report.problems[..] else {
        panic!("{:?}", report.problems);
    };
    assert!(matches!(error.fault, EntryFault::Length { .. }));
    assert_eq!(fixture.ls("failed/unreadable"), [bad.as_str()]);
    assert!(fixture.ls("new").is_empty());
    assert_eq!(fixture.deliver_all("ci"), ["2"]);

    // Once repaired, it goes back to its place.
    let [failed] = &fixture.spool.failed(&Queue::unreadable()).unwrap()[..] else {
        panic!("it is there");
    };
    fs::write(fixture.path("failed/unreadable").join(bad.as_str()), bytes).unwrap();
    fixture.spool.retry_failed(failed, noon()).unwrap();
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1"]);
    assert!(fixture.ls("failed/unreadable").is_empty());
}

#[test]
fn a_planted_symbolic_link_is_set_aside_and_not_followed() {
    let fixture = Fixture::new();
    let id = fixture.push("/srv/a.git", &["1"], &["ci"]);
    let path = fixture.path("new").join(id.as_str());
    let elsewhere = fixture.dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let report = fixture.distribute();
    assert!(matches!(&report.problems[..], [Problem::SetAside(_)]));
    assert!(fixture.ls("new").is_empty());
    assert!(fixture.ls("retry").is_empty());
    assert!(elsewhere.exists());
}

#[test]
fn a_queue_that_cannot_be_made_stops_what_is_behind_and_repeats_nothing() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    let stuck = fixture.push("/srv/a.git", &["2"], &["ci", "deploy"]);
    let behind = fixture.push("/srv/a.git", &["3"], &["ci"]);
    fs::write(fixture.path("retry/deploy"), "in the way").unwrap();
    let report = fixture.spool.distribute(Lock::Try, cannot_build);
    let stopped = report.unwrap().unwrap().stopped.unwrap();
    assert!(
        stopped.to_string().starts_with("cannot link `"),
        "{stopped}"
    );
    // The first is through; of the second nothing is in any queue.
    assert_eq!(fixture.ls("new"), [stuck.as_str(), behind.as_str()]);
    assert_eq!(fixture.deliver_all("ci"), ["1"]);
    fs::remove_file(fixture.path("retry/deploy")).unwrap();
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["2", "3"]);
    assert_eq!(fixture.deliver_all("deploy"), ["2"]);
}

#[test]
fn more_entries_than_a_batch_keep_their_order() {
    let fixture = Fixture::new();
    let ids: Vec<String> = (1000..1300).map(|n| n.to_string()).collect();
    for id in &ids {
        fixture.push("/srv/a.git", &[id], &["ci"]);
    }
    assert_eq!(fixture.distribute().entries, 300);
    assert_eq!(fixture.deliver_all("ci"), ids);
}
