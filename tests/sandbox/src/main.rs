//! The sandbox as a process: one JSON line with its addresses when it is ready, then it plays until SIGTERM.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sap_sandbox::scenario::Scenario;
use sap_sandbox::{Addresses, Sandbox};
use tokio::signal::unix::{SignalKind, signal};

/// Stands in for SAP: the documented shapes over real HTTP, hostile when asked, with books to judge by.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The scenario to play (TOML)
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
    /// Where to listen for plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to listen for HTTPS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen_tls: SocketAddr,
    /// Where to listen for the admin API
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    admin: SocketAddr,
    /// Answers as documented, at once, whatever the scenario says
    #[arg(long)]
    kind: bool,
    /// Refuses unknown request fields, missing headers and paths of API v2
    #[arg(long)]
    strict: bool,
    /// Takes the place of the scenario's seed
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Where to write service keys, the password, guids and the CA
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sap-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let text = std::fs::read_to_string(&arguments.scenario)
        .map_err(|error| format!("{}: {error}", arguments.scenario.display()))?;
    let scenario =
        Scenario::parse(&text).map_err(|error| format!("{}: {error}", arguments.scenario.display()))?;
    let scenario = adjusted(scenario, &arguments);
    let addresses = Addresses { http: arguments.listen, https: arguments.listen_tls, admin: arguments.admin };
    let sandbox = Sandbox::start_at(scenario, addresses).await?;
    if let Some(directory) = &arguments.out {
        sandbox.write_files(directory)?;
    }
    let ready = serde_json::json!({
        "http": sandbox.http_base, "https": sandbox.https_base, "admin": sandbox.admin_base,
        "cloud_foundry_api": format!("{}/cf", sandbox.https_base), "out": arguments.out,
    });
    println!("{ready}");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The scenario as the command line wants it.
fn adjusted(scenario: Scenario, arguments: &Arguments) -> Scenario {
    let strict = scenario.strict || arguments.strict;
    let seed = arguments.seed.unwrap_or(scenario.seed);
    let scenario = Scenario { strict, seed, ..scenario };
    if arguments.kind { scenario.kindly() } else { scenario }
}
