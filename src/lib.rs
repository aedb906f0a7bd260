//! A daemon that keeps the credentials of SAP BTP tenants fresh.

pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod journal;
pub mod metrics;
pub mod ports;
pub mod secret;
