//! Texts that a person was told, so that each is told once while it is the case.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A text that was not told for this long is news.
const TOLD_LASTS: Duration = Duration::from_mins(10);
/// A text that still holds is told again after this.
const TOLD_AGAIN: Duration = Duration::from_hours(24);

/// The texts, each with the times at which it was told and last held.
#[derive(Default)]
pub(crate) struct Told(HashMap<String, (Instant, Instant)>);

impl Told {
    /// Returns whether a text is to be told now.
    pub(crate) fn is_news(&mut self, text: &str, now: Instant) -> bool {
        let known = self.0.get(text).copied();
        let is_known = known.is_some_and(|(told, last)| {
            now.duration_since(last) < TOLD_LASTS && now.duration_since(told) < TOLD_AGAIN
        });
        let told = known.filter(|_| is_known).map_or(now, |(told, _)| told);
        self.0.insert(text.to_owned(), (told, now));
        !is_known
    }
}

/// Returns the kind of a text: bounded, and without what differs each time.
pub(crate) fn kind(text: &str) -> String {
    let (start, _) = text.split_once('`').unwrap_or((text, ""));
    let start = start.chars().filter(|c| !c.is_ascii_digit());
    start.take(200).collect()
}

/// Returns the beginning of a text that may be long.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_outage_is_told_and_the_first_each_day() {
        let (mut told, start) = (Told::default(), Instant::now());
        let mut is_news = |minutes| told.is_news("x", start + Duration::from_mins(minutes));
        assert!(is_news(0));
        assert!((1..24 * 60).all(|minutes| !is_news(minutes)));
        assert!(is_news(24 * 60), "once a day");
        assert!(!is_news(24 * 60 + 1));
        assert!(is_news(24 * 60 + 20), "it was over in between");
    }
}
