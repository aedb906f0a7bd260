//! What the commands print. Where the reader has gone, as behind `head`, there is nobody left to say anything to: the
//! program ends, without a word and as if all had been read.
//!
//! Whoever names a file or a socket on the command line is shown commands that name them as well, so that what is shown
//! works when it is pasted; and where the daemon is another user's than the package's, commands that name that one.

use std::borrow::Cow;
use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::OnceLock;

use super::Common;
use super::client::Daemon;
use super::whose::Whose;
use crate::config::load::load_daemon;

/// What stands behind `rekeyd` in every command that is shown.
static GIVEN: OnceLock<String> = OnceLock::new();

/// Where the daemon is looked for.
static ASKED: OnceLock<Common> = OnceLock::new();

/// Remembers where the daemon is, and what the person said of that, for every command that is shown from here on.
pub(super) fn remember(config: Option<&Path>, socket: Option<&Path>, common: &Common) {
    let _ = ASKED.set(common.clone());
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

/// `text` with what the person said in every command of ours that stands in it, and the daemon's own user and group in those that
/// are run as somebody else.
fn adapted<'a>(text: &'a str, given: Option<&String>, whose: impl FnOnce() -> Option<Whose>) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    if let Some(given) = given {
        let own = text.replace("`rekeyd ", &format!("`rekeyd {given} "));
        text = Cow::Owned(own.replace("-u rekeyd rekeyd ", &format!("-u rekeyd rekeyd {given} ")));
    }
    if !text.contains(AS_USER) && !text.contains(TO_GROUP) {
        return text;
    }
    let Some(Whose { user, group, .. }) = whose() else { return text };
    let text = text.replace(AS_USER, &format!("`sudo -u {user} "));
    Cow::Owned(text.replace(TO_GROUP, &format!("`chgrp {group} ")))
}

/// What names the package's user, and its group, in the texts of the program.
const AS_USER: &str = "`sudo -u rekeyd ";
const TO_GROUP: &str = "`chgrp rekeyd ";

/// Whose the daemon is: its socket tells, or where it does not run its state directory.
fn whose() -> Option<Whose> {
    let common = ASKED.get()?;
    let of_state = || {
        let daemon = load_daemon(&common.config, &crate::daemon::environment()).ok()?;
        Whose::of(&daemon.state_dir)
    };
    Whose::of(&Daemon::of(common).path).or_else(of_state)
}

/// Writes to standard output; whoever follows on a terminal sees it at once.
pub(super) fn write(text: Arguments<'_>) {
    let text = text.to_string();
    let mut out = std::io::stdout().lock();
    match out.write_all(adapted(&text, GIVEN.get(), whose).as_bytes()).and_then(|()| out.flush()) {
        Err(problem) if problem.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        // A full disk, say: what was asked for is done, only nobody can read of it here.
        Err(problem) => std::eprintln!("rekeyd: cannot print: {problem}"),
        Ok(()) => {}
    }
}

/// Writes a line to standard error.
pub(super) fn write_error(text: Arguments<'_>) {
    let line = format!("{}\n", adapted(&text.to_string(), GIVEN.get(), whose));
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
        let check = |text, expected: &str| assert_eq!(adapted(text, Some(&given), || None), expected);
        check("see `rekeyd status`; group `rekeyd`", "see `rekeyd -c etc/a.toml status`; group `rekeyd`");
        check("`sudo -u rekeyd rekeyd diagnose`", "`sudo -u rekeyd rekeyd -c etc/a.toml diagnose`");
        assert_eq!(adapted("`rekeyd status`", None, || None), "`rekeyd status`");
    }

    #[test]
    fn the_user_and_the_group_are_the_daemons_own() {
        let given = "-c etc/a.toml".to_owned();
        let whose = || Some(Whose { user: "svc".to_owned(), group: "ops".to_owned(), admits: true });
        let text = "run `chgrp rekeyd a; chmod 640 a`; else `sudo -u rekeyd rekeyd …`";
        let expected = "run `chgrp ops a; chmod 640 a`; else `sudo -u svc rekeyd -c etc/a.toml …`";
        assert_eq!(adapted(text, Some(&given), whose), expected);
        assert_eq!(adapted(text, None, || None), text);
        let nobody = || panic!("nobody is looked for where nobody is named");
        assert_eq!(adapted("the group `rekeyd`", None, nobody), "the group `rekeyd`");
    }

    #[test]
    fn a_path_is_one_word() {
        let check = |path: &str, expected| assert_eq!(quoted(Path::new(path)), expected);
        check("etc/rekeyd.toml", "etc/rekeyd.toml");
        check("my files/it's.toml", r"'my files/it'\''s.toml'");
    }
}
