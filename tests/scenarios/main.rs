//! The scenarios an operator would tell: each with its number, in words that are run.
//!
//! `index.toml` holds all of them. A number is told here as a text in `stories/` that is run in a world of virtual
//! time by the real plan and the real fold, or it names the tests that hold it, or it says which piece of work will
//! bring it. What was seen is compared with `golden/`; `UPDATE_GOLDEN=1` writes that anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../domain/given.rs"]
mod given;
mod index;
#[path = "../guards/src/named.rs"]
mod named;
mod phrases;
mod scene;
mod story;
#[path = "../domain/world.rs"]
mod world;
