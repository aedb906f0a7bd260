//! Where a request goes: a URL that was parsed once and can only be extended in ways that keep its host.

use std::fmt;

use super::error::HttpError;
use super::redact;
use crate::domain::failure::Class;

/// A checked URL: `http` or `https`, with a host, without user, password and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(reqwest::Url);

/// A path segment from this length on that holds a digit is taken for an id and left out of messages.
const ID_LENGTH: usize = 16;

impl Address {
    /// Reads a URL. One that cannot be used is the operator's, or the key's, to correct.
    pub fn parse(text: &str) -> Result<Self, HttpError> {
        let shown =
            redact::shorten(&redact::mask(text.split(['?', '#', '@']).next().unwrap_or_default()), 80);
        let refuse = |why: &str| {
            HttpError::new(Class::ClientError, format!("`{shown}` is not a URL that can be called: {why}"))
        };
        let mut url = reqwest::Url::parse(text.trim()).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("expected `https://`"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse("it names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it holds a user or a password"));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// The same host with `path` after the path that is there; each segment is encoded. The query is dropped.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        self.extended(path.split('/'))
    }

    /// Like [`Address::at`] with one segment, an id from outside. It cannot climb: `None` for one that would vanish
    /// from the path and leave the address of the whole collection.
    pub fn at_id(&self, id: &str) -> Option<Self> {
        let is_id = id.bytes().any(|byte| byte.is_ascii_alphanumeric()) && !id.contains(char::is_control);
        is_id.then(|| self.extended([id].into_iter()))
    }

    fn extended<'a>(&self, segments: impl Iterator<Item = &'a str>) -> Self {
        let mut url = self.0.clone();
        url.set_query(None);
        {
            let mut path = url.path_segments_mut().expect("an http URL has a path");
            path.pop_if_empty();
            for segment in segments.filter(|segment| !segment.is_empty()) {
                path.push(segment);
            }
        }
        Self(url)
    }

    /// The same with these query parameters added.
    #[must_use]
    pub fn with_query(&self, pairs: &[(&str, &str)]) -> Self {
        let mut url = self.0.clone();
        url.query_pairs_mut().extend_pairs(pairs);
        Self(url)
    }

    /// The same without its query.
    #[must_use]
    pub fn without_query(&self) -> Self {
        let mut url = self.0.clone();
        url.set_query(None);
        Self(url)
    }

    /// The same without the ending `suffix` of its path, where it has it.
    #[must_use]
    pub fn without_ending(&self, suffix: &str) -> Self {
        let mut url = self.0.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        if let Some(rest) = path.strip_suffix(suffix) {
            url.set_path(rest);
        }
        Self(url)
    }

    /// A link found in an answer, relative or complete; `None` unless it stays on this scheme, host and port.
    pub fn follow(&self, link: &str) -> Option<Self> {
        let url = self.0.join(link).ok()?;
        let stays = url.origin() == self.0.origin() && url.username().is_empty() && url.password().is_none();
        stays.then(|| Self::without_fragment(url))
    }

    /// A link to a sister service: the same host on any port, or another host of the same domain, and not less
    /// safe. That is how far a password may travel on the word of an answer.
    pub fn follow_to_sister(&self, link: &str) -> Option<Self> {
        let url = self.0.join(link).ok()?;
        let (mine, theirs) = (self.0.host_str()?, url.host_str()?);
        let domain = |host: &str| {
            host.split_once('.').map(|(_, rest)| rest.to_owned()).filter(|rest| rest.contains('.'))
        };
        let is_ip = mine.parse::<std::net::IpAddr>().is_ok() || mine.starts_with('[');
        let sisters = mine == theirs || (!is_ip && domain(mine).is_some() && domain(mine) == domain(theirs));
        let as_safe = url.scheme() == self.0.scheme();
        let bare = url.username().is_empty() && url.password().is_none();
        (sisters && as_safe && bare).then(|| Self::without_fragment(url))
    }

    fn without_fragment(mut url: reqwest::Url) -> Self {
        url.set_fragment(None);
        Self(url)
    }

    /// The host, with the port where it is not the scheme's own.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The host with its port, always: what a connection is made to.
    pub fn place(&self) -> String {
        let port = self.0.port_or_known_default().unwrap_or(443);
        format!("{}:{port}", self.0.host_str().unwrap_or_default())
    }

    /// The part of the host that many tenants share: without its first label, which names a tenant or a service, where
    /// enough of it is left. `acme.authentication.eu10.hana.ondemand.com` is of `authentication.eu10.hana.ondemand.com`.
    pub fn landscape(&self) -> String {
        let host = self.host();
        match self.0.domain().and_then(|domain| domain.split_once('.')) {
            Some((first, rest)) if rest.split('.').count() >= 3 => host[first.len() + 1..].to_owned(),
            _ => host,
        }
    }

    /// The last segment of the path.
    pub fn last_segment(&self) -> Option<&str> {
        self.0.path_segments()?.rfind(|segment| !segment.is_empty())
    }

    /// Whether requests to it are encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The whole text, query included: for sending on, not for messages.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn url(&self) -> reqwest::Url {
        self.0.clone()
    }
}

impl fmt::Display for Address {
    /// Host and path with ids left out, and no query: fit for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host())?;
        for segment in self.0.path_segments().into_iter().flatten() {
            let is_id = segment.len() >= ID_LENGTH && segment.bytes().any(|byte| byte.is_ascii_digit());
            f.write_str(if is_id { "/…" } else { "/" })?;
            if !is_id {
                f.write_str(segment)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn a_landscape_is_what_tenants_share() {
        let check = |url: &str, expected: &str| assert_eq!(address(url).landscape(), expected);
        let check_host = |host: &str, expected: &str| check(&format!("https://{host}/x"), expected);
        check_host("acme.authentication.eu10.hana.ondemand.com", "authentication.eu10.hana.ondemand.com");
        check_host("api.cf.eu10.hana.ondemand.com", "cf.eu10.hana.ondemand.com");
        check_host("uaa.cf.eu10.hana.ondemand.com:8443", "cf.eu10.hana.ondemand.com:8443");
        check_host("sap.example.com", "sap.example.com");
        check_host("127.0.0.1:4000", "127.0.0.1:4000");
        check_host("[::1]:4000", "[::1]:4000");
    }

    #[test]
    fn unusable_urls_are_refused() {
        for text in
            ["", "ftp://a", "https://", "https://me:pw@a.example", "api.example", "javascript:alert(1)"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        let error = Address::parse("ftp://a.example/?client_secret=hunter2").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_path_is_extended_and_never_left() {
        let check = |base: &str, path: &str, expected: &str| {
            assert_eq!(address(base).at(path).as_str(), expected);
        };
        check("https://a.example", "/v3/jobs", "https://a.example/v3/jobs");
        check("https://a.example/base/?x=1", "v3", "https://a.example/base/v3");
        let at_id = |id| address("https://a.example/v3").at_id(id).map(|address| address.as_str().to_owned());
        assert_eq!(at_id("a/b?c").as_deref(), Some("https://a.example/v3/a%2Fb%3Fc"));
        assert_eq!([at_id(""), at_id("."), at_id("..")], [None, None, None]);
        assert_eq!(
            address("https://a.example/api/v1/dsp/").without_ending("/api/v1/dsp").as_str(),
            "https://a.example/"
        );
    }

    #[test]
    fn links_stay_on_their_host() {
        let api = address("https://api.cf.eu10.example.com/v3");
        assert!(api.follow("https://api.cf.eu10.example.com/v3?page=2").is_some());
        assert!(api.follow("/v3?page=2").is_some());
        for link in [
            "https://api.cf.eu10.example.com:444/v3",
            "http://api.cf.eu10.example.com/v3",
            "https://evil.example/v3",
            "//evil.example/v3",
            "https://x@api.cf.eu10.example.com/v3",
        ] {
            assert!(api.follow(link).is_none(), "{link}");
        }
        assert!(api.follow_to_sister("https://uaa.cf.eu10.example.com").is_some());
        assert!(api.follow_to_sister("http://uaa.cf.eu10.example.com").is_none());
        assert!(api.follow_to_sister("https://uaa.cf.eu20.example.com").is_none());
        assert!(address("http://127.0.0.1:1").follow_to_sister("http://127.0.0.1:2/uaa").is_some());
        assert!(address("http://127.0.0.1:1").follow_to_sister("http://126.0.0.1:2/uaa").is_none());
        assert!(address("https://a.com").follow_to_sister("https://b.com").is_none());
    }

    #[test]
    fn messages_hold_no_ids_and_no_query() {
        let shown = address("https://a.example/v3/jobs/6f1c2f3e-1111-2222?token=x").to_string();
        assert_eq!(shown, "a.example/v3/jobs/…");
    }
}
