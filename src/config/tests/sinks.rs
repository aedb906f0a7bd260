//! Who is told.

use super::{Edit, World, loaded};
use crate::config::daemon::SinkKind;
use crate::domain::notice::Severity;

fn with(section: &'static str) -> [Edit; 1] {
    [Edit::Daemon("instance = \"one\"\n", section)]
}

#[test]
fn a_sink_is_read_with_its_secret() {
    let config = loaded(&with(
        "instance = \"one\"\n[[sink]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"https://hooks.example.com/x\"\nsecret = { file = \"tenants.d/password\" }\nseverity = \"error\"\n[[sink]]\nname = \"ans\"\nkind = \"alert-notification\"\nservice-key = { file = \"tenants.d/dsi.json\" }\n",
    ))
    .config;
    let [ops, ans] = config.daemon.sinks.as_slice() else { panic!() };
    assert_eq!((ops.name.as_str(), ops.severity, ops.per_minute), ("ops", Severity::Error, 30));
    let SinkKind::Webhook { url, secret } = &ops.kind else { panic!() };
    assert_eq!(
        (url.as_str(), secret.as_ref().unwrap().expose()),
        ("https://hooks.example.com/x", "NotARealSecret")
    );
    assert!(matches!(ans.kind, SinkKind::AlertNotification { .. }));
    assert!(!format!("{:?}", config.daemon).contains("NotARealSecret"));
}

#[test]
fn what_is_wrong_with_a_sink_is_named() {
    let told = |section| World::new(&with(section)).messages();
    let lines = told(
        "instance = \"one\"\n[[sink]]\nname = \"ops\"\nkind = \"webhook\"\n[[sink]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"http://hooks.example.com\"\n[[sink]]\nname = \"a\"\nkind = \"alert-notification\"\nservice-key = { file = \"tenants.d/dsi.json\" }\nseverity = \"loud\"\n",
    );
    let all = lines.join("\n");
    for part in [
        "missing key `url` in `[[sink]]` of kind `webhook`",
        "`url` in `[[sink]]` is an `http` address",
        "`severity` in `[[sink]]` is `loud`: expected one of `notice`, `warning`, `error`, `critical`",
    ] {
        assert!(all.contains(part), "{part}\n{all}");
    }
    let twice = told(
        "instance = \"one\"\n[[sink]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://a.example\"\n[[sink]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://b.example\"\n",
    );
    assert_eq!(twice.len(), 1, "{twice:#?}");
    assert!(twice[0].contains("sink `a` is already there: expected a name of its own"), "{twice:#?}");
}
