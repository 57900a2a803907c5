//! Commands that a watch has run beside it, again and again.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::context::Context;
use crate::error::IoContext;

/// A refpost that a watch starts again and again: no delivery waits for it.
pub(super) struct Beside {
    args: Vec<OsString>,
    process: Option<Child>,
}

impl Beside {
    /// Makes a refpost that writes a page into a file.
    pub(super) fn page(file: &Path) -> Self {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self {
            args: vec!["page".into(), "--output".into(), file.into()],
            process: None,
        }
    }

    /// Makes a refpost that hands over alerts.
    pub(super) fn alerts() -> Self {
        Self {
            args: ["flush", "--server", "--alerts"].map(OsString::from).into(),
            process: None,
        }
    }

    /// Starts it, unless the process that was started last is still at work.
    pub(super) fn start(&mut self, ctx: &Context) {
        let last = self.process.as_mut().map(Child::try_wait);
        if matches!(last, Some(Ok(None))) {
            return;
        }
        let start = || {
            let mut command = ctx.refpost()?;
            command.args(&self.args);
            let started = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
            started.doing("run", Path::new("refpost"))
        };
        match start() {
            Ok(process) => self.process = Some(process),
            Err(error) => ctx.tell_failure(error),
        }
    }
}
