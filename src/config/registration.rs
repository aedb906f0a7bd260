//! What a data space is told of a connector, once.

use super::document::{Node, Raw};
use super::keys::Form;
use super::leaf::{Complaint, Leaf, expectation};
use super::reader::Section;
use super::tenant::Registration;

/// `None` if something is missing, which was reported.
pub(super) fn registration(section: &Section) -> Option<Registration> {
    Some(Registration {
        bpn: section.text("bpn")?,
        location: section.text("location")?,
        connector_name: section.text("connector-name")?,
        connector_url: section.text("connector-url")?,
        connector_user: section.text("connector-user")?,
        connector_secret: section.password("connector-secret")?,
        central_idp_token_url: section.text("central-idp-token-url")?,
        backend_portal_url: section.text("backend-portal-url")?,
        bdrs_server_url: section.text("bdrs-server-url")?,
        did: section.text("did")?,
        trusted_issuers: section.texts("trusted-issuers")?,
        wallet_user: section.text("wallet-user")?,
        wallet_secret: section.password("wallet-secret")?,
        wallet_token_url: section.text("wallet-token-url")?,
        wallet_url: section.text("wallet-url")?,
    })
}

/// A list of texts.
pub(super) fn texts(node: &Node) -> Result<Leaf, Complaint> {
    let complaint = |found: String| Complaint::new(found).expected(expectation(&Form::Texts));
    let Raw::List(nodes) = &node.raw else { return Err(complaint(format!("is {}", node.raw.kind()))) };
    let texts = nodes.iter().map(|node| match &node.raw {
        Raw::Text(text) if text.len() <= 1024 && !text.chars().any(char::is_control) => Ok(text.clone()),
        other => Err(complaint(format!("holds {}", other.kind()))),
    });
    Ok(Leaf::Texts(texts.collect::<Result<_, _>>()?))
}
