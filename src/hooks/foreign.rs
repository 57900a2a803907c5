//! Hooks that run refpost and that refpost must not change: scripts of the administrator, and the
//! links that gitolite restores.
//!
//! gitolite has two ways (its documentation, "hooks"). A *common* hook is a link in each repository
//! to `hooks/common/NAME` in its own folder or in `LOCAL_CODE`; `gitolite setup` makes all of them
//! anew. With `option hook.NAME`, `hooks/NAME` is a link to its driver, which runs `hooks/NAME.*`;
//! each push to gitolite-admin makes those anew. A hook put in the place of either is lost some day
//! without a message, and a driver that was moved away finds none of its hooks.

use std::fs;
use std::path::{Path, PathBuf};

use super::script::beginning;
use crate::error::Error;

/// The way in which gitolite installed a hook.
pub(crate) enum Way {
    /// A link to the hook of all repositories.
    Common(PathBuf),
    /// A link to the driver over `NAME.*`.
    Option,
}

/// Returns the way in which gitolite installed a hook, or `None` if the hook is not gitolite's.
pub(crate) fn way(hook: &Path) -> Option<Way> {
    let target = fs::read_link(hook).ok()?;
    let name = hook.file_name()?;
    if target.ends_with(Path::new("hooks/common").join(name)) {
        return Some(Way::Common(target));
    }
    script(hook)?
        .contains("for h in $0.*")
        .then_some(Way::Option)
}

/// Finds the file that calls refpost in the place of a hook.
///
/// This is a script that names refpost, or a link that gitolite made.
pub(crate) fn caller(hook: &Path) -> Option<PathBuf> {
    match way(hook) {
        Some(Way::Common(common)) if leads_to_refpost(&common) => Some(common),
        Some(Way::Option) => {
            let name = format!("{}.", hook.file_name()?.to_string_lossy());
            let folder = fs::read_dir(hook.parent()?).ok()?;
            let mut numbered: Vec<PathBuf> = folder
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| {
                    let file = path.file_name().unwrap_or_default().to_string_lossy();
                    file.starts_with(&name) && leads_to_refpost(path)
                })
                .collect();
            numbered.sort();
            numbered.into_iter().next()
        }
        _ => spells_it_out(hook).then(|| hook.to_owned()),
    }
}

/// Returns the error for a hook of gitolite's that refpost cannot replace.
pub(crate) fn cannot_enable(hook: &Path, way: &Way) -> Error {
    let name = hook.file_name().unwrap_or_default().to_string_lossy();
    let (why, hint) = match way {
        Way::Common(common) => (
            format!("gitolite keeps it a link to `{}`", common.display()),
            format!(
                "have that script run `refpost hook {name}` too; docs/guides/hosts/gitolite.md shows how"
            ),
        ),
        Way::Option => (
            format!("gitolite runs what `option hook.{name}` names, and keeps nothing else there"),
            format!(
                "link refpost in hooks/repo-specific of `LOCAL_CODE`, and name it in \
                 gitolite.conf: option hook.{name} = refpost"
            ),
        ),
    };
    Error::Failed {
        what: format!("cannot enable `{}`: {why}", hook.display()),
        hint: Some(hint),
    }
}

/// Returns the error for another's hook, from which refpost cannot be removed.
pub(crate) fn cannot_disable(hook: &Path, caller: &Path) -> Error {
    let (why, hint) = match way(hook) {
        Some(Way::Common(common)) => (
            format!("gitolite keeps it a link to `{}`", common.display()),
            "`urls = []` in the repository's refpost.toml switches it off".to_owned(),
        ),
        Some(Way::Option) => (
            format!("gitolite keeps `{}`", caller.display()),
            "take refpost out of `option hook.…` in gitolite.conf".to_owned(),
        ),
        None => (
            "it is a script of somebody's that runs refpost".to_owned(),
            "edit the script".to_owned(),
        ),
    };
    Error::Failed {
        what: format!("cannot disable `{}`: {why}", hook.display()),
        hint: Some(hint),
    }
}

fn leads_to_refpost(path: &Path) -> bool {
    let end = path.canonicalize().ok();
    let named = |end: &PathBuf| end.file_name().is_some_and(|name| name == "refpost");
    end.as_ref().is_some_and(named) || spells_it_out(path)
}

/// Returns whether a script runs `refpost hook NAME`, by any path.
fn spells_it_out(hook: &Path) -> bool {
    let text = script(hook).unwrap_or_default();
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| !line.starts_with('#') && line.contains("refpost hook "))
}

/// Returns the text of a script, or `None` for any other file, above all refpost's own binary.
fn script(hook: &Path) -> Option<String> {
    Some(beginning(hook)).filter(|text| text.starts_with("#!"))
}
