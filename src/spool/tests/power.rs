//! Power loss: a name that must last is flushed before the one it replaces goes.

use super::*;

/// Fails if a name outside `tmp/` is removed or changed while a link or a directory
/// made before is not yet flushed.
fn is_durable(steps: &[String]) {
    let mut pending = BTreeSet::new();
    for step in steps {
        let (operation, path) = step.split_once(' ').unwrap();
        let (dir, _) = path.rsplit_once('/').unwrap_or((".", path));
        match operation {
            _ if path == "tmp" || path.starts_with("tmp/") => {}
            // What was owed is replaced by what was built, under the same name.
            "rename" if dir == "new" => {}
            "link" | "mkdir" => drop(pending.insert(dir)),
            "flush" => drop(pending.remove(path)),
            "unlink" | "rename" => assert!(pending.is_empty(), "{step}: {pending:?}: {steps:#?}"),
            _ => {}
        }
    }
    assert!(
        steps.iter().any(|step| step.starts_with("flush")),
        "{steps:#?}"
    );
    assert!(pending.is_empty(), "{pending:?}");
}

fn on_head<T>(fixture: &Fixture, act: impl FnOnce(&Lane, &Item) -> T) {
    let lane = fixture.lane("ci");
    let head = lane.waiting().unwrap().mains.remove(0);
    let (_, steps) = fixture.traced(|| act(&lane, &head));
    is_durable(&steps);
}

#[test]
fn a_new_name_is_durable_before_the_old_one_goes() {
    let fixture = Fixture::new();
    let (_, steps) = fixture.traced(|| fixture.push("/a", &["1", "2", "3"], &["ci", "deploy"]));
    is_durable(&steps);
    fixture.enqueue(&owed("/a", "4")).unwrap();
    fixture.push("/a", &["5"], &["ci"]);
    let (_, steps) = fixture.traced(|| fixture.distribute());
    is_durable(&steps);

    on_head(&fixture, |lane, head| {
        lane.step_aside(head, 3, noon(), 1).unwrap()
    });
    on_head(&fixture, |lane, head| lane.fail_one(head, 3).unwrap());
    on_head(&fixture, |lane, head| lane.fail_rest(head).unwrap());
    on_head(&fixture, |lane, head| lane.set_aside(head).unwrap());

    let central = Spool::new(fixture.path("central"), Access::Owner);
    let (adopted, steps) = fixture.traced(|| central.adopt(&fixture.spool).unwrap());
    assert_eq!(adopted.files, 6);
    let below = steps.iter().map(|step| step.replace("central/", ""));
    is_durable(&below.collect::<Vec<_>>());

    for queue in central.failed_queues().unwrap() {
        for failed in central.failed(&queue).unwrap() {
            let retry = || central.retry_failed(&failed, noon()).unwrap();
            let ((), steps) = fixture.traced(retry);
            is_durable(&steps);
        }
    }
}
