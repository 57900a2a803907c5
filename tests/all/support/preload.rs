//! Libraries in front of the C library (ld.so(8), `LD_PRELOAD`), for a kernel or a file system
//! that answers otherwise than this machine's.

use std::path::PathBuf;
use std::process::Command;

use super::Environment;

/// What each of these libraries begins with: `NEXT(NAME)` is the function that it stands for.
const HEAD: &str = r"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
";

/// Compiles functions of C that stand for those of the C library; gives the library.
#[track_caller]
pub(crate) fn preload(environment: &Environment, functions: &str) -> PathBuf {
    let source = environment.write("preload.c", format!("{HEAD}{functions}"));
    let library = environment.path("preload.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wno-nonnull-compare", "-o"]);
    let status = compiler.arg(&library).arg(&source).status();
    assert!(status.is_ok_and(|status| status.success()), "cc failed");
    library
}
