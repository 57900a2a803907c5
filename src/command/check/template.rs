//! `check` of an endpoint's template: renders it with a push of each kind.

use super::findings::Findings;
use crate::announce::compose;
use crate::announce::templates::Templates;
use crate::config::{Endpoint, Settings};
use crate::context::Context;
use crate::git::Repository;
use crate::payload::sample;
use crate::report;

pub(crate) fn check(
    endpoint: &Endpoint,
    settings: &Settings,
    repository: &Repository,
    findings: &mut Findings,
    ctx: &Context,
) {
    let Some(read) = endpoint.template() else {
        return;
    };
    let name = &endpoint.name;
    if let Err(error) = read {
        let text = format!("endpoint `{name}`: {}", report::chain(&error));
        return findings.error(&text, error.hint());
    }
    let samples = compose::in_context(repository, settings, ctx, |context, stamp| {
        (sample::facts(context, stamp), sample::ping(context, stamp))
    });
    let (samples, ping) = match samples {
        Ok(samples) => samples,
        Err(error) => return findings.error(&report::chain(&error), error.hint()),
    };
    let templates = Templates::default();
    let mut faults: Vec<(Vec<&str>, String)> = Vec::new();
    for (kind, facts) in &samples {
        let Err(fault) = templates.rendered(facts, endpoint, settings) else {
            continue;
        };
        match faults.iter_mut().find(|(_, known)| *known == fault) {
            Some((kinds, _)) => kinds.push(kind),
            None => faults.push((vec![kind], fault)),
        }
    }
    for (kinds, fault) in &faults {
        let kinds = kinds.join(", ");
        findings.error(
            &format!("endpoint `{name}`: with {kinds}: {fault}"),
            Some("docs/reference/templates.md lists the facts; `tojson` quotes a text".to_owned()),
        );
    }
    if faults.is_empty() {
        findings.ok(&format!(
            "endpoint `{name}`: its template renders every kind of push"
        ));
        if let Err(fault) = templates.rendered(&ping, endpoint, settings) {
            findings.warning(
                &format!("endpoint `{name}`: `ping` cannot test it: {fault}"),
                "a test message has the `event` `ping` and no `ref`",
            );
        }
    }
}
