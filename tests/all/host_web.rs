//! `git http-backend` behind a real web server, lighttpd, which knows who pushes.

use std::fs;
use std::path::Path;

use crate::support::{Accounts, KEY, Receiver, Request, Server, free_port, has_host};

/// Debian's account for web servers (base-passwd).
const WWW_DATA: u32 = 33;

/// git-http-backend(1), "Lighttpd", as docs/guides/hosts/http-backend.md has it.
fn configuration(accounts: &Accounts, port: u16) -> String {
    let exec_path = accounts.environment.git(Path::new("/"), &["--exec-path"]);
    format!(
        r#"
server.modules = ("mod_alias", "mod_auth", "mod_authn_file", "mod_cgi", "mod_setenv")
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{root}/lighttpd.log"
server.upload-dirs = ("{root}")
alias.url = ("/git" => "{exec_path}/git-http-backend")
auth.backend = "plain"
auth.backend.plain.userfile = "{passwords}"
$HTTP["url"] =~ "^/git" {{
    cgi.assign = ("" => "")
    setenv.add-environment = (
        "GIT_PROJECT_ROOT" => "{root}/git",
        "GIT_HTTP_EXPORT_ALL" => "",
        "REFPOST_CONFIG" => "{config}",
    )
    auth.require = ("" => ("method" => "basic", "realm" => "git", "require" => "valid-user"))
}}
"#,
        root = accounts.path("www").display(),
        passwords = accounts.path("passwords").display(),
        config = accounts.path("system.toml").display(),
    )
}

#[test]
fn whom_the_web_server_let_in_is_the_pusher() {
    let needed = [("lighttpd", "lighttpd"), ("git", "git")];
    if !has_host(&needed) {
        return;
    }
    let Some(accounts) = Accounts::new() else {
        return;
    };
    let receiver = Receiver::start();
    let www = accounts.folder("www", WWW_DATA);
    let bare = www.join("git/team/tools.git");
    accounts.git(
        WWW_DATA,
        &www,
        &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()],
    );
    accounts.public(
        "system.toml",
        &format!(
            "mode = \"sync\"\npush_budget = \"60s\"\nroot = \"{}\"\nurls = [\"{}\"]\n\
             key_file = \"{}\"\n",
            www.join("git").display(),
            receiver.url("/hook"),
            www.join("key").display(),
        ),
    );
    let key = format!("umask 077; printf {KEY} > {}", www.join("key").display());
    assert_eq!(accounts.shell(WWW_DATA, &key).status, 0);
    let enabled = accounts.refpost(WWW_DATA, &["enable", bare.to_str().unwrap()]);
    assert_eq!(enabled.status, 0, "{}", enabled.stderr);

    accounts.public("passwords", "alice:one\nbob:two\n");
    let port = free_port();
    let config = accounts.public("lighttpd.conf", &configuration(&accounts, port));
    let mut lighttpd = accounts.command(WWW_DATA, "/usr/sbin/lighttpd");
    let _server = Server::start(lighttpd.arg("-D").arg("-f").arg(config), port);

    let environment = &accounts.environment;
    let root = accounts.path("");
    environment.git(&root, &["init", "-q", "-b", "main", "work"]);
    let work = accounts.path("work");
    let push = |who: &str| {
        environment.git(&work, &["commit", "-q", "--allow-empty", "-m", "change"]);
        let url = format!("http://{who}127.0.0.1:{port}/git/team/tools.git");
        environment
            .run("git")
            .dir(&work)
            .args(["push", &url, "main"])
            .run()
    };
    for (who, login) in [("alice", "alice:one@"), ("bob", "bob:two@")] {
        let ran = push(login);
        let log = fs::read_to_string(www.join("lighttpd.log")).unwrap_or_default();
        assert_eq!(ran.status, 0, "{}\n{log}", ran.stderr);
        let requests = receiver.take();
        let first = requests.first().map(Request::message);
        let message = first.unwrap_or_else(|| panic!("{}\n{log}", ran.stderr));
        assert_eq!(message["agent"], *who);
        assert_eq!(message["project_fullname"], "team/tools");
    }
    assert_ne!(push("alice:two@").status, 0);
    assert_ne!(push("").status, 0);
    assert!(receiver.take().is_empty());
    let check = accounts.refpost(WWW_DATA, &["check", bare.to_str().unwrap()]);
    let host = "ok: host: plain git (nothing of gitolite, GitLab, Gitea or Forgejo is there)\n";
    assert!(check.stdout.contains(host), "{}", check.stdout);
}
