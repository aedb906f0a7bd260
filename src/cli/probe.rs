//! `probe`: which keys work just now.

use super::client::Daemon;
use super::{Common, Exit, Which, offline, show, tell};
use crate::daemon::probing::Probing;
use crate::daemon::unmanaged::SourceProbe;

pub(super) async fn probe(common: &Common, which: &Which) -> Exit {
    let probed = match probed(common, which).await {
        Ok(probed) if probed.is_empty() => return tell::nothing(common, which).await,
        Ok(probed) => probed,
        Err(exit) => return exit,
    };
    let sources = match sources(common, which).await {
        Ok(sources) => sources,
        Err(exit) => return exit,
    };
    if common.json {
        let mut all = serde_json::json!(probed);
        let list = all.as_array_mut().expect("a list is a list");
        list.extend(sources.iter().map(|source| serde_json::json!(source)));
        println!("{}", serde_json::to_string_pretty(&all).expect("it is plain data"));
    } else if !common.quiet {
        print!("{}", text(&probed));
        if !sources.is_empty() {
            print!("\n{}", of_sources(&sources));
        }
    }
    worst(exit(&probed), &sources)
}

/// The sources, where everything is tried.
async fn sources(common: &Common, which: &Which) -> Result<Vec<SourceProbe>, Exit> {
    let daemon = Daemon::of(common);
    match which.which {
        Some(_) => Ok(Vec::new()),
        None if daemon.is_up().await => daemon.get("/v1/probe/sources").await,
        None => offline::probe_sources(common).await,
    }
}

fn worst(of_keys: Exit, sources: &[SourceProbe]) -> Exit {
    if of_keys == Exit::Failed || sources.iter().any(|source| source.refused) {
        return Exit::Failed;
    }
    if sources.iter().all(|source| source.works) { of_keys } else { Exit::Unavailable }
}

fn of_sources(sources: &[SourceProbe]) -> String {
    let row = |source: &SourceProbe| {
        let works = match (&source.failure, source.refused) {
            (None, _) => "yes, and it reads".to_owned(),
            (Some(why), true) => format!("no: {}", show::clip(why, 80)),
            (Some(why), false) => format!("unknown: {}", show::clip(why, 80)),
        };
        vec![source.cis.clone(), works]
    };
    show::table(&["CIS", "WORKS"], &sources.iter().map(row).collect::<Vec<_>>())
}

async fn probed(common: &Common, which: &Which) -> Result<Vec<Probing>, Exit> {
    let daemon = Daemon::of(common);
    if !daemon.is_up().await {
        return offline::probe(common, which).await;
    }
    daemon.get_each(which, "/v1/probe").await
}

/// A key that is refused fails; what cannot be told is not to be had just now.
fn exit(probed: &[Probing]) -> Exit {
    let mut keys = probed.iter().flat_map(|credential| &credential.keys);
    if keys.clone().any(|key| key.refused) {
        return Exit::Failed;
    }
    let untold = keys.any(|key| key.failure.is_some()) || probed.iter().any(|one| one.keys.is_empty());
    if untold { Exit::Unavailable } else { Exit::Done }
}

fn text(probed: &[Probing]) -> String {
    let mut rows = Vec::new();
    for credential in probed {
        let name = credential.credential.to_string();
        if credential.keys.is_empty() {
            let why = format!(
                "the keys in use are not recognised yet: `rekeyd explain {name}` says what is missing"
            );
            rows.push(vec![name, String::new(), String::new(), String::new(), why]);
            continue;
        }
        for key in &credential.keys {
            let works = match (&key.failure, key.refused, key.evidence) {
                (None, _, 2..) => "yes, and it reads".to_owned(),
                (None, ..) => "yes".to_owned(),
                (Some(why), true, _) => format!("no: {}", show::clip(why, 80)),
                (Some(why), false, _) => format!("unknown: {}", show::clip(why, 80)),
            };
            let role = key.role.to_string();
            let used = if key.in_use { "in use" } else { "" }.to_owned();
            rows.push(vec![name.clone(), role, key.name.clone(), used, works]);
        }
    }
    show::table(&["CREDENTIAL", "ROLE", "KEY", "", "WORKS"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::probing::ProbedKey;
    use crate::domain::names::Role;

    fn key(role: Role, failure: Option<&str>, refused: bool) -> ProbedKey {
        let evidence = if failure.is_some() { 0 } else { u8::from(role == Role::Ciapi) + 1 };
        ProbedKey {
            role,
            name: format!("a-{role}"),
            in_use: !refused,
            evidence,
            failure: failure.map(str::to_owned),
            refused,
        }
    }

    #[test]
    fn each_key_says_whether_it_works() {
        let keys = vec![
            key(Role::Ciapi, None, false),
            key(Role::Cirt, None, false),
            key(Role::Ciapi, Some("401"), true),
            key(Role::Cirt, Some("no answer"), false),
        ];
        let mut probed = vec![
            Probing { credential: "acme/dataplane".parse().unwrap(), keys },
            Probing { credential: "beta/dataplane".parse().unwrap(), keys: Vec::new() },
        ];
        let expected = "\
CREDENTIAL      ROLE   KEY              WORKS
acme/dataplane  ciapi  a-ciapi  in use  yes, and it reads
acme/dataplane  cirt   a-cirt   in use  yes
acme/dataplane  ciapi  a-ciapi          no: 401
acme/dataplane  cirt   a-cirt   in use  unknown: no answer
beta/dataplane                          the keys in use are not recognised yet: `rekeyd explain beta/dataplane` says what is missing
";
        assert_eq!(text(&probed), expected);
        assert_eq!(exit(&probed), Exit::Failed);
        probed[0].keys.remove(2);
        assert_eq!(exit(&probed), Exit::Unavailable);
        probed.pop();
        probed[0].keys.pop();
        assert_eq!(exit(&probed), Exit::Done);
        let source = |failure: Option<&str>, refused| SourceProbe {
            cis: "main".to_owned(),
            works: failure.is_none(),
            failure: failure.map(str::to_owned),
            refused,
        };
        let check = |source: SourceProbe, expected, shown: &str| {
            assert_eq!(worst(Exit::Done, std::slice::from_ref(&source)), expected);
            assert_eq!(of_sources(&[source]), format!("CIS   WORKS\n{shown}\n"));
        };
        check(source(None, false), Exit::Done, "main  yes, and it reads");
        check(source(Some("401"), true), Exit::Failed, "main  no: 401");
        check(source(Some("no answer"), false), Exit::Unavailable, "main  unknown: no answer");
    }
}
