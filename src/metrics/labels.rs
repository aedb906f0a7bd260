//! The values of labels whose set is closed.

/// What is asked of an upstream: the closed set of the label `operation`.
pub const OPERATIONS: [&str; 15] = [
    "token",
    "discover",
    "list_keys",
    "create_key",
    "poll_job",
    "read_key",
    "delete_key",
    "test_key",
    "put_credentials",
    "read_credentials",
    "start_dataplane",
    "get_dataplane",
    "root",
    "notify",
    "register",
];

/// Why a wish to rotate was not acted upon: the closed set of the label `class` of `rekeyd_triggers_ignored_total`.
pub const IGNORED: [&str; 7] = ["coalesced", "cooldown", "held", "fuse", "halted", "standby", "draining"];

/// Who kept a request back: the closed set of the label `class` of `rekeyd_upstream_throttled_total`.
pub const THROTTLED: [&str; 3] = ["server", "pause", "limiter"];

/// What the own listener is asked for.
pub const PAGES: [&str; 6] = ["metrics", "healthy", "ready", "status", "page", "other"];
