//! Bad inputs, each tried on a site of its own; `bad_inputs.rs` makes tables of them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rcgen::IsCa;

use crate::support::spooled::{odd_receiver, read_over};
use crate::support::{
    Authority, Identity, KEY, Push, Ran, Runner, Spooled, TlsReceiver, ZEROS, set_mode,
};

/// An input, and the function that tries it and returns the answer.
pub(crate) type Case = (&'static str, fn(&Spooled) -> String);

pub(crate) const PUSHES: &[Case] = &[
    ("a line that is no ref update, among others", |site| {
        let tip = site.bare_git(&["rev-parse", "main"]);
        hook(site, &format!("garbage\n{ZEROS} {tip} refs/heads/x\n"))
    }),
    ("a line of 3 MiB", |site| hook(site, &"x".repeat(3 << 20))),
    ("an object that is not there", |site| {
        hook(site, &format!("{ZEROS} {} refs/heads/x\n", "1".repeat(40)))
    }),
    (
        "`GL_USER` with a line break and an escape sequence",
        |site| {
            let line = "mallory\nrefpost: all is well\u{1b}[2J";
            let push = push(site, |run| {
                run.without("REFPOST_PUSHER").env("GL_USER", line)
            });
            let body = site.refpost(["queue", "list", "test.git"]).run().stdout;
            let id = body.trim_end().split(' ').next_back().unwrap().to_owned();
            let shown = site
                .refpost(["queue", "show", &id, "--repo", "test.git"])
                .run()
                .stdout;
            let agent = shown.split("\"agent\": ").nth(1).unwrap();
            let agent = agent.split(", \"").next().unwrap();
            format!("{}\nin the body: {agent}", push.remote().join("\n"))
        },
    ),
    (
        "a project's name with a line break and a header in it",
        |site| {
            site.configure("", "[project]\nfullname = \"a\\r\\nX-Evil: 1\"");
            let tip = site.bare_git(&["rev-parse", "main"]);
            let preview = site.refpost(["preview", "--http", "test.git"]);
            let ran = preview.stdin(format!("{ZEROS} {tip} refs/tags/x\n")).run();
            let header = ran
                .stdout
                .lines()
                .find(|line| line.starts_with("X-Pagure-Project"));
            header.unwrap().to_owned()
        },
    ),
    ("a ref whose name turns text around", |site| {
        fs::remove_file(site.bare.join("hooks/post-receive")).unwrap();
        let run = site.refpost(["hook", "post-update", "refs/heads/a\u{202e}b"]);
        said(site, &run.dir(&site.bare).run())
    }),
];

pub(crate) const CONFIGURATIONS: &[Case] = &[
    ("a misspelt key", |site| config(site, "ulrs = []")),
    ("a key of the server's in a repository's file", |site| {
        config(site, "[network]\nallow = \"any\"")
    }),
    ("the same in a section of the server's file", |site| {
        section(
            site,
            "match = [\"/**\"]\n\n[repository.network]\nallow = \"any\"",
        )
    }),
    ("a section that is about no repository", |site| {
        section(site, "urls = []")
    }),
    ("a section that is about all, and no root", |site| {
        section(site, "match = [\"**\"]")
    }),
    ("an endpoint that only looks like a section's", |site| {
        section(
            site,
            "match = [\"/**\"]\n[[endpoint]]\nname = \"ci\"\nurl = \"https://ci.example.org/\"",
        )
    }),
    ("a password where a URL should be", |site| {
        config(site, "urls = [\"me:s3cret@host\"]")
    }),
    ("a file URL", |site| {
        config(site, "urls = [\"file:///etc/passwd\"]")
    }),
    ("17 MiB of TOML", |site| {
        config(site, &"# more\n".repeat((17 << 20) / 7))
    }),
    ("bytes that are no text", |site| {
        site.write("test.git/refpost.toml", b"\xff\xfe");
        preview(site)
    }),
    ("a file that everybody can write", |site| {
        set_mode(&site.bare.join("refpost.toml"), 0o666);
        preview(site)
    }),
    ("a pipe that nobody writes to", |site| {
        let file = site.bare.join("refpost.toml");
        fs::remove_file(&file).unwrap();
        fifo(&file);
        preview(site)
    }),
];

pub(crate) const KEY_FILES: &[Case] = &[
    ("a key's file that everybody can read", |site| {
        let key = site.write("key", KEY);
        set_mode(&key, 0o644);
        key_file(site, &key)
    }),
    ("a pipe as a key's file", |site| {
        fifo(&site.path("key"));
        key_file(site, &site.path("key"))
    }),
    ("a key's file of 65 KiB", |site| {
        let key = site.write("key", "k".repeat(65 << 10));
        key_file(site, &key)
    }),
];

pub(crate) const ADDRESSES: &[Case] = &[
    ("the metadata service of a cloud", |site| {
        ping(site, "http://169.254.169.254/latest")
    }),
    ("the same inside an IPv6 address", |site| {
        ping(site, "http://[64:ff9b::a9fe:a9fe]/")
    }),
    ("a loopback address, `allow = \"external\"`", |site| {
        site.write("system.toml", "[network]\nallow = \"external\"\n");
        ping(site, "http://127.1:8080/")
    }),
    ("a name that leads there", |site| {
        site.write("system.toml", "[network]\nallow = \"external\"\n");
        let said = ping(site, "http://localhost:8080/");
        said.replace("::1/128", "127.0.0.1/32")
            .replace("::1", "127.0.0.1")
    }),
    ("plain http, `https_only = true`", |site| {
        site.write("system.toml", "[network]\nhttps_only = true\n");
        ping(site, "http://ci.example.org/")
    }),
];

pub(crate) const ANSWERS: &[Case] = &[
    ("a redirect", |_| {
        odd(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
            "",
        )
    }),
    ("headers without end", |_| {
        odd("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n")
    }),
    (
        "a body without end, or one that would unpack to gigabytes",
        |_| {
            odd(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
                "\0\0\0\0\0\0\0\0",
            )
        },
    ),
    ("an answer that is no HTTP", |_| {
        odd("220 mail.example.org ESMTP\r\n", "")
    }),
];

pub(crate) const CERTIFICATES: &[Case] = &[
    ("a self-signed certificate", |site| {
        let own = Identity::self_signed("localhost", IsCa::NoCa);
        tls(site, &own)
    }),
    ("an expired certificate", |site| {
        let authority = Authority::new("private");
        site.write("system.pem", authority.pem());
        let own = authority.sign("localhost", |params| {
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });
        tls(site, &own)
    }),
    ("a certificate of another host", |site| {
        let authority = Authority::new("private");
        site.write("system.pem", authority.pem());
        tls(site, &authority.sign("ci.example.org", |_| {}))
    }),
];

pub(crate) const SPOOLS: &[Case] = &[
    ("an entry that was cut off", |site| {
        damaged(site, |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 10]).unwrap();
        })
    }),
    ("an entry with another byte in its body", |site| {
        damaged(site, |path| {
            let mut bytes = fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        })
    }),
    (
        "an entry that claims a terabyte, and has it (sparse)",
        |site| {
            damaged(site, |path| {
                let head = format!("refpost-entry 1 {} {}\n", 1u64 << 40, "0".repeat(64));
                fs::write(path, head).unwrap();
                let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len((1 << 40) + 84).unwrap();
            })
        },
    ),
    ("a symbolic link in the place of an entry", |site| {
        damaged(site, |path| {
            fs::remove_file(path).unwrap();
            symlink("/etc/passwd", path).unwrap();
        })
    }),
    ("a symbolic link in the place of a queue", |site| {
        site.announce();
        symlink("/etc", site.spool().join("retry/one")).unwrap();
        said(site, &site.refpost(["flush", "test.git"]).run())
    }),
    ("a spool that everybody can write", |site| {
        site.announce();
        set_mode(&site.spool(), 0o777);
        said(site, &site.refpost(["flush", "test.git"]).run())
    }),
];

fn push(site: &Spooled, change: impl FnOnce(Runner) -> Runner) -> Push {
    site.commit("a");
    site.push_by(change(site.git_run(&["push", "-q", "origin", "main"])))
}

fn hook(site: &Spooled, input: &str) -> String {
    let run = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    said(site, &run.stdin(input).run())
}

fn config(site: &Spooled, text: &str) -> String {
    site.settings(text);
    preview(site)
}

/// A section of the server's file.
fn section(site: &Spooled, text: &str) -> String {
    site.write("system.toml", format!("[[repository]]\n{text}\n"));
    preview(site)
}

fn preview(site: &Spooled) -> String {
    said(site, &site.refpost(["preview", "test.git"]).run())
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

fn key_file(site: &Spooled, key: &Path) -> String {
    let url = site.receiver.url("/one");
    site.settings(&format!(
        "key_file = \"{}\"\nurls = [\"{url}\"]\n",
        key.display()
    ));
    let ran = site.refpost(["ping", "test.git"]).run();
    said(site, &ran)
}

fn ping(site: &Spooled, url: &str) -> String {
    let endpoint = format!("[[endpoint]]\nname = \"ci\"\nurl = \"{url}\"\ntimeout = \"5s\"\n");
    site.settings(&format!("unsigned = true\n{endpoint}"));
    let run = site.refpost(["ping", "test.git"]);
    said(
        site,
        &run.env("SSL_CERT_FILE", site.path("system.pem")).run(),
    )
}

fn odd(head: &'static str, again: &'static str) -> String {
    let site = Spooled::new();
    let url = odd_receiver(move |mut stream| {
        read_over(&mut stream);
        stream.write_all(head.as_bytes()).ok();
        for _ in 0..(if again.is_empty() { 0 } else { 10 << 20 }) {
            if stream.write_all(again.as_bytes()).is_err() {
                return;
            }
        }
    });
    ping(&site, &url)
}

fn tls(site: &Spooled, own: &Identity) -> String {
    if !site.path("system.pem").exists() {
        site.write("system.pem", Authority::new("system").pem());
    }
    let receiver = TlsReceiver::start(own, None);
    ping(site, &receiver.url("localhost"))
}

fn damaged(site: &Spooled, damage: impl FnOnce(&Path)) -> String {
    site.announce();
    let new = site.spool().join("new");
    let name = fs::read_dir(&new).unwrap().flatten().next().unwrap();
    damage(&name.path());
    let (commit, _) = site.announce();
    let ran = site.refpost(["flush", "test.git"]).run();
    // The others pass.
    let arrived = site.receiver.take();
    assert_eq!(arrived.len(), 1, "{}", ran.stderr);
    assert_eq!(arrived[0].message()["end_commit"], commit.as_str());
    let said = said(site, &ran);
    // How long it was depends on the names of this machine.
    match said.split_once(": it is ") {
        Some((before, rest)) if rest.contains(" bytes long") => {
            let (_, after) = rest.split_once(": ").unwrap();
            format!("{before}: it is … bytes long and should be …: {after}")
        }
        _ => said,
    }
}

/// What a command said, without what differs from run to run.
fn said(site: &Spooled, ran: &Ran) -> String {
    let text = format!("{}{}", ran.stdout, ran.stderr);
    text.replace(
        site.path("").to_str().unwrap().trim_end_matches('/'),
        "/srv",
    )
}
