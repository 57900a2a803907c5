//! Who pushed, as the git host says it.

/// The variables in which hosts name the account that pushes, in the order in
/// which they are believed: refpost's own, gitolite and Pagure, GitLab, Gitea and
/// Forgejo, Soft Serve, and HTTP (git-http-backend(1)).
pub const VARIABLES: [&str; 6] = [
    "REFPOST_PUSHER",
    "GL_USER",
    "GL_USERNAME",
    "GITEA_PUSHER_NAME",
    "SOFT_SERVE_USERNAME",
    "REMOTE_USER",
];

/// Returns the account name of the pusher: the first variable that is set and not empty, else the
/// system account that git runs as.
pub fn pusher(
    variable: impl Fn(&str) -> Option<String>,
    system_account: impl FnOnce() -> String,
) -> String {
    VARIABLES
        .iter()
        .filter_map(|name| variable(name))
        .find(|name| !name.is_empty())
        .unwrap_or_else(system_account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_says_something_wins() {
        let set = |pairs: &'static [(&str, &str)]| {
            pusher(
                move |name| {
                    let (_, value) = pairs.iter().find(|(key, _)| *key == name)?;
                    Some((*value).to_owned())
                },
                || "git".to_owned(),
            )
        };
        assert_eq!(set(&[]), "git");
        assert_eq!(
            set(&[("REMOTE_USER", "web"), ("GL_USER", "alice")]),
            "alice"
        );
        assert_eq!(set(&[("GL_USER", ""), ("REMOTE_USER", "web")]), "web");
        assert_eq!(set(&[("REFPOST_PUSHER", "x"), ("GL_USER", "y")]), "x");
    }
}
