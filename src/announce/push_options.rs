//! Reads the requests of a pusher in `git push -o refpost.…` (git-push(1)). Options that begin
//! otherwise belong to other programs.

/// Prefix of refpost's options.
pub(crate) const PREFIX: &str = "refpost.";

/// Option that keeps a push from being announced.
const SKIP: &str = "refpost.skip";
/// Option with a text to go with each message of the push.
const NOTE: &str = "refpost.note";

/// Largest number of characters of a note. The last one of a longer note becomes `…`.
const LONGEST_NOTE: usize = 1024;

/// Number of characters that are shown of an invalid option.
const LONGEST_SHOWN: usize = 60;

/// Number of invalid options that are shown.
const MOST_TOLD: usize = 5;

/// Requests of a pusher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PushOptions {
    /// True if the push is not announced.
    pub(crate) skip: bool,
    /// Text that goes with the messages of the push.
    pub(crate) note: Option<String>,
    /// Texts for the pusher about options that have no effect, or are cut.
    pub(crate) complaints: Vec<String>,
}

impl PushOptions {
    /// Reads options. Each of several notes becomes a line.
    ///
    /// With `is_on` false (the key `push_options`) no option has an effect, and one complaint says
    /// so.
    pub(crate) fn of(options: &[String], is_on: bool) -> Self {
        let mut push_options = Self::default();
        let mut options = options.iter().filter(|option| option.starts_with(PREFIX));
        if !is_on {
            push_options.complaints.extend(options.next().map(|option| {
                let name = cut(name_of(option), LONGEST_SHOWN).0;
                format!("push option `{name}` has no effect: `push_options` is off here")
            }));
            return push_options;
        }
        let mut notes: Vec<&str> = Vec::new();
        let mut senseless = Vec::new();
        for option in options {
            match option.split_once('=') {
                None if option == SKIP => push_options.skip = true,
                Some((NOTE, text)) => notes.push(text),
                _ => senseless.push(option.as_str()),
            }
        }
        notes.retain(|text| !text.is_empty());
        let (note, is_cut) = cut(&notes.join("\n"), LONGEST_NOTE);
        if is_cut {
            let told = format!("push option `{NOTE}` is cut: {LONGEST_NOTE} characters at most");
            push_options.complaints.push(told);
        }
        push_options.note = (!note.is_empty()).then_some(note);
        let told = senseless.iter().take(MOST_TOLD);
        push_options
            .complaints
            .extend(told.map(|option| explain(option)));
        if senseless.len() > MOST_TOLD {
            let more = senseless.len() - MOST_TOLD;
            push_options
                .complaints
                .push(format!("{more} more like that"));
        }
        push_options
    }

    /// Returns options with the same meaning, to be recorded with the push.
    pub(crate) fn options(&self) -> Vec<String> {
        let skip = self.skip.then(|| SKIP.to_owned());
        let note = self.note.as_ref().map(|note| format!("{NOTE}={note}"));
        skip.into_iter().chain(note).collect()
    }
}

fn name_of(option: &str) -> &str {
    option.split_once('=').map_or(option, |(name, _)| name)
}

/// Describes the fault of an option that has refpost's prefix.
fn explain(option: &str) -> String {
    let name = name_of(option);
    match name {
        NOTE => return format!("push option `{NOTE}` has no text: -o {NOTE}=TEXT"),
        SKIP => return format!("push option `{SKIP}` takes no value: it has no effect"),
        _ => {}
    }
    let nearest = [SKIP, NOTE]
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .into_iter()
        .filter(|(distance, _)| *distance <= 3)
        .min();
    let shown = cut(name, LONGEST_SHOWN).0;
    match nearest {
        Some((_, known)) => format!("unknown push option `{shown}`, did you mean `{known}`?"),
        None => format!("unknown push option `{shown}`"),
    }
}

/// No more characters than that, `…` being the last of them; whether it had more.
fn cut(text: &str, longest: usize) -> (String, bool) {
    if text.char_indices().nth(longest).is_none() {
        return (text.to_owned(), false);
    }
    let kept = text.chars().take(longest - 1);
    (kept.chain(['…']).collect(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[&str]) -> PushOptions {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        PushOptions::of(&options, true)
    }

    #[test]
    fn what_is_asked_for_is_recorded_and_read_again() {
        let asked = of(&["x", "refpost.skip", "refpost.note=a=b", "refpost.note="]);
        assert!(asked.skip && asked.complaints.is_empty());
        assert_eq!(asked.note.as_deref(), Some("a=b"));
        let long = "é".repeat(3000);
        for options in [
            &[][..],
            &["refpost.skip"],
            &["refpost.note=one", "refpost.note=two\n"],
            &[&format!("refpost.note={long}")],
        ] {
            let mut push_options = of(options);
            let again = PushOptions::of(&push_options.options(), true);
            push_options.complaints.clear();
            assert_eq!(again, push_options);
        }
    }

    #[test]
    fn notes_are_lines_and_have_an_end() {
        let of_notes = |notes: &[&str]| of(notes).note.unwrap_or_default();
        assert_eq!(
            of_notes(&["refpost.note=one", "y", "refpost.note=two"]),
            "one\ntwo"
        );
        let exact = format!("refpost.note={}", "é".repeat(1024));
        assert_eq!(of_notes(&[&exact]).chars().count(), 1024);
        assert!(of(&[&exact]).complaints.is_empty());
        let longer = format!("{exact}é");
        assert!(of_notes(&[&longer]).ends_with("é…"));
        assert_eq!(of_notes(&[&longer]).chars().count(), 1024);
        assert_eq!(
            of(&[&longer]).complaints,
            ["push option `refpost.note` is cut: 1024 characters at most"]
        );
    }

    #[test]
    fn what_makes_no_sense_is_told_with_what_does() {
        for (option, told) in [
            (
                "refpost.skp",
                "unknown push option `refpost.skp`, did you mean `refpost.skip`?",
            ),
            (
                "refpost.notes=x",
                "unknown push option `refpost.notes`, did you mean `refpost.note`?",
            ),
            (
                "refpost.frobnicate=1",
                "unknown push option `refpost.frobnicate`",
            ),
            (
                "refpost.note",
                "push option `refpost.note` has no text: -o refpost.note=TEXT",
            ),
            (
                "refpost.skip=no",
                "push option `refpost.skip` takes no value: it has no effect",
            ),
        ] {
            let push_options = of(&[option, "refpostx", "ci.skip"]);
            assert_eq!(push_options.complaints, [told]);
            assert!(!push_options.skip && push_options.note.is_none());
        }
        let many = ["refpost.x"; 9];
        let complaints = of(&many).complaints;
        assert_eq!(complaints.len(), 6);
        assert_eq!(complaints[5], "4 more like that");
    }

    #[test]
    fn where_they_are_off_one_line_says_so() {
        let options = ["x", "refpost.note=x", "refpost.skip"].map(str::to_owned);
        let push_options = PushOptions::of(&options, false);
        assert_eq!(
            push_options.complaints,
            ["push option `refpost.note` has no effect: `push_options` is off here"]
        );
        assert!(!push_options.skip && push_options.options().is_empty());
        assert_eq!(
            PushOptions::of(&["x".to_owned()], false),
            PushOptions::default()
        );
    }
}
