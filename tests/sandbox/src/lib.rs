//! SAP's place in tests and demos is taken by this crate. A request goes from `listen` to `serve`, which
//! judges it for faults and lets `api` answer it from the `world`, where the books are made up.
#![doc = include_str!("../README.md")]

pub mod scenario;

pub mod world;

pub mod faults;
pub mod holds;
pub mod request;

mod admin;
mod api;
mod elsewhere;
pub mod files;
mod hostility;
mod listen;
mod reply;
mod scramble;
mod serve;
mod spoil;
mod tls;

mod chance;
mod clock;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::files::TenantAccess;
use crate::holds::{Held, Release};
use crate::scenario::Scenario;
use crate::serve::Shared;
use crate::world::books::{Books, Call};
use crate::world::change::Change;
use crate::world::portal::TechnicalUser;
use crate::world::{Bases, World};

/// Where to listen. The default is any free port on the loopback interface.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Plain HTTP.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
}

impl Default for Addresses {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { http: any, https: any, admin: any }
    }
}

/// A running sandbox. It ends when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    /// `http://127.0.0.1:…`; the Cloud Foundry API is at `/cf` below it.
    pub http_base: String,
    /// The same over TLS.
    pub https_base: String,
    /// Another host, where no client has any business.
    pub elsewhere_base: String,
    /// The admin port.
    pub admin_base: String,
    /// The certificate authority of this run.
    pub ca_pem: String,
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a sandbox on free ports.
    pub async fn start(scenario: Scenario) -> io::Result<Self> {
        Self::start_at(scenario, Addresses::default()).await
    }

    /// Starts a sandbox on these addresses.
    pub async fn start_at(scenario: Scenario, addresses: Addresses) -> io::Result<Self> {
        let plain = TcpListener::bind(addresses.http).await?;
        let tls = TcpListener::bind(addresses.https).await?;
        let admin = TcpListener::bind(addresses.admin).await?;
        let elsewhere = TcpListener::bind(Addresses::default().https).await?;
        let bases = Bases {
            http: format!("http://{}", plain.local_addr()?),
            https: format!("https://{}", tls.local_addr()?),
            // Another name and another port: another host by every measure.
            elsewhere: format!("https://localhost:{}", elsewhere.local_addr()?.port()),
        };
        let admin_base = format!("http://{}", admin.local_addr()?);

        let authority = tls::Authority::new().map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::from(authority.server_config().map_err(io::Error::other)?);
        let world = World::new(scenario, bases.clone(), &authority).map_err(io::Error::other)?;
        let shared = Arc::new(Shared::new(world));
        let kinds = [
            (plain, listen::Kind::Plain),
            (tls, listen::Kind::Tls(acceptor.clone())),
            (elsewhere, listen::Kind::Elsewhere(acceptor)),
            (admin, listen::Kind::Admin),
        ];
        let accept = |(listener, kind)| tokio::spawn(listen::accept(listener, kind, Arc::clone(&shared)));
        let listeners = kinds.into_iter().map(accept).collect();
        Ok(Self {
            http_base: bases.http,
            https_base: bases.https,
            elsewhere_base: bases.elsewhere,
            admin_base,
            ca_pem: authority.pem(),
            shared,
            listeners,
        })
    }

    /// The books at this moment.
    pub fn books(&self) -> Books {
        self.shared.world().books()
    }

    /// The calls after number `since`.
    pub fn calls(&self, since: u64) -> Vec<Call> {
        self.shared.world().calls.iter().filter(|call| call.seq > since).cloned().collect()
    }

    /// Adds a fault; returns its number.
    pub fn inject(&self, rule: faults::Rule) -> u64 {
        self.shared.rules().add(rule)
    }

    /// Removes all injected faults.
    pub fn clear_faults(&self) {
        self.shared.rules().clear();
    }

    /// The sandbox's time: the machine's, moved forward by hand.
    pub fn now(&self) -> DateTime<Utc> {
        self.shared.world().now()
    }

    /// Moves the sandbox's clock forward; backward it never goes.
    pub fn advance(&self, by: TimeDelta) {
        self.shared.world().move_clock(by);
    }

    /// What is held right now.
    pub fn held(&self) -> Vec<Held> {
        self.shared.holds.all()
    }

    /// Waits until so many requests are held at once.
    pub async fn wait_held(&self, count: usize) {
        self.shared.holds.at_least(count).await;
    }

    /// Lets one held request go on; false when it is not there.
    pub fn release(&self, id: u64, how: Release) -> bool {
        self.shared.holds.release(Some(id), how) > 0
    }

    /// Lets everything go on; returns how many there were.
    pub fn release_all(&self) -> usize {
        self.shared.holds.release(None, Release::Continue)
    }

    /// Changes the world by hand.
    pub fn change(&self, change: Change) -> Result<(), String> {
        self.shared.world().change(change)
    }

    /// Every PUT body that arrived for a tenant, with its secrets, and whether it was accepted.
    pub fn put_bodies(&self, tenant: &str) -> Vec<(Value, bool)> {
        self.shared
            .world()
            .tenants
            .get(tenant)
            .map(|tenant| tenant.consumer.bodies.clone())
            .unwrap_or_default()
    }

    /// The technical users of a tenant at its portal, those that are gone among them.
    pub fn technical_users(&self, tenant: &str) -> Vec<TechnicalUser> {
        self.shared.world().technical_users(tenant)
    }

    /// A person resets the secret of a technical user; false when there is none.
    pub fn reset_by_hand(&self, tenant: &str, user: &str) -> bool {
        self.shared.world().reset_by_hand(tenant, user)
    }

    /// What a client has to know of a tenant.
    pub fn access(&self, tenant: &str) -> Option<TenantAccess> {
        self.shared.world().access(tenant)
    }

    /// Writes what clients have to know into a directory; see the module [`files`].
    pub fn write_files(&self, directory: &Path) -> io::Result<()> {
        let (password, central_key, tenants) = {
            let world = self.shared.world();
            let tenants: Vec<TenantAccess> = world.tenants.keys().filter_map(|id| world.access(id)).collect();
            (world.login.password.clone(), world.central_key(), tenants)
        };
        files::write(directory, &self.ca_pem, &password, &central_key, &tenants)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
        self.shared.holds.release(None, Release::Drop);
    }
}
