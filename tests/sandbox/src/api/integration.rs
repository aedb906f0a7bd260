//! Cloud Integration: the list of deployed artifacts that a `ciapi` key may read, and the runtime that a
//! `cirt` key may call.

use serde_json::json;

use super::bearer;
use crate::reply::Reply;
use crate::request::{Request, value};
use crate::world::World;
use crate::world::service::Service;
use crate::world::token::Audience;

/// `GET /api/v1/IntegrationRuntimeArtifacts`
pub(super) fn artifacts(world: &mut World, request: &Request, id: &str) -> Reply {
    if let Err(denied) = bearer(world, request, &Audience::Ciapi(id.to_owned())) {
        return denied.plain();
    }
    let Some(tenant) = world.tenants.get_mut(id) else { return Reply::empty(404) };
    // A look here lets a run go on as well, for clients that do not ask for the status.
    if tenant.consumer.is_running() {
        let _ = tenant.consumer.look();
    }
    let (ours, other) = (tenant.consumer.deployed_on, tenant.dsi.created_at);
    let told = |at| world.as_told_by(Service::Integration, at).timestamp_millis();
    let (ours, other) = (told(ours), told(other));
    let artifact = |name: &str, title: &str, by: &str, on: i64| {
        json!({
            "Id": name, "Version": "1.0.0", "Name": title, "Type": "INTEGRATION_FLOW",
            "DeployedBy": by, "DeployedOn": format!("/Date({on})/"), "Status": "STARTED",
        })
    };
    let mut found = vec![
        artifact("Order_Replication", "Order Replication", "somebody@example.com", other),
        artifact("com.sap.integration.dsi.dataplane", "DSI Data Plane", "sb-dsi", ours),
        artifact("com.sap.integration.dsi.callback", "DSI Callback", "sb-dsi", ours),
    ];
    let parameters = request.parameters();
    if let Some(filter) = value(&parameters, "$filter") {
        let Some(wanted) = filter.strip_prefix("Status eq '").and_then(|rest| rest.strip_suffix('\'')) else {
            return Reply::json(501, &json!({ "error": { "code": "Not Implemented", "message": "filter" } }));
        };
        found.retain(|artifact| artifact["Status"] == wanted);
    }
    Reply::json(200, &json!({ "d": { "results": found } }))
}

/// Anything at the runtime.
pub(super) fn runtime(world: &mut World, request: &Request, id: &str) -> Reply {
    match bearer(world, request, &Audience::Cirt(id.to_owned())) {
        Ok(()) => Reply::json(200, &json!({})),
        Err(denied) => denied.plain(),
    }
}
