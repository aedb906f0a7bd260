//! A question to a person before something that cannot be taken back.

use std::io::{BufRead, IsTerminal, Write};

/// Whether there is a terminal to ask on.
pub(super) fn is_possible() -> bool {
    std::io::stdin().is_terminal()
}

/// Whether a person on a terminal answers `question` with one of `yes`. Without a terminal nobody does.
pub(super) fn asked(question: &str, yes: &[&str]) -> bool {
    if !is_possible() {
        return false;
    }
    std::eprint!("{question}");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && yes.contains(&answer.trim())
}
