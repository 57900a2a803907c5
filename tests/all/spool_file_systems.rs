//! File systems that do less than ext4, or answer otherwise.

use std::fs;

use crate::support::spooled::{commits, eventually};
use crate::support::{Push, Ran, Runner, Spooled, preload};

/// Flushing a folder is not known: CIFS, and some of FUSE.
const NO_FOLDER_FLUSH: &str = "
int fsync(int fd) {
    struct stat found;
    if (fstat(fd, &found) == 0 && S_ISDIR(found.st_mode)) { errno = EINVAL; return -1; }
    return NEXT(fsync)(fd);
}";

/// A link is made, and then said to be there already: NFS, of whose replies one was lost.
const LOST_REPLY_OF_LINK: &str = "
int linkat(int from, const char *old, int to, const char *new, int flags) {
    if (NEXT(linkat)(from, old, to, new, flags) != 0) return -1;
    errno = EEXIST;
    return -1;
}";

/// The same of a rename, whose file is gone then.
const LOST_REPLY_OF_RENAME: &str = "
int renameat(int from, const char *old, int to, const char *new) {
    if (NEXT(renameat)(from, old, to, new) != 0) return -1;
    errno = ENOENT;
    return -1;
}";

/// No hard links: exFAT, vfat.
const NO_LINKS: &str = "
int linkat(int from, const char *old, int to, const char *new, int flags) {
    errno = EPERM;
    return -1;
}";

/// No locks: NFS without its lock daemon.
const NO_LOCKS: &str = "
int flock(int fd, int operation) { errno = ENOLCK; return -1; }";

/// A file that is open for reading is locked by nobody alone: NFS.
const NO_LOCK_ON_READING: &str = "
int flock(int fd, int operation) {
    struct stat found;
    int is_read_only = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
    int is_file = fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
    if ((operation & LOCK_EX) && is_read_only && is_file) { errno = EBADF; return -1; }
    return NEXT(flock)(fd, operation);
}";

/// A site on such a file system.
struct Odd {
    site: Spooled,
    library: std::path::PathBuf,
}

impl Odd {
    fn new(functions: &str) -> Self {
        let site = Spooled::new();
        let library = preload(&site, functions);
        Self { site, library }
    }

    fn there(&self, runner: Runner) -> Runner {
        runner.env("LD_PRELOAD", &self.library)
    }

    fn announce(&self) -> (String, Push) {
        let commit = self.site.commit("file");
        let push = self.site.git_run(&["push", "origin", "main"]);
        let push = self.site.push_by(self.there(push));
        assert_eq!(push.status, 0, "{}", push.said);
        (commit, push)
    }

    fn refpost(&self, command: &str) -> Ran {
        let runner = self.site.refpost([command]).arg(&self.site.bare);
        self.there(runner).run()
    }
}

#[test]
fn a_folder_that_cannot_be_flushed_loses_no_push() {
    let odd = Odd::new(NO_FOLDER_FLUSH);
    let (commit, push) = odd.announce();
    assert_eq!(push.remote(), ["refpost: 1 message queued for `one`"]);
    let checked = odd.refpost("check");
    let said = format!(
        "warning: the file system of spool `{}` cannot flush a folder\n",
        odd.site.spool().display()
    );
    assert!(checked.stdout.contains(&said), "{}", checked.stdout);
    odd.refpost("flush").well();
    assert_eq!(commits(&odd.site.receiver.take()), [commit]);
}

#[test]
fn a_push_whose_link_was_made_is_not_told_as_lost() {
    // With intents, a push is recorded by link.
    for functions in [LOST_REPLY_OF_LINK, LOST_REPLY_OF_RENAME] {
        let odd = Odd::new(functions);
        let enable = ["enable", "--guaranteed", "test.git"];
        odd.site.refpost(enable).run().well();
        let (commit, push) = odd.announce();
        assert_eq!(push.remote(), ["refpost: 1 message queued for `one`"]);
        odd.refpost("check");
        odd.refpost("flush").well();
        assert_eq!(commits(&odd.site.receiver.take()), [commit]);
        assert!(odd.site.files().is_empty(), "{:?}", odd.site.files());
    }
}

#[test]
fn a_file_system_without_hard_links_is_named_with_what_to_do() {
    let odd = Odd::new(NO_LINKS);
    let (commit, push) = odd.announce();
    assert_eq!(push.remote(), ["refpost: 1 message queued for `one`"]);
    let flushed = odd.refpost("flush");
    let cause = "the file system has no hard links, and a spool needs them\n";
    let hint = "hint: name a folder on another file system in `spool`";
    for text in [cause, hint] {
        assert!(flushed.stderr.contains(text), "{}", flushed.stderr);
    }
    assert!(odd.site.receiver.take().is_empty());
    let checked = odd.refpost("check");
    let root = odd.site.spool();
    let error = format!(
        "error: cannot use spool `{}`: cannot link a file there: {cause}{hint}",
        root.display()
    );
    assert!(checked.stdout.contains(&error), "{}", checked.stdout);
    assert_eq!(checked.status, 1);
    assert_eq!(commits(&odd.site.flush_well()), [commit]);
}

#[test]
fn check_tries_a_lock_before_there_is_a_spool() {
    let odd = Odd::new(NO_LOCKS);
    let before = fs::read_dir(&odd.site.bare).unwrap().count();
    let checked = odd.refpost("check");
    let error = format!(
        "error: cannot use spool `{}`: cannot lock a file there: ",
        odd.site.spool().display()
    );
    assert!(checked.stdout.contains(&error), "{}", checked.stdout);
    assert_eq!(fs::read_dir(&odd.site.bare).unwrap().count(), before);
    let checked = odd.site.refpost(["check", "test.git"]).run();
    assert_eq!(checked.status, 0, "{}", checked.stdout);
    assert_eq!(fs::read_dir(&odd.site.bare).unwrap().count(), before);
}

#[test]
fn a_claim_is_seen_to_be_held_where_locks_need_a_file_open_for_writing() {
    let odd = Odd::new(NO_LOCK_ON_READING);
    odd.site.announce();
    odd.site.flush_well();
    // A claim whose hook lives: it is not to be announced by others.
    let (commit, _) = odd.site.announce();
    let spool = odd.site.spool();
    let id = odd.site.names("new").remove(0);
    let claim = spool.join("claim").join(format!("{id},0123456789abcdef"));
    fs::rename(spool.join("new").join(&id), &claim).unwrap();
    let hook = fs::File::options().write(true).open(&claim).unwrap();
    hook.lock().unwrap();
    odd.refpost("flush");
    assert!(odd.site.receiver.take().is_empty());
    drop(hook);
    // A process that another test starts meanwhile has the lock too, until it runs its program.
    let mut arrived = Vec::new();
    eventually("its lock is free", || {
        odd.refpost("flush");
        arrived.extend(odd.site.receiver.take());
        !arrived.is_empty()
    });
    assert_eq!(commits(&arrived), [commit]);
}

#[test]
fn files_of_other_programs_in_a_spool_are_told_by_check_alone() {
    let site = Spooled::new();
    let (commit, _) = site.announce();
    let new = site.spool().join("new");
    for name in [".nfs0000000000a1", ".DS_Store", "core", "x~"] {
        fs::write(new.join(name), "").unwrap();
    }
    fs::write(site.spool().join("retry/notes"), "").unwrap();
    assert_eq!(commits(&site.flush_well()), [commit]);
    let checked = site.refpost(["check", "test.git"]).run();
    let said = format!(
        "warning: not refpost's, in spool `{}`: `new/core`, `new/x~`, `retry/notes`\n",
        site.spool().display()
    );
    assert!(checked.stdout.contains(&said), "{}", checked.stdout);
    assert!(!checked.stdout.contains("DS_Store"), "{}", checked.stdout);
    assert_eq!(site.names("new").len(), 4);
}
