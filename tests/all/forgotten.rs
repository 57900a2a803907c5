//! A file that main.rs does not name would never run, and nobody would notice.

use std::fs;
use std::path::Path;

#[test]
fn every_file_of_tests_is_named_in_main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all");
    for (folder, root) in [
        (folder.clone(), folder.join("main.rs")),
        (folder.join("support"), folder.join("support/mod.rs")),
    ] {
        let named = fs::read_to_string(&root).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if path == root {
                continue;
            }
            let declared = named
                .lines()
                .any(|line| line.trim_start_matches("pub(crate) ") == format!("mod {name};"));
            assert!(
                declared,
                "{} is not named in {}",
                path.display(),
                root.display()
            );
        }
    }
}

#[test]
fn no_test_is_ignored() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all");
    let mark = ["#[", "ignore"].concat();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(&mark), "{}", path.display());
        }
    }
}
