//! Sockets that systemd opened and passes (`sd_listen_fds(3)`): `FileDescriptorName=web` for the pages, `probe` for the
//! probes. One without a name is for the pages.

use std::io;

use listenfd::ListenFd;
use tokio::net::TcpListener;

/// What was passed.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Passed {
    /// For the pages.
    pub(in crate::daemon) web: Option<TcpListener>,
    /// For the probes.
    pub(in crate::daemon) probe: Option<TcpListener>,
}

/// Takes what was passed to this process.
pub(in crate::daemon) fn take() -> io::Result<Passed> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut fds = ListenFd::from_env();
    let mut passed = Passed::default();
    for number in 0..fds.len() {
        let name = names.split(':').nth(number).unwrap_or_default();
        let place = match name {
            "probe" => &mut passed.probe,
            // The name of a unit is what systemd gives where nobody named it.
            "" | "unknown" | "web" => &mut passed.web,
            unit if unit.ends_with(".socket") => &mut passed.web,
            other => {
                let text = format!("it is called `{other}`, and may be called `web` or `probe`");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        let Some(listener) = fds.take_tcp_listener(number)? else { continue };
        if place.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "two of them are for the same pages"));
        }
        listener.set_nonblocking(true)?;
        *place = Some(TcpListener::from_std(listener)?);
    }
    Ok(passed)
}
