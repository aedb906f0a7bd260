//! Who is given credentials. Each module is one [`Consumer`](crate::ports::Consumer).

pub mod dataspace;
pub mod local;
mod token;
