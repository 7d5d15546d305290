//! Watching an attempt: events and instants in, a verdict out. Pure: no clock, no file, no
//! environment is read here.

mod by_screen;
mod excerpt;
mod hint;
mod input;
mod look;
mod modes;
mod screen;
mod spoken;
mod watcher;

pub use by_screen::by_screen;
pub use hint::Placeholder;
pub use input::{Input, InputSplitter, Key, Piece};
pub use look::{InputBox, Look, Panel, Title};
pub use modes::Modes;
pub use screen::Screen;
pub use watcher::{Hook, Readings, Watcher, WhyNot, is_typable};
