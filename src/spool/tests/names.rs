//! Ids, items and queues as names.

use super::*;

const ID: &str = "20261123T214501.123456789Z-git1-3f2a9c1b00ab12cd";

#[test]
fn an_id_reads_as_it_is_written() {
    let time = UNIX_EPOCH + Duration::new(1_795_470_301, 123_456_789);
    let id = Id::new(time, "git1", 0x3f2a_9c1b_00ab_12cd);
    assert_eq!(id.as_str(), ID);
    assert_eq!(id.time(), time);
    assert_eq!(Id::parse(ID), Some(id));
}

#[test]
fn a_host_becomes_letters_digits_and_dashes() {
    let host = |host: &str| {
        let id = Id::new(noon(), host, 1);
        assert_eq!(Id::parse(id.as_str()).as_ref(), Some(&id), "{host:?}");
        id.as_str()[27..id.as_str().len() - 17].to_owned()
    };
    assert_eq!(host("git-1.example.org"), "git-1-example-org");
    assert_eq!(host("../ä\n"), "-----");
    assert_eq!(host(""), "localhost");
    assert_eq!(host(&"x".repeat(64)), "x".repeat(32));
}

#[test]
fn ids_sort_by_time_whatever_the_host() {
    let earlier = Id::new(noon(), "z", u64::MAX);
    let later = Id::new(noon() + Duration::from_nanos(1), "a", 0);
    assert!(earlier < later);
    assert!(earlier.as_str() < later.as_str());
}

#[test]
fn a_time_out_of_reach_still_makes_an_id() {
    let before = UNIX_EPOCH - Duration::from_secs(1);
    let after = UNIX_EPOCH + Duration::from_secs(1 << 40);
    for time in [before, after] {
        let id = Id::new(time, "git1", 1);
        assert_eq!(Id::parse(id.as_str()), Some(id));
    }
}

#[test]
fn no_other_text_is_an_id() {
    for text in [
        "",
        "x",
        "20261123T214501.123456789Z",
        "20261123T214501.123456789Z-git1",
        "20261123T214501.123456789Z--3f2a9c1b00ab12cd",
        "20261123T214501.123456789Z-git1-3f2a9c1b00ab12cD",
        "20261123T214501.123456789Z-git1-3f2a9c1b00ab12c",
        "20261123T214501.123456789Z-git1-3f2a9c1b00ab12cd0",
        "20261123T214501.123456789Z-g.t1-3f2a9c1b00ab12cd",
        "20261323T214501.123456789Z-git1-3f2a9c1b00ab12cd",
        "20261123T214561.123456789Z-git1-3f2a9c1b00ab12cd",
        "20261123T2145ä01.23456789Z-git1-3f2a9c1b00ab12cd",
        "20261123T214501.123456789Z-git1-3f2a9c1b00ab12cd\n",
        "../../../../../etc/passwd-git1-3f2a9c1b00ab12cd",
    ] {
        assert_eq!(Id::parse(text), None, "{text:?}");
    }
}

#[test]
fn items_read_as_they_are_written() {
    for name in [
        format!("20261123T214501Z.0.0.{ID}"),
        format!("20261123T214501Z.12.3.{ID}"),
        format!("20261123T214501Z.1.3.{ID},3"),
    ] {
        let item = Item::parse(&name).unwrap();
        assert_eq!(item.to_string(), name);
    }
    assert_eq!(
        Item::first(&Id::parse(ID).unwrap()).to_string(),
        format!("20261123T214501Z.0.0.{ID}")
    );
}

#[test]
fn no_other_name_is_an_item() {
    for name in [
        ID.to_owned(),
        format!("20261123T214501Z.0.{ID}"),
        format!("20261123T214501Z.0.00.{ID}"),
        format!("20261123T214501Z.+1.0.{ID}"),
        format!("20261123T214501Z.0.4294967296.{ID}"),
        format!("20261123T214501Z.0.0.{ID},"),
        format!("20261123T214501Z.0.0.{ID},1"),
        format!("20261123T214501Z.0.0.{ID},0-"),
        format!("20261123T214501Z.0.0.{ID}~"),
        format!("now.0.0.{ID}"),
    ] {
        assert_eq!(Item::parse(&name), None, "{name}");
    }
}

#[test]
fn what_failed_reads_as_it_is_written() {
    let queue = queue("ci");
    for (name, part) in [
        (ID.to_owned(), Part::From(0)),
        (format!("{ID},2-"), Part::From(2)),
        (format!("{ID},0"), Part::Only(0)),
    ] {
        let failed = Failed::parse(&queue, &name).unwrap();
        assert_eq!(failed.part, part);
        assert_eq!(failed.name(), name);
    }
    for name in [format!("{ID},0-"), format!("{ID},"), format!("{ID},01")] {
        assert_eq!(Failed::parse(&queue, &name), None, "{name}");
    }
}

#[test]
fn a_due_time_from_a_wrong_clock_has_come() {
    let longest = Duration::from_secs(100);
    let due = |seconds| {
        let item = Item {
            due: noon() + Duration::from_secs(seconds),
            attempts: 1,
            ..Item::first(&Id::new(noon(), "git1", 1))
        };
        item.is_due(noon() + Duration::from_secs(1000), longest)
    };
    assert!(due(0));
    assert!(due(1000));
    assert!(!due(1001));
    assert!(!due(1101));
    assert!(due(1102));
}

#[test]
fn what_was_not_tried_is_due_though_the_clock_was_set_back() {
    let longest = Duration::from_hours(24);
    let before = noon() - Duration::from_hours(1);
    let item = Item::first(&Id::new(noon() + Duration::from_millis(1), "git1", 1));
    assert!(item.is_due(before, longest));
    let deferred = Item {
        due: before + Duration::from_secs(1),
        ..item.clone()
    };
    assert!(!deferred.is_due(before, longest));
    let tried = Item {
        attempts: 1,
        ..item
    };
    assert!(!tried.is_due(before, longest));
}

#[test]
fn a_queue_is_one_visible_path_component() {
    for name in ["ci", "ci.example.org-3f2a9c", "a b", "ä", &"x".repeat(200)] {
        assert_eq!(Queue::new(name).unwrap().as_str(), name);
    }
    for name in [
        "",
        ".",
        "..",
        ".x",
        "a/b",
        "/",
        "a\0",
        "a\n",
        "unreadable",
        &"x".repeat(201),
    ] {
        let error = Queue::new(name).unwrap_err();
        assert!(!error.to_string().contains(|c: char| c.is_control()));
    }
    assert!(serde_json::from_str::<Queue>("\"../x\"").is_err());
}
