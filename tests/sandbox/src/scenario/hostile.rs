//! How unpleasant the hostile modes are: how often they do what, how long they make a client wait, and how much SAP
//! takes at once.

use serde::{Deserialize, Serialize};

/// How often the hostile modes do what: shares from 0.0 to 1.0, and the largest numbers drawn.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Valid bearer tokens answered 401; the token is dead from then on.
    pub unauthorized: f64,
    /// Requests that fail before they take effect.
    pub before: f64,
    /// Requests whose reply is lost or spoilt after they took effect.
    pub after: f64,
    /// Replies that are whole and make no sense: mistyped, nested too deeply, not even UTF-8.
    pub garbled: f64,
    /// Replies of 10 MB, and replies that come byte by byte.
    pub heavy: f64,
    /// Redirects, and links in replies, that lead to another host.
    pub elsewhere: f64,
    /// Requests answered 429 although no limit was reached.
    pub throttled: f64,
    /// Requests that wait before anything happens.
    pub delayed: f64,
    /// Access tokens that live shorter than they say.
    pub early_expiry: f64,
    /// Objects in replies with a field that nobody knows.
    pub unknown_fields: f64,
    /// Optional fields that are missing.
    pub absent_fields: f64,
    /// Things in progress that are shown in a state that nobody knows.
    pub unknown_states: f64,
    /// Reads of something new or something deleted, within the lag, that still show what was before.
    pub stale: f64,
    /// Creation jobs that end FAILED although the key exists.
    pub job_failed: f64,
    /// Jobs that are gone when they are complete.
    pub job_gone: f64,
    /// PUTs that are answered 200 at once and applied later, within the wait that SAP documents.
    pub put_late: f64,
    /// PUTs with a spoilt reply of which only one of the two entries was applied.
    pub put_half: f64,
    /// Runs that end in an error although the credential is fine.
    pub run_failed: f64,
    /// Looks at a run in progress that show another word of progress.
    pub flapping_words: f64,
    /// Looks at the status that show an end that is not so; never two in a row.
    pub flapping_ends: f64,
    /// The largest number of polls or refusals drawn for anything that takes a while.
    pub polls: u32,
    /// Foreign keys and `app` bindings mixed into each service instance.
    pub foreign_keys: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            unauthorized: 0.05,
            before: 0.05,
            after: 0.05,
            garbled: 0.02,
            heavy: 0.002,
            elsewhere: 0.01,
            throttled: 0.01,
            delayed: 0.3,
            early_expiry: 0.05,
            unknown_fields: 0.3,
            absent_fields: 0.1,
            unknown_states: 0.2,
            stale: 0.7,
            job_failed: 0.05,
            job_gone: 0.05,
            put_late: 0.3,
            put_half: 0.5,
            run_failed: 0.03,
            flapping_words: 0.3,
            flapping_ends: 0.03,
            polls: 3,
            foreign_keys: 2,
        }
    }
}

impl Rates {
    /// Nothing at all, to be filled with what a test is about.
    pub fn none() -> Self {
        Self {
            unauthorized: 0.0,
            before: 0.0,
            after: 0.0,
            garbled: 0.0,
            heavy: 0.0,
            elsewhere: 0.0,
            throttled: 0.0,
            delayed: 0.0,
            early_expiry: 0.0,
            unknown_fields: 0.0,
            absent_fields: 0.0,
            unknown_states: 0.0,
            stale: 0.0,
            job_failed: 0.0,
            job_gone: 0.0,
            put_late: 0.0,
            put_half: 0.0,
            run_failed: 0.0,
            flapping_words: 0.0,
            flapping_ends: 0.0,
            polls: 0,
            foreign_keys: 0,
        }
    }
}

/// How long the hostile modes make a client wait, each multiplied with the scenario's `pace`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Waits {
    /// How long reads may show what was before a creation or deletion.
    pub lag_seconds: u32,
    /// How late a PUT may be applied: the wait that SAP documents between saving a credential and using it.
    pub put_seconds: u32,
    /// How long a request may wait before anything happens.
    pub delay_milliseconds: u32,
    /// After how long an idle connection is closed under the next request.
    pub idle_seconds: u32,
    /// The shortest wait asked for in `Retry-After`.
    pub retry_after_least_seconds: u32,
    /// The longest wait asked for in `Retry-After`.
    pub retry_after_most_seconds: u32,
    /// How far the clock of a service may be off.
    pub skew_seconds: u32,
    /// The pace of a reply that comes byte by byte.
    pub drip_milliseconds: u32,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            lag_seconds: 30,
            put_seconds: 300,
            delay_milliseconds: 4000,
            idle_seconds: 60,
            retry_after_least_seconds: 30,
            retry_after_most_seconds: 90,
            skew_seconds: 120,
            drip_milliseconds: 100,
        }
    }
}

/// How much SAP takes at once: the figures it publishes. Windows are multiplied with the scenario's `pace`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Also while the sandbox is kind.
    pub always: bool,
    /// Calls of one user to the Cloud Foundry API in an hour ("a few 10k").
    pub cloud_foundry_per_hour: u32,
    /// Calls of one client to the bindings of Service Manager in an hour.
    pub service_manager_per_hour: u32,
    /// The same in a minute.
    pub service_manager_per_minute: u32,
    /// Calls of one client to one endpoint of Cloud Management in three seconds.
    pub cis_per_three_seconds: u32,
    /// Calls of one user to service brokers (create, delete) that may be under way at once.
    pub service_calls_at_once: u32,
    /// Token requests of one subaccount in a second; further ones are queued.
    pub tokens_per_second: u32,
    /// Token requests of one subaccount that are queued; further ones are refused.
    pub tokens_queued: u32,
    /// A call that comes so soon after a 429 was on its way when the 429 was said. It is not held against the client.
    pub in_flight_milliseconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            always: false,
            cloud_foundry_per_hour: 20_000,
            service_manager_per_hour: 6000,
            service_manager_per_minute: 600,
            cis_per_three_seconds: 5,
            service_calls_at_once: 10,
            tokens_per_second: 60,
            tokens_queued: 120,
            in_flight_milliseconds: 500,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_readme_names_every_rate_with_its_default() {
        let Ok(Value::Object(rates)) = serde_json::to_value(Rates::default()) else { panic!("an object") };
        for (name, default) in rates {
            let entry = format!("`{name}` {default}");
            assert!(include_str!("../../README.md").contains(&entry), "{entry} is not in the README");
        }
    }

    #[test]
    fn nothing_is_nothing() {
        let Ok(Value::Object(rates)) = serde_json::to_value(Rates::none()) else { panic!("an object") };
        assert!(rates.values().all(|rate| rate.as_f64() == Some(0.0)));
    }
}
