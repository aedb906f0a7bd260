//! A daemon that keeps the credentials of SAP BTP tenants fresh.

pub mod cis;
pub mod cli;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod daemon;
pub mod disk;
pub mod domain;
pub mod engine;
pub mod http;
pub mod issuer;
pub mod journal;
pub mod logging;
pub mod metrics;
pub mod page;
pub mod ports;
pub mod secret;
pub mod sink;
pub mod traces;
