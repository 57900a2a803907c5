//! `hook`, and refpost called by a hook's name.
//!
//! | hook | does |
//! |---|---|
//! | pre-receive, update | record what is about to move (`intent/`) |
//! | post-receive, post-update | announce what moved, settle the intent |
//! | reference-transaction | both, for what moves without a push |
//!
//! Nothing here can fail a push, unless `require` asks for that: what goes wrong is
//! one line to the pusher, and what could not be understood is recorded as it came,
//! to be announced later.

use std::ffi::OsString;
use std::fs;
use std::io::BufRead;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::ValueEnum;

use crate::announce::batches::{self, Input};
use crate::announce::git_process::{self};
use crate::announce::intend::{intend, wanted};
use crate::announce::push::Push;
use crate::announce::{announce, intents, push_options, transaction};
use crate::as_account::owners_hook;
use crate::config::{self, Loaded};
use crate::context::{Context, locate, signals};
use crate::error::{Error, Exit};
use crate::event::RefName;
use crate::hooks::file::{Hook, HookState};
use crate::report;

/// The git hooks that refpost can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookName {
    /// Runs before any ref moves.
    PreReceive,
    /// Runs before each ref moves.
    Update,
    /// Runs after the refs have moved (githooks(5)).
    PostReceive,
    /// Runs after the refs have moved, and is told only their names.
    PostUpdate,
    /// Runs for each transaction of refs, pushed or not.
    ReferenceTransaction,
}

/// Arguments of `hook`.
#[derive(Debug, Args)]
pub(crate) struct HookArgs {
    /// The hook to run as
    pub(crate) name: HookName,
    /// The hook's arguments, as git passes them
    pub(crate) args: Vec<String>,
}

impl HookArgs {
    /// Returns whether git runs this hook after refs have moved, or have not.
    fn follows_a_move(&self) -> bool {
        match self.name {
            HookName::PreReceive | HookName::Update => false,
            HookName::PostReceive | HookName::PostUpdate => true,
            HookName::ReferenceTransaction => {
                let state = self.args.first().map(String::as_str);
                matches!(state, Some("committed" | "aborted"))
            }
        }
    }
}

/// Number of malformed lines that are told one by one.
const MALFORMED_TOLD: usize = 5;

pub(crate) fn run(args: &HookArgs, ctx: &Context) -> Exit {
    if let Some(owner) = other_owner(ctx) {
        if args.follows_a_move() {
            signals::outlive_after_refs_moved();
        }
        return owners_hook::run(owner, &command_line(args), ctx).unwrap_or_else(|error| {
            tell_unannounced(&error);
            Exit::Well
        });
    }
    match args.name {
        HookName::PreReceive => before("push", || pre_receive(ctx), ctx),
        HookName::Update => before("push", || update(&args.args, ctx), ctx),
        HookName::PostReceive => after(|| post_receive(ctx)),
        HookName::PostUpdate => after(|| post_update(&args.args, ctx)),
        HookName::ReferenceTransaction => match args.args.first().map(String::as_str) {
            Some("prepared") => before("transaction", || transaction::prepared(ctx), ctx),
            Some("committed") => after(|| transaction::committed(ctx)),
            Some("aborted") => after(|| transaction::aborted(ctx)),
            _ => Exit::Well,
        },
    }
}

/// Returns the account that owns the repository, if root runs the hook in another account's.
/// Nothing in the repository is opened before.
fn other_owner(ctx: &Context) -> Option<u32> {
    if ctx.own_uid() != 0 {
        return None;
    }
    let owner = fs::metadata(locate::hook_folder(ctx)).ok()?.uid();
    (owner != 0).then_some(owner)
}

/// Returns the arguments that run the same hook.
fn command_line(args: &HookArgs) -> Vec<OsString> {
    let name = args.name.to_possible_value();
    let name = name.map(|name| name.get_name().into());
    let args = args.args.iter().map(OsString::from);
    std::iter::once("hook".into())
        .chain(name)
        .chain(args)
        .collect()
}

/// Tells why the owner of the repository cannot run its hook. Whether the move may be refused for
/// it, only that account's configuration could say, so it goes on.
pub(crate) fn tell_unannounced(error: &Error) {
    report::say(&format!(
        "cannot announce what moves: {}",
        report::chain(error)
    ));
}

/// Runs `record` before refs move, and tells its error. Returns [`Exit::No`], which refuses the
/// move, if it fails and `require` asks for that.
fn before(what: &str, record: impl FnOnce() -> Result<(), Error>, ctx: &Context) -> Exit {
    let Err(error) = record() else {
        return Exit::Well;
    };
    let git_dir = locate::hook_git_dir(ctx).unwrap_or_else(|_| locate::hook_folder(ctx));
    let is_required = ctx.requires(&git_dir);
    let outcome = if is_required {
        format!("the {what} is refused, as `require` has it")
    } else {
        format!("the {what} goes on")
    };
    report::say(&format!(
        "cannot record the {what}: {} ({outcome})",
        report::chain(&error)
    ));
    if let Some(hint) = error.hint() {
        report::hint(&hint);
    }
    if is_required { Exit::No } else { Exit::Well }
}

/// Runs `announce` after refs have moved, and tells its error. Nothing can be refused any more: the
/// signals that can be handled do not end this process, and a panic ends it with exit code 0.
fn after(announce: impl FnOnce() -> Result<(), Error>) -> Exit {
    signals::outlive_after_refs_moved();
    signals::panic_ends("cannot announce the push", 0);
    if let Err(error) = announce() {
        report::say(&format!(
            "{} (your push was accepted)",
            report::chain(&error)
        ));
        if let Some(hint) = error.hint() {
            report::hint(&hint);
        }
    }
    Exit::Well
}

fn pre_receive(ctx: &Context) -> Result<(), Error> {
    match wanted(ctx)? {
        Some((git_dir, loaded)) => {
            let input = read_updates();
            let push = received(git_dir, &loaded, ctx);
            let caller = git_process::caller();
            intend(&push, loaded, input, (caller.as_ref(), true), ctx)
        }
        None => Ok(()),
    }
}

/// Records the ref of an `update REF OLD NEW` hook, which git runs once for each ref (githooks(5)).
fn update(args: &[String], ctx: &Context) -> Result<(), Error> {
    let [name, old, new] = args else {
        return Err(Error::failed("expected the arguments REF OLD NEW"));
    };
    let line = format!("{old} {new} {name}");
    match wanted(ctx)? {
        Some((git_dir, loaded)) => {
            let input = Input::new(line.as_bytes(), MALFORMED_TOLD);
            // git gives this hook no push options.
            let push = Push::received(git_dir, ctx);
            let caller = git_process::caller();
            intend(&push, loaded, input, (caller.as_ref(), true), ctx)
        }
        None => Ok(()),
    }
}

/// Returns the push that git receives, with the options of its pusher.
fn received(git_dir: PathBuf, loaded: &Result<Loaded, config::Error>, ctx: &Context) -> Push {
    let options = ctx.push_options(push_options::PREFIX);
    Push::received(git_dir, ctx).asking(&options, loaded)
}

fn post_receive(ctx: &Context) -> Result<(), Error> {
    // No config file, or no endpoint: nothing is wanted.
    let Some((git_dir, loaded)) = wanted(ctx)? else {
        return Ok(());
    };
    let push = received(git_dir, &loaded, ctx);
    let caller = git_process::caller();
    announce(&push, read_updates(), loaded, &caller, ctx)
}

/// Announces the refs of a `post-update REF…` hook, unless post-receive has announced them.
///
/// git gives this hook names alone. The values before are in the intent, or in the reflog.
fn post_update(names: &[String], ctx: &Context) -> Result<(), Error> {
    let Some((git_dir, loaded)) = wanted(ctx)? else {
        return Ok(());
    };
    let caller = git_process::caller();
    let push = Push::received(git_dir.clone(), ctx);
    let repository = push.repository()?;
    let post_receive = Hook::new(&repository.hooks_dir(), "post-receive");
    if !matches!(
        post_receive.state(),
        Ok(HookState::Empty | HookState::Foreign)
    ) {
        // post-receive has announced the push already, and git told it the old values.
        return Ok(());
    }
    let names: Vec<RefName> = names
        .iter()
        .map(|name| RefName::new(name.as_str()))
        .collect();
    let values = repository.ref_values(&names)?;
    let spool = locate::spool_of(
        &git_dir,
        loaded.as_ref().ok().map(|loaded| &loaded.settings),
    );
    let intents = push.intents(&spool);
    let mut updates = Vec::new();
    for name in names {
        let new = values.get(&name).copied();
        match intents::move_to(&name, new, &intents, &repository) {
            Some(update) => updates.push(update),
            None => report::say(&format!(
                "cannot tell what `{}` was before: it is not announced",
                name.full()
            )),
        }
    }
    // git gives this hook no push options; pre-receive has recorded them.
    let own = intents.iter().find(|intent| {
        let process = intent.header.process.as_ref();
        process.is_some() && process == caller.as_ref().map(|caller| &caller.process)
    });
    let options = own.map_or(&[][..], |own| &own.header.push_options);
    let push = push.asking(options, &loaded);
    let batches = batches::of(&updates);
    announce(&push, batches, loaded, &caller, ctx)
}

fn read_updates() -> Input<impl BufRead> {
    Input::new(std::io::stdin().lock(), MALFORMED_TOLD)
}

/// Reads the arguments of a hook. Returns `None` for every other command line.
///
/// A hook is called by its name (a link in `hooks/`), or as `refpost hook NAME ARG…` without
/// options. These two do not pass through clap: a push need not wait until it has made ready for
/// every other command line.
pub(crate) fn args_of(args: &[OsString]) -> Option<HookArgs> {
    let hook = |name: &str| HookName::from_str(name, false).ok();
    let (name, args) = match (named_as(args.first()?), args) {
        (Some(name), [_, args @ ..]) => (name, args),
        (None, [_, command, name, args @ ..])
            if command == "hook" && !args.iter().any(is_option) =>
        {
            (hook(name.to_str()?)?, args)
        }
        _ => return None,
    };
    let args = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    Some(HookArgs { name, args })
}

/// Returns the hook that a name stands for: `hooks/NAME`; `hooks/NAME.ANYTHING`, as gitolite's
/// repository-specific hooks are called; any file in a folder `NAME.d`, which dispatchers run.
fn named_as(called: &OsString) -> Option<HookName> {
    let hook = |name: &str| HookName::from_str(name, false).ok();
    let called = Path::new(called);
    let name = called.file_name()?.to_str()?;
    let (first, _) = name.split_once('.').unwrap_or((name, ""));
    let folder = called
        .parent()
        .and_then(|folder| folder.file_name()?.to_str());
    let folder = folder.and_then(|folder| folder.strip_suffix(".d"));
    hook(first).or_else(|| hook(folder?))
}

fn is_option(arg: &OsString) -> bool {
    arg.as_encoded_bytes().starts_with(b"-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_known_by_its_name_or_spelled_out_and_the_rest_is_claps() {
        let hook = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let HookArgs { name, args } = args_of(&args)?;
            Some((name, args.join(" ")))
        };
        let found = |name, args: &str| Some((name, args.to_owned()));
        assert_eq!(hook("hooks/post-receive"), found(HookName::PostReceive, ""));
        assert_eq!(hook("update r 1 2"), found(HookName::Update, "r 1 2"));
        for named in [
            "hooks/post-receive.h00-refpost",
            "/srv/a.git/custom_hooks/post-receive.d/refpost",
            "./hooks/post-receive.d/90-refpost",
        ] {
            assert_eq!(hook(named), found(HookName::PostReceive, ""), "{named}");
        }
        assert_eq!(
            hook("/usr/bin/refpost hook update r 1 2"),
            found(HookName::Update, "r 1 2")
        );
        for others in [
            "refpost",
            "refpost hook",
            "refpost hook nonsense",
            "refpost hook post-receive --help",
            "refpost flush post-receive",
            "/etc/cron.d/refpost",
            "post-receive-email",
        ] {
            assert_eq!(hook(others), None, "{others}");
        }
    }
}
