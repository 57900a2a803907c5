//! Recording a push as a file.

use std::fs;

use super::*;

#[test]
fn two_flushes_and_no_more() {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    let (id, steps) = fixture.traced(|| fixture.push("/srv/a.git", &["2", "3"], &["ci", "deploy"]));
    let expected = [
        format!("create tmp/{id}"),
        format!("write tmp/{id}"),
        format!("flush tmp/{id}"),
        format!("link new/{id}"),
        "flush new".to_owned(),
        format!("unlink tmp/{id}"),
    ];
    assert_eq!(steps, expected);
}

#[test]
fn the_first_push_makes_the_spool() {
    let mut fixture = Fixture::new();
    let above = fixture.dir.path().join("refpost");
    fixture.spool = Spool::new(above.join("spool"), Access::Owner);
    let (id, steps) = fixture.traced(|| fixture.push("/srv/a.git", &["1"], &["ci"]));
    // `tmp/` is made after everything else is durable.
    let made = steps.iter().position(|step| step == "mkdir tmp").unwrap();
    let flushed = [
        "flush .".to_owned(),
        format!("flush {}", above.display()),
        format!("flush {}", fixture.dir.path().display()),
    ];
    assert_eq!(steps[made - 3..made], flushed);
    for dir in ["", "tmp", "new", "retry", "failed"] {
        assert_eq!(mode(&fixture.path(dir)), 0o700, "{dir}");
    }
    assert_eq!(mode(&fixture.path("new").join(id.as_str())), 0o600);
    assert_eq!(fixture.ls(""), ["failed", "new", "retry", "tmp"]);
}

#[test]
fn a_shared_spool_is_the_groups_whatever_the_umask() {
    let fixture = Fixture::new();
    let spool = Spool::new(fixture.path("x/y"), Access::Group);
    let parts = IdParts {
        now: noon(),
        host: "git1",
        random: 1,
    };
    let id = spool
        .enqueue(&draft("/a", &["1"], &["ci"]), &parts)
        .unwrap();
    assert_eq!(mode(&spool.root().join("new").join(id.as_str())), 0o660);
    spool.distribute(Lock::Try, cannot_build).unwrap();
    for dir in ["", "tmp", "new", "retry", "failed", "retry/ci"] {
        assert_eq!(mode(&spool.root().join(dir)), 0o2770, "{dir}");
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_change_the_order() {
    let fixture = Fixture::new();
    let first = fixture.push("/srv/a.git", &["1"], &["ci"]);
    fixture.now.set(noon() - Duration::from_hours(48));
    let second = fixture.push("/srv/a.git", &["2"], &["ci"]);
    fixture.now.set(noon() - Duration::from_hours(96));
    // A log that is begun, or rotated, in between does not change the order.
    let log = fixture.spool.log().rotating_at(1);
    log.append(&super::log::attempt("x")).unwrap();
    let third = fixture.push("/srv/a.git", &["3"], &["ci"]);
    assert!(first < second && second < third);

    // Set ahead, and right again: the same.
    fixture.now.set(noon() + Duration::from_hours(10_000));
    let fourth = fixture.push("/srv/a.git", &["4"], &["ci"]);
    fixture.now.set(noon());
    let fifth = fixture.push("/srv/a.git", &["5"], &["ci"]);
    assert!(third < fourth && fourth < fifth);
    fixture.distribute();
    assert_eq!(fixture.deliver_all("ci"), ["1", "2", "3", "4", "5"]);
}

#[test]
fn an_id_that_is_taken_overwrites_nothing() {
    let fixture = Fixture::new();
    let id = fixture.push("/srv/a.git", &["1"], &["ci"]);
    let before = UNIX_EPOCH + Duration::from_secs(1);
    disk::set_modified(&fixture.spool.root_dir(), before);
    let parts = IdParts {
        now: id.time(),
        host: "git1",
        random: 1,
    };
    let error = fixture
        .spool
        .enqueue(&draft("/b", &["2"], &["ci"]), &parts)
        .unwrap_err();
    assert!(error.to_string().starts_with("cannot link `"), "{error}");
    assert_eq!(fixture.kept(), kept(&[("ci", &["1"])]));
    assert!(fixture.ls("tmp").is_empty());
}

#[test]
fn an_error_names_its_operation_and_its_path() {
    let fixture = Fixture::new();
    fs::write(fixture.spool.root(), "in the way").unwrap();
    let error = fixture.enqueue(&draft("/a", &["1"], &["ci"])).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot create `") && text.ends_with('`'),
        "{text}"
    );
    assert!(std::error::Error::source(&error).is_some());
}
