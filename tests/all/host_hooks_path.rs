//! One hook for all repositories (`core.hooksPath`), and hooks that new repositories are
//! born with (`init.templateDir`).

use std::fs;
use std::os::unix::fs::symlink;

use crate::enable::bare_site;
use crate::support::REFPOST;

#[test]
fn one_folder_of_hooks_serves_all_repositories_and_is_not_taken_from_one() {
    let site = bare_site();
    let hooks = site.path("hooks");
    fs::create_dir(&hooks).unwrap();
    let gitconfig = site.write(
        "gitconfig",
        format!("[core]\nhooksPath = {}\n", hooks.display()),
    );
    let shared = format!(
        "by `core.hooksPath` in `{}`, `{}` has the hooks of every repository",
        gitconfig.display(),
        hooks.display()
    );
    let enabled = site.refpost(["enable", "test.git"]).run();
    let hook = hooks.join("post-receive");
    assert_eq!(enabled.stdout, format!("linked `{}`\n", hook.display()));
    assert_eq!(enabled.stderr, format!("warning: {shared}\n"));
    site.commit("a");
    assert_eq!(site.push(&["main"]).messages.len(), 2);

    let checked = site.refpost(["check", "test.git"]).run().well();
    assert!(
        checked
            .stdout
            .contains(&format!("ok: hook `{}`\n", hook.display()))
    );
    let told = format!(
        "ok: `{}` has the hooks of every repository, by `core.hooksPath` in `{}`\n",
        hooks.display(),
        gitconfig.display()
    );
    assert!(checked.stdout.contains(&told), "{}", checked.stdout);

    let disabled = site.refpost(["disable", "test.git"]).run();
    let hint = "hint: `urls = []` in `test.git/refpost.toml` switches this one off\n";
    disabled.fails(
        1,
        &format!("refpost: cannot disable `test.git` alone: {shared}\n{hint}"),
    );
    assert!(hook.exists());
    site.config_alone("urls = []");
    site.commit("b");
    assert!(site.push(&["main"]).messages.is_empty());
}

#[test]
fn a_repository_made_from_a_template_announces_from_its_first_push() {
    let site = bare_site();
    let template = site.path("template");
    fs::create_dir_all(template.join("hooks")).unwrap();
    symlink(REFPOST, template.join("hooks/post-receive")).unwrap();
    let text = format!("[init]\ntemplateDir = {}\n", template.display());
    site.write("gitconfig", text);
    let url = site.receiver.url("/hook");
    let config = format!("mode = \"sync\"\nurls = [\"{url}\"]\nunsigned = true\n");
    site.write("system.toml", config);
    let born = site.bare("born.git");
    site.commit("a");
    let ran = site
        .git_run(&["push", "-q", born.to_str().unwrap(), "main"])
        .run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(site.receiver.take().len(), 2);
    let enabled = site.refpost(["enable", "born.git"]).run().well();
    let hook = born.join("hooks/post-receive");
    assert_eq!(
        enabled.stdout,
        format!("already linked `{}`\n", hook.display())
    );

    // Made before there was a template, it gets what it lacks (git-init(1)).
    site.git(&["init", "-q", "--bare", site.bare.to_str().unwrap()]);
    assert!(site.bare.join("hooks/post-receive").is_symlink());
}
