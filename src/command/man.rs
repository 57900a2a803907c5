//! `man`: prints the man page, one for all subcommands.

use std::io;
use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::command::{ENVIRONMENT, EXIT_CODES, LEVELS};
use crate::error::{Error, Exit, IoContext};
use crate::report;

/// Sections that clap cannot make of the options: titles and texts.
const SECTIONS: [(&str, &str); 4] = [
    ("THREE LEVELS", LEVELS),
    ("EXIT STATUS", EXIT_CODES),
    ("ENVIRONMENT", ENVIRONMENT),
    (
        "FILES",
        "/etc/refpost/config.toml\n  the server's configuration\n\
         refpost.toml in a bare repository\n  overrides it key by key\n\
         refpost/spool in a bare repository\n  what waits, unless spool names another folder",
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
    for (title, text) in SECTIONS {
        let mut section = Roff::default();
        section.control("SH", [title]);
        section.control("nf", []);
        section.text([roman(text)]);
        section.control("fi", []);
        section.to_writer(&mut page)?;
    }
    Ok(page)
}
