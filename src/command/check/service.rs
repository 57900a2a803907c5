//! `check` of the endpoints that a service delivers to for a repository, and of the others.

use std::path::Path;

use super::findings::Findings;
use crate::config::{Settings, Via};
use crate::context::Context;
use crate::report;
use crate::service::{self, Answer};

const WAITS: &str = "what is pushed waits in the repository's own spool until the service takes \
     it: docs/guides/accounts.md, \"A service account\"";

/// Shows who delivers to each endpoint.
///
/// Also asks the service whether it takes this account's pushes to the repository.
pub(crate) fn check(settings: &Settings, git_dir: &Path, findings: &mut Findings, ctx: &Context) {
    let Some(socket) = &settings.socket else {
        return;
    };
    for endpoint in &settings.endpoints {
        let (name, url) = (&endpoint.name, &endpoint.url);
        findings.ok(&if endpoint.via == Via::Service {
            format!("endpoint `{name}` at {url}, by the service, which has its key")
        } else {
            format!(
                "endpoint `{name}` is the repository's own: hooks deliver to it, and flushes of the \
                 repository's owner, not the service"
            )
        });
    }
    let served = settings.served();
    if served.is_empty() {
        return;
    }
    let shown = socket.display();
    match service::probe(socket, git_dir, served, ctx) {
        Ok(Answer::Send | Answer::Durable) => {
            let own = ctx.own_account();
            findings.ok(&format!(
                "the service at `{shown}` takes what `{own}` pushes"
            ));
        }
        Ok(Answer::Later(why) | Answer::Never(why)) => {
            let text = format!("the service takes nothing of this repository: {why}");
            findings.error(&text, Some(WAITS.to_owned()));
        }
        Err(error) => {
            let error = report::chain(&error);
            let text = format!("cannot reach the service at `{shown}`: {error}");
            let hint = "systemctl status refpost.socket refpost-work.service";
            findings.error(&text, Some(hint.to_owned()));
        }
    }
}
