//! Which software a repository lives under: found out, never configured.
//!
//! [`Repository::traces`] looks, [`host`] decides. What a hook's environment says of a
//! project counts only if it fits the repository on disk: hooks and flushes inherit the
//! environment of a push to another one.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::git::Repository;
use crate::host::shown::ConfigTexts;

/// The software that takes pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKind {
    /// Nothing shows: ssh accounts, `git http-backend`, cgit, gitweb.
    #[default]
    Plain,
    /// gitolite, version 3.
    Gitolite,
    /// GitLab: Gitaly runs the hooks.
    GitLab,
    /// Gitea or Forgejo.
    Gitea,
}

impl HostKind {
    /// Returns its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gitolite => "gitolite",
            Self::GitLab => "GitLab",
            Self::Gitea => "Gitea or Forgejo",
        }
    }

    /// Returns whether it runs hooks of this name (githooks(5)) that are a repository's own.
    #[must_use]
    pub fn runs(self, hook: &str) -> bool {
        // Gitaly puts a folder of its own in the place of `hooks`, and hands on these.
        self != Self::GitLab || ["pre-receive", "update", "post-receive"].contains(&hook)
    }
}

/// The software of a repository, and its name for the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Kind of software.
    pub kind: HostKind,
    /// Reason for that: a sentence's end for people.
    pub because: String,
    /// Full name of the project as the host has it, if it differs from the path.
    pub project: Option<String>,
    /// Source of the name.
    pub project_because: String,
}

/// Traces that hosts leave in and around a repository.
#[derive(Clone, Debug, Default)]
pub(super) struct Traces {
    /// The repository, links resolved.
    pub(super) path: PathBuf,
    /// Target of `hooks/update`. gitolite refuses pushes unless it leads to its own.
    pub(super) update_hook: Option<PathBuf>,
    /// gitolite's rules for this repository: the file `gl-conf`.
    pub(super) has_gl_conf: bool,
    /// The folder above that holds `gitolite-admin.git`.
    pub(super) gitolite_base: Option<PathBuf>,
    /// Path that `GL_REPO_BASE` and `GL_REPO` make.
    pub(super) gitolite_repo: Option<PathBuf>,
    /// Gitea's own entry beside the link to refpost: `post-receive.d/gitea`, in the repository's
    /// hooks or, with newer Forgejo, in those that `core.hooksPath` of each repository names.
    pub(super) gitea_entry: Option<PathBuf>,
    /// `gitlab.fullpath` of the repository's config.
    pub(super) gitlab_fullpath: Option<String>,
    /// Whether GitLab's folder `custom_hooks` is there.
    pub(super) has_custom_hooks: bool,
}

impl Repository {
    /// Finds the software that this repository lives under. `variable` is the environment of the
    /// hook, or of a command.
    #[must_use]
    pub fn host(&self, variable: &dyn Fn(&str) -> Option<String>) -> Host {
        self.host_with(variable, &self.config_texts())
    }

    pub(super) fn host_with(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        config: &ConfigTexts<'_>,
    ) -> Host {
        host(&self.traces(variable, config), variable)
    }

    fn traces(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        config: &ConfigTexts<'_>,
    ) -> Traces {
        let path = self.path();
        let update_hook = fs::read_link(path.join("hooks/update")).ok();
        let has_gl_conf = path.join("gl-conf").is_file();
        let gitolite_base = (has_gl_conf || update_hook.is_some())
            .then(|| base_of_gitolite(&path))
            .flatten();
        let gitolite_repo =
            variable("GL_REPO_BASE")
                .zip(variable("GL_REPO"))
                .and_then(|(base, repo)| {
                    let named = Path::new(&base).join(format!("{repo}.git"));
                    named.canonicalize().ok()
                });
        let hooks = config.last("core.hookspath");
        let hooks = path.join(hooks.as_deref().unwrap_or("hooks"));
        let gitea_entry = hooks.join("post-receive.d/gitea");
        Traces {
            update_hook,
            has_gl_conf,
            gitolite_base,
            gitolite_repo,
            gitea_entry: gitea_entry.is_file().then_some(gitea_entry),
            gitlab_fullpath: config.last("gitlab.fullpath"),
            has_custom_hooks: path.join("custom_hooks").is_dir(),
            path,
        }
    }
}

/// Returns whether pushes to a repository bring a file to its place.
///
/// True for gitolite's own repository and files in gitolite's folder: its `post-update` checks out
/// there what is pushed. Only the administrator can make that link.
#[must_use]
pub fn brings(git_dir: &Path, file: &Path) -> bool {
    let Ok(hook) = fs::read_link(git_dir.join("hooks/post-update")) else {
        return false;
    };
    let mut above = hook.ancestors();
    let base = above
        .nth(3)
        .filter(|_| hook.ends_with("hooks/gitolite-admin/post-update"))
        .and_then(|base| base.canonicalize().ok());
    let file = file.canonicalize();
    base.is_some_and(|base| file.is_ok_and(|file| file.starts_with(base)))
}

fn base_of_gitolite(path: &Path) -> Option<PathBuf> {
    let mut above = path.ancestors().skip(1);
    above
        .find(|above| above.join("gitolite-admin.git").is_dir())
        .map(Path::to_owned)
}

/// Decides. The environment of a hook names the project as the host writes it; without it, the
/// files on disk do.
pub(super) fn host(traces: &Traces, variable: &dyn Fn(&str) -> Option<String>) -> Host {
    gitolite(traces, variable)
        .or_else(|| gitlab(traces, variable))
        .or_else(|| gitea(traces, variable))
        .unwrap_or_default()
}

fn gitolite(traces: &Traces, variable: &dyn Fn(&str) -> Option<String>) -> Option<Host> {
    let is_pushed_to = traces.gitolite_repo.as_ref() == Some(&traces.path);
    let its_hook = traces
        .update_hook
        .as_ref()
        .filter(|hook| hook.ends_with("hooks/common/update"));
    let because = match its_hook {
        Some(hook) => format!("`hooks/update` leads to `{}`", hook.display()),
        None if traces.has_gl_conf => "`gl-conf` is there".to_owned(),
        None if is_pushed_to => "`GL_REPO` says so".to_owned(),
        None => return None,
    };
    let by_variable = variable("GL_REPO")
        .filter(|_| is_pushed_to)
        .map(|repo| (repo, "`GL_REPO`".to_owned()));
    let project = by_variable.or_else(|| {
        let base = traces.gitolite_base.as_deref()?;
        let below = traces.path.strip_prefix(base).ok()?.to_string_lossy();
        let name = below.strip_suffix(".git").unwrap_or(&below).to_owned();
        Some((name, format!("the path below `{}`", base.display())))
    });
    Some(found(HostKind::Gitolite, because, project))
}

fn gitlab(traces: &Traces, variable: &dyn Fn(&str) -> Option<String>) -> Option<Host> {
    // `@hashed/ab/cd/HASH.git`: of the project's number, which `GL_REPOSITORY` has too. Its
    // wiki is `HASH.wiki.git`.
    let stem = stem(&traces.path);
    let (hash, part) = stem.split_at(stem.find('.').unwrap_or(stem.len()));
    let is_pushed_to = variable("GL_REPOSITORY").is_some_and(|repository| {
        let number = repository.split_once('-').map(|(_, number)| number);
        number.is_some_and(|number| hex::encode(Sha256::digest(number)) == hash)
    });
    let is_hashed = traces.path.components().any(|part| {
        ["@hashed", "@cluster"]
            .iter()
            .any(|name| part.as_os_str() == *name)
    });
    let because = if traces.gitlab_fullpath.is_some() {
        "`gitlab.fullpath` in `config`"
    } else if is_hashed {
        "its path is a hash below `@hashed` or `@cluster`"
    } else if traces.has_custom_hooks {
        "`custom_hooks` is there"
    } else {
        return None;
    };
    let by_variable = variable("GL_PROJECT_PATH")
        .filter(|path| is_pushed_to && !path.is_empty())
        .map(|path| path.strip_suffix(part).unwrap_or(&path).to_owned() + part)
        .map(|path| (path, "`GL_PROJECT_PATH`"));
    let by_config = || {
        let path = traces.gitlab_fullpath.clone()?;
        Some((path, "`gitlab.fullpath` in `config`"))
    };
    let project = by_variable
        .or_else(by_config)
        .map(|(name, because)| (name, because.to_owned()));
    Some(found(HostKind::GitLab, because.to_owned(), project))
}

fn gitea(traces: &Traces, variable: &dyn Fn(&str) -> Option<String>) -> Option<Host> {
    let entry = traces.gitea_entry.as_ref()?;
    let because = format!("`{}` is there", entry.display());
    // The folders are the names in lower case.
    let project = variable("GITEA_REPO_USER_NAME")
        .zip(variable("GITEA_REPO_NAME"))
        .map(|(owner, name)| format!("{owner}/{name}"))
        .filter(|name| {
            traces
                .path
                .ends_with(format!("{}.git", name.to_lowercase()))
        })
        .map(|name| {
            let because = "`GITEA_REPO_USER_NAME` and `GITEA_REPO_NAME`";
            (name, because.to_owned())
        })
        .or_else(|| {
            let owner = traces.path.parent()?.file_name()?.to_string_lossy();
            let name = format!("{owner}/{}", stem(&traces.path));
            Some((name, "the last two parts of the path".to_owned()))
        });
    Some(found(HostKind::Gitea, because, project))
}

fn found(kind: HostKind, because: String, project: Option<(String, String)>) -> Host {
    let (project, project_because) = project.unzip();
    Host {
        kind,
        because,
        project,
        project_because: project_because.unwrap_or_default(),
    }
}

fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".git").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(traces: &Traces, environment: &[(&str, &str)]) -> (HostKind, Option<String>) {
        let host = host(traces, &|name| {
            let (_, value) = environment.iter().find(|(key, _)| *key == name)?;
            Some((*value).to_owned())
        });
        (host.kind, host.project)
    }

    fn at(path: &str) -> Traces {
        Traces {
            path: PathBuf::from(path),
            ..Traces::default()
        }
    }

    #[test]
    fn nothing_shows() {
        let variables = [("GL_REPO", "a"), ("GITEA_REPO_NAME", "a")];
        let plain = (HostKind::Plain, None);
        assert_eq!(decide(&at("/srv/git/a.git"), &variables), plain);
    }

    #[test]
    fn gitolite_by_its_hook_and_the_name_by_what_fits_the_repository() {
        let traces = Traces {
            update_hook: Some("/home/git/.gitolite/hooks/common/update".into()),
            gitolite_base: Some("/home/git/repositories".into()),
            ..at("/home/git/repositories/infra/tools.git")
        };
        let named = |name: &str| (HostKind::Gitolite, Some(name.to_owned()));
        assert_eq!(decide(&traces, &[]), named("infra/tools"));
        // Inherited from a push to another repository.
        let others = [("GL_REPO", "web/site")];
        assert_eq!(decide(&traces, &others), named("infra/tools"));
        let linked = Traces {
            gitolite_repo: Some("/big/tools.git".into()),
            has_gl_conf: true,
            ..at("/big/tools.git")
        };
        let own = [("GL_REPO", "infra/tools")];
        assert_eq!(decide(&linked, &own), named("infra/tools"));
        assert_eq!(decide(&linked, &[]).0, HostKind::Gitolite);
    }

    #[test]
    fn gitlab_by_its_paths_and_the_name_by_what_fits_the_hash() {
        let hash = hex::encode(Sha256::digest("42"));
        let traces = at(&format!("/data/@hashed/73/47/{hash}.git"));
        let pushed = |repository| {
            [
                ("GL_REPOSITORY", repository),
                ("GL_PROJECT_PATH", "infra/tools"),
            ]
        };
        let name = Some("infra/tools".to_owned());
        let named = (HostKind::GitLab, name);
        assert_eq!(decide(&traces, &pushed("project-42")), named);
        let wiki = at(&format!("/data/@hashed/73/47/{hash}.wiki.git"));
        let wikis = (HostKind::GitLab, Some("infra/tools.wiki".to_owned()));
        assert_eq!(decide(&wiki, &pushed("wiki-42")), wikis);
        let unnamed = (HostKind::GitLab, None);
        assert_eq!(decide(&traces, &pushed("project-43")), unnamed);
        let configured = Traces {
            gitlab_fullpath: named.1.clone(),
            ..traces
        };
        assert_eq!(decide(&configured, &pushed("project-43")), named);
    }

    #[test]
    fn gitea_by_its_entry_and_the_name_as_it_is_written() {
        let traces = Traces {
            gitea_entry: Some("hooks/post-receive.d/gitea".into()),
            ..at("/var/lib/gitea/repositories/infra/tools.git")
        };
        let variables = |owner, name| [("GITEA_REPO_USER_NAME", owner), ("GITEA_REPO_NAME", name)];
        let named = |name: &str| (HostKind::Gitea, Some(name.to_owned()));
        assert_eq!(
            decide(&traces, &variables("Infra", "Tools")),
            named("Infra/Tools")
        );
        assert_eq!(
            decide(&traces, &variables("web", "site")),
            named("infra/tools")
        );
    }
}
