//! Addresses: `https`, a host, and nothing that could carry a secret.

use super::leaf::Complaint;

const EXPECTED: &str = "an address such as `https://api.example.com`";

/// The address without a slash at its end. It is never repeated in a complaint: it may hold a password.
pub(super) fn checked(text: &str, allow_http: bool) -> Result<String, Complaint> {
    let (scheme, rest) =
        text.split_once("://").ok_or_else(|| Complaint::new("is no address").expected(EXPECTED))?;
    let authority = rest.split(['/', '?', '#']).next().expect("a split has a first part");
    match scheme {
        "https" => {}
        "http" if allow_http => {}
        "http" => {
            let complaint = Complaint::new("is an `http` address, over which secrets travel in the open");
            return Err(complaint
                .expected("`https`")
                .remedy("for a sandbox on this machine, set `http.allow-http`"));
        }
        _ => return Err(Complaint::new("is no web address").expected(EXPECTED)),
    }
    if authority.contains('@') {
        return Err(Complaint::new("has a user in it").expected("an address without user and password"));
    }
    if rest.contains(['?', '#']) {
        return Err(
            Complaint::new("has a query or a fragment").expected("an address that ends with its path")
        );
    }
    if !is_authority(authority) || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Complaint::new("has no valid host").expected(EXPECTED));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Whether `text` is the path part of an address.
pub(super) fn is_path(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
    text.starts_with('/') && !text.ends_with('/') && !text.contains("//") && !text.contains("/.") && is_plain
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().is_ok_and(|port| port > 0)),
        _ => (text, true),
    };
    let is_ipv6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_name = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
        && !host.split('.').any(str::is_empty);
    port && is_ipv6.map_or(is_name, |address| address.parse::<std::net::Ipv6Addr>().is_ok())
}
