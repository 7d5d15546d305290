//! How a new Claude is started on a turn that its predecessor left. Plain data.

/// What a relaunch needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relaunch {
    /// The session to resume.
    pub session: String,
    /// Claude takes its last turn up by itself.
    pub takes_up: bool,
    /// A tool was cut off: Claude is shown that its outcome is unknown, or it would run it again.
    pub shows_cut_off: bool,
}
