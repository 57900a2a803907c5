//! Finds the repository that a command is about, and the spool of a repository.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Context;
use crate::config::{OWN_SPOOL, Settings};
use crate::error::{Error, IoContext};
use crate::git::Repository;
use crate::plain_file::{self, LONGEST_PATH};
use crate::spool::{Access, Spool, SpoolError};

/// Opens the repository that an argument names, or else that of the current folder. Fails if
/// another account owns it and git does not trust it.
pub(crate) fn repository(named: Option<&Path>, ctx: &Context) -> Result<Repository, Error> {
    let named = named.unwrap_or(Path::new("."));
    ctx.ensure_not_anothers(named)?;
    let repository = Repository::open(named)?;
    ctx.ensure_trusted(&repository.path())?;
    Ok(repository)
}

/// Opens a repository as [`repository`] does, but without an argument that of the hook which runs
/// this, if one does.
pub(crate) fn repository_in_hook(named: Option<&Path>, ctx: &Context) -> Result<Repository, Error> {
    if named.is_some() {
        return repository(named, ctx);
    }
    ctx.ensure_not_anothers(&hook_folder(ctx))?;
    let git_dir = hook_git_dir(ctx)?;
    // git does the same, and also trusts any repository that `GIT_DIR` names.
    if ctx.path_variable("GIT_DIR").is_none() {
        ctx.ensure_trusted(&git_dir)?;
    }
    let namespace = ctx.path_variable("GIT_NAMESPACE").unwrap_or_default();
    Ok(Repository::open_in_hook(&git_dir)?.in_namespace(Path::new(&namespace)))
}

/// Returns the absolute path of the repository whose hook this process is.
///
/// git names it in `GIT_DIR`, or starts the hook where its `.git` is (githooks(5)). For a worktree
/// this is the repository that it belongs to (gitrepository-layout(5), `commondir`). An entry keeps
/// the path, which must not depend on the current folder.
pub(crate) fn hook_git_dir(ctx: &Context) -> Result<PathBuf, Error> {
    let git_dir = hook_folder(ctx);
    let common = match plain_file::read_text(&git_dir.join("commondir"), LONGEST_PATH) {
        Ok(text) => git_dir.join(text.trim_end()),
        Err(_) => git_dir,
    };
    let resolved = common.canonicalize();
    let absolute = resolved.or_else(|_| std::path::absolute(&common));
    absolute.doing("find", &common)
}

/// Returns the repository's folder as git gives it to this hook. Opens nothing there.
pub(crate) fn hook_folder(ctx: &Context) -> PathBuf {
    match ctx.path_variable("GIT_DIR") {
        Some(named) => PathBuf::from(named),
        None if Path::new(".git").is_dir() => PathBuf::from(".git"),
        None => PathBuf::from("."),
    }
}

/// Returns the spool of a repository. Without settings, since they cannot be loaded, the one inside
/// the repository.
pub(crate) fn spool_of(git_dir: &Path, settings: Option<&Settings>) -> Spool {
    match settings.and_then(|settings| settings.spool.as_deref()) {
        Some(root) => spool_at(root),
        None => own_spool(git_dir),
    }
}

/// Returns the spool inside a repository, shared as the repository is (git-config(1),
/// core.sharedRepository).
pub(crate) fn own_spool(git_dir: &Path) -> Spool {
    // Accounts that may write a shared repository could put a link there.
    Spool::within(git_dir, OWN_SPOOL, sharing(git_dir))
}

/// Returns the spool inside a repository, if it exists and entries go to another one by now.
pub(crate) fn former_spool(git_dir: &Path, now: &Spool) -> Option<Spool> {
    let own = git_dir.join(OWN_SPOOL);
    (own != now.root() && own.is_dir()).then(|| own_spool(git_dir))
}

/// Returns the spool in a folder, shared as that folder is.
pub(crate) fn spool_at(root: &Path) -> Spool {
    match of_repository(root) {
        Some(git_dir) => Spool::within(git_dir, OWN_SPOOL, sharing(root)),
        None => Spool::new(root, sharing(root)),
    }
}

/// Returns the spool that a person or another refpost names. Links in its path are resolved, except
/// for those that must not be followed.
pub(crate) fn spool_named(root: &Path) -> Spool {
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match of_repository(root) {
        Some(git_dir) => spool_at(&absolute(git_dir).join(OWN_SPOOL)),
        None => spool_at(&absolute(root)),
    }
}

/// Returns the repository of a spool at its default place.
fn of_repository(root: &Path) -> Option<&Path> {
    let levels = Path::new(OWN_SPOOL).components().count();
    root.ends_with(OWN_SPOOL)
        .then(|| root.ancestors().nth(levels))?
        .filter(|git_dir| !git_dir.as_os_str().is_empty())
}

fn sharing(folder: &Path) -> Access {
    match fs::metadata(folder) {
        Ok(metadata) if metadata.mode() & 0o2020 == 0o2020 => Access::Group,
        _ => Access::Owner,
    }
}

/// Takes over the entries of a former spool inside the repository. They are older, and must be
/// announced first.
pub(crate) fn adopt_former(git_dir: &Path, spool: &Spool) -> Result<(), Error> {
    if let Some(former) = former_spool(git_dir, spool) {
        spool.adopt(&former).map_err(SpoolError::from)?;
    }
    Ok(())
}
