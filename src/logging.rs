//! Where events go: journald with their fields, or stderr as text, logfmt or JSON; with a filter that a reload can change.

mod journald;

use std::io::IsTerminal;
use std::sync::Arc;

use journald::Journald;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::traces::Spans;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// journald's own protocol where stderr goes there, text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// `key=value` pairs, a line each.
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// Who counts the lines.
pub type Count = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Changes the filter while the daemon runs.
pub struct Filter(reload::Handle<EnvFilter, Registry>);

impl Filter {
    /// Takes a new filter, for example `info,rekeyd=debug`.
    pub fn change(&self, filter: &str) -> Result<(), String> {
        let filter = parse(filter)?;
        self.0.reload(filter).map_err(|problem| problem.to_string())
    }
}

/// What libraries say below these levels is of no use to an operator. A filter that names them wins.
const LIBRARIES: &str =
    "tokio_cron_scheduler=warn,hyper_util=info,reqwest=info,rustls=info,rustls_platform_verifier=info";

/// Reads a filter; `Err` says what is wrong with it.
pub fn parse(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(format!("{LIBRARIES},{filter}")).map_err(|problem| problem.to_string())
}

struct Counter(Count);

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level == Level::ERROR {
            (self.0)("error");
        } else if level == Level::WARN {
            (self.0)("warn");
        } else if level == Level::INFO {
            (self.0)("info");
        }
    }
}

/// Starts logging, once in the life of a process; `spans` keeps what a collector is told.
pub fn start(filter: &str, format: Format, count: Count, spans: Option<Spans>) -> Result<Filter, String> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let registry = tracing_subscriber::registry().with(filter).with(Counter(count)).with(spans);
    let journald = if format == Format::Auto { Journald::of_stderr() } else { None };
    let terminal = std::io::stderr().is_terminal();
    let result = if let Some(journald) = journald {
        registry.with(journald).try_init()
    } else if format == Format::Text || (format == Format::Auto && terminal) {
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        registry
            .with(fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false))
            .try_init()
    } else if format == Format::Logfmt {
        let pairs = tracing_logfmt::builder().with_target(false).layer();
        registry.with(pairs.with_writer(std::io::stderr)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    };
    result.map_err(|problem| problem.to_string())?;
    Ok(Filter(handle))
}
