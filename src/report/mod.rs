//! What happened: journal entries in, a [`Night`] of [`Track`]s out, and its renderings as text,
//! JSON and one HTML page. Pure.

mod html;
mod night;
mod story;
mod svg;
pub mod tasks;
mod text;
mod timeline;
mod track;
pub mod words;

pub use html::page;
pub use night::Night;
pub use story::{explained, line};
pub use text::{Style, report, status, wrapped};
pub use track::{Ending, Track};
