//! The facts about a push.

use std::path::PathBuf;
use std::time::SystemTime;

use super::push_options::PushOptions;
use super::{compose, intents};
use crate::config::{self, Loaded};
use crate::context::Context;
use crate::git::{self, Repository};
use crate::payload::Message;
use crate::spool::{Content, Draft, FolderId, Intent, Spool};

/// The facts about a push, or about another transaction of refs, apart from the refs.
pub(crate) struct Push {
    pub(crate) git_dir: PathBuf,
    /// The namespace of the refs, which git leaves out of their names (gitnamespaces(7)).
    pub(crate) namespace: PathBuf,
    pub(crate) pusher: String,
    pub(crate) time: SystemTime,
    pub(crate) options: PushOptions,
}

impl Push {
    /// Makes a push by the current pusher at the current time, without a namespace.
    pub(crate) fn now(git_dir: PathBuf, ctx: &Context) -> Self {
        Self {
            git_dir,
            namespace: PathBuf::new(),
            pusher: compose::pusher(ctx),
            time: ctx.now(),
            options: PushOptions::default(),
        }
    }

    /// Makes a push by the current pusher at the current time, in git's namespace
    /// (`GIT_NAMESPACE`).
    pub(crate) fn received(git_dir: PathBuf, ctx: &Context) -> Self {
        let namespace = ctx.path_variable("GIT_NAMESPACE").unwrap_or_default();
        Self {
            namespace: namespace.into(),
            ..Self::now(git_dir, ctx)
        }
    }

    /// Opens the repository, in whose hook this process runs.
    pub(crate) fn repository(&self) -> Result<Repository, git::Error> {
        let repository = Repository::open_in_hook(&self.git_dir)?;
        Ok(repository.in_namespace(&self.namespace))
    }

    /// Returns the intents of the repository and the namespace.
    pub(crate) fn intents(&self, spool: &Spool) -> Vec<Intent> {
        intents::intents_of(spool, &self.git_dir, &self.namespace)
    }

    /// Adds the options that the pusher gave.
    ///
    /// If the configuration cannot be loaded, they are recorded with the push, and judged once it
    /// can.
    pub(crate) fn asking(self, options: &[String], loaded: &Result<Loaded, config::Error>) -> Self {
        let is_off = loaded
            .as_ref()
            .is_ok_and(|loaded| !loaded.settings.push_options);
        let options = PushOptions::of(options, !is_off);
        Self { options, ..self }
    }

    pub(crate) fn draft(&self, content: Content<Message>) -> Draft {
        Draft {
            namespace: self.namespace.clone(),
            repository: self.git_dir.clone(),
            folder: FolderId::of(&self.git_dir),
            time: self.time,
            pusher: Some(self.pusher.clone()),
            push_options: self.options.options(),
            process: None,
            confirms: Vec::new(),
            missing_since: None,
            received: false,
            moved: Vec::new(),
            content,
        }
    }
}
