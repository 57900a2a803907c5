//! What an overview of a server costs, beside `find` looking for its repositories.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::entries::Template;
use crate::site::{REFPOST, Site};
use crate::spool::{in_turn, repositories};
use crate::table::{self, Row};

/// The repositories, and how many of them have messages for an endpoint that fails.
const REPOSITORIES: usize = 10_000;
const FAILING: usize = 50;

pub(crate) fn measure() {
    table::part("an overview of 10,000 repositories, 50 failing");
    let site = Site::new();
    let root = site.folder().join("root");
    let all = repositories(&root, REPOSITORIES);
    for (n, bare) in all.iter().step_by(REPOSITORIES / FAILING).enumerate() {
        failing(&site, n, bare);
    }
    let config = site.folder().join("server.toml");
    fs::write(
        &config,
        format!("root = {:?}\n", root.display().to_string()),
    )
    .unwrap();
    fs::set_permissions(&config, PermissionsExt::from_mode(0o600)).unwrap();
    for args in [&["status", "--server"][..], &["metrics"], &["page"]] {
        let mut ours = site.command(REFPOST);
        ours.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        let mut find = Command::new("find");
        find.arg(&root).args(["-name", "HEAD"]);
        find.stdout(Stdio::null());
        let (cost, peer_cost) = in_turn(&mut ours, &mut find);
        table::row(&Row {
            what: args.join(" "),
            peer: "`find -name HEAD`",
            cost,
            peer_cost,
            most: Some(2.0),
            ..Row::default()
        });
    }
}

/// Makes a repository whose endpoint was tried in vain: nothing listens there.
fn failing(site: &Site, n: usize, bare: &std::path::Path) {
    let own = Site::new();
    let template = Template::new(&own);
    let body = template.body(n, 2048);
    fs::write(
        own.spool().join("new").join(template.id(n)),
        template.entry(n, &body),
    )
    .unwrap();
    let mut flush = own.flush();
    // It says that the endpoint is down.
    flush.stderr(Stdio::null()).status().unwrap();
    assert!(own.spool().join("stats").exists());
    fs::remove_dir_all(bare).unwrap();
    let mut copy = site.command("cp");
    assert!(
        copy.arg("-a")
            .arg(&own.bare)
            .arg(bare)
            .status()
            .unwrap()
            .success()
    );
}
