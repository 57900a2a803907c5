//! Claims: the place of a push in the order, taken before its messages are built.

use std::fs;

use super::crashes::at_every_crash;
use super::*;

fn claim(fixture: &Fixture, branch: &str) -> Claim {
    fixture.tick();
    let draft = deferred("/srv/a.git", branch);
    fixture
        .spool
        .claim(&draft, &fixture.id_parts(), None)
        .unwrap()
}

#[test]
fn a_later_push_waits_for_an_older_claim_of_its_repository_alone() {
    let fixture = Fixture::new();
    let older = claim(&fixture, "1");
    let later = fixture.push("/srv/a.git", &["2"], &["ci"]);
    fixture.push("/srv/b.git", &["3"], &["ci"]);
    let report = fixture.distribute();
    assert!(report.waits);
    assert_eq!(fixture.ls("new"), [later.as_str()]);
    assert_eq!(fixture.deliver_all("ci"), ["3"]);
    let composed = draft("/srv/a.git", &["1"], &["ci"]);
    let id = fixture.spool.enqueue_claimed(&composed, &older).unwrap();
    drop(older);
    assert!(id < later);
    assert!(!fixture.distribute().waits);
    assert_eq!(fixture.deliver_all("ci"), ["1", "2"]);
    assert!(fixture.ls("claim").is_empty());
}

#[test]
fn the_claim_of_a_hook_that_died_becomes_the_entry() {
    let fixture = Fixture::new();
    let older = claim(&fixture, "1");
    fixture.push("/srv/a.git", &["2"], &["ci"]);
    drop(older);
    assert_eq!(fixture.distribute().entries, 2);
    assert_eq!(fixture.deliver_all("ci"), ["1", "2"]);
}

#[test]
fn a_claim_that_was_cut_off_is_removed() {
    let fixture = Fixture::new();
    drop(claim(&fixture, "1"));
    let [name] = &fixture.ls("claim")[..] else {
        panic!("it is there");
    };
    fs::write(fixture.path("claim").join(name), "").unwrap();
    assert_eq!(fixture.distribute().entries, 0);
    assert!(fixture.ls("claim").is_empty());
    assert!(fixture.ls("failed").is_empty());
}

#[test]
fn the_batches_of_a_push_sort_at_their_claim() {
    let fixture = Fixture::new();
    let first = claim(&fixture, "1");
    let draft_of_second = deferred("/srv/a.git", "2");
    let second = fixture
        .spool
        .claim(&draft_of_second, &fixture.id_parts(), Some(&first))
        .unwrap();
    fixture.push("/srv/a.git", &["3"], &["ci"]);
    drop((first, second));
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1", "2", "3"]);
}

#[test]
fn the_parts_of_a_push_that_is_split_sort_at_its_claim() {
    let fixture = Fixture::new();
    let mut first = claim(&fixture, "1");
    let draft = |branch| deferred("/srv/a.git", branch);
    let next = fixture
        .spool
        .claim(&draft("5"), &fixture.id_parts(), Some(&first));
    fixture.push("/srv/a.git", &["6"], &["ci"]);
    let mut third = fixture.spool.split_claim(&mut first, &draft("3")).unwrap();
    let second = fixture.spool.split_claim(&mut first, &draft("2")).unwrap();
    let fourth = fixture.spool.split_claim(&mut third, &draft("4")).unwrap();
    // An entry that would be too large leaves its claim.
    let mut large = super::draft("/srv/a.git", &["1"], &["ci"]);
    large.push_options = vec!["x".repeat(33 << 20)];
    let error = fixture.spool.enqueue_claimed(&large, &first).unwrap_err();
    assert!(error.is_too_large());
    drop((first, second, third, fourth, next));
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_claimed_push_is_recorded_once_through_every_crash() {
    at_every_crash(
        || {
            let fixture = Fixture::new();
            fixture.tick();
            fixture
        },
        |fixture| {
            let draft_of_claim = deferred("/srv/a.git", "1");
            let claim = fixture
                .spool
                .claim(&draft_of_claim, &fixture.id_parts(), None)?;
            let composed = draft("/srv/a.git", &["1"], &["ci"]);
            fixture.spool.enqueue_claimed(&composed, &claim)
        },
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
fn a_folder_that_is_made_does_not_turn_the_order_of_ids() {
    let fixture = Fixture::new();
    let ahead = SystemTime::now() + Duration::from_hours(24 * 400);
    let parts = |now| IdParts {
        now,
        host: "host",
        random: 7,
    };
    // The first claim makes its folder; then the clock is set right.
    let draft = deferred("/srv/a.git", "1");
    let first = fixture.spool.claim(&draft, &parts(ahead), None).unwrap();
    let now = parts(SystemTime::now());
    let second = fixture.spool.claim(&draft, &now, None).unwrap();
    let composed = super::draft("/srv/a.git", &["1"], &["ci"]);
    let first = fixture.spool.enqueue_claimed(&composed, &first).unwrap();
    let second = fixture.spool.enqueue_claimed(&composed, &second).unwrap();
    assert!(first < second, "{first} {second}");
}
