//! The integration content of a data space, as Cloud Integration lists it (facts: DSI, section 9).

use serde_json::Value;

use super::status_words::instant;
use crate::domain::Timestamp;
use crate::domain::observation::Content;

/// What the ids of the data space's artifacts start with.
const OURS: &str = "com.sap.integration.dsi";

/// One page of the list, in version 2 or 4 of the protocol.
pub(super) struct Page {
    pub(super) pieces: Vec<Piece>,
    pub(super) next: Option<String>,
}

/// One artifact of the data space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    deployed_at: Option<Timestamp>,
    started: bool,
}

/// Reads one page; `None` where there is no list in it.
pub(super) fn page(value: &Value) -> Option<Page> {
    let inner = value.get("d").unwrap_or(value);
    let entries = [inner.get("results"), inner.get("value"), Some(inner)];
    let entries = entries.into_iter().flatten().find_map(Value::as_array)?;
    let next = [inner.get("__next"), inner.get("@odata.nextLink"), value.get("__next")];
    let next = next.into_iter().flatten().find_map(Value::as_str).map(str::to_owned);
    Some(Page { pieces: entries.iter().filter_map(piece).collect(), next })
}

fn piece(entry: &Value) -> Option<Piece> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    text("Id").filter(|id| id.starts_with(OURS))?;
    let deployed_at = entry.get("DeployedOn").and_then(instant);
    Some(Piece {
        deployed_at,
        started: text("Status").is_some_and(|status| status.eq_ignore_ascii_case("STARTED")),
    })
}

/// What all pieces amount to.
pub(super) fn content(pieces: &[Piece]) -> Content {
    Content {
        deployed_at: pieces.iter().filter_map(|piece| piece.deployed_at).max(),
        started: !pieces.is_empty() && pieces.iter().all(|piece| piece.started),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Option<Content> {
        page(value).map(|page| content(&page.pieces))
    }

    fn piece(id: &str, status: &str, deployed: &str) -> Value {
        json!({ "Id": id, "Status": status, "DeployedOn": deployed, "Version": "1" })
    }

    #[test]
    fn content_is_read_in_every_form() {
        let old = piece("com.sap.integration.dsi.a", "STARTED", "/Date(1767323045000)/");
        let new = piece("com.sap.integration.dsi.b", "STARTED", "2026-01-02T03:04:06");
        let foreign = piece("acme.flow", "ERROR", "2027-01-02T03:04:06");
        let expected = Content { deployed_at: "2026-01-02T03:04:06Z".parse().ok(), started: true };
        let list = json!([old, foreign, new]);
        for value in [json!({ "d": { "results": list } }), json!({ "value": list }), list] {
            assert_eq!(read(&value), Some(expected));
        }
    }

    #[test]
    fn one_piece_that_has_not_started_is_enough() {
        let check = |status| {
            let pieces = [
                piece("com.sap.integration.dsi.a", "STARTED", ""),
                piece("com.sap.integration.dsi.b", status, ""),
            ];
            read(&json!({ "d": { "results": pieces } })).unwrap()
        };
        assert!(check("STARTED").started);
        for status in ["ERROR", "STARTING", "", "unheard of"] {
            assert_eq!(check(status), Content { deployed_at: None, started: false }, "{status}");
        }
        assert_eq!(read(&json!([])), Some(Content { deployed_at: None, started: false }));
    }

    #[test]
    fn what_is_no_list_is_no_content() {
        for value in
            [json!({}), json!("x"), json!({ "error": {} }), json!(null), json!({ "d": { "results": 1 } })]
        {
            assert_eq!(read(&value), None);
        }
    }
}
