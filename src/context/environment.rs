//! Environment variables that libraries read, those of the system included, and `REFPOST_LOG`.
//!
//! In a hook they come from a pusher, a web server or a script, and decide nothing. An
//! administrator's `flush` and `ping` honour them. docs/explanation/security.md has the whole list, and the
//! reasons why the others are harmless.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;

use super::Context;
use super::binary::run_anew;
use crate::git::WHERE_CONFIG_IS;
use crate::host;

/// Variables that decide whom to trust, whom to reach, where keys of connections are written,
/// which code to load for an encoding, and what is printed.
const IGNORED_IN_HOOKS: [&str; 16] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSLKEYLOGFILE",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "RES_OPTIONS",
    "GCONV_PATH",
    DEBUGGING,
];

/// Variables that a hook honours, besides those that name the pusher and the files of git's
/// configuration.
///
/// Settings that git was given on its command line (`GIT_CONFIG_PARAMETERS`) are not among them:
/// their values can be keys.
const HONOURED_IN_HOOKS: [&str; 13] = [
    "PATH",
    "GIT_DIR",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_EXEC_PATH",
    "REFPOST_CONFIG",
    "GL_REPO",
    "GL_REPO_BASE",
    "GL_REPOSITORY",
    "GL_PROJECT_PATH",
    "GITEA_REPO_NAME",
    "GITEA_REPO_USER_NAME",
];

/// Prefix of the variables with the options of a push (githooks(5), pre-receive).
const PUSH_OPTIONS: &str = "GIT_PUSH_OPTION_";

/// Variable that has the choice of endpoints explained, if its value is `debug`.
const DEBUGGING: &str = "REFPOST_LOG";

impl Context {
    /// Returns whether the choice of endpoints is to be explained. In a hook it never is.
    pub(crate) fn is_debugging(&self) -> bool {
        self.variable(DEBUGGING).as_deref() == Some("debug")
    }
}

/// Returns whether git, or a hook's script, has passed its environment on to this process
/// (githooks(5)).
pub(crate) fn is_of_a_hook() -> bool {
    std::env::var_os("GIT_DIR").is_some()
}

/// Returns whether none of these variables is set.
pub(crate) fn is_clean() -> bool {
    IGNORED_IN_HOOKS
        .iter()
        .all(|name| std::env::var_os(name).is_none())
}

/// Returns the variables of this hook that another account may have, which runs it.
pub(crate) fn honoured_in_hooks() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| {
            HONOURED_IN_HOOKS.contains(&name)
                || host::PUSHER_VARIABLES.contains(&name)
                || WHERE_CONFIG_IS.contains(&name)
                || name.starts_with(PUSH_OPTIONS)
        })
    })
}

/// Runs the same command line without these variables, in place of this process. Returns only if
/// that fails.
///
/// No library has read any of them by then.
pub(crate) fn run_clean(args: &[OsString]) -> io::Error {
    run_anew(|command| {
        if let [name, rest @ ..] = args {
            command.arg0(name).args(rest);
        }
        for name in IGNORED_IN_HOOKS {
            command.env_remove(name);
        }
    })
}
