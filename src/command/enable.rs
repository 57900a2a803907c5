//! `enable`: the hook linked, and where there is none a first configuration.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::hooks_of::Hooks;
use super::links::give_to_owner_of;
use super::surroundings::Surroundings;
use super::{Done, Error, IoContext, outbox, place};
use crate::cli::EnableArgs;
use crate::config::{EndpointUrl, REPOSITORY_FILE};
use crate::report;

/// The hook that announces pushes.
pub(super) const ORDINARY: [&str; 1] = ["post-receive"];

/// The hooks that leave no moment in which a killed process costs a message, and
/// that see what moves without a push.
pub(super) const GUARANTEED: [&str; 3] = ["pre-receive", "post-receive", "reference-transaction"];

pub(super) fn run(args: &EnableArgs, around: &Surroundings) -> Result<Done, Error> {
    for (at, url) in args.urls.iter().enumerate() {
        EndpointUrl::parse(url)
            .map_err(|why| Error::failed(format!("cannot use URL number {}: {why}", at + 1)))?;
    }
    let binary = own_binary()?;
    for repo in &args.repos {
        let repository = place::repository(Some(repo), around)?;
        let hooks = Hooks::of(&repository, around);
        if !args.urls.is_empty() {
            write_config(&repository.path(), &args.urls, around)?;
        }
        let settings = around.load(Some(&repository.path())).ok();
        let settings = settings.as_ref().map(|loaded| &loaded.settings);
        let spool = place::spool_of(&repository.path(), settings);
        if args.guaranteed && spool.is_drop() {
            return Err(outbox::no_intents(&spool));
        }
        let names = if args.guaranteed {
            &GUARANTEED[..]
        } else {
            &ORDINARY
        };
        for name in hooks.run_by_host(names) {
            let hook = hooks.hook(name);
            let verb = if hook.enable(&binary)? {
                "linked"
            } else {
                "already linked"
            };
            report::line(&format!("{verb} `{}`", hook.ours().display()));
        }
        hooks.tell_limits(names);
        if around.load(Some(&repository.path()))?.files.is_empty() {
            report::warning("there is no config yet: nothing is sent");
            report::hint(&format!("refpost enable {} --url URL", repo.display()));
        }
    }
    Ok(Done::Well)
}

/// This binary's own path, links resolved, so that an upgrade in place is found.
pub(super) fn own_binary() -> Result<PathBuf, Error> {
    let this = Path::new("refpost");
    std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .doing("find", this)
}

/// Writes a first configuration with a fresh key. Only the owner can read it; in
/// a shared repository (git-config(1), core.sharedRepository) the group too, for
/// hooks run as whoever pushes.
fn write_config(git_dir: &Path, urls: &[String], around: &Surroundings) -> Result<(), Error> {
    let path = git_dir.join(REPOSITORY_FILE);
    if fs::symlink_metadata(&path).is_ok() {
        return Err(Error::Failed {
            what: format!("cannot write `{}`: it is there already", path.display()),
            hint: Some("add the URL to its `urls`".to_owned()),
        });
    }
    let folder = fs::metadata(git_dir).doing("read", git_dir)?;
    let is_shared = folder.mode() & 0o2020 == 0o2020;
    let quoted: Vec<_> = urls
        .iter()
        .map(|url| toml::Value::from(url.trim()).to_string())
        .collect();
    let text = format!(
        "# Written by `refpost enable`. Every key: docs/configuration.md, `refpost check --show`.\n\
         urls = [{}]\nkey = \"{}\"\n",
        quoted.join(", "),
        around.fresh_key()?.expose()
    );
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if is_shared { 0o640 } else { 0o600 })
        .open(&path)
        .doing("write", &path)?;
    file.write_all(text.as_bytes()).doing("write", &path)?;
    give_to_owner_of(git_dir, &path)?;
    report::line(&format!(
        "wrote `{}` with a fresh key: the receiver needs the same one",
        path.display()
    ));
    Ok(())
}
