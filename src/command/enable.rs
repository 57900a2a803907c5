//! `enable`: links the hooks and, where there is none, writes a first configuration.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{RepositoriesArgs, parse_ready_format};
use crate::announce::missing;
use crate::as_account::apart::{self, Job};
use crate::config::{EndpointUrl, REPOSITORY_FILE};
use crate::context::binary::own_binary;
use crate::context::found::ByOwner;
use crate::context::repositories::{self, Repositories, Whose};
use crate::context::{Context, locate};
use crate::error::{Error, Exit, IoContext};
use crate::git::Repository;
use crate::hooks::file::Hook;
use crate::hooks::{GUARANTEED, Hooks, ORDINARY};
use crate::payload::Format;
use crate::report;

/// Arguments of `enable`.
#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    /// The repositories.
    #[command(flatten)]
    pub(crate) repositories: RepositoriesArgs,
    /// Also link pre-receive and reference-transaction: no ref update is lost to a crash, and
    /// refs that change without a push are announced
    #[arg(long)]
    pub(crate) guaranteed: bool,
    /// URL of a receiver: written to a new configuration, with a fresh key
    #[arg(long = "url", value_name = "URL", conflicts_with = "many")]
    pub(crate) urls: Vec<String>,
    /// The format that these receivers expect [default: pagure]
    #[arg(long, value_name = "FORMAT", value_parser = parse_ready_format, requires = "urls")]
    pub(crate) format: Option<Format>,
}

pub(crate) fn run(args: &EnableArgs, ctx: &Context) -> Result<Exit, Error> {
    let urls = args.urls.iter().enumerate().map(|(at, url)| {
        EndpointUrl::parse(url)
            .map_err(|why| Error::failed(format!("cannot use URL number {}: {why}", at + 1)))
    });
    let urls: Vec<EndpointUrl> = urls.collect::<Result<_, _>>()?;
    if let Some(root) = args.repositories.root(ctx)? {
        return enable_all(root, args, ctx);
    }
    let repositories = match Repositories::named(&args.repositories.paths(), ctx)? {
        Whose::Ours(repositories) => repositories,
        Whose::Several(found) => return apart(found, args, ctx),
    };
    let binary = own_binary()?;
    let done = repositories.each_named(("enabled", "enabled already"), |repo| {
        enable_named(repo, &urls, &binary, args, ctx)
    })?;
    Ok(done.max(ctx.outcome()))
}

/// Enables a repository that was named. Returns whether a link is new.
fn enable_named(
    repo: &Path,
    urls: &[EndpointUrl],
    binary: &Path,
    args: &EnableArgs,
    ctx: &Context,
) -> Result<bool, Error> {
    let repository = locate::repository(Some(repo), ctx)?;
    let git_dir = repository.path();
    let config = git_dir.join(REPOSITORY_FILE);
    let is_kept = !urls.is_empty() && fs::symlink_metadata(&config).is_ok();
    if !urls.is_empty() && !is_kept {
        write_config(&git_dir, urls, args.format.unwrap_or_default(), ctx)?;
    }
    let mut is_any_new = false;
    link(&repository, binary, args.guaranteed, ctx, |hook, is_new| {
        is_any_new |= is_new;
        let verb = if is_new { "linked" } else { "already linked" };
        report::line(&format!("{verb} `{}`", hook.ours().display()));
    })?;
    let loaded = ctx.load(Some(&git_dir))?;
    missing::keep(&repository, &loaded.settings);
    if is_kept {
        let endpoints = &loaded.settings.endpoints;
        let has = |url: &EndpointUrl| endpoints.iter().any(|one| one.url == *url);
        if urls.iter().all(has) {
            report::line(&format!("kept `{}`, which has the URL", config.display()));
        } else {
            ctx.note_failure();
            report::say(&format!(
                "cannot write the URL to `{}`: the configuration is there already, and is kept",
                config.display()
            ));
            report::hint("add an `[[endpoint]]` to it");
        }
    }
    if loaded.files.is_empty() {
        report::warning("there is no config yet: nothing is sent");
        report::hint(&format!("refpost enable {} --url URL", report::shell(repo)));
    }
    Ok(is_any_new)
}

/// Has each account enable its own repositories.
fn apart(found: ByOwner, args: &EnableArgs, ctx: &Context) -> Result<Exit, Error> {
    let mut line = args.repositories.line_of("enable");
    line.extend(args.guaranteed.then(|| "--guaranteed".into()));
    for url in &args.urls {
        line.extend(["--url".into(), url.into()]);
    }
    if let Some(format) = args.format {
        line.extend(["--format".into(), format.name().into()]);
    }
    apart::run(found, &Job::for_a_person(line), ctx)
}

/// Links the hooks of a repository. Calls `tell` with each, and whether its link is new.
fn link(
    repository: &Repository,
    binary: &Path,
    guaranteed: bool,
    ctx: &Context,
    mut tell: impl FnMut(&Hook, bool),
) -> Result<(), Error> {
    let names = if guaranteed {
        &GUARANTEED[..]
    } else {
        &ORDINARY
    };
    let hooks = Hooks::of(repository, ctx);
    let mut is_any_new = false;
    for name in hooks.run_by_host(names) {
        let hook = hooks.hook(name);
        let is_new = hook.enable(binary)?;
        tell(&hook, is_new);
        is_any_new |= is_new;
    }
    if is_any_new {
        hooks.tell_limits(names);
    }
    Ok(())
}

fn enable_all(root: PathBuf, args: &EnableArgs, ctx: &Context) -> Result<Exit, Error> {
    ctx.for_many()?;
    let repositories = match Repositories::find(&[root], &args.repositories.matches, ctx)? {
        Whose::Ours(repositories) => repositories,
        Whose::Several(found) => return apart(found, args, ctx),
    };
    let binary = own_binary()?;
    let mut silent = 0;
    let tally = repositories.each(|git_dir, _| {
        let repository = locate::repository(Some(git_dir), ctx)?;
        let mut is_any_new = false;
        link(&repository, &binary, args.guaranteed, ctx, |_, is_new| {
            is_any_new |= is_new;
        })?;
        let loaded = ctx.load(Some(&repository.path()))?;
        missing::keep(&repository, &loaded.settings);
        silent += usize::from(loaded.files.is_empty());
        Ok(is_any_new)
    });
    if silent > 0 {
        let silent = repositories::counted(silent);
        report::warning(&format!("{silent} without any config: nothing is sent"));
        report::hint("name URLs in the server's file, or `refpost enable REPO --url URL`");
    }
    Ok(tally.tell("enabled", "enabled already"))
}

/// Returns each URL once, with the name of an endpoint for it.
fn named(urls: &[EndpointUrl]) -> Vec<(String, &EndpointUrl)> {
    let mut named: Vec<(String, &EndpointUrl)> = Vec::new();
    for url in urls {
        if named.iter().any(|(_, known)| *known == url) {
            continue;
        }
        let (mut name, mut number) = (url.lasting_name(), 1);
        while name == "unreadable" || named.iter().any(|(known, _)| *known == name) {
            number += 1;
            name = format!("{}-{number}", url.lasting_name());
        }
        named.push((name, url));
    }
    named
}

/// Writes a first configuration, with a fresh key if the format needs one. Fails if a file is in its
/// place.
///
/// Only the owner can read the file; in a shared repository (git-config(1), core.sharedRepository)
/// the group can too, since hooks run as the account that pushes.
///
/// Endpoints have names, so that waiting messages stay with them when a URL is corrected. The key
/// is written for each of them, since endpoints of the server's file have their own.
fn write_config(
    git_dir: &Path,
    urls: &[EndpointUrl],
    format: Format,
    ctx: &Context,
) -> Result<(), Error> {
    let path = git_dir.join(REPOSITORY_FILE);
    let folder = fs::metadata(git_dir).doing("read", git_dir)?;
    let is_shared = folder.mode() & 0o2020 == 0o2020;
    let key = ctx.fresh_key()?;
    let secret = match format {
        // Few receivers of GitLab's format know a signature.
        Format::Gitlab => Some("token"),
        other => Some("key").filter(|_| !other.needs_no_key()),
    };
    let endpoint = |(name, url): (String, &EndpointUrl)| {
        let url = toml::Value::from(url.expose().as_str());
        let key = secret.map(|secret| format!("{secret} = \"{}\"\n", key.expose()));
        let key = key.unwrap_or_default();
        let words = match format {
            Format::Pagure => String::new(),
            other => format!("format = \"{}\"\n", other.name()),
        };
        format!("\n[[endpoint]]\nname = \"{name}\"\nurl = {url}\n{words}{key}")
    };
    let endpoints: String = named(urls).into_iter().map(endpoint).collect();
    let text = format!(
        "# Written by `refpost enable`. Every key: docs/reference/configuration.md, `refpost check --show`.\n\
         {endpoints}"
    );
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if is_shared { 0o640 } else { 0o600 })
        .open(&path)
        .doing("write", &path)?;
    file.write_all(text.as_bytes()).doing("write", &path)?;
    let with = secret.map_or_else(String::new, |secret| {
        format!(" with a fresh {secret}: the receiver needs the same one")
    });
    report::line(&format!("wrote `{}`{with}", path.display()));
    Ok(())
}
