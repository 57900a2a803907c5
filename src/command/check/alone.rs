//! `check --config FILE`: a configuration by itself, without any repository, as in an editor or before a
//! push that brings it to a server.

use std::path::Path;

use super::findings::{Finding, Findings};
use super::{broker, endpoint, filters};
use crate::config::{self, Settings};
use crate::context::Context;
use crate::error::{Error, Exit};
use crate::report;

/// Checks a file: its keys and values, patterns and URLs. Keys and certificates that it names are
/// on the server alone, and are not looked for.
pub(crate) fn run(file: &Path, as_json: bool, ctx: &Context) -> Result<Exit, Error> {
    let mut told: Vec<Finding> = Vec::new();
    let mut findings = Findings::told(as_json);
    for (name, settings) in config::load_alone(file, ctx.host())? {
        let mut own = Findings::kept();
        match settings {
            Ok(settings) => {
                check_root(&settings, &mut own);
                filters::check(&settings, &mut own);
                broker::fits(&settings, &mut own);
                for one in &settings.endpoints {
                    filters::check_endpoint(one, &mut own);
                    endpoint::check_url(one, &settings, &mut own);
                }
                let endpoints = report::count(settings.endpoints.len(), "endpoint");
                findings.ok(&format!("`{name}`: {endpoints}"));
            }
            // Another file can have the key.
            Err(error) => own.warning(
                &report::chain(&error),
                "unless the file of the server or of each repository has it",
            ),
        }
        // A section has what the file has.
        for finding in own.into_kept() {
            if !told.contains(&finding) {
                findings.add(finding.clone());
                told.push(finding);
            }
        }
    }
    Ok(findings.summary())
}

fn check_root(settings: &Settings, findings: &mut Findings) {
    let root = settings.root.as_ref().filter(|root| !root.is_dir());
    if let Some(root) = root {
        findings.warning(
            &format!("`root`, `{}`, is no folder", root.display()),
            "unless it is on the server alone",
        );
    }
}
