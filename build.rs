//! Links the unwinder, which is used for nothing but the trace of a panic, into the binary
//! where there is an archive of it: a library less to find and load at each start.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    // Another machine's compiler is not asked: there it stays as it was.
    let is_native = env::var("HOST") == env::var("TARGET");
    if is_native && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
        let asked = Command::new(linker)
            .arg("-print-file-name=libgcc_eh.a")
            .output();
        let path = asked.map_or_else(|_| Vec::new(), |answer| answer.stdout);
        // What it has not got it repeats.
        if Path::new(String::from_utf8_lossy(&path).trim()).is_absolute() {
            // Before `-lgcc_s`, of which nothing is needed then.
            println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
        }
    }
}
