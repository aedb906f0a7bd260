//! Steps in words.

use crate::domain::plan::Step;
use crate::domain::record::Record;
use crate::domain::story;

/// A step in words, as something that would be done.
pub(super) fn describe(step: &Step, record: Option<&Record>) -> String {
    let is_back = record.is_some_and(|record| record.turned_back.is_some());
    match step {
        Step::Rest => "nothing".to_owned(),
        Step::Note(event) if is_back => format!("write down: {}", story::tell_back(event)),
        Step::Note(event) => format!("write down: {}", story::tell(event)),
        Step::Begin { generation, .. } => format!("begin the rotation to generation {generation}"),
        Step::Create { role, name } => format!("create the `{role}` key `{name}` at the issuer"),
        Step::Test { role, fresh, .. } => format!("try the fresh `{role}` key `{}`", fresh.name),
        Step::Deliver { keys } => {
            let names: Vec<_> = keys.values().map(|key| format!("`{}`", key.name)).collect();
            format!("deliver {} to the consumer", names.join(" and "))
        }
        Step::Provision { .. } => "ask the consumer to provision".to_owned(),
        Step::Confirm { .. } => "try every fresh key once more".to_owned(),
        Step::Renew { .. } => "try every key in use again".to_owned(),
        Step::Delete { role, key, .. } => format!("delete the `{role}` key `{}` at the issuer", key.name),
        Step::Probe { role, key } => {
            format!("try the deleted `{role}` key `{}`: it must be refused", key.name)
        }
    }
}
