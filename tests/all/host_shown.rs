//! What cgit and gitweb are told to show of a repository is what messages say of it; the
//! real cgit shows the same.

use crate::support::{Message, Site, find, has_host};

/// `repo` of the next push.
#[track_caller]
fn pushed(site: &Site) -> Message {
    site.commit("a");
    site.push(&["main"]).messages.remove(0)
}

#[test]
fn the_most_specific_place_says_what_a_project_is() {
    let site = Site::new();
    site.write("test.git/description", "from the file\n");
    let repo = pushed(&site)["repo"].clone();
    assert_eq!(repo["description"], "from the file");
    assert_eq!(repo["tags"], serde_json::json!([]));

    for (key, value) in [
        ("gitweb.description", "from gitweb"),
        ("gitweb.owner", "Alice Example <alice@example.org>"),
        ("gitweb.category", "Infrastructure"),
        ("gitweb.url", "git@git.example.org:test.git"),
    ] {
        site.bare_git(&["config", key, value]);
    }
    let page = "https://git.example.org/cgit/test.git/";
    site.bare_git(&["config", "--add", "gitweb.url", page]);
    let repo = pushed(&site)["repo"].clone();
    assert_eq!(repo["description"], "from gitweb");
    assert_eq!(repo["tags"], serde_json::json!(["Infrastructure"]));
    assert_eq!(repo["full_url"], page);
    assert_eq!(repo["user"]["fullname"], "Alice Example");

    let alice = "[people]\n\"alice@example.org\" = { name = \"alice\", fullname = \"Alice\" }\n";
    site.config(alice);
    let repo = pushed(&site)["repo"].clone();
    assert_eq!(repo["user"]["name"], "alice");
    assert_eq!(repo["user"]["fullname"], "Alice");
    assert_eq!(repo["access_users"]["owner"], serde_json::json!(["alice"]));

    site.write("test.git/cgitrc", "# ours\ndesc=from cgitrc\nowner=bob\n");
    let repo = pushed(&site)["repo"].clone();
    assert_eq!(repo["description"], "from cgitrc");
    assert_eq!(repo["user"]["name"], "bob");

    site.config("[project]\ndescription = \"from refpost.toml\"\nuser.name = \"carol\"\n");
    let repo = pushed(&site)["repo"].clone();
    assert_eq!(repo["description"], "from refpost.toml");
    assert_eq!(repo["user"]["name"], "carol");
}

#[test]
fn a_key_without_a_value_and_one_in_another_encoding_cost_no_message() {
    let site = Site::new();
    let config = std::fs::read(site.bare.join("config")).unwrap();
    let more = b"[gitweb]\n\towner\n\tdescription = caf\xe9\n[cgit]\n\tdesc\n";
    site.write("test.git/config", [&config[..], more].concat());
    assert_eq!(pushed(&site)["repo"]["description"], "caf\u{fffd}");
}

#[test]
fn cgit_shows_what_messages_say() {
    if !has_host(&[("cgit.cgi", "cgit")]) {
        return;
    }
    let site = Site::new();
    site.write("test.git/description", "from the file\n");
    site.bare_git(&["config", "gitweb.description", "from gitweb"]);
    site.bare_git(&["config", "gitweb.owner", "dora"]);
    site.bare_git(&["config", "gitweb.category", "Infrastructure"]);
    let config = format!(
        "enable-git-config=1\nenable-index-owner=1\nnocache=1\nscan-path={}\n",
        site.path("").display()
    );
    let config = site.write("cgit.conf", config);
    let page = || {
        let cgit = site.run(find("cgit.cgi").unwrap());
        cgit.env("CGIT_CONFIG", config.clone()).run().stdout
    };
    for (cgitrc, description, owner) in [
        ("", "from gitweb", "dora"),
        ("desc=from cgitrc\nowner=eve\n", "from cgitrc", "eve"),
    ] {
        site.write("test.git/cgitrc", cgitrc);
        let repo = pushed(&site)["repo"].clone();
        let shown = page();
        for told in [
            &repo["description"],
            &repo["user"]["name"],
            &repo["tags"][0],
        ] {
            let told = told.as_str().unwrap();
            assert!(shown.contains(&format!(">{told}<")), "{told}\n{shown}");
        }
        assert_eq!(repo["description"], description);
        assert_eq!(repo["user"]["name"], owner);
    }
}
