//! The scripted end of the seam to the network, for tests: what each look sees is a function
//! of the endpoint. Sends nothing.

use std::cell::RefCell;
use std::time::Duration;

use super::probe::{Boxed, Fetched, Look, Obstacle, Sighting};
use super::{Endpoint, Reading};

type Script = Box<dyn FnMut(&Endpoint) -> Reading>;

/// Looks that see what a script says.
pub struct ScriptedLook {
    script: RefCell<Script>,
    latency: Duration,
    looks: RefCell<usize>,
    pages: RefCell<Vec<Fetched>>,
}

impl std::fmt::Debug for ScriptedLook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScriptedLook({} looks)", self.looks())
    }
}

impl ScriptedLook {
    /// Each look reads what `script` returns.
    pub fn new(script: impl FnMut(&Endpoint) -> Reading + 'static) -> Self {
        Self {
            script: RefCell::new(Box::new(script)),
            latency: Duration::from_millis(50),
            looks: RefCell::default(),
            pages: RefCell::default(),
        }
    }

    /// Each look takes so long.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// What the next fetches return, first to last; the last is repeated.
    #[must_use]
    pub fn with_pages(self, pages: Vec<Fetched>) -> Self {
        *self.pages.borrow_mut() = pages;
        self
    }

    /// How many looks there were.
    #[must_use]
    pub fn looks(&self) -> usize {
        *self.looks.borrow()
    }
}

impl Look for ScriptedLook {
    fn look<'a>(&'a self, endpoint: &'a Endpoint) -> Boxed<'a, Sighting> {
        Box::pin(async move {
            *self.looks.borrow_mut() += 1;
            tokio::time::sleep(self.latency).await;
            let reading = (self.script.borrow_mut())(endpoint);
            let reason = format!("{} reads {reading:?}", endpoint.host());
            Sighting {
                obstacle: (reading == Reading::Down).then_some(Obstacle::Status(500)),
                latency: self.latency,
                ..Sighting::of(endpoint, reading, reason)
            }
        })
    }

    fn fetch<'a>(&'a self, _: &'a str, _: Option<&'a str>, _: u64) -> Boxed<'a, Fetched> {
        Box::pin(async move {
            let mut pages = self.pages.borrow_mut();
            match pages.len() {
                0 => Fetched::Failed(Obstacle::NoSuchHost, "no page is scripted".to_owned()),
                1 => pages[0].clone(),
                _ => pages.remove(0),
            }
        })
    }
}
