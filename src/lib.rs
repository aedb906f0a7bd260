//! A daemon that keeps the credentials of SAP BTP tenants fresh.

pub mod clock;
pub mod consumer;
pub mod domain;
pub mod http;
pub mod issuer;
pub mod metrics;
pub mod ports;
pub mod secret;
