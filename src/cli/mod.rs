//! What a person can ask. One file per family of commands.

#[macro_use]
mod out;

mod again;
mod ask;
mod check;
mod client;
mod confirm;
mod diagnose;
mod discover;
mod forecast;
mod mistakes;
mod offline;
mod onboard;
mod pages;
mod probe;
mod removed;
mod rotate;
mod rules;
mod run;
mod show;
mod tell;
mod template;
mod watch;
mod whose;

#[cfg(test)]
mod examples_tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: failed.
    Failed,
    /// 2: wrong usage.
    Usage,
    /// 3: a person is needed.
    Person,
    /// 69: the daemon or an upstream is unavailable.
    Unavailable,
    /// 75: try again later.
    Later,
    /// 77: not permitted.
    Permission,
    /// 78: the configuration is wrong.
    Config,
    /// 255: `needs-rotation` cannot tell.
    Unknown,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Person,
        Self::Unavailable,
        Self::Later,
        Self::Permission,
        Self::Config,
        Self::Unknown,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Person => 3,
            Self::Unavailable => 69,
            Self::Later => 75,
            Self::Permission => 77,
            Self::Config => 78,
            Self::Unknown => 255,
        }
    }

    /// The exit a refusal of the daemon asks for.
    fn of_refusal(code: u8) -> Self {
        match code {
            0 => Self::Done,
            2 => Self::Usage,
            3 => Self::Person,
            69 => Self::Unavailable,
            75 => Self::Later,
            77 => Self::Permission,
            78 => Self::Config,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Keeps the credentials of SAP BTP tenants fresh.
#[derive(Debug, Parser)]
#[command(
    name = "rekeyd",
    version,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 done · 1 failed · 2 usage · 3 needs a person · 69 daemon or upstream unavailable · \
75 try again later · 77 permission · 78 configuration"
)]
pub struct Command {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "REKEYD_CONFIG",
        default_value = "/etc/rekeyd/rekeyd.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    /// Whether somebody named that file, on the command line or in the environment.
    #[arg(skip)]
    named: bool,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Print nothing but problems.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// The control socket of the daemon; else as configured.
    #[arg(long, global = true, env = "REKEYD_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Which credentials: all, those of a tenant, or one.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// A tenant, or one of its credentials as `tenant/credential`; everything if left out.
    #[arg(value_name = "T[/C]")]
    which: Option<String>,
}

impl Which {
    /// Whether `id` is meant.
    fn matches(&self, id: &crate::domain::names::CredentialId) -> bool {
        self.which.as_ref().is_none_or(|which| *which == id.to_string() || *which == id.tenant.as_str())
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon.
    Run(run::Run),
    /// Read the configuration and name every problem at once.
    CheckConfig(check::CheckConfig),
    /// Stage, age, next rotation, evidence, and what needs a person.
    Status(Which),
    /// What would happen now and why; read-only calls only.
    Plan(Which),
    /// Why it has not rotated yet: the next look, and each gate.
    Explain(tell::One),
    /// The calendar of coming rotations; --ical for calendar programs.
    Forecast(forecast::Forecasting),
    /// Subaccounts without a tenant (SAP Cloud Management), and keys that nobody manages; read-only calls only.
    Discover(discover::Discover),
    /// Fetch a token with every key, and say which work.
    Probe(Which),
    /// The journal, readable.
    History(tell::History),
    /// Exit 0 if a rotation is due, 1 if not, 2 for an unknown credential, 255 if it cannot be told.
    NeedsRotation(tell::Needs),
    /// Ask the running daemon to rotate.
    Rotate(rotate::Rotate),
    /// Go back to the old keys during the soak.
    Restore(ask::Restore),
    /// Forbid rotation and retirement of a credential.
    Hold(ask::Hold),
    /// Lift a hold.
    Unhold(tell::One),
    /// End a halt, of one credential or of the fleet, and try again.
    Resume(ask::Resume),
    /// "I updated it by hand": ends a halt that waits for a person's hand.
    Confirm(tell::One),
    /// Tell the data space of a connector; shows what is sent, and asks.
    Register(onboard::Register),
    /// Ask the data space to provision, and follow that to its end.
    Provision(onboard::Provision),
    /// Ask the daemon to read its configuration again; non-zero if it refuses.
    Reload,
    /// Look at clock, permissions, network, systemd, journal and daemon, with advice.
    Diagnose,
    /// The journal's hash chain.
    #[command(subcommand)]
    Audit(tell::Audit),
    /// Completions for a shell.
    Completions(pages::Completions),
    /// The manual, for `man`.
    Man(pages::Manual),
    /// The JSON Schema of a configuration file, for editors.
    Schema(pages::Schema),
}

impl Verb {
    /// Whether it is a daemon that it asks first of all.
    fn asks_the_daemon(&self) -> bool {
        // These read the whole configuration, or none, and say themselves what is wrong with it.
        !matches!(
            self,
            Self::Run(_)
                | Self::CheckConfig(_)
                | Self::Diagnose
                | Self::NeedsRotation(_)
                | Self::Audit(_)
                | Self::Completions(_)
                | Self::Man(_)
                | Self::Schema(_)
                | Self::Register(_)
                | Self::Provision(_)
        )
    }
}

/// Reads the command line and does what it says.
pub fn main() -> Exit {
    let read = Command::command().try_get_matches();
    let command = read.and_then(|matches| {
        let mut command = Command::from_arg_matches(&matches)?;
        let source = matches.value_source("config");
        command.common.named = !matches!(source, None | Some(ValueSource::DefaultValue));
        remember(&command, &matches);
        Ok(command)
    });
    let command = match command {
        Ok(command) => command,
        Err(problem) => return refused(problem),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => return fail(Exit::Failed, &format!("the runtime cannot start: {problem}")),
    };
    let exit = runtime.block_on(dispatch(command));
    // What hangs in a blocking call must not keep the process.
    runtime.shutdown_background();
    exit
}

/// What cannot be read, and what is no mistake: help and version.
fn refused(mut problem: clap::Error) -> Exit {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let is_mistake = problem.use_stderr();
    if is_mistake {
        mistakes::explain(&mut problem, &words);
    }
    let _ = problem.print();
    // A predicate must not take a typing error for a verdict.
    let is_predicate = words.get(1).is_some_and(|verb| verb == "needs-rotation");
    match is_mistake {
        false => Exit::Done,
        true if is_predicate => Exit::Unknown,
        true => Exit::Usage,
    }
}

/// What the person said where the daemon is, for the commands that are shown to people.
fn remember(command: &Command, matches: &clap::ArgMatches) {
    let is_of_tables = matches!(command.verb, Verb::Completions(_) | Verb::Man(_) | Verb::Schema(_));
    if command.common.json || is_of_tables {
        return;
    }
    let is_said = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
    let config = is_said("config").then_some(command.common.config.as_path());
    let socket = command.common.socket.as_deref().filter(|_| is_said("socket"));
    out::remember(config, socket, &command.common);
}

async fn dispatch(command: Command) -> Exit {
    let common = command.common;
    if command.verb.asks_the_daemon()
        && let Err(exit) = client::Daemon::is_named_well(&common)
    {
        return exit;
    }
    match command.verb {
        Verb::Run(run) => run::run(&common, &run).await,
        Verb::CheckConfig(check) => check::check(&common, &check).await,
        Verb::Status(which) => tell::status(&common, &which).await,
        Verb::Plan(which) => tell::plan(&common, &which).await,
        Verb::Explain(one) => tell::explain(&common, &one).await,
        Verb::Forecast(forecasting) => forecast::forecast(&common, &forecasting).await,
        Verb::Discover(asked) => discover::discover(&common, &asked).await,
        Verb::Probe(which) => probe::probe(&common, &which).await,
        Verb::History(history) => tell::history(&common, &history).await,
        Verb::NeedsRotation(needs) => tell::needs_rotation(&common, &needs).await,
        Verb::Rotate(rotate) => rotate::rotate(&common, &rotate).await,
        Verb::Restore(restore) => ask::restore(&common, &restore).await,
        Verb::Hold(hold) => ask::hold(&common, &hold).await,
        Verb::Unhold(one) => ask::plain(&common, &one, crate::domain::event::Wish::Unhold).await,
        Verb::Resume(resume) => ask::resume(&common, &resume).await,
        Verb::Confirm(one) => ask::plain(&common, &one, crate::domain::event::Wish::Confirm).await,
        Verb::Register(register) => onboard::register(&common, &register).await,
        Verb::Provision(provision) => onboard::provision(&common, &provision).await,
        Verb::Reload => ask::reload(&common).await,
        Verb::Diagnose => diagnose::diagnose(&common).await,
        Verb::Audit(audit) => tell::audit(&common, &audit).await,
        Verb::Completions(asked) => pages::completions(&asked),
        Verb::Man(asked) => pages::man(&common, &asked),
        Verb::Schema(asked) => pages::schema(&asked),
    }
}

/// Says on stderr what went wrong.
fn fail(exit: Exit, text: &str) -> Exit {
    eprintln!("rekeyd: {text}");
    exit
}
