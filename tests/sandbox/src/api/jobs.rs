//! Jobs: how a creation or deletion is going.

use chrono::SecondsFormat;
use serde_json::json;

use super::not_found;
use crate::reply::Reply;
use crate::request::Request;
use crate::world::World;
use crate::world::service::Service;

/// `GET /v3/jobs/:guid`
pub(super) fn get(world: &mut World, request: &Request, guid: &str) -> Reply {
    let base = request.base(world);
    let rate = world.rates().unknown_states;
    let Some((tenant, created)) = world.jobs.get(guid).map(|job| (job.tenant.clone(), job.created_at)) else {
        return not_found("Job");
    };
    let strange = world.mischief(&format!("{tenant}/unknown state of a job"), rate);
    let created = world.as_told_by(Service::CloudFoundry, created);
    let Some(job) = world.jobs.get_mut(guid) else { return not_found("Job") };
    let key = world
        .bindings
        .get(&job.binding)
        .and_then(|(tenant, at)| world.tenants.get_mut(tenant).map(|tenant| &mut tenant.keys[*at]));
    let Some(key) = key else { return not_found("Job") };
    let waiting = if job.deletes { job.polls } else { key.pending };
    job.polls = job.polls.saturating_sub(1);
    key.looked_at();
    let state = match (waiting, job.fails) {
        (1.., _) if strange => "RECONCILING",
        (2.., _) => "POLLING",
        (1, _) => "PROCESSING",
        (0, true) => "FAILED",
        (0, false) => "COMPLETE",
    };
    if waiting == 0 && job.vanishes {
        return not_found("Job");
    }
    let errors = if state == "FAILED" {
        json!([{ "code": 10009, "title": "CF-UnableToPerform",
                 "detail": "bind could not be completed: Service broker error: the request timed out" }])
    } else {
        json!([])
    };
    let at = created.to_rfc3339_opts(SecondsFormat::Secs, true);
    let operation = if job.deletes { "service_keys.delete" } else { "service_keys.create" };
    let mut links = json!({ "self": { "href": format!("{base}/cf/v3/jobs/{guid}") } });
    if key.is_alive() {
        let href = format!("{base}/cf/v3/service_credential_bindings/{}", key.guid);
        links["service_credential_binding"] = json!({ "href": href });
    }
    Reply::json(
        200,
        &json!({
            "guid": guid, "created_at": at, "updated_at": at, "operation": operation, "state": state,
            "errors": errors, "warnings": [], "links": links,
        }),
    )
}
