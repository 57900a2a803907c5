//! `man`: prints the man page of refpost, which has all subcommands, or that of one subcommand.

use std::io;
use std::path::Path;

use clap::Args;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::command::{ENVIRONMENT, EXIT_CODES, LEVELS};
use crate::error::{Error, Exit, IoContext};
use crate::report;

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// A subcommand, such as `queue drop`: print its page alone
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// The page of the configuration files, which is installed beside those that are made here.
const CONFIGURATION: &str = "refpost.toml(5)";

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

pub(crate) fn run(args: &ManArgs, mut command: clap::Command) -> Result<Exit, Error> {
    command.build();
    let made = if args.command.is_empty() {
        page(&command)
    } else {
        page_of(named(&command, &args.command)?)
    };
    report::raw(&made.doing("write", Path::new("the man page"))?);
    Ok(Exit::Well)
}

/// Finds a subcommand by its name, and one of it by the next.
fn named<'a>(whole: &'a clap::Command, names: &[String]) -> Result<&'a clap::Command, Error> {
    let mut command = whole;
    for name in names {
        let found = command.find_subcommand(name);
        command = found
            .filter(|it| !it.is_hide_set())
            .ok_or_else(|| Error::Failed {
                what: format!(
                    "cannot print the man page of `{}`: there is no such command",
                    names.join(" ")
                ),
                hint: Some("`refpost --help` lists the commands".to_owned()),
            })?;
    }
    Ok(command)
}

/// Returns the page of one subcommand.
fn page_of(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // By itself it names a subcommand without its version.
    let source = concat!("refpost ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).render(&mut page)?;
    let own = command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help");
    let own = own.filter_map(|sub| Some(format!("{}(1)", sub.get_display_name()?)));
    let others = ["refpost(1)".to_owned()].into_iter().chain(own);
    see_also(&others.collect::<Vec<_>>(), &mut page)?;
    Ok(page)
}

fn see_also(pages: &[String], page: &mut Vec<u8>) -> io::Result<()> {
    let mut section = Roff::default();
    section.control("SH", ["SEE ALSO"]);
    section.text([roman(format!("{}, {CONFIGURATION}", pages.join(", ")))]);
    section.to_writer(page)
}

/// Returns the page of refpost, with all subcommands.
fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
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
    let subs = command.get_subcommands();
    let shown = subs.filter(|sub| sub.get_name() != "help" && !sub.is_hide_set());
    let pages = shown.filter_map(|sub| Some(format!("{}(1)", sub.get_display_name()?)));
    see_also(&pages.collect::<Vec<_>>(), &mut page)?;
    Ok(page)
}
