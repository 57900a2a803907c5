//! Power failures: a name that must last is flushed before the one it replaces is removed.

use super::disk::fault::{killed_after, traced};
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
            // The entry with ref updates is replaced by one with messages, under the same name.
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
    let head = lane.waiting().unwrap().in_order.remove(0);
    let (_, steps) = fixture.traced(|| act(&lane, &head));
    is_durable(&steps);
}

#[test]
fn a_new_name_is_durable_before_the_old_one_goes() {
    let fixture = Fixture::new();
    let (_, steps) = fixture.traced(|| fixture.push("/a", &["1", "2", "3"], &["ci", "deploy"]));
    is_durable(&steps);
    fixture.enqueue(&deferred("/a", "4")).unwrap();
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

/// Makes two pushes in `new/`, each for two endpoints.
fn enqueued() -> Fixture {
    let fixture = Fixture::new();
    fixture.push("/a", &["1"], &["ci", "deploy"]);
    fixture.push("/a", &["2"], &["ci", "deploy"]);
    fixture
}

/// The names in the spool that a power failure may remove, or restore: no flush came after they
/// were made, or removed.
#[derive(Default)]
struct Unflushed {
    made: Vec<PathBuf>,
    removed: Vec<PathBuf>,
}

impl Unflushed {
    fn after(steps: &[String]) -> Self {
        let mut unflushed = Self::default();
        for step in steps {
            let (operation, path) = step.split_once(' ').unwrap();
            let path = PathBuf::from(path);
            match operation {
                // Those into a folder that was not there yet made none.
                "link" | "mkdir" if path.symlink_metadata().is_ok() => unflushed.made.push(path),
                "unlink" => unflushed.removed.push(path),
                "flush" => {
                    let is_left = |it: &PathBuf| it.parent() != Some(&path);
                    unflushed.made.retain(is_left);
                    unflushed.removed.retain(is_left);
                }
                _ => {}
            }
        }
        unflushed
    }

    /// Simulates a power failure: some of the names are lost, or restored from `saved`.
    fn cut(&self, subset: u32, saved: &Path) {
        for (n, path) in self.made.iter().chain(&self.removed).enumerate() {
            if subset & (1 << n) == 0 {
                continue;
            }
            if n >= self.made.len() {
                std::fs::hard_link(saved.join(path.file_name().unwrap()), path).unwrap();
            } else if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                // It may have gone with its folder.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

#[test]
fn whatever_a_power_cut_leaves_of_a_distribution_nothing_is_lost_and_the_order_is_kept() {
    let mut cuts = 0;
    for life in 0.. {
        let mut subset = 0;
        let was_killed = loop {
            let fixture = enqueued();
            let saved = fixture.dir.path().join("saved");
            std::fs::create_dir(&saved).unwrap();
            for name in fixture.ls("new") {
                std::fs::hard_link(fixture.path("new").join(&name), saved.join(&name)).unwrap();
            }
            let act = || {
                let _ = fixture.spool.distribute(Lock::Try, cannot_build);
            };
            let (((), was_killed), steps) = traced(|| killed_after(life, act));
            let unflushed = Unflushed::after(&steps);
            unflushed.cut(subset, &saved);
            for name in ["ci", "deploy"] {
                // After the reboot, a flush may come to the queue first.
                let mut arrived = fixture.deliver_all(name);
                fixture.distribute();
                arrived.extend(fixture.deliver_all(name));
                let mut first = arrived.clone();
                first.sort();
                first.dedup();
                assert_eq!(first, ["1", "2"], "{arrived:?}: {steps:#?}");
                assert_eq!(arrived[0], "1", "{arrived:?}: {steps:#?}");
            }
            cuts += 1;
            subset += 1;
            if subset == 1 << (unflushed.made.len() + unflushed.removed.len()) {
                break was_killed;
            }
        };
        if !was_killed {
            break;
        }
    }
    assert!(cuts > 100, "{cuts}");
}
