//! The SAP that answers.
