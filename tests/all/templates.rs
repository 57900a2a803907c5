//! `format = "template"`: a body of one's own.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

use super::formats_rules::{KEY, body, pushed};
use crate::support::spooled::eventually;
use crate::support::{Answer, Request, Served, Site, set_mode};

/// An endpoint with a template.
pub(crate) fn endpoint(site: &Site, name: &str, template: &str, more: &str) -> String {
    let url = site.receiver.url(&format!("/{name}"));
    let file = site.write(format!("{name}.j2"), template);
    format!(
        "[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\nformat = \"template\"\n\
         template = {{ file = \"{}\" }}\n{more}",
        file.display()
    )
}

pub(crate) fn site_of(endpoints: &[String]) -> Site {
    let site = Site::new();
    configure(&site, endpoints);
    site
}

pub(crate) fn configure(site: &Site, endpoints: &[String]) {
    site.config_alone(&format!(
        "instance = \"https://git.example.org\"\n{}",
        endpoints.concat()
    ));
}

/// The requests to one endpoint.
pub(crate) fn to<'a>(name: &str, requests: &'a [Request]) -> Vec<&'a Request> {
    let start = format!("POST /{name} ");
    let all = requests.iter();
    all.filter(|one| one.line.starts_with(&start)).collect()
}

#[test]
fn each_endpoint_gets_what_its_own_template_makes() {
    let site = site_of(&[]);
    // An editor's byte order mark is no part of the body.
    let json = "\u{feff}{\"who\": {{ pusher.name|tojson }}, \"ids\": [{% for c in commits %}\
                {{ c.id|tojson }}{{ ',' if not loop.last }}{% endfor %}],\n \"at\": {{ ref|tojson }}}\n";
    let text = "{{ summary }}: {{ head.subject }}\n{{ repository.clone_http }}";
    let more = format!("key = \"{KEY}\"\n");
    configure(
        &site,
        &[
            endpoint(&site, "json", json, &more),
            endpoint(
                &site,
                "text",
                text,
                "content_type = \"text/plain; charset=utf-8\"\n",
            ),
            format!(
                "[[endpoint]]\nname = \"hook\"\nurl = \"{}\"\nunsigned = true\n",
                site.receiver.url("/hook")
            ),
        ],
    );
    let ids = [site.commit("a"), site.commit("b")];
    let requests = pushed(&site, "HEAD:refs/heads/a/b");
    let [json, text] = ["json", "text"].map(|name| {
        let all = to(name, &requests);
        assert_eq!(all.len(), 1, "{name}");
        all[0]
    });
    let told = body(json);
    assert_eq!(told["who"], "alice");
    assert_eq!(told["ids"], serde_json::json!(ids));
    let at = serde_json::json!({"full": "refs/heads/a/b", "name": "a/b", "kind": "branch"});
    assert_eq!(told["at"], at);
    assert_eq!(json.header("Content-Type"), Some("application/json"));
    let signature = json.header("X-Hub-Signature-256").unwrap();
    site.write("key", KEY);
    let verify = ["verify", "--key-file", "key", "--signature", signature];
    site.refpost(verify).stdin(&json.body).run().well();
    let expected = "created branch a/b with 2 commits: change\nhttps://git.example.org/test.git";
    assert_eq!(text.body, expected.as_bytes());
    assert_eq!(
        text.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(text.header("X-Hub-Signature-256"), None);
    // Pagure's two messages come as ever.
    assert_eq!(to("hook", &requests).len(), 2);
}

#[test]
fn a_template_that_fails_is_put_by_with_its_facts_and_holds_up_nothing() {
    let site = site_of(&[]);
    let other = || endpoint(&site, "other", "{{ summary|tojson }}", "");
    let of = |template: &str| [endpoint(&site, "own", template, ""), other()];
    // A deleted branch has no head.
    configure(&site, &of("{{ (summary ~ head.id)|tojson }}"));
    let old = site.commit("a");
    assert_eq!(pushed(&site, "HEAD:refs/heads/b").len(), 2);
    let ran = site
        .git_run(&["push", "origin", ":b", "HEAD:refs/heads/c"])
        .run();
    assert_eq!(ran.status, 0);
    let lines: Vec<_> = ran
        .stderr
        .lines()
        .filter(|line| line.contains("render"))
        .collect();
    assert_eq!(lines.len(), 1, "{}", ran.stderr);
    let expected = "cannot render a message for `own`, which is kept in `failed/`: cannot render \
                    the template: undefined value (in own.j2:1)";
    assert!(lines[0].contains(expected), "{}", lines[0]);
    let told = "4 messages sent to `own` (1 of them), `other` (2 of them), kept in `failed/` for \
                `own` (1 of them)";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    // What came with it was delivered, and what comes after it is.
    let requests = site.receiver.take();
    assert_eq!(to("other", &requests).len(), 2);
    assert_eq!(to("own", &requests).len(), 1);
    assert_eq!(to("own", &pushed(&site, "HEAD:refs/heads/d")).len(), 1);

    let listed = site
        .refpost(["queue", "list", "test.git"])
        .run()
        .well()
        .stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(
        listed.contains("failed") && listed.contains("own"),
        "{listed}"
    );
    let logged = site.refpost(["log", "test.git"]).run().well().stdout;
    assert!(logged.contains("template"), "{logged}");

    // It fails again while nothing is mended, and stays.
    let retry = || {
        site.refpost(["queue", "retry", "--all", "--repo", "test.git"])
            .run()
    };
    let ran = retry();
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    let expected = "cannot render a message for `own` again: cannot render the template";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    assert_eq!(site.receiver.take().len(), 0);

    // Its facts are those of the push.
    configure(&site, &of("[{{ summary|tojson }}, {{ old|tojson }}]"));
    retry().well();
    let requests = site.receiver.wait_for(1);
    assert_eq!(
        body(&requests[0]),
        serde_json::json!(["deleted branch b", old])
    );
    let failed = site.bare.join("refpost/spool/failed/own");
    eventually("nothing is left", || {
        fs::read_dir(&failed).map_or(true, |mut all| all.next().is_none())
    });
}

#[test]
fn a_rendered_body_stays_as_it_was_frozen() {
    let site = site_of(&[]);
    configure(
        &site,
        &[endpoint(&site, "own", "\"{{ ref.name }} before\"", "")],
    );
    site.receiver.script(|_| Answer::status(503));
    site.commit("a");
    pushed(&site, "HEAD:refs/heads/b");
    site.receiver.script(|_| Answer::status(200));
    configure(
        &site,
        &[endpoint(
            &site,
            "own",
            "\"after\"",
            "content_type = \"text/plain\"\n",
        )],
    );
    site.refpost(["queue", "retry", "--all", "--repo", "test.git"])
        .run()
        .well();
    let requests = site.receiver.wait_for(1);
    assert_eq!(body(&requests[0]), "b before");
    assert_eq!(requests[0].header("Content-Type"), Some("application/json"));
}

#[test]
fn a_service_sends_what_templates_made_at_the_push() {
    let Some(served) = Served::new() else { return };
    let endpoint = |name: &str| {
        let url = served.receiver.url(&format!("/{name}"));
        format!(
            "[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\nformat = \"template\"\n\
             template = {{ file = \"{name}.j2\" }}\nunsigned = true\n"
        )
    };
    let template = "[{{ new|tojson }}]";
    served.accounts.public("open.j2", template);
    // Accounts that push cannot read this one, and the service can.
    let closed = served.accounts.environment.write("closed.j2", template);
    let group = fs::metadata(&served.service.home).unwrap().gid();
    chown(&closed, Some(0), Some(group)).unwrap();
    set_mode(&closed, 0o640);
    served.configure("", &(endpoint("open") + &endpoint("closed")));
    let _service = served.start();
    let (head, said) = served.push(&served.alice, "alice/a");
    let expected = "refpost: cannot render a message for `closed`, which is kept in `failed/`: \
                    cannot read template `";
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with(expected), "{said:?}");
    let requests = served.arrived(2);
    assert_eq!(to("ci", &requests).len(), 1);
    assert_eq!(body(to("open", &requests)[0]), serde_json::json!([head]));
    let failed = served.spool().join("failed/closed");
    eventually("it is put by", || {
        fs::read_dir(&failed).is_ok_and(|mut all| all.next().is_some())
    });
    let retried = served
        .as_service(&["queue", "retry", "--all"])
        .output()
        .unwrap();
    assert!(retried.status.success(), "{retried:?}");
    let requests = served.arrived(1);
    assert_eq!(body(to("closed", &requests)[0]), serde_json::json!([head]));
}
