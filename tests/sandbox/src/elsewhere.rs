//! Another host, to which redirects and links of the hostile modes lead. Whoever comes here with a token, a secret or a
//! body has followed where nobody should.

use serde_json::json;

use crate::reply::Reply;
use crate::request::{Endpoint, Request};
use crate::serve::Shared;
use crate::world::books::Conduct;

/// Answers a request, and writes it down.
pub(crate) fn answer(shared: &Shared, request: &Request) -> Reply {
    let mut world = shared.world();
    world.ledger.strays += 1;
    let shown = [
        (request.header("authorization").is_some(), "a token"),
        (!request.body.is_empty(), "a body"),
        (request.query.contains("secret"), "a secret in the query"),
    ];
    let shown: Vec<&str> =
        shown.into_iter().filter(|(is_shown, _)| *is_shown).map(|(_, what)| what).collect();
    if !shown.is_empty() {
        let now = world.now();
        let operation = Endpoint::of(&request.method, &request.path).operation();
        let text = format!("{} was shown to another host", shown.join(", "));
        world.ledger.misbehaved(Conduct::StrayedSecret, now, operation, text);
    }
    // A client that follows shall believe that it is right, so that it shows everything.
    Reply::json(
        200,
        &json!({ "access_token": "stray", "token_type": "bearer", "expires_in": 60, "resources": [] }),
    )
}
