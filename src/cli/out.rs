//! What the commands print. Where the reader has gone, as behind `head`, there is nobody left to say anything to: the
//! program ends, without a word and as if all had been read.
//!
//! Whoever names a file or a socket on the command line is shown commands that name them as well, so that what is shown
//! works when it is pasted.

use std::borrow::Cow;
use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::OnceLock;

/// What stands behind `rekeyd` in every command that is shown.
static GIVEN: OnceLock<String> = OnceLock::new();

/// Remembers what the person said where the daemon is, for every command that is shown from here on.
pub(super) fn remember(config: Option<&Path>, socket: Option<&Path>) {
    let words = [("-c", config), ("--socket", socket)];
    let words: Vec<String> =
        words.into_iter().filter_map(|(flag, path)| Some(format!("{flag} {}", quoted(path?)))).collect();
    if !words.is_empty() {
        // It is said once, when the command line is read.
        let _ = GIVEN.set(words.join(" "));
    }
}

/// A path as a word of shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@:,".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// `text` with what the person said in every command of ours that stands in it.
fn adapted<'a>(text: &'a str, given: Option<&String>) -> Cow<'a, str> {
    let Some(given) = given else { return Cow::Borrowed(text) };
    let text = text.replace("`rekeyd ", &format!("`rekeyd {given} "));
    Cow::Owned(text.replace("-u rekeyd rekeyd ", &format!("-u rekeyd rekeyd {given} ")))
}

/// Writes to standard output; whoever follows on a terminal sees it at once.
pub(super) fn write(text: Arguments<'_>) {
    let text = text.to_string();
    let mut out = std::io::stdout().lock();
    match out.write_all(adapted(&text, GIVEN.get()).as_bytes()).and_then(|()| out.flush()) {
        Err(problem) if problem.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        // A full disk, say: what was asked for is done, only nobody can read of it here.
        Err(problem) => std::eprintln!("rekeyd: cannot print: {problem}"),
        Ok(()) => {}
    }
}

/// Writes a line to standard error.
pub(super) fn write_error(text: Arguments<'_>) {
    let line = format!("{}\n", adapted(&text.to_string(), GIVEN.get()));
    // Whoever has stopped reading is told nothing, and the exit code says the rest.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

macro_rules! print {
    ($($text:tt)*) => { $crate::cli::out::write(format_args!($($text)*)) };
}

macro_rules! println {
    ($($text:tt)*) => { $crate::cli::out::write(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::out::write_error(format_args!($($text)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_pasted() {
        let given = "-c etc/a.toml".to_owned();
        let check = |text, expected: &str| assert_eq!(adapted(text, Some(&given)), expected);
        check("see `rekeyd status`; group `rekeyd`", "see `rekeyd -c etc/a.toml status`; group `rekeyd`");
        check("`sudo -u rekeyd rekeyd diagnose`", "`sudo -u rekeyd rekeyd -c etc/a.toml diagnose`");
        assert_eq!(adapted("`rekeyd status`", None), "`rekeyd status`");
    }

    #[test]
    fn a_path_is_one_word() {
        let check = |path: &str, expected| assert_eq!(quoted(Path::new(path)), expected);
        check("etc/rekeyd.toml", "etc/rekeyd.toml");
        check("my files/it's.toml", r"'my files/it'\''s.toml'");
    }
}
