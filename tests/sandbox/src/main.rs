//! The SAP that answers.
fn main() {}
