//! The issuers against a stub of a portal.
