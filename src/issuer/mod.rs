//! Where keys come from. Each module is one [`Issuer`](crate::ports::Issuer); `binding` is what those of service
//! bindings share.

pub mod binding;
pub mod cloud_foundry;
pub mod file;
pub mod portal;
pub mod service_manager;
