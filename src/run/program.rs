//! A run that a program talks to (`--input-format stream-json`): claude and the program are
//! relayed line by line, and what the machine decides about a failed turn is carried out between
//! the lines. In: the run. Out: an exit code. No policy here: `machine` decides, `program` knows
//! what each side has been told.

use std::collections::VecDeque;
use std::io;

use nix::sys::signal::Signal;

use super::Run;
use super::signals::Signals;
use crate::claude::rules::{Observation, Place};
use crate::claude::transcript;
use crate::failure::{Evidence, ExitReason, Failure, FailureKind, Source, TurnState, Verdict};
use crate::launch::program::{Lines, Program, Said, Talker, Writer, nobody_listens};
use crate::machine::{ChildEnd, Effect, End, Event, Report, Scene, Start, State};
use crate::plan::Continuation;
use crate::program::{self, Conversation, FailedTurn, Outbox};
use crate::watch::WhyNot;

/// So much may wait to be written before no more is read (bytes).
const ENOUGH_BYTES: usize = 1 << 20;

/// Sees the run through.
pub(super) async fn run(run: &mut Run) -> io::Result<i32> {
    let mut relay = Relay {
        run,
        conversation: Conversation::default(),
        out: Outbox::default(),
        claude: None,
        failed: None,
        exit: None,
        end: None,
    };
    let end = relay.live().await?;
    let exit = relay.exit;
    Ok(run.leave(&end, exit).await)
}

/// Everything that belongs to the run.
struct Relay<'r> {
    run: &'r mut Run,
    conversation: Conversation,
    out: Outbox,
    claude: Option<Talker>,
    /// The failure that the conversation holds back.
    failed: Option<Failure>,
    /// How the last claude ended.
    exit: Option<ExitReason>,
    end: Option<End>,
}

impl Relay<'_> {
    async fn live(&mut self) -> io::Result<End> {
        let mut signals = Signals::subscribe()?;
        let (mut program, writer) = (Program::listen(), Writer::start());
        let (mut heard, mut said) = (Lines::default(), Lines::default());
        let lost = nobody_listens();
        tokio::pin!(lost);
        let mut listening = true;
        self.on(Event::Begin(None))?;
        let end = loop {
            if let Some(end) = self.end.take() {
                break end;
            }
            let room = self.out.program.len() < ENOUGH_BYTES;
            let unsent = self.claude.as_ref().map_or(0, Talker::unsent);
            tokio::select! {
                biased;
                signal = signals.next() => self.on(Event::Signal(signal))?,
                alive = writer.take(&mut self.out.program), if !self.out.program.is_empty() => {
                    if !alive {
                        self.leave()?;
                    }
                }
                () = &mut lost, if listening => {
                    listening = false;
                    self.leave()?;
                }
                what = next(&mut self.claude, room) => self.claude_did(what?, &mut said)?,
                chunk = program.next(), if !self.conversation.is_closed() && unsent < ENOUGH_BYTES => {
                    self.program_wrote(chunk.as_deref(), &mut heard)?;
                }
                done = self.run.doing.next() => {
                    let event = self.run.done(done);
                    self.on(event)?;
                }
            }
            self.deliver();
        };
        writer.finish(std::mem::take(&mut self.out.program)).await;
        Ok(end)
    }

    /// Hands over what is for Claude.
    fn deliver(&mut self) {
        if let Some(claude) = &mut self.claude {
            claude.send(&self.out.claude);
            self.out.claude.clear();
        }
    }

    fn program_wrote(&mut self, chunk: Option<&[u8]>, heard: &mut Lines) -> io::Result<()> {
        let mut events = Vec::new();
        let Self { conversation, out, .. } = self;
        let mut take = |line: &[u8]| events.extend(conversation.hear_program(line, out));
        match chunk {
            Some(chunk) => heard.feed(chunk, &mut take),
            None => {
                let rest = heard.end();
                if !rest.is_empty() {
                    take(&rest);
                }
            }
        }
        if chunk.is_none() {
            self.conversation.program_closed();
            self.deliver();
            if let Some(claude) = &mut self.claude {
                claude.close();
            }
        }
        events.into_iter().try_for_each(|event| self.told(event))
    }

    fn claude_did(&mut self, what: Said, said: &mut Lines) -> io::Result<()> {
        match what {
            Said::Sent => Ok(()),
            Said::Bytes(chunk) => {
                let mut events = Vec::new();
                let Self { conversation, out, .. } = self;
                said.feed(&chunk, |line| events.extend(conversation.hear_claude(line, out)));
                self.learn_session();
                events.into_iter().try_for_each(|event| self.told(event))
            }
            Said::Ended(exit) => {
                let rest = said.end();
                if !rest.is_empty() {
                    self.conversation.hear_claude(&rest, &mut self.out);
                }
                self.ended(exit)
            }
        }
    }

    fn learn_session(&mut self) {
        if let Some(session) = self.conversation.session()
            && self.run.session.as_deref() != Some(session)
        {
            let session = session.to_owned();
            self.run.learn_session(&session);
        }
    }

    /// What became of a turn.
    fn told(&mut self, event: program::Event) -> io::Result<()> {
        match event {
            program::Event::Failed(turn) => {
                let Some(failure) = self.judge(&turn) else {
                    self.conversation.give_up(&mut self.out);
                    return Ok(());
                };
                self.failed = Some(failure.clone());
                // A one-shot program has closed its side, and Claude leaves: its end tells.
                if self.conversation.is_closed() {
                    return Ok(());
                }
                self.on(Event::TurnFailed(self.report(failure)))
            }
            program::Event::Worked => {
                self.failed = None;
                self.on(Event::TurnWorked)
            }
            program::Event::Interrupted | program::Event::LetGo => {
                self.failed = None;
                self.on(Event::MovedOn)
            }
        }
    }

    /// What a failing result means; `None` if no rule knows it.
    fn judge(&self, turn: &FailedTurn) -> Option<Failure> {
        let result = &turn.result;
        let errors: Vec<&str> =
            ["api_error", "api_error_type"].iter().filter_map(|key| result[key].as_str()).collect();
        let status = result["api_error_status"].as_u64().and_then(|code| u16::try_from(code).ok());
        let found = self.run.rules.classify(&Observation {
            place: Place::Result,
            text: result["result"].as_str()?,
            errors: &errors,
            status,
            sign_in: Some(self.run.sign_in()),
            since: Some(self.run.began),
            version: self.run.version,
            now: &super::now_here(),
        })?;
        Some(self.failure(found.kind, found.status, found.evidence))
    }

    fn failure(&self, kind: FailureKind, status: Option<u16>, evidence: Evidence) -> Failure {
        let session = self.run.session.clone();
        Failure { kind, status, evidence: vec![evidence], session, turn: self.turn() }
    }

    /// What the turn has done, and nothing that the transcript does not hold as well: Claude goes
    /// on from that.
    fn turn(&self) -> TurnState {
        let shown = self.conversation.tool_lines();
        if !shown.is_empty() && !self.transcript_holds(shown) {
            return TurnState::ToolOpen;
        }
        // A tool that was cut off is shown to Claude as such, and is not run again.
        if self.conversation.has_answered() { TurnState::Partial } else { TurnState::Untouched }
    }

    fn transcript_holds(&self, ids: &[String]) -> bool {
        let session = self.run.session.as_deref();
        let path = session.and_then(|id| transcript::find(&self.run.claude_dir, id));
        let text = path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        ids.iter().all(|id| memchr::memmem::find(&text, id.as_bytes()).is_some())
    }

    fn report(&self, failure: Failure) -> Report {
        Report { failure, line: self.last_line(), sign_in: self.run.sign_in_seen() }
    }

    fn last_line(&self) -> Option<String> {
        let path = transcript::find(&self.run.claude_dir, self.run.session.as_deref()?)?;
        transcript::tail(&path).ok()?.last_uuid
    }

    /// Claude has ended.
    fn ended(&mut self, exit: ExitReason) -> io::Result<()> {
        let failure = self.failed.take().or_else(|| self.crash(exit));
        self.claude = None;
        // A turn without a good result is no success, whatever a later Claude made of it.
        let owes = exit == ExitReason::Code(0) && self.conversation.owes_result();
        let exit = if owes { ExitReason::Code(1) } else { exit };
        self.exit = Some(exit);
        self.conversation.claude_ended(&mut self.out);
        let verdict = failure.map_or(Verdict::Done(exit), Verdict::Failed);
        let (line, sign_in) = (self.last_line(), self.run.sign_in_seen());
        // Nothing is added to what a program starts.
        let refuses_ours = false;
        self.on(Event::ChildEnded(ChildEnd { exit, verdict, refuses_ours, line, sign_in }))
    }

    /// A fault signal in the middle of a turn.
    fn crash(&self, exit: ExitReason) -> Option<Failure> {
        use nix::libc::{SIGABRT, SIGBUS, SIGKILL, SIGSEGV};
        let ExitReason::Signal(signal @ (SIGKILL | SIGSEGV | SIGABRT | SIGBUS)) = exit else {
            return None;
        };
        if !self.conversation.in_turn() {
            return None;
        }
        let evidence = Evidence {
            rule: "exit-signal".to_owned(),
            source: Source::Exit,
            excerpt: format!("killed by signal {signal}"),
        };
        Some(self.failure(FailureKind::Crash, None, evidence))
    }

    /// Nobody listens any more: plain claude would go on for hours.
    fn leave(&mut self) -> io::Result<()> {
        self.on(Event::Signal(Signal::SIGTERM))
    }

    /// Tells the machine, and does what it says.
    fn on(&mut self, event: Event) -> io::Result<()> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.run.on(event) {
                self.carry_out(effect, &mut events)?;
            }
        }
        // Nothing is planned for it any more: the program has it at once.
        let left_alone = matches!(self.run.case.state(), State::Running | State::Person { .. });
        if left_alone && self.failed.is_some() && self.conversation.may_give_up() {
            self.failed = None;
            self.conversation.give_up(&mut self.out);
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect, events: &mut VecDeque<Event>) -> io::Result<()> {
        let living = self.claude.as_ref().map(Talker::pid);
        if let Effect::Wait(waiting) = &effect {
            let delay = waiting.until.saturating_sub(self.run.clock.now());
            let attempt = self.run.case.streak().count().max(1);
            self.conversation.waits(attempt, delay, &mut self.out);
        }
        let Some(effect) = self.run.carry_out(effect, living) else { return Ok(()) };
        match effect {
            Effect::Observe => events.push_back(Event::Observed(self.scene())),
            Effect::Launch(start) => self.launch(start)?,
            // The message is one line: it is sent when the machine presses Enter.
            Effect::Enter => {
                self.failed = None;
                self.conversation.ask(&self.run.plan.message, &mut self.out);
                events.push_back(Event::TurnBegan);
            }
            Effect::EndChild(_) => self.signal(Signal::SIGTERM),
            Effect::Pass(signal) => self.signal(signal),
            Effect::Tell(occasion, text) => drop(self.run.notifier.notify(occasion, &text)),
            Effect::Exit(end) => {
                self.conversation.give_up(&mut self.out);
                self.end = Some(end);
            }
            // It has no box that something could be pasted into, or be left in.
            _ => {}
        }
        Ok(())
    }

    /// A program has no screen: what stands in the way of a message is what the lines say.
    fn scene(&self) -> Scene {
        let may = || if self.conversation.may_ask() { Ok(()) } else { Err(WhyNot::NotSettled) };
        Scene {
            may_type: may(),
            may_enter: may(),
            box_empty: true,
            background: false,
            line: self.last_line(),
            sign_in: self.run.sign_in_seen(),
            ..Scene::default()
        }
    }

    fn launch(&mut self, start: Start) -> io::Result<()> {
        let mut plan = self.run.plan.clone();
        if start != Start::First {
            let relaunch = self.conversation.relaunch(&self.run.plan.message, &mut self.out);
            let relaunch = relaunch.ok_or_else(|| io::Error::other("no session is known"))?;
            let takes_up = relaunch.takes_up;
            let continuation =
                if takes_up { Continuation::InterruptedTurn } else { Continuation::Silent };
            plan = plan.resume(&relaunch.session, continuation);
            plan.shows_cut_off = relaunch.shows_cut_off;
        }
        let mut claude = Talker::launch(&plan).map_err(|error| {
            let program = plan.program.display();
            io::Error::new(error.kind(), format!("failed to run {program}: {error}"))
        })?;
        self.run.child_started(claude.pid(), start != Start::First);
        claude.send(&self.out.claude);
        self.out.claude.clear();
        if self.conversation.is_closed() {
            claude.close();
        }
        self.claude = Some(claude);
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(claude) = &self.claude {
            claude.signal(signal);
        }
    }
}

async fn next(claude: &mut Option<Talker>, room: bool) -> io::Result<Said> {
    match claude {
        Some(claude) => claude.next(room).await,
        None => std::future::pending().await,
    }
}
