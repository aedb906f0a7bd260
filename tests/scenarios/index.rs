//! The list of all scenarios: each is covered, or it is said what will cover it.
