//! A run that a program talks to (`--input-format stream-json`): claude and the program are
//! relayed line by line, and what the machine decides about a failed turn is carried out between
//! the lines. In: the run. Out: an exit code. No policy here: `machine` decides, `program` knows
//! what each side has been told.

mod evidence;

use std::collections::VecDeque;
use std::io;

use jiff::Timestamp;
use nix::sys::signal::Signal;

use super::Run;
use super::signals::Signals;
use crate::failure::{ExitReason, Failure, Verdict};
use crate::launch::program::{Lines, Part, Program, Said, Talker, Writer, nobody_listens};
use crate::machine::{ChildEnd, Effect, End, Event, Scene, Start, State};
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
        last: None,
        began: None,
        exit: None,
        end: None,
    };
    let end = relay.live().await?;
    let exit = relay.exit;
    let code = run.leave(&end, exit).await;
    // Whatever we make of it, the program learns how its Claude ended.
    Ok(match end {
        End::Signal { .. } => code,
        _ => exit.map_or(code, ExitReason::shell_code),
    })
}

/// Everything that belongs to the run.
struct Relay<'r> {
    run: &'r mut Run,
    conversation: Conversation,
    out: Outbox,
    claude: Option<Talker>,
    /// The failure that the conversation holds back.
    failed: Option<Failure>,
    /// The last one of this outage.
    last: Option<Failure>,
    /// When the program sent the first message of its turn.
    began: Option<Timestamp>,
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
            let unsent = self.claude.as_ref().map_or(0, Talker::unsent) + self.out.claude.len();
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
        let Some(claude) = &mut self.claude else { return };
        claude.send(&self.out.claude);
        self.out.claude.clear();
        if self.conversation.is_all_sent() {
            claude.close();
        }
    }

    fn program_wrote(&mut self, chunk: Option<&[u8]>, heard: &mut Lines) -> io::Result<()> {
        let mut events = Vec::new();
        let Self { conversation, out, .. } = self;
        let mut take = |part: Part<'_>| {
            events.extend(match part {
                Part::Line(line) => conversation.hear_program(line, out),
                Part::Piece(piece) => conversation.hear_part_of_program(piece, out),
            });
        };
        match chunk {
            Some(chunk) => heard.feed(chunk, &mut take),
            None => take(Part::Line(&heard.end())),
        }
        if chunk.is_none() {
            self.conversation.program_closed();
        }
        events.into_iter().try_for_each(|event| self.told(event))
    }

    fn claude_did(&mut self, what: Said, said: &mut Lines) -> io::Result<()> {
        match what {
            Said::Sent => Ok(()),
            Said::Bytes(chunk) => {
                let mut events = Vec::new();
                let Self { conversation, out, .. } = self;
                said.feed(&chunk, |part| {
                    events.extend(match part {
                        Part::Line(line) => conversation.hear_claude(line, out),
                        Part::Piece(piece) => conversation.hear_part_of_claude(piece, out),
                    });
                });
                self.learn_session();
                events.into_iter().try_for_each(|event| self.told(event))
            }
            Said::Ended(exit) => {
                self.conversation.hear_half_of_claude(&said.end(), &mut self.out);
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
            program::Event::Began => {
                self.last = None;
                self.began = Some(Timestamp::now());
                self.on(Event::TurnBegan)
            }
            program::Event::Failed(turn) => self.failed(&turn),
            program::Event::Worked => {
                self.failed = None;
                // What the program had sent meanwhile follows.
                self.began = Some(Timestamp::now());
                self.on(Event::TurnWorked)?;
                // Another turn failed in the same outage.
                match self.conversation.first_failure() {
                    Some(turn) => self.failed(&turn),
                    None => Ok(()),
                }
            }
            program::Event::Interrupted => {
                self.failed = None;
                self.on(Event::MovedOn)
            }
            program::Event::LetGo => {
                tracing::warn!("more came than is held back: lines only pass from now on");
                self.failed = None;
                self.on(Event::MovedOn)
            }
        }
    }

    fn failed(&mut self, turn: &FailedTurn) -> io::Result<()> {
        // A turn that was cut off shares the fault of the one before it.
        let failure = self.judge(turn).or_else(|| self.last.take());
        let Some(failure) = failure else {
            self.conversation.give_up(&mut self.out);
            return self.on(Event::MovedOn);
        };
        self.failed = Some(failure.clone());
        self.last = Some(failure.clone());
        // Claude has been told that nothing more comes, and leaves: its end tells.
        if self.claude.as_ref().is_some_and(Talker::is_closing) {
            return Ok(());
        }
        self.on(Event::TurnFailed(self.report(failure)))
    }

    /// Claude has ended.
    fn ended(&mut self, exit: ExitReason) -> io::Result<()> {
        self.claude = None;
        // It is gone, and the transcript must hold what it did.
        let failed = self.failed.take().map(|failed| Failure { turn: self.turn(), ..failed });
        let failure = failed.or_else(|| self.crash(exit));
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
        if let Effect::Wait(waiting) = &effect
            && matches!(self.run.case.state(), State::Waiting { .. })
        {
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
        let may = || match () {
            () if self.conversation.may_ask() => Ok(()),
            () if self.conversation.owes_result() => Err(WhyNot::NotSettled),
            // The program has its failure already.
            () => Err(WhyNot::NotFailed),
        };
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
            let written = self.written();
            let message = &self.run.plan.message;
            let relaunch = self.conversation.relaunch(message, &written, &mut self.out);
            let takes_up = relaunch.takes_up;
            let continuation =
                if takes_up { Continuation::InterruptedTurn } else { Continuation::Silent };
            // Without a transcript nothing was begun, and it begins as the first one did.
            if let Some(session) = relaunch.session.filter(|_| self.transcript().is_some()) {
                plan = plan.resume(&session, continuation);
            }
            let chosen = relaunch.chosen;
            plan.heard.choose(chosen.model.as_deref(), chosen.mode.as_deref());
            plan.shows_cut_off = relaunch.shows_cut_off;
        }
        let claude = Talker::launch(&plan).map_err(|error| {
            let program = plan.program.display();
            io::Error::new(error.kind(), format!("failed to run {program}: {error}"))
        })?;
        self.run.child_started(claude.pid(), start != Start::First);
        self.claude = Some(claude);
        self.deliver();
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
