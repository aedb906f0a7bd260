//! The services behind the endpoints: each has a clock of its own, and each counts its callers for itself.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::World;
use crate::request::{Endpoint, Request, value};

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    /// The root links: no login, no limit.
    Root,
    /// The Cloud Foundry API.
    CloudFoundry,
    /// SAP Service Manager.
    Manager,
    /// The login server of Cloud Foundry.
    Uaa,
    /// The token services of the tenants.
    Xsuaa,
    /// Data Space Integration.
    DataSpace,
    /// The portal of the data space, and the token services beside it.
    Portal,
    /// Cloud Integration, API and runtime.
    Integration,
    /// Cloud Management.
    Cis,
}

/// Who asks whom: the unit of pauses and limits.
pub(crate) type Caller = (Service, String);

impl Service {
    /// The service of an endpoint.
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Root | Endpoint::Nowhere => Self::Root,
            Endpoint::UaaToken | Endpoint::UserInfo => Self::Uaa,
            Endpoint::XsuaaToken { .. } => Self::Xsuaa,
            Endpoint::PutCredentials(_)
            | Endpoint::ReadCredentials(_)
            | Endpoint::StartDataplane(_)
            | Endpoint::GetDataplane(_)
            | Endpoint::Register(_) => Self::DataSpace,
            Endpoint::Artifacts(_) | Endpoint::Runtime(_) => Self::Integration,
            Endpoint::Portal { .. } => Self::Portal,
            Endpoint::Account | Endpoint::Subaccounts | Endpoint::Environments => Self::Cis,
            Endpoint::ListManaged
            | Endpoint::CreateManaged
            | Endpoint::GetManaged(_)
            | Endpoint::DeleteManaged(_)
            | Endpoint::Managed { .. } => Self::Manager,
            _ => Self::CloudFoundry,
        }
    }
}

impl World {
    /// Who asks: the owner of the token, or who wants one. `None` where nobody can tell.
    pub(crate) fn caller(&self, endpoint: &Endpoint, request: &Request) -> Option<Caller> {
        let service = Service::of(endpoint);
        let who = match service {
            Service::Root => "anybody".to_owned(),
            Service::Uaa => self.login.user.clone(),
            Service::Xsuaa => value(&request.form(), "client_id")?.to_owned(),
            Service::CloudFoundry
            | Service::Manager
            | Service::DataSpace
            | Service::Integration
            | Service::Portal
            | Service::Cis => self.tokens.owner(request.bearer()?)?,
        };
        Some((service, who))
    }

    /// What the clock of a service says. In the hostile modes each is off by something, the same all the time.
    pub(crate) fn their_time(&self, service: Service) -> DateTime<Utc> {
        self.now() + self.skew(service)
    }

    /// An instant as a service would write it down.
    pub(crate) fn as_told_by(&self, service: Service, at: DateTime<Utc>) -> DateTime<Utc> {
        at + self.skew(service)
    }

    fn skew(&self, service: Service) -> TimeDelta {
        if !self.began_hostile {
            return TimeDelta::zero();
        }
        let most = self.paced(f64::from(self.scenario.waits.skew_seconds));
        let most = i64::try_from(most.as_millis()).unwrap_or_default();
        let drawn = self.chance.of(&format!("skew/{service:?}")) % (2 * most.unsigned_abs() + 1);
        TimeDelta::milliseconds(i64::try_from(drawn).unwrap_or_default() - most)
    }

    /// So many seconds of SAP's at the pace of the scenario.
    pub(crate) fn paced(&self, seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds * self.scenario.pace).unwrap_or_default()
    }

    /// A span from zero to so many seconds of SAP's, drawn anew each time.
    pub(crate) fn some_of(&mut self, question: &str, seconds: u32) -> TimeDelta {
        let most = self.paced(f64::from(seconds)).as_millis();
        let drawn = self.chance.up_to(question, u32::try_from(most).unwrap_or(u32::MAX));
        TimeDelta::milliseconds(i64::from(drawn))
    }
}
