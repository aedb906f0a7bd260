//! The real process, wrapped in what a test needs around it.

use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rekeyd::clock::{Clock as _, SystemClock};

/// What goes before the program on its command line, and its environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wrap {
    pub(crate) before: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
}

impl Wrap {
    /// `strace` with these options. `-D` keeps the program the child of this process.
    pub(crate) fn strace(options: impl IntoIterator<Item = String>) -> Self {
        let fixed = ["strace", "-D", "-f", "-qq"].map(str::to_owned);
        Self { before: fixed.into_iter().chain(options).collect(), ..Self::default() }
    }
}

/// `rekeyd run`, running. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    ended: Option<ExitStatus>,
    /// Where it writes; shared by all processes of one configuration, in order.
    pub(crate) log: PathBuf,
}

impl Process {
    /// Starts it on a configuration. Its log goes beside the configuration and grows from start to start.
    pub(crate) fn start(config: &Path, wrap: &Wrap) -> Self {
        Self::start_with(config, wrap, &[])
    }

    /// One round of it.
    pub(crate) fn once(config: &Path) -> Self {
        Self::start_with(config, &Wrap::default(), &["--once"])
    }

    fn start_with(config: &Path, wrap: &Wrap, arguments: &[&str]) -> Self {
        let log = config.with_extension("log");
        let file = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let words = wrap.before.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_rekeyd"), "run"]);
        let words: Vec<&str> = words.collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(arguments).arg("--config").arg(config).env("NO_COLOR", "1");
        command.envs(wrap.variables.iter().map(|(name, value)| (name, value)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        Self { child: child.expect("the program starts"), ended: None, log }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        // It may have ended just now; then nobody needs the signal.
        let _ = Command::new("kill").args(["-s", name, &pid]).stderr(Stdio::null()).status();
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.ended = self.ended.or(self.child.try_wait().expect("a child of ours can be asked"));
        self.ended
    }

    /// Waits for its end, however long that takes: whether it succeeded.
    pub(crate) fn success(&mut self) -> bool {
        self.child.wait().expect("a child of ours can be waited for").success()
    }

    /// Whether a SIGKILL ended it.
    pub(crate) fn was_killed(&mut self) -> bool {
        self.ended().is_some_and(|status| status.signal() == Some(9))
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self, within: Duration) -> Result<ExitStatus, String> {
        let clock = SystemClock::new();
        while clock.monotonic() < within {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
        Err(format!("the process does not end\n{}", self.tail()))
    }

    /// SIGTERM, and its end with success.
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        self.signal("TERM");
        let status = self.wait(Duration::from_secs(45)).await?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}\n{}", self.tail())) }
    }

    /// The end of the log.
    pub(crate) fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
