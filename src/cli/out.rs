//! What the commands print. Where the reader has gone, as behind `head`, there is nobody left to say anything to: the
//! program ends, without a word and as if all had been read.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// Writes to standard output; whoever follows on a terminal sees it at once.
pub(super) fn write(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(problem) if problem.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        // A full disk, say: what was asked for is done, only nobody can read of it here.
        Err(problem) => eprintln!("rekeyd: cannot print: {problem}"),
        Ok(()) => {}
    }
}

macro_rules! print {
    ($($text:tt)*) => { $crate::cli::out::write(format_args!($($text)*)) };
}

macro_rules! println {
    ($($text:tt)*) => { $crate::cli::out::write(format_args!("{}\n", format_args!($($text)*))) };
}
