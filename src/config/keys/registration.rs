//! The keys of a registration (facts: DSI, section 4).

use super::{Form, Key, required};

#[rustfmt::skip]
pub(super) static REGISTRATION: &[Key] = &[
    required("bpn", Form::Text, "\"BPNL000000000EX1\"", "The business partner number."),
    required("location", Form::Text, "\"DE\"", "The location code."),
    required("connector-name", Form::Text, "\"acme-prod\"", "The connector's name, as entered when its *Data Space Integration API Access* was made."),
    required("connector-url", Form::Url, "\"https://acme.dsi.example.com/\"", "The connector's address."),
    required("connector-user", Form::Text, "\"sa123\"", "The client id of the portal's technical user for the connector (*Offer Management*, today *Connector Management*)."),
    required("connector-secret", Form::Password, "{ credential = \"tenants_acme-cf\" }", "Its secret."),
    required("central-idp-token-url", Form::Url, "\"https://centralidp.example.com/auth/realms/CX-Central/protocol/openid-connect/token\"", "The token address of the portal's central identity provider."),
    required("backend-portal-url", Form::Url, "\"https://portal-backend.example.com\"", "The address of the portal's backend."),
    required("bdrs-server-url", Form::Url, "\"https://bdrs.example.com\"", "The address of the BDRS server."),
    required("did", Form::Text, "\"did:web:wallet.example.com:BPNL000000000EX1\"", "The decentral identifier."),
    required("trusted-issuers", Form::Texts, "[\"did:web:issuer.example.com\"]", "The identifiers of trusted issuers."),
    required("wallet-user", Form::Text, "\"sb-wallet!b1|dim!b2\"", "The client id of the technical user for the wallet (*Identity Wallet Management*)."),
    required("wallet-secret", Form::Password, "{ credential = \"tenants_acme-cf\" }", "Its secret."),
    required("wallet-token-url", Form::Url, "\"https://wallet.authentication.example.com/oauth/token\"", "The wallet's token address. Cofinity-X: the service endpoint of the wallet user and `/oauth/token`."),
    required("wallet-url", Form::Url, "\"https://dim.example.com\"", "The address of decentral identity management."),
];
