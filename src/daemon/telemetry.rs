//! Where logs and traces go, from the first line to the last span.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Fatal, assembly};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::daemon::LogFormat;
use crate::http::otlp::Collector;
use crate::logging::{self, Filter};
use crate::metrics::Metrics;
use crate::traces::{self, Ended, Sender};

/// What is left at the end is sent within this time, or lost.
const LAST: Duration = Duration::from_secs(3);

/// The task that sends traces, where there is a collector.
pub(super) struct Traces {
    task: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

/// Starts logging, and with it the traces.
pub(super) fn start(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<(Filter, Traces), Fatal> {
    let endpoint = config.daemon.otlp_endpoint.as_ref();
    let (spans, ended) = endpoint.map(|_| traces::spans(Arc::clone(clock))).unzip();
    let counted = Arc::clone(metrics);
    let format = match config.daemon.log_format {
        LogFormat::Auto => logging::Format::Auto,
        LogFormat::Text => logging::Format::Text,
        LogFormat::Logfmt => logging::Format::Logfmt,
        LogFormat::Json => logging::Format::Json,
    };
    let count = Arc::new(move |class| counted.logged(class));
    let filter = logging::start(&config.daemon.log_level, format, count, spans)
        .map_err(|problem| Fatal::Config(format!("logging cannot start: {problem}")))?;
    let stop = CancellationToken::new();
    let sender = endpoint.zip(ended).map(|(endpoint, ended)| sender(config, endpoint, ended));
    let task = match sender {
        None => None,
        Some(Ok(sender)) => Some(tokio::spawn(sender.run(Arc::clone(clock), stop.clone()))),
        Some(Err(problem)) => {
            // Keys are rotated with traces and without.
            warn!(problem, "no traces are sent: the way to the collector cannot be made");
            None
        }
    };
    Ok((filter, Traces { task, stop }))
}

fn sender(config: &Config, endpoint: &str, ended: Ended) -> Result<Sender, String> {
    let collector =
        Collector::new(assembly::settings(&config.daemon)).map_err(|problem| problem.to_string())?;
    let url = format!("{endpoint}/v1/traces");
    Sender::new(ended, &url, &config.daemon.instance, collector).map_err(|problem| problem.to_string())
}

impl Traces {
    /// Sends what is left.
    pub(super) async fn finish(self, clock: &dyn Clock) {
        let Some(task) = self.task else { return };
        self.stop.cancel();
        tokio::select! {
            _ = task => {}
            () = clock.sleep(LAST) => {}
        }
    }
}
