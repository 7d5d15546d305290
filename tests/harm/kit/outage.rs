//! Outages in words: of which host, after what, for how long, with which fault.

use std::time::Duration;

use claude_safe_testkit::service::Endpoint;
use claude_safe_testkit::{Behaviour, FakeService, Script};

/// When an outage ends.
#[derive(Clone, Debug)]
enum Length {
    Requests(usize),
    Lasting(Duration),
}

/// An outage that is to be.
#[derive(Clone, Debug)]
pub struct Outage {
    endpoints: Vec<Endpoint>,
    after: usize,
    length: Length,
    fault: Behaviour,
    strangers: Option<Behaviour>,
}

impl Outage {
    /// The API answers 500 to so many requests of turns.
    pub fn requests(count: usize) -> Self {
        Self::new(Length::Requests(count))
    }

    /// The API answers 500 for so long, from the first request it fails.
    pub fn lasting(time: Duration) -> Self {
        Self::new(Length::Lasting(time))
    }

    fn new(length: Length) -> Self {
        let fault = Behaviour::error(500);
        Self { endpoints: vec![Endpoint::Api], after: 0, length, fault, strangers: None }
    }

    /// It begins once so many requests were answered: 1 is after the first tool call.
    pub fn after(mut self, requests: usize) -> Self {
        self.after = requests;
        self
    }

    /// It answers with this status.
    pub fn status(self, status: u16) -> Self {
        self.fault(Behaviour::error(status))
    }

    /// It does this.
    pub fn fault(mut self, fault: Behaviour) -> Self {
        self.fault = fault;
        self
    }

    /// Requests without credentials meet this, during the outage and after it.
    pub fn strangers(mut self, meet: Behaviour) -> Self {
        self.strangers = Some(meet);
        self
    }

    /// It is this endpoint's, not the API's.
    pub fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoints = vec![endpoint];
        self
    }

    /// It is everything's but the status page's.
    pub fn everywhere(mut self) -> Self {
        use Endpoint::{Api, Hello, OAuth, Profile};
        self.endpoints = vec![Api, OAuth, Hello, Profile];
        self
    }

    pub(super) fn meet(&self, service: &FakeService) {
        if let Some(behaviour) = &self.strangers {
            service.set_strangers(behaviour.clone());
        }
        for endpoint in &self.endpoints {
            let down = match self.length {
                Length::Requests(count) => Script::first(count, self.fault.clone()),
                Length::Lasting(time) => Script::down_for(time, self.fault.clone()),
            };
            service.set(*endpoint, Script::After(self.after, Box::new(down)));
        }
    }
}
