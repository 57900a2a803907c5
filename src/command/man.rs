//! `man`: prints the man page, one for all subcommands.

use std::io;
use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::command::LEVELS;
use crate::error::{Error, Exit, IoContext};
use crate::report;

/// Sections that clap cannot make of the options: titles and paragraphs. Exit codes are those of
/// sysexits.h.
const SECTIONS: [(&str, &[&str]); 3] = [
    (
        "EXIT STATUS",
        &[
            "0 done, queued counts; 1 failed, or the answer is no; 2 wrong usage; 75 something is \
             left for later (flush --strict); 78 the configuration is wrong. As a hook 0, \
             unless require refuses.",
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            "REFPOST_CONFIG names the server's configuration. The pusher is the first of \
             REFPOST_PUSHER, GL_USER, GL_USERNAME, GITEA_PUSHER_NAME, SOFT_SERVE_USERNAME and \
             REMOTE_USER that is set, else the system account.",
        ],
    ),
    (
        "FILES",
        &[
            "/etc/refpost/config.toml: the server's configuration.",
            "refpost.toml in a bare repository: overrides it key by key.",
            "refpost/spool in a bare repository: what waits, unless spool names another folder.",
        ],
    ),
];

pub(crate) fn run(command: clap::Command) -> Result<Exit, Error> {
    report::raw(&page(command).doing("write", Path::new("the man page"))?);
    Ok(Exit::Well)
}

fn page(mut command: clap::Command) -> io::Result<Vec<u8>> {
    command.build();
    let mut page = Vec::new();
    let whole = Man::new(command.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        let mut heading = Roff::default();
        let name = format!("refpost {}", sub.get_name());
        heading.control("SH", [name.to_uppercase().as_str()]);
        heading.to_writer(&mut page)?;
        // Sections of a subcommand become subsections of the one page.
        let mut sections = Vec::new();
        let part = Man::new(sub.clone());
        part.render_synopsis_section(&mut sections)?;
        part.render_description_section(&mut sections)?;
        part.render_options_section(&mut sections)?;
        page.extend(
            String::from_utf8_lossy(&sections)
                .replace(".SH ", ".SS ")
                .bytes(),
        );
    }
    let mut levels = Roff::default();
    levels.control("SH", ["THREE LEVELS"]);
    levels.control("nf", []);
    levels.text([roman(LEVELS)]);
    levels.control("fi", []);
    levels.to_writer(&mut page)?;
    for (title, paragraphs) in SECTIONS {
        let mut section = Roff::default();
        section.control("SH", [title]);
        for paragraph in paragraphs {
            section.text([roman(*paragraph)]);
            section.control("PP", []);
        }
        section.to_writer(&mut page)?;
    }
    Ok(page)
}
