//! Where keys come from. Each module is one [`Issuer`](crate::ports::Issuer).

pub mod cloud_foundry;
pub mod file;
