//! Files of hooks in repositories: finds, links, chains and recognises them.
//!
//! This file finds the folder of a repository's hooks, as git or the host defines it.

pub(crate) mod file;
mod foreign;
mod ignored;
mod script;

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::error::Error;
use crate::git::Repository;
use crate::hooks::file::Hook;
use crate::host::{Host, HostKind};
use crate::report;

/// The hook that announces pushes.
pub(crate) const ORDINARY: [&str; 1] = ["post-receive"];

/// The hooks of `--guaranteed`.
///
/// With them, a process killed at any moment costs no message, and refs that move without a push
/// are seen.
pub(crate) const GUARANTEED: [&str; 3] = ["pre-receive", "post-receive", "reference-transaction"];

/// The hooks of one repository.
pub(crate) struct Hooks {
    folder: PathBuf,
    pub(crate) host: Host,
    /// Configuration file of git whose `core.hooksPath` gives all repositories the same folder of
    /// hooks.
    pub(crate) shared_by: Option<String>,
}

impl Hooks {
    pub(crate) fn of(repository: &Repository, ctx: &Context) -> Self {
        let host = repository.host(&|name| ctx.variable(name));
        if host.kind == HostKind::GitLab {
            // Gitaly gives git a `core.hooksPath` of its own, and runs the hooks in this folder
            // itself.
            return Self {
                folder: repository.path().join("custom_hooks"),
                shared_by: None,
                host,
            };
        }
        let folder = ctx.hooks_dir(repository);
        let path = repository.path();
        let shared_by = if folder == path.join("hooks") {
            None
        } else if host.kind == HostKind::Gitea && !folder.starts_with(&path) {
            // Forgejo's hooks are in one place, which each repository's own config names.
            Some(path.join("config").display().to_string())
        } else {
            repository.hooks_path_origin()
        };
        Self {
            folder,
            host,
            shared_by,
        }
    }

    pub(crate) fn hook(&self, name: &str) -> Hook {
        if self.host.kind == HostKind::GitLab {
            Hook::dispatched(&self.folder, name)
        } else {
            Hook::new(&self.folder, name)
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns those of the named hooks that the host runs.
    pub(crate) fn run_by_host<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        let names = names.iter().copied();
        names.filter(|name| self.host.kind.runs(name)).collect()
    }

    /// Describes the host, and the sign by which it was recognised.
    pub(crate) fn found_host(&self) -> String {
        let Host {
            kind,
            because,
            project,
            project_because,
        } = &self.host;
        if *kind == HostKind::Plain {
            return "host: plain git (nothing of gitolite, GitLab, Gitea or Forgejo is there)"
                .to_owned();
        }
        let named = project.as_ref().map_or_else(String::new, |project| {
            format!("; it names the project `{project}`: {project_because}")
        });
        format!("host: {} ({because}){named}", kind.name())
    }

    /// Warns of side effects of linking these hooks, and of hooks that the host does not run.
    pub(crate) fn tell_limits(&self, names: &[&str]) {
        if let Some(file) = &self.shared_by {
            let folder = self.folder.display();
            report::warning(&format!(
                "by `core.hooksPath` in `{file}`, `{folder}` has the hooks of every repository"
            ));
        }
        for name in names.iter().filter(|name| !self.host.kind.runs(name)) {
            let host = self.host.kind.name();
            report::warning(&format!(
                "{host} does not run {name}: what moves without a push is not announced"
            ));
        }
    }

    /// Fails if one folder has the hooks of all repositories: they cannot be removed for one alone.
    pub(crate) fn ensure_own(&self, repo: &Path) -> Result<(), Error> {
        let Some(file) = &self.shared_by else {
            return Ok(());
        };
        let (repo, folder) = (repo.display(), self.folder.display());
        Err(Error::Failed {
            what: format!(
                "cannot disable `{repo}` alone: by `core.hooksPath` in `{file}`, `{folder}` has \
                 the hooks of every repository"
            ),
            hint: Some(format!(
                "`urls = []` in `{repo}/refpost.toml` switches this one off"
            )),
        })
    }
}
