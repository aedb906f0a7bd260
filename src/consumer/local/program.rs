//! Running the operator's programs: no shell, nothing secret in arguments or environment, an end in any case.

use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::config::tenant::Program;
use crate::domain::failure::{Class, Failure};
use crate::http::redact;
use crate::secret::Secret;

/// What is kept of what a program says.
const OUTPUT_LIMIT: u64 = 4 << 10;

/// What is shown of it.
const SHOWN: usize = 200;

/// The environment of a program: its own, and a path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs it; an exit code other than 0 is a failure. `input` goes to its standard input.
pub(super) async fn run(program: &Program, what: &str, input: Option<&Secret>) -> Result<(), Failure> {
    try_run(program, what, input)
        .await?
        .map_err(|why| Failure::new(Class::ServerError, format!("`{what}` {why}")).ambiguous())
}

/// Runs it: whether it exits with 0, and what it said where it does not. `Err` where it could not be seen to its end.
pub(super) async fn try_run(
    program: &Program,
    what: &str,
    input: Option<&Secret>,
) -> Result<Result<(), String>, Failure> {
    let mut child = start(program, what)?;
    let group = Group(child.id());
    match timeout(program.timeout, end(&mut child, group, input)).await {
        Ok(Ok((status, said))) => Ok(judge(status, &said, input)),
        Ok(Err(error)) => {
            let text = format!("`{what}`: `{}` cannot be waited for: {error}", program.path.display());
            Err(Failure::new(Class::ServerError, text).ambiguous())
        }
        Err(_) => {
            let limit = humantime::format_duration(program.timeout);
            let text = format!("`{what}`: `{}` did not end within {limit}", program.path.display());
            Err(Failure::new(Class::Timeout, text).ambiguous())
        }
    }
}

fn start(program: &Program, what: &str) -> Result<Child, Failure> {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).env_clear().env("PATH", PATH).current_dir("/").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().map_err(|error| {
        let text = format!("`{what}`: `{}` cannot be started: {error}", program.path.display());
        Failure::new(Class::ServerError, text)
    })
}

/// The processes of one program, which end when this does.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // Mostly there is nobody left.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// Feeds it, listens to it, and waits for it. Its output is read to the end, so that it never waits for a reader.
async fn end(
    child: &mut Child,
    group: Group,
    input: Option<&Secret>,
) -> std::io::Result<(ExitStatus, String)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A program that does not read it ends with whatever it thinks right.
            let _ = stdin.write_all(input.expose().as_bytes()).await;
        }
    };
    let ended = async {
        let status = child.wait().await;
        // Whatever it left behind goes with it, and nobody listens for that.
        drop(group);
        status
    };
    let ((), said, complained, status) = tokio::join!(feed, listen(stdout), listen(stderr), ended);
    let said = if complained.trim().is_empty() { said } else { complained };
    Ok((status?, said))
}

async fn listen(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut said = Vec::new();
    let _ = (&mut stream).take(OUTPUT_LIMIT).read_to_end(&mut said).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&said).into_owned()
}

/// Whether it went well, else why not: the exit and the last line it said, with nothing secret in it.
fn judge(status: ExitStatus, said: &str, input: Option<&Secret>) -> Result<(), String> {
    if status.success() {
        return Ok(());
    }
    let line = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    // Who repeats what it was given is quoted with nothing at all.
    let repeats =
        input.is_some_and(|input| line.split_whitespace().any(|word| is_part(input.expose(), word)));
    let line = if repeats { String::new() } else { redact::shorten(&redact::mask(line), SHOWN) };
    let ended = format!("ended with {status}");
    Err(if line.is_empty() { ended } else { format!("{ended}: {line}") })
}

/// Whether `word` may have come from the secret.
fn is_part(secret: &str, word: &str) -> bool {
    word.len() >= 8 && secret.contains(word)
}
