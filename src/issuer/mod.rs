//! Where keys come from. Each module is one [`Issuer`](crate::ports::Issuer).

pub mod cloud_foundry;
pub mod file;

use crate::secret::ServiceKey;

/// How the JSON of a key is read: every shape that SAP uses.
pub type Parse = fn(&str) -> Result<ServiceKey, String>;
