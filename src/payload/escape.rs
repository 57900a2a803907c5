//! Makes texts of other people harmless in a chat.

/// Returns a text on one line, without names that a chat would notify, and without characters that
/// move a cursor or turn text around.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Mattermost, Discord and Zulip notify by a bare `@name`; a word joiner is not seen.
            '@' => plain.push_str("@\u{2060}"),
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                plain.push(' ');
            }
            c => plain.push(c),
        }
    }
    plain
}

/// Returns a plain text without Slack's mark-up.
pub(super) fn mrkdwn(text: &str) -> String {
    let text = plain(text).replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns a plain text without Markdown's mark-up: a backslash stands before each character that
/// could begin one.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in plain(text).chars() {
        if "\\`*_~[]()<>{}#|!+-.:".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_other_people_has_no_effect_in_a_chat() {
        let hostile = "<!channel> & @here\r\n\u{202e}*b*";
        assert_eq!(plain(hostile), "<!channel> & @\u{2060}here   *b*");
        assert_eq!(
            mrkdwn(hostile),
            "&lt;!channel&gt; &amp; @\u{2060}here   *b*"
        );
        assert_eq!(
            markdown("[x](y) <@1> **b**"),
            "\\[x\\]\\(y\\) \\<@\u{2060}1\\> \\*\\*b\\*\\*"
        );
    }
}
