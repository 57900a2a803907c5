//! Globs that choose.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};

/// Globs that choose topics or ref names. `*` matches across `/` and `.`, as in
/// git's refspecs; a pattern that starts with `!` takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    wanted: Vec<glob::Pattern>,
    unwanted: Vec<glob::Pattern>,
}

impl Patterns {
    /// Everything but what matches this glob.
    pub(in crate::config) fn without(glob: &str) -> Self {
        let pattern = glob::Pattern::new(glob).expect("a glob of ours is well-formed");
        Self {
            wanted: Vec::new(),
            unwanted: vec![pattern],
        }
    }

    /// Returns patterns that choose these texts; of none, everything.
    pub(in crate::config) fn of(texts: &[&str]) -> Self {
        let pattern = |text: &&str| glob::Pattern::new(text).expect("a word is no glob");
        Self {
            wanted: texts.iter().map(pattern).collect(),
            unwanted: Vec::new(),
        }
    }

    /// The first pattern that chooses none of these texts.
    pub(in crate::config) fn idle(&self, texts: &[&str]) -> Option<String> {
        let mut all = self.wanted.iter().chain(&self.unwanted);
        let idle = all.find(|pattern| !texts.iter().any(|text| pattern.matches(text)));
        idle.map(ToString::to_string)
    }

    /// Returns whether the text is chosen: by any pattern, or since no pattern asks for something,
    /// and not taken away by a `!` pattern.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let any = |patterns: &[glob::Pattern]| patterns.iter().any(|pattern| pattern.matches(text));
        (self.wanted.is_empty() || any(&self.wanted)) && !any(&self.unwanted)
    }
}

impl Patterns {
    /// The patterns as they are written.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        let wanted = self.wanted.iter().map(ToString::to_string);
        wanted.chain(self.unwanted.iter().map(|pattern| format!("!{pattern}")))
    }
}

impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.texts())
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut patterns = Self::default();
        for text in Vec::<String>::deserialize(deserializer)? {
            let (list, glob) = match text.strip_prefix('!') {
                Some(glob) => (&mut patterns.unwanted, glob),
                None => (&mut patterns.wanted, text.as_str()),
            };
            let pattern = glob::Pattern::new(glob)
                .map_err(|error| D::Error::custom(format_args!("pattern `{text}`: {error}")))?;
            list.push(pattern);
        }
        Ok(patterns)
    }
}
