//! The real gitolite behind the real sshd: two people, each with a key of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::{
    Accounts, KEY, Message, Push, Ran, Receiver, Request, Sshd, SystemAccount,
    has_host_and_accounts,
};

/// A gitolite that alice administers, and in which bob may push too.
struct Gitolite {
    receiver: Receiver,
    sshd: Sshd,
    git: SystemAccount,
    accounts: Accounts,
}

impl Gitolite {
    /// `None`, where something is missing.
    fn new(role: &str) -> Option<Self> {
        let needed = [("gitolite", "gitolite3"), ("sshd", "openssh-server")];
        if !has_host_and_accounts(&needed) {
            return None;
        }
        let accounts = Accounts::new()?;
        let site = Self {
            git: SystemAccount::new(&accounts, role),
            sshd: Sshd::start(&accounts),
            receiver: Receiver::start(),
            accounts,
        };
        site.git.write("alice.pub", &site.sshd.key("alice"));
        site.git.shell("gitolite setup -pk alice.pub");
        site.set_rc(&[
            (
                "# LOCAL_CODE                =>  \"$rc{GL_ADMIN_BASE}/local\"",
                "LOCAL_CODE => \"$rc{GL_ADMIN_BASE}/local\"",
            ),
            // gitolite.conf's `desc` becomes `gitweb.description`.
            (
                "GIT_CONFIG_KEYS                 =>  ''",
                "GIT_CONFIG_KEYS => 'gitweb\\..*'",
            ),
            (
                "%RC = (",
                "$ENV{REFPOST_CONFIG} = \"$ENV{HOME}/.gitolite/conf/refpost.toml\";\n\n%RC = (",
            ),
        ]);
        site.git.write("key", KEY);
        site.administer("", &[]);
        Some(site)
    }

    /// Changes `.gitolite.rc`, in which all of these must stand.
    fn set_rc(&self, changes: &[(&str, &str)]) {
        let path = self.git.home.join(".gitolite.rc");
        let mut text = fs::read_to_string(&path).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        self.git.write(".gitolite.rc", &text);
    }

    /// Pushes a new configuration, and links in it, to gitolite-admin.
    fn administer(&self, options: &str, links: &[(&str, &Path)]) {
        let admin = self.accounts.path("admin");
        if !admin.exists() {
            let url = self.sshd.url(&self.git, "gitolite-admin");
            let clone = ["clone", "-q", &url, "admin"];
            let root = self.accounts.path("");
            self.sshd
                .git(&self.accounts, "alice", &root, &clone)
                .run()
                .well();
            fs::write(admin.join("keydir/bob.pub"), self.sshd.key("bob")).unwrap();
        }
        let conf = format!(
            "repo gitolite-admin\n    RW+ = alice\n\
             repo infra/tools web/site docs/handbook\n    RW+ = alice bob\n\
             repo web/site\n    desc = \"The site\"\n{options}"
        );
        fs::write(admin.join("conf/gitolite.conf"), conf).unwrap();
        let config = format!(
            "mode = \"sync\"\npush_budget = \"60s\"\ninstance = \"https://git.example.org\"\n\
             urls = [\"{}\"]\nkey_file = \"{}\"\nroot = \"{}\"\n\
             [[repository]]\nmatch = [\"docs/**\"]\nurls = []\n",
            self.receiver.url("/hook"),
            self.git.home.join("key").display(),
            self.git.home.join("repositories").display(),
        );
        fs::write(admin.join("conf/refpost.toml"), config).unwrap();
        for (name, target) in links {
            let link = admin.join(name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(target, link).unwrap();
        }
        let environment = &self.accounts.environment;
        environment.git(&admin, &["add", "-A"]);
        environment.git(&admin, &["commit", "-q", "-m", "change"]);
        let push = ["push", "-q", "origin", "HEAD"];
        let ran = self.sshd.git(&self.accounts, "alice", &admin, &push).run();
        assert!(
            ran.status == 0 && !ran.stderr.contains("FATAL"),
            "{}",
            ran.stderr
        );
    }

    /// A push by one of them, of a new commit to a repository; what came of it.
    #[track_caller]
    fn push(&self, who: &str, repository: &str) -> Push {
        let environment = &self.accounts.environment;
        let work = self.accounts.path("work");
        let root = self.accounts.path("");
        if !work.exists() {
            environment.git(&root, &["init", "-q", "-b", "main", "work"]);
        }
        environment.git(&work, &["commit", "-q", "--allow-empty", "-m", "change"]);
        let url = self.sshd.url(&self.git, repository);
        let push = ["push", &url, "main"];
        let ran = self.sshd.git(&self.accounts, who, &work, &push).run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let requests = self.receiver.take();
        Push {
            status: ran.status,
            said: ran.stderr,
            messages: requests.iter().map(Request::message).collect(),
            requests,
        }
    }

    /// The push is announced: by whom, and as which project.
    #[track_caller]
    fn assert_announced(&self, who: &str, repository: &str) -> Message {
        let push = self.push(who, repository);
        let message = push
            .messages
            .first()
            .unwrap_or_else(|| panic!("{}", push.said));
        assert_eq!(message["agent"], *who);
        assert_eq!(message["project_fullname"], *repository);
        message.clone()
    }

    fn refpost(&self, args: &[&str]) -> Ran {
        let config = self.git.home.join(".gitolite/conf/refpost.toml");
        let mut command = self.git.command(&self.accounts.binary);
        Accounts::run(command.args(args).env("REFPOST_CONFIG", config))
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.git.home.join(format!("repositories/{name}.git"))
    }
}

#[test]
fn a_common_hook_announces_both_people_in_every_repository() {
    let Some(site) = Gitolite::new("common") else {
        return;
    };
    let binary = site.accounts.binary.display();
    site.git.shell(&format!(
        "ln -s {binary} ~/.gitolite/hooks/common/post-receive && gitolite setup --hooks-only"
    ));
    site.assert_announced("alice", "infra/tools");
    let message = site.assert_announced("bob", "web/site");
    let repo = &message["repo"];
    assert_eq!(repo["namespace"], "web");
    assert_eq!(repo["description"], "The site", "gitolite.conf's `desc`");
    assert_eq!(repo["full_url"], "https://git.example.org/web/site");

    // A section of the file in gitolite-admin switches it off.
    let push = site.push("bob", "docs/handbook");
    assert!(
        push.messages.is_empty() && !push.said.contains("refpost"),
        "{}",
        push.said
    );

    // A link of gitolite's is neither replaced nor removed.
    let tools = site.repository("infra/tools");
    let name = tools.to_str().unwrap();
    let hook = tools.join("hooks/post-receive");
    let link = fs::read_link(&hook).unwrap();
    let enabled = site.refpost(&["enable", name]).well();
    assert_eq!(
        enabled.stdout,
        format!("already linked `{}`\n", hook.display())
    );
    let disabled = site.refpost(&["disable", name]);
    assert_eq!(disabled.status, 1);
    assert!(
        disabled.stderr.contains("gitolite keeps it a link to `"),
        "{}",
        disabled.stderr
    );
    assert_eq!(fs::read_link(&hook).unwrap(), link);

    // Without a hook's environment, the name is the same.
    let checked = site.refpost(&["check", name]).well();
    let home = site.git.home.display();
    let host = format!(
        "ok: host: gitolite (`hooks/update` leads to `{home}/.gitolite/hooks/common/update`); \
         it names the project `infra/tools`: the path below `{home}/repositories`\n"
    );
    assert!(checked.stdout.contains(&host), "{}", checked.stdout);
    let project = "ok: project `infra/tools` of https://git.example.org/\n";
    assert!(checked.stdout.contains(project), "{}", checked.stdout);
}

#[test]
fn an_option_in_gitolite_conf_announces_one_repository() {
    let Some(site) = Gitolite::new("option") else {
        return;
    };
    site.set_rc(&[("# 'repo-specific-hooks'", "'repo-specific-hooks'")]);
    let option = "repo infra/tools\n    option hook.post-receive = refpost\n";
    let binary = site.accounts.binary.clone();
    site.administer(option, &[("local/hooks/repo-specific/refpost", &binary)]);
    site.assert_announced("bob", "infra/tools");
    site.assert_announced("alice", "infra/tools");
    assert!(site.push("bob", "web/site").messages.is_empty());

    // The driver runs what lies beside it, and would not find that from elsewhere.
    let tools = site.repository("infra/tools");
    let name = tools.to_str().unwrap();
    let hook = tools.join("hooks/post-receive");
    let numbered = tools.join("hooks/post-receive.h00-refpost");
    let checked = site.refpost(&["check", name]).well();
    let by = format!(
        "ok: hook `{}`, by `{}`\n",
        hook.display(),
        numbered.display()
    );
    assert!(checked.stdout.contains(&by), "{}", checked.stdout);
    site.refpost(&["enable", name]).well();
    let disabled = site.refpost(&["disable", name]);
    assert!(
        disabled.stderr.contains("option hook."),
        "{}",
        disabled.stderr
    );
    fs::remove_file(&numbered).unwrap();
    let enabled = site.refpost(&["enable", name]);
    assert_eq!(enabled.status, 1);
    let hint = "hint: link refpost in hooks/repo-specific of `LOCAL_CODE`";
    assert!(enabled.stderr.contains(hint), "{}", enabled.stderr);
}

#[test]
fn a_single_repository_is_enabled_and_gitolite_leaves_it_alone() {
    let Some(site) = Gitolite::new("single") else {
        return;
    };
    let site_repository = site.repository("web/site");
    let name = site_repository.to_str().unwrap();
    site.refpost(&["enable", "--guaranteed", name]).well();
    site.git.shell("gitolite setup");
    site.assert_announced("bob", "web/site");
    assert!(site.push("bob", "infra/tools").messages.is_empty());
    site.refpost(&["disable", name]).well();

    // A common hook of somebody's: what is put in its place would be gone some day.
    let script = "#!/bin/sh\ncat > /dev/null\n";
    site.git
        .write(".gitolite/hooks/common/post-receive", script);
    let setup = "chmod 755 ~/.gitolite/hooks/common/post-receive; gitolite setup --hooks-only";
    site.git.shell(setup);
    let enabled = site.refpost(&["enable", name]);
    assert_eq!(enabled.status, 1);
    assert!(
        enabled.stderr.contains("gitolite keeps it a link to `"),
        "{}",
        enabled.stderr
    );
    assert!(
        enabled
            .stderr
            .contains("run `refpost hook post-receive` too"),
        "{}",
        enabled.stderr
    );
    // As docs/guides/hosts/gitolite.md has it.
    let binary = site.accounts.binary.display();
    let both = format!(
        "#!/bin/sh\ninput=$(cat)\nprintf '%s\\n' \"$input\" | {binary} hook post-receive\n"
    );
    site.git.write(".gitolite/hooks/common/post-receive", &both);
    site.git.shell(setup);
    site.assert_announced("alice", "web/site");
    let checked = site.refpost(&["check", name]).well();
    assert!(
        checked.stdout.contains("/hooks/common/post-receive`\n"),
        "{}",
        checked.stdout
    );
}

#[test]
fn a_typo_in_gitolite_admin_locks_out_the_push_that_mends_it() {
    let Some(site) = Gitolite::new("typo") else {
        return;
    };
    let (binary, admin) = (site.accounts.binary.display(), site.accounts.path("admin"));
    let hooks = ["pre-receive", "post-receive", "reference-transaction"];
    let links = hooks.map(|hook| format!("ln -s {binary} ~/.gitolite/hooks/common/{hook}"));
    let links = links.join(" && ");
    site.git
        .shell(&format!("{links} && gitolite setup --hooks-only"));
    let environment = &site.accounts.environment;
    let good = fs::read_to_string(admin.join("conf/refpost.toml")).unwrap();
    let administer = |name: &str, text: &str| {
        fs::create_dir_all(admin.join(name).parent().unwrap()).unwrap();
        fs::write(admin.join(name), text).unwrap();
        environment.git(&admin, &["add", "-A", "--chmod=+x", name]);
        environment.git(&admin, &["commit", "-q", "-m", "change"]);
        let push = ["push", "-q", "origin", "HEAD"];
        site.sshd.git(&site.accounts, "alice", &admin, &push).run()
    };
    let accepted = |ran: Ran| {
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        ran.stderr
    };
    let typo = format!("require = true\nulrs = []\n{good}");
    accepted(administer("conf/refpost.toml", &typo));
    let url = site.sshd.url(&site.git, "infra/tools");
    let push = |url: &str| {
        let push = ["push", url, "HEAD:refs/heads/copy"];
        site.sshd.git(&site.accounts, "bob", &admin, &push).run()
    };
    let refused = push(&url);
    assert!(
        refused.status != 0
            && refused
                .stderr
                .contains("(the push is refused, as `require`"),
        "{}",
        refused.stderr
    );
    let mended = administer("conf/refpost.toml", &format!("require = true\n{good}"));
    let mended = accepted(mended);
    let recorded = "recorded, to be announced once that is mended";
    assert!(mended.contains(recorded), "{mended}");
    accepted(push(&url));

    // As docs/guides/hosts/gitolite.md has it, the typo does not get there.
    let check = format!(
        "#!/bin/sh\nfile=$(mktemp) && trap 'rm -f \"$file\"' EXIT &&\n\
         git show \"$3:conf/refpost.toml\" > \"$file\" && {binary} check --config \"$file\" >&2\n"
    );
    accepted(administer("local/VREF/refpost-config", &check));
    let conf = fs::read_to_string(admin.join("conf/gitolite.conf")).unwrap();
    let rule = "    RW+ = alice\n    - VREF/refpost-config = @all\n";
    let conf = conf.replacen("    RW+ = alice\n", rule, 1);
    accepted(administer("conf/gitolite.conf", &conf));
    let refused = administer("conf/refpost.toml", &typo);
    assert!(
        refused.status != 0 && refused.stderr.contains("unknown key `ulrs`"),
        "{}",
        refused.stderr
    );
    accepted(administer("conf/refpost.toml", &good));
}
