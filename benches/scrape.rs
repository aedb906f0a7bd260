//! What a scrape of a large fleet costs: time, size and memory, in full and at `summary`.
//!
//! `cargo bench --bench scrape -- [tenants]`. One credential of two keys for each tenant, at rest, as nearly all of them
//! are at any time. Numbers compare within one run only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rekeyd::clock::{Clock as _, SystemClock};
use rekeyd::domain::Timestamp;
use rekeyd::domain::event::{Entry, Event};
use rekeyd::domain::fold;
use rekeyd::domain::key::{Key, KeyState, Sighting};
use rekeyd::domain::names::{CredentialId, KeyId, KeyName, Role};
use rekeyd::domain::observation::{Observation, Seen};
use rekeyd::domain::policy::{Limits, Pin, Policy, Provision, Witness};
use rekeyd::domain::view::View;
use rekeyd::domain::window::Window;
use rekeyd::metrics::{Detail, Metrics};

const SCRAPES: usize = 41;

fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let tenants = arguments.next().map_or(10_000, |count| count.parse().expect("the argument is a number"));
    let (clock, metrics) = (SystemClock::new(), Metrics::new());
    let now = clock.now();
    let views: Vec<View> = (0..tenants).map(|number| view(number, now)).collect();
    for view in &views {
        metrics.know_credential(&view.credential);
        metrics.checked(&view.credential.tenant, true);
    }
    println!("{tenants} tenants held: {} MiB resident", resident());
    for (name, detail) in [("summary", Detail::Summary), ("full", Detail::Full)] {
        metrics.tell(detail);
        scrapes(name, &metrics, &views, now, &clock);
    }
}

fn scrapes(name: &str, metrics: &Metrics, views: &[View], now: Timestamp, clock: &SystemClock) {
    let mut took = Vec::new();
    let (mut size, mut series) = (0, 0);
    for _ in 0..SCRAPES {
        let before = clock.monotonic();
        // As the page does it: from a copy.
        let copy = views.to_vec();
        let text = metrics.render(&copy, None, now);
        took.push(clock.monotonic().saturating_sub(before));
        size = text.len();
        series = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count();
    }
    took.sort_unstable();
    println!(
        "{name:>8}: {series} series, {:.1} MB, p50 {:.1?}, best {:.1?}, longest {:.1?}, {} MiB resident after",
        f64::from(u32::try_from(size).expect("less than 4 GB")) / 1e6,
        took[SCRAPES / 2],
        took[0],
        took[SCRAPES - 1],
        resident()
    );
}

/// Resident memory of this process in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
    kib / 1024
}

fn view(number: usize, now: Timestamp) -> View {
    let credential: CredentialId = format!("tenant-{number:05}/dataplane").parse().expect("it is a name");
    let live: BTreeMap<Role, Key> = Role::PAIR
        .into_iter()
        .map(|role| {
            let name = KeyName::ours(role, 7, &credential, 1);
            let id = KeyId(format!("{role}-{number:036}"));
            (role, Key { id, name, created_at: Some(now - Duration::from_hours(24 * 90)), expires_at: None })
        })
        .collect();
    let ready = |key: &Key| vec![Sighting { key: key.clone(), state: KeyState::Ready }];
    let keys = live.iter().map(|(role, key)| (*role, ready(key))).collect();
    let observation = Observation { keys: Seen::Yes(keys), ..Observation::nothing(now) };
    let policy = policy(&credential);
    let event = Event::Adopted { live, generation: 7, pin: policy.pin.clone(), others: BTreeMap::new() };
    let entry = Entry { sequence: 1, at: now, credential: credential.clone(), event };
    View {
        record: Some(Arc::new(fold::apply(None, &entry).expect("the first entry fits"))),
        credential,
        policy: Arc::new(policy),
        observation: Some(Arc::new(observation)),
        checked_at: Some(now),
        reason: None,
        next_look: Some(now),
        rested_at: Some(now),
        look: None,
        stopped: None,
        lease_held: true,
        lease_until: Some(now),
        next_tick: Some(now),
    }
}

fn policy(credential: &CredentialId) -> Policy {
    Policy {
        credential: credential.clone(),
        issuer: "cloud-foundry",
        consumer: "dataspace",
        roles: Role::PAIR.to_vec(),
        window: Window::DEFAULT,
        lead: Duration::from_hours(30 * 24),
        soak: Duration::from_hours(48),
        settle: Duration::from_mins(5),
        provision: Provision::WhenNeeded,
        witness: Witness::Consumer,
        deadline: Duration::from_mins(30),
        poll: Duration::from_secs(15),
        token_life: Duration::from_hours(24),
        propagation: Duration::from_mins(2),
        lag: Duration::from_mins(1),
        proofs: 3,
        proof_span: Duration::from_mins(2),
        spread: Duration::ZERO,
        evidence_life: Duration::from_mins(15),
        retire_foreign: false,
        in_use: BTreeMap::new(),
        limits: Limits::default(),
        pin: Pin {
            issuer: "https://api.cf.example".to_owned(),
            places: BTreeMap::new(),
            consumer: "https://dsi.example".to_owned(),
            in_place: false,
        },
    }
}
