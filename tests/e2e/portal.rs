//! Technical users of a portal: reset in place by rekeyd and by a person, replaced by a second one, and killed in the worst
//! moment. The consumer is a file, and what looks at it asks the portal's token service for a token with what is in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rekeyd::daemon::report::CredentialStatus;
use sap_sandbox::faults::{Fault, Rule};
use sap_sandbox::holds::Release;
use sap_sandbox::request::Operation;
use sap_sandbox::scenario::Scenario;
use sap_sandbox::world::portal::{Standing, TechnicalUser};
use serde_json::Value;

use crate::fleet::{Fleet, Knobs};
use crate::{one, prompt};

/// The technical users of the sandbox.
const CONNECTOR: usize = 0;
const WALLET: usize = 1;
const PROVIDED: usize = 2;

struct Ground {
    fleet: Fleet,
    user: usize,
}

impl Ground {
    /// A tenant with one technical user, whose secret was made so long ago that it is due.
    async fn new(scenario: Scenario, user: usize, replace: &str) -> Self {
        let fleet = Fleet::new(scenario, Knobs::default()).await;
        let ground = Self { fleet, user };
        let access = ground.fleet.sandbox.access("acme").unwrap();
        let dir = ground.fleet.dir.path().display().to_string();
        ground.fleet.write("portal-secret", &access.portal_secret);
        ground.fleet.write("seal", "NotARealSecret, and long enough to seal with");
        let made = &ground.users()[user];
        let token_url = if made.external {
            access
                .portal_token_url
                .replace("/centralidp/", "/wallet/")
                .replace("/auth/realms/CX-Central/protocol/openid-connect/token", "/oauth/token")
        } else {
            access.portal_token_url.clone()
        };
        ground.fleet.write(
            "key.json",
            &serde_json::json!({ "clientid": made.client_id, "clientsecret": made.secret, "tokenurl": token_url }).to_string(),
        );
        let since = (ground.fleet.sandbox.now() - chrono::TimeDelta::days(350)).format("%Y-%m-%d");
        let check = ground.check_program(&dir);
        ground.fleet.write(
            "tenants.d/acme.toml",
            &format!(
                "version = 1\nid = \"acme\"\n\
                 [portal]\nurl = \"{}\"\ntoken-url = \"{}\"\nseal-key = {{ file = \"{dir}/seal\" }}\n\
                 login = {{ client-id = \"{}\", secret = {{ file = \"{dir}/portal-secret\" }} }}\n\
                 [[credential]]\nname = \"dataplane\"\nissuer = \"portal\"\nconsumer = \"file\"\nsoak = \"1 s\"\nspread = \"0 s\"\n\
                 proofs = 2\nproof-span = \"200 ms\"\ntoken-life = \"1 s\"\npropagation = \"3 s\"\nlag = \"1 s\"\nevidence-life = \"30 s\"\nretire-foreign = true\n\
                 [credential.file]\npath = \"{dir}/key.json\"\ncheck = [\"{check}\"]\npoll = \"100 ms\"\n\
                 [credential.keys]\nsole = {{ technical-user = \"{}\", replace = \"{replace}\", since = \"{since}\" }}\n",
                access.portal_url, access.portal_token_url, access.portal_client, made.id,
            ),
        );
        ground
    }

    /// A token with what is in the file, had again where the network spoils it: only a refusal is a refusal.
    fn check_program(&self, dir: &str) -> String {
        let path = self.fleet.path("check");
        let text = format!(
            "#!/bin/sh\n\
             field() {{ sed -n 's/.*\"'\"$1\"'\":\"\\([^\"]*\\)\".*/\\1/p' {dir}/key.json; }}\n\
             for _ in 1 2 3 4 5 6 7 8; do\n\
             code=$(curl -s --max-time 2 -o {dir}/token -w '%{{http_code}}' --cacert {dir}/ca.pem -d grant_type=client_credentials \\\n\
               --data-urlencode \"client_id=$(field clientid)\" --data-urlencode \"client_secret=$(field clientsecret)\" \"$(field tokenurl)\")\n\
             case $code in 200) grep -q access_token {dir}/token && exit 0;; 401) echo refused; exit 1;; esac\n\
             done\n\
             echo \"no answer: $code\"; exit 1\n"
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn users(&self) -> Vec<TechnicalUser> {
        self.fleet.sandbox.technical_users("acme")
    }

    fn file(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.fleet.path("key.json")).unwrap()).unwrap()
    }

    /// What the consumer holds is what is in force, nothing was deleted that should not be, and no secret is in the open.
    fn assert_in_force(&self, user: &TechnicalUser) {
        let held = self.file();
        assert_eq!(
            (held["clientid"].as_str(), held["clientsecret"].as_str()),
            (Some(&*user.client_id), Some(&*user.secret))
        );
        let journal =
            String::from_utf8_lossy(&fs::read(self.fleet.path("state/journal.db")).unwrap()).into_owned();
        let sealed = fs::read(self.fleet.path("state/seals/acme.dataplane.seal")).unwrap_or_default();
        let sealed = String::from_utf8_lossy(&sealed).into_owned();
        for user in self.users() {
            for text in [&self.fleet.log(), &journal, &sealed] {
                assert!(!text.contains(&user.secret), "a secret of `{}` is in the open", user.name);
            }
        }
    }

    async fn settled(&self) -> CredentialStatus {
        self.fleet
            .until("acme", "rotated", |status| status.phase == "settled" && status.last_success_at.is_some())
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_reset_in_place_on_the_hostile_sandbox() {
    let ground = Ground::new(one(prompt()), CONNECTOR, "reset").await;
    let before = ground.users();
    let _rekeyd = ground.fleet.start().await;
    let status = ground.settled().await;
    assert_eq!((status.evidence, status.generation), (4, Some(1)), "{status:#?}");
    let users = ground.users();
    assert_eq!(users.len(), before.len(), "no other technical user is made");
    assert_eq!(users[ground.user].resets, 1, "once is enough, whatever became of the answer");
    assert_ne!(users[ground.user].secret, before[ground.user].secret);
    ground.assert_in_force(&users[ground.user]);
    let events = ground.fleet.events("acme");
    assert!(!events.contains(&"turned-back") && !events.contains(&"delete-sent"), "{events:?}");
    let asked = ground.fleet.ask(&["restore", "acme/dataplane"]);
    assert!(!asked.status.success(), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_and_after_the_reset_nothing_is_lost() {
    let points = [
        (Operation::CreateKey, 1, Fault::Hold, Release::Continue),
        (Operation::CreateKey, 1, Fault::HoldBefore, Release::Drop),
        (Operation::ReadKey, 2, Fault::Hold, Release::Continue),
        (Operation::ReadKey, 3, Fault::Hold, Release::Continue),
        (Operation::ReadKey, 4, Fault::Hold, Release::Continue),
    ];
    for (operation, nth, fault, how) in points {
        // Kind: the point is the moment.
        let ground = Ground::new(one(prompt()).kindly(), CONNECTOR, "reset").await;
        ground.fleet.sandbox.inject(Rule::once(fault.clone()).on(operation).from_nth(nth));
        let rekeyd = ground.fleet.start().await;
        ground.fleet.sandbox.wait_held(1).await;
        rekeyd.kill();
        let held = ground.fleet.sandbox.held();
        assert_eq!(held.len(), 1, "{operation:?} {nth}");
        assert!(ground.fleet.sandbox.release(held[0].id, how));
        let _rekeyd = ground.fleet.start().await;
        ground.settled().await;
        let user = &ground.users()[CONNECTOR];
        assert_eq!(user.resets, 1, "{operation:?} {nth} {fault:?}");
        ground.assert_in_force(user);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_hand_a_person_resets_and_rekeyd_gives_it_on() {
    let ground = Ground::new(one(prompt()), CONNECTOR, "by-hand").await;
    let _rekeyd = ground.fleet.start().await;
    let told = |status: &CredentialStatus| {
        status.person.as_ref().is_some_and(|text| text.contains("reset the secret of the technical user"))
    };
    ground.fleet.until("acme", "handed over", told).await;
    let before = ground.users()[CONNECTOR].clone();
    ground.assert_in_force(&before);
    assert!(ground.fleet.sandbox.reset_by_hand("acme", &before.id));
    ground.settled().await;
    let user = &ground.users()[CONNECTOR];
    assert_eq!(user.resets, 1, "rekeyd resets nothing here");
    ground.assert_in_force(user);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_the_provider_is_not_reset_and_that_is_said() {
    let ground = Ground::new(one(prompt()).kindly(), PROVIDED, "reset").await;
    let _rekeyd = ground.fleet.start().await;
    ground.fleet.until_log("belongs to the provider of the app").await;
    let user = &ground.users()[PROVIDED];
    assert_eq!(user.resets, 0);
    ground.assert_in_force(user);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_user_takes_the_place_of_the_first_of_the_wallet() {
    let ground = Ground::new(one(prompt()), WALLET, "second-user").await;
    let _rekeyd = ground.fleet.start().await;
    let status = ground.settled().await;
    assert_eq!(status.generation, Some(1), "{status:#?}");
    let alive = || {
        let users = ground.users().into_iter();
        users.filter(|user| user.external && user.standing == Standing::Active).collect::<Vec<_>>()
    };
    let one = alive();
    assert_eq!(one.len(), 1, "the first one went after the proof: {one:?}");
    assert!(one[0].name.starts_with("dim-rekeyd-sole-g1-"), "{one:?}");
    ground.assert_in_force(&one[0]);
    assert!(ground.users().iter().all(|user| user.resets == 0));
    let asked = ground.fleet.ask(&["rotate", "acme/dataplane"]);
    assert!(asked.status.success(), "{asked:?}");
    ground
        .fleet
        .until("acme", "rotated again", |status| status.phase == "settled" && status.generation >= Some(2))
        .await;
    let two = alive();
    assert_eq!(two.len(), 1, "{two:?}");
    assert!(!two[0].name.contains("-g1-"), "{two:?}");
    ground.assert_in_force(&two[0]);
}
