//! Records the moves that are about to be made, for the hooks that run before refs move.

use std::io;
use std::path::PathBuf;

use super::batches::Batch;
use super::git_process::Caller;
use super::intents;
use super::push::Push;
use crate::config::{self, Loaded};
use crate::context::{Context, locate};
use crate::error::Error;
use crate::spool::Content;

/// Largest number of refs that are recorded before they move. The process that settles a push holds
/// all of them in memory.
const MOST_INTENDED: usize = 200_000;

/// The repository that a hook runs in, and its configuration or the reason why that cannot be
/// loaded. `None` if no endpoint is configured.
pub(crate) type Wanted = Option<(PathBuf, Result<Loaded, config::Error>)>;

/// Returns the repository that a hook runs in. Fails outside of one.
pub(crate) fn wanted(ctx: &Context) -> Result<Wanted, Error> {
    let git_dir = locate::hook_git_dir(ctx)?;
    // git starts no hook elsewhere, so this is a person or a script in the wrong folder.
    if let Err(error) = git_dir.join("HEAD").symlink_metadata()
        && error.kind() == io::ErrorKind::NotFound
    {
        return Err(Error::Failed {
            what: format!("`{}` is no repository", git_dir.display()),
            hint: Some("git runs a hook in its repository, or names it in `GIT_DIR`".to_owned()),
        });
    }
    let loaded = ctx.load(Some(&git_dir));
    Ok(match &loaded {
        Ok(loaded) if loaded.settings.endpoints.is_empty() => None,
        _ => Some((git_dir, loaded)),
    })
}

/// Records the updates that are about to be made, all of them or none.
///
/// `caller` is the git that makes them; `received` is true if it receives a push.
///
/// Crash between two batches: git treats a hook that dies like one that refuses, and nothing moves;
/// a flush finds that out.
pub(crate) fn intend(
    push: &Push,
    loaded: Result<Loaded, config::Error>,
    batches: impl Iterator<Item = Batch>,
    (caller, received): (Option<&Caller>, bool),
    ctx: &Context,
) -> Result<(), Error> {
    let mut batches = batches.peekable();
    if batches.peek().is_none() {
        return Ok(());
    }
    let settings = match loaded {
        Ok(loaded) => Some(loaded.settings),
        Err(error) if ctx.requires(&push.git_dir) => return Err(error.into()),
        Err(_) => ctx.load_without_own(&push.git_dir),
    };
    let spool = locate::spool_of(&push.git_dir, settings.as_ref());
    let mut refs = 0;
    let mut recorded = Vec::new();
    let result = batches.try_for_each(|batch| {
        let updates = batch?;
        refs += updates.len();
        if refs > MOST_INTENDED {
            let why = format!("it moves more than {MOST_INTENDED} refs");
            return Err(Error::failed(why));
        }
        let mut draft = push.draft(Content::Deferred(updates));
        draft.received = received;
        recorded.push(intents::intend(&spool, draft, caller, ctx)?);
        Ok(())
    });
    if result.is_err() {
        for id in recorded {
            // An intent that cannot be withdrawn now is settled by a flush.
            spool.withdraw(&id).ok();
        }
    }
    result
}
