//! `completions`, `man` and `schema`: what is printed from the program's own tables.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Command, Common, Exit, fail};
use crate::config::{manual, schema};
use crate::domain::spelling;

/// `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rekeyd completions bash > /etc/bash_completion.d/rekeyd")]
pub(crate) struct Completions {
    /// For which shell.
    shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rekeyd man | man -l -\n  rekeyd man --dir /usr/local/share/man")]
pub(crate) struct Manual {
    /// Write every page into this folder, instead of printing the first.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// `schema`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rekeyd schema tenant > tenant.schema.json")]
pub(crate) struct Schema {
    /// Of which file.
    #[arg(default_value = "tenant")]
    of: File,
}

/// A kind of configuration file.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum File {
    /// `rekeyd.toml`.
    Daemon,
    /// `tenants.d/*.toml`.
    Tenant,
}

pub(super) fn completions(asked: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut Command::command(), "rekeyd", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Exit::Done
}

pub(super) fn schema(asked: &Schema) -> Exit {
    let schema = match asked.of {
        File::Daemon => schema::daemon(),
        File::Tenant => schema::tenant(),
    };
    println!("{}", serde_json::to_string_pretty(&schema).expect("a schema is plain data"));
    Exit::Done
}

pub(super) fn man(common: &Common, asked: &Manual) -> Exit {
    let pages = pages();
    let Some(dir) = &asked.dir else {
        print!("{}", pages[0].1);
        return Exit::Done;
    };
    for (name, text) in &pages {
        let section = name.rsplit('.').next().expect("a page's name ends with its section");
        if let Err(problem) = write(&dir.join(format!("man{section}")), name, text) {
            return fail(
                Exit::Failed,
                &format!(
                    "`{name}` cannot be written below `{}` ({problem}): the pages before it are there; \
                     name a folder that you may write to with `rekeyd man --dir DIR`",
                    dir.display()
                ),
            );
        }
    }
    if !common.quiet {
        println!("{} below `{}`", spelling::many(pages.len(), "page", "pages"), dir.display());
    }
    Exit::Done
}

fn write(dir: &Path, name: &str, text: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join(name), text)
}

/// Every page, by name: the command, each of its subcommands, and the configuration.
fn pages() -> Vec<(String, String)> {
    let mut command = Command::command().disable_help_subcommand(true);
    command.build();
    let page = |command: clap::Command, name: &str| {
        let title = name.to_uppercase();
        let mut text = Vec::new();
        let man = Man::new(command).title(title).section("8").manual("rekeyd").source("rekeyd").date("");
        man.render(&mut text).expect("memory takes everything");
        (format!("{name}.8"), String::from_utf8(text).expect("a page is text"))
    };
    let mut pages = vec![page(command.clone(), "rekeyd")];
    for verb in command.get_subcommands() {
        let name = format!("rekeyd-{}", verb.get_name());
        pages.push(page(verb.clone(), &name));
    }
    pages.push(("rekeyd.toml.5".to_owned(), manual::render()));
    pages
}
