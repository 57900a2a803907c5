//! A queue read by windows: as much as there is room for, and then the rest.

use super::waiting::Names;
use super::*;

/// Returns the waiting items, by windows of `most` names, and the leftovers.
fn by_windows(names: &[String], most: usize) -> (Waiting, Vec<String>) {
    let (mut all, mut leftovers, mut after) = (Waiting::default(), vec![], None);
    loop {
        let mut window = Names::new(after.as_ref(), most);
        for name in names {
            window.take(name.as_ref());
        }
        let (waiting, left) = window.sorted();
        all.in_order.extend(waiting.in_order);
        all.refused.extend(waiting.refused);
        leftovers.extend(left.iter().map(ToString::to_string));
        after = waiting.rest_after;
        if after.is_none() {
            all.refused.sort_by_key(|item| (item.due, item.to_string()));
            leftovers.sort();
            return (all, leftovers);
        }
    }
}

fn names() -> Vec<String> {
    let mut names = vec![];
    for n in 0..40u64 {
        // In another order than theirs.
        let id = Id::new(noon() + Duration::from_secs(n * 7 % 40), "git1", n);
        let first = Item::first(&id);
        let item = |part, attempts| Item {
            attempts,
            part,
            ..first.clone()
        };
        names.push(first.to_string());
        if n % 3 == 0 {
            names.push(item(Part::From(2), 0).to_string());
            names.push(item(Part::Only(1), 1).to_string());
        }
        if n % 5 == 0 {
            names.push(item(Part::Only(7), 1).to_string());
            names.push(item(Part::Only(0), 1).to_string());
            names.push(item(Part::Only(0), 4).to_string());
        }
    }
    names
}

#[test]
fn however_small_the_windows_all_of_a_queue_is_seen() {
    let names = names();
    let (whole, leftovers) = by_windows(&names, usize::MAX);
    assert_eq!(whole.in_order.len(), 40);
    assert!(whole.in_order.is_sorted_by_key(|item| &item.id));
    assert!(!whole.refused.is_empty() && !leftovers.is_empty());
    for most in [1, 2, 3, 7, 39, 1000] {
        let (seen, left) = by_windows(&names, most);
        assert_eq!(seen.in_order, whole.in_order, "{most}");
        assert_eq!(seen.refused, whole.refused, "{most}");
        // Leftovers for which there is no room are found again the next time.
        assert!(left.iter().all(|name| leftovers.contains(name)), "{most}");
    }
}
