//! Finds the process that a push depends on, and whether it still exists (proc(5)).

use std::cell::LazyCell;
use std::fs;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::spool::{Life, Process};

/// Number of ancestors to search; a hook never has as many between itself and git.
const MOST_ANCESTORS: usize = 16;

/// The git process that runs this hook.
pub(crate) struct Caller {
    pub(crate) process: Process,
    /// True if it receives a push (git-receive-pack(1)).
    pub(crate) receives: bool,
    /// True if it receives a push whose proc-receive hook runs a git to move refs. The push then
    /// tells of them (githooks(5), proc-receive).
    pub(crate) is_part: bool,
}

/// The git process that runs this hook, searched for on first use. `None` if none is found.
pub(crate) type LazyCaller = LazyCell<Option<Caller>>;

pub(crate) fn caller() -> LazyCaller {
    LazyCell::new(find_caller)
}

/// Finds the nearest git among the ancestors of this process. Hook scripts between them may end
/// before the push does.
fn find_caller() -> Option<Caller> {
    let mut pid = nix::unistd::getppid().as_raw();
    let (mut nearest, mut is_part) = (None, false);
    for _ in 0..MOST_ANCESTORS {
        let Some(stat) = Stat::of(pid) else { break };
        let names = |program: &[u8]| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut arguments = arguments.split(|&byte| byte == 0);
            arguments.any(|argument| argument.ends_with(program))
        };
        if stat.command.starts_with("git") {
            let receives = names(b"receive-pack");
            let caller = Caller {
                process: Process {
                    pid,
                    started: stat.started,
                    place: place()?,
                },
                receives: receives && nearest.is_none(),
                is_part: receives && is_part,
            };
            if receives && (is_part || nearest.is_none()) {
                return Some(caller);
            }
            nearest.get_or_insert(caller);
        } else if nearest.is_some() {
            is_part |= names(b"proc-receive");
        }
        pid = stat.parent;
    }
    nearest
}

/// Returns whether a process still exists.
pub(crate) fn life(process: Option<&Process>) -> Life {
    let Some(process) = process else {
        return Life::Unknown;
    };
    if place().as_ref() != Some(&process.place) {
        return Life::Unknown;
    }
    match Stat::of(process.pid) {
        Some(stat) if stat.started == process.started && !stat.is_dead => Life::Alive,
        None if is_hidden(process.pid) => Life::Unknown,
        _ => Life::Gone,
    }
}

/// Returns whether a process that `/proc` does not show exists all the same: mount option
/// `hidepid` hides those of other accounts.
fn is_hidden(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// Returns a text that changes while a process reads, writes or touches new memory.
pub(crate) fn progress(pid: u32) -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let stat = read("stat");
    // Page faults are the tenth to thirteenth field (proc_pid_stat(5)).
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let faults: Vec<&str> = behind_name.split(' ').skip(8).take(4).collect();
    format!("{faults:?} {}", read("io"))
}

/// Returns host, boot and pid namespace: within them, a process number has the same meaning.
fn place() -> Option<String> {
    let host = nix::unistd::gethostname().ok()?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!(
        "{} {} {}",
        host.to_string_lossy(),
        boot.trim(),
        namespace.display()
    ))
}

/// Fields of `/proc/PID/stat` (`proc_pid_stat(5)`).
struct Stat {
    command: String,
    parent: i32,
    started: u64,
    /// True for a process that has ended and was not waited for (a zombie).
    is_dead: bool,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let text = String::from_utf8_lossy(&text);
        // The command stands in parentheses, and may hold some itself.
        let (before, after) = text.rsplit_once(')')?;
        let (_, command) = before.split_once('(')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        Some(Self {
            command: command.to_owned(),
            is_dead: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}
