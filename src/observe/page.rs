//! The page: one static file of HTML, without scripts, and with nothing loaded from elsewhere.
//!
//! Names and answers are text: they are escaped, and characters that turn the reading direction
//! or hide are spelled out.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::board::{AGES, Board, EndpointRow, MOST_WELL, age};
use super::recent::Delivery;
use super::state::State;
use crate::report::printable;
use crate::spool::{CountedOutcome, Counts};

const STYLE: &str = include_str!("page.css");

/// Writes the page, as of `now` in seconds since 1970.
#[must_use]
pub fn page(board: &Board, host: &str, now: u64) -> String {
    // Only this style is allowed, and nothing else.
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    );
    let failing = board
        .endpoints
        .iter()
        .filter(|row| row.is_failing())
        .count();
    let is_bad = failing > 0;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                meta name="referrer" content="no-referrer";
                title { "refpost: " (text(host)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 class=[is_bad.then_some("bad")] { (board.sentence(now)) }
                p.dim { (text(host)) ", " (time(now)) }
                (notices(board))
                (endpoints(&board.endpoints, now))
                (ages(&board.endpoints))
                (recent(&board.recent, now))
            }
        }
    };
    page.into_string() + "\n"
}

fn notices(board: &Board) -> Markup {
    html! {
        @for account in &board.unread {
            p.bad { "Account " (text(account)) " could not be examined." }
        }
        @if board.is_partial {
            p.bad { "Not everything could be read: " code { "refpost status" } " tells more." }
        }
        @if board.new > 0 {
            p { (board.new) " in no queue yet: " code { "refpost flush" } " puts them there." }
        }
        @if board.unreadable > 0 {
            p.bad { (board.unreadable) " cannot be read: " code { "refpost queue list" } "." }
        }
        @if board.unrecorded > 0 {
            p.bad { (board.unrecorded) " could not be recorded, for lack of room." }
        }
    }
}

fn endpoints(rows: &[EndpointRow], now: u64) -> Markup {
    let is_well =
        |row: &&EndpointRow| row.receiver.state == State::Healthy && row.receiver.failed == 0;
    let folded = rows
        .iter()
        .filter(is_well)
        .count()
        .saturating_sub(MOST_WELL);
    html! {
        h2 { "Endpoints" }
        div.wide { table {
            thead { tr {
                th { "endpoint" } th { "state" } th.n { "waiting" } th.n { "refused" }
                th.n { "given up" } th { "last answer" } th { "next attempt" }
                th.n { "hour" } th.n { "day" } th.n { "week" }
            } }
            tbody {
                @for row in rows.iter().take(rows.len() - folded) {
                    tr {
                        td.x {
                            (text(&row.receiver.labels.endpoint))
                            div.dim { (text(&row.receiver.labels.receiver)) }
                        }
                        td.t { (state(row, now)) }
                        td.n { (row.receiver.waiting) }
                        td.n { (row.receiver.refused) }
                        td.n { (row.receiver.failed) }
                        td.t { @if let Some((at, answer)) = &row.last {
                            (text(answer)) div.dim { (since(*at, now)) }
                        } }
                        td.t { @if let Some(next) = row.receiver.next {
                            @if next > now { "in " (age(next - now)) } @else { "due now" }
                        } }
                        @for counts in &row.counts { td.n { (attempts(counts)) } }
                    }
                }
            }
        } }
        @if folded > 0 { p.dim { "and " (folded) " more that take messages" } }
        p.dim { "Hour, day and week: delivered, and attempts that failed." }
    }
}

fn state(row: &EndpointRow, now: u64) -> Markup {
    let state = row.receiver.state;
    let class = match state {
        State::Healthy => "good",
        state if state.is_bad() => "bad",
        _ => "",
    };
    let oldest = row
        .receiver
        .oldest
        .map(|oldest| age(now.saturating_sub(oldest)));
    html! {
        span class=(class) { (state.word()) }
        @if let Some(oldest) = oldest { div.dim { "oldest " (oldest) } }
    }
}

fn attempts(counts: &Counts) -> Markup {
    html! {
        (counts.of(CountedOutcome::Delivered))
        @if counts.failed() > 0 { div.bad { (counts.failed()) " failed" } }
    }
}

fn ages(rows: &[EndpointRow]) -> Markup {
    let sum = |row: &EndpointRow| {
        row.ages
            .iter()
            .fold(0, |sum: u64, it| sum.saturating_add(*it))
    };
    let waiting: Vec<_> = rows.iter().filter(|row| sum(row) > 0).collect();
    html! {
        @if !waiting.is_empty() {
            h2 { "Waiting, by age in minutes" }
            div.wide { table {
                thead { tr {
                    th { "endpoint" } th.n { "all" }
                    @for bound in AGES { th.n { (bound) } }
                    th.n { (AGES[8]) "+" }
                } }
                tbody { @for row in waiting { tr {
                    td.x { (text(&row.receiver.labels.endpoint)) div.dim { (text(&row.receiver.labels.receiver)) } }
                    td.n { (sum(row)) }
                    @for count in row.ages { td.n { (count) } }
                } } }
            } }
        }
    }
}

fn recent(rows: &[Delivery], now: u64) -> Markup {
    html! {
        @if !rows.is_empty() {
            h2 { "Recent deliveries" }
            div.wide { table.stack {
                thead { tr {
                    th { "when" } th { "repository" } th { "topic" } th { "endpoint" }
                    th { "answer" } th.n { "took" } th { "remark" }
                } }
                tbody { @for row in rows { tr {
                    td.t { (time(row.time)) div.dim { (since(row.time, now)) } }
                    td.x {
                        @if !row.account.is_empty() { (text(&row.account)) ": " }
                        (text(&row.repository)) div.dim { (text(&row.reference)) }
                    }
                    td.x { (text(&row.topic)) }
                    td.x { (text(&row.endpoint)) div.dim { "attempt " (row.attempt) } }
                    td.t { span class=(if row.is_delivered { "good" } else { "bad" }) {
                        (text(&row.answer))
                    } }
                    td.n { (row.ms) " ms" }
                    td.x {
                        (text(&row.note))
                        @if let Some(id) = &row.id {
                            div { code { "refpost queue retry " (text(id)) } }
                            div { code { "refpost queue drop " (text(id)) } }
                        }
                    }
                } } }
            } }
        }
    }
}

fn text(text: &str) -> Cow<'_, str> {
    printable(text)
}

fn time(seconds: u64) -> Markup {
    // The last second that the library can write.
    let seconds = seconds.min(253_402_300_799);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let machine = humantime::format_rfc3339_seconds(time).to_string();
    let person = machine.replace('T', " ");
    html! { time datetime=(machine) { (person) } }
}

fn since(time: u64, now: u64) -> String {
    format!("{} ago", age(now.saturating_sub(time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Labels;
    use crate::observe::scrape::Receiver;

    #[test]
    fn names_and_answers_of_others_are_text() {
        let hostile = "<script>alert(1)</script>\"'&\u{202e}\n";
        let row = EndpointRow {
            receiver: Receiver {
                labels: Labels::new(hostile, hostile, ""),
                ..Receiver::default()
            },
            last: Some((1, hostile.to_owned())),
            ages: [1; 10],
            ..EndpointRow::default()
        };
        let delivery = Delivery {
            account: hostile.to_owned(),
            time: u64::MAX,
            repository: hostile.to_owned(),
            endpoint: hostile.to_owned(),
            reference: hostile.to_owned(),
            topic: hostile.to_owned(),
            id: Some(hostile.to_owned()),
            answer: hostile.to_owned(),
            note: hostile.to_owned(),
            ..Delivery::default()
        };
        let board = Board {
            endpoints: vec![row],
            recent: vec![delivery],
            unread: vec![hostile.to_owned()],
            ..Board::default()
        };
        let page = page(&board, hostile, 2);
        assert!(
            !page.contains("<script") && !page.contains('\u{202e}'),
            "{page}"
        );
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"));
        // No attribute has any of it.
        let tags = page
            .split('<')
            .skip(1)
            .filter_map(|tag| tag.split('>').next());
        assert!(tags.into_iter().all(|tag| !tag.contains("alert")), "{page}");
    }

    #[test]
    fn the_page_loads_and_runs_nothing() {
        let page = page(&Board::default(), "git1", 2);
        let digest = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!("default-src 'none'; style-src 'sha256-{digest}'");
        // maud escapes no apostrophes.
        assert!(page.replace("&#39;", "'").contains(&policy), "{page}");
        assert!(page.contains(&format!("<style>{STYLE}</style>")));
        for word in ["<script", "src=", "href=", "url(", "style=\"", " on"] {
            let is_in_tag = page.split('<').any(|tag| {
                let tag = tag.split('>').next().unwrap_or_default();
                tag.contains(word) && !tag.contains("Content-Security")
            });
            assert!(!is_in_tag, "{word} in {page}");
        }
    }
}
