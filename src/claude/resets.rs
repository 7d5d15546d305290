//! When a usage limit lifts, from Claude's words. In: the text and the present moment with the
//! user's time zone. Out: an instant. Pure; what cannot be read is `None`, never a guess.

use std::sync::LazyLock;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, ZonedDateTime};
use regex::{Captures, Regex};

/// The text names a minute; the limit may lift anywhere in it.
const MINUTE: SignedDuration = SignedDuration::from_secs(60);
/// A reset at most this long ago means now, not tomorrow: clocks differ and answers linger.
const GRACE: SignedDuration = SignedDuration::from_mins(5);

static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) \|(?<unix>\d{10})\b
        | (?: resets? | automatically | until ) \s+ (?: at \s+ )?
          (?: (?<iso>\d{4}-\d\d-\d\d) \s+ | (?<weekday>mon|tue|wed|thu|fri|sat|sun)[a-z]*,? \s+
            | (?<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \s+ (?<day>\d{1,2}),? \s+ (?: at \s+ )? )?
          (?<hour>\d{1,2}) (?: :(?<minute>\d\d) )? \s* (?<half>am|pm)?
          (?: \s* \( (?<zone>[A-Za-z_/+\-0-9]+) \) | \s+ (?<utc>UTC) \b )?",
    )
    .expect("the pattern is constant")
});

/// Reads the first reset time in the text.
#[must_use]
pub fn resets(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    let found = PATTERN.captures(text)?;
    if let Some(unix) = found.name("unix") {
        let at = Timestamp::from_second(unix.as_str().parse().ok()?).ok()?;
        return Some(at.max(now.timestamp()));
    }
    let zone = match (found.name("zone"), found.name("utc")) {
        (Some(name), _) => TimeZone::get(name.as_str()).ok()?,
        (None, Some(_)) => TimeZone::UTC,
        (None, None) => now.time_zone().clone(),
    };
    let now = now.with_time_zone(zone);
    let at = moment(&found, &now)?;
    if at + MINUTE <= now.timestamp() { Some(now.timestamp()) } else { Some(at + MINUTE) }
}

/// The minute that the text names, in the past only if that means now.
fn moment(found: &Captures<'_>, now: &ZonedDateTime) -> Option<Timestamp> {
    let number = |name: &str| found.name(name).and_then(|part| part.as_str().parse::<i8>().ok());
    let hour = match (number("hour")?, found.name("half").map(|half| half.as_str().to_lowercase()))
    {
        (hour @ 1..=12, Some(half)) => hour % 12 + if half == "pm" { 12 } else { 0 },
        (_, Some(_)) => return None,
        // a bare number is not a time of day
        (hour, None) => found.name("minute").map(|_| hour)?,
    };
    let time = jiff::civil::Time::new(hour, number("minute").unwrap_or(0), 0, 0).ok()?;
    let on = |date: Date| now.time_zone().to_timestamp(date.to_datetime(time)).ok();
    let over = |at: Timestamp| at + GRACE < now.timestamp();
    let today = now.date();
    if let Some(date) = found.name("iso") {
        return on(date.as_str().parse().ok()?);
    }
    if let Some(month) = found.name("month") {
        const MONTHS: &str = "janfebmaraprmayjunjulaugsepoctnovdec";
        let month = MONTHS.find(&month.as_str().to_lowercase())? / 3 + 1;
        let date = Date::new(today.year(), i8::try_from(month).ok()?, number("day")?).ok()?;
        let at = on(date)?;
        // in December a limit may lift in January; a date just past is simply over
        let long_ago = at + SignedDuration::from_hours(180 * 24) < now.timestamp();
        return if long_ago { on(date.checked_add(1.year()).ok()?) } else { Some(at) };
    }
    let step = match found.name("weekday") {
        Some(name) => {
            let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
            let at = days.iter().position(|day| name.as_str().to_lowercase() == **day)?;
            let weekday = Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok()?;
            // the last such day, today included: it is over unless it lies within the grace
            (today.weekday().since(weekday), 7)
        }
        None => (1, 1),
    };
    let mut date = today.checked_sub(i64::from(step.0).days()).ok()?;
    for _ in 0..3 {
        let at = on(date)?;
        if !over(at) {
            return Some(at);
        }
        date = date.checked_add(i64::from(step.1).days()).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: &str, text: &str) -> Option<String> {
        let now: ZonedDateTime = now.parse().expect("a zoned time");
        resets(text, &now).map(|at| at.to_string())
    }

    #[test]
    fn every_form_of_a_reset_time_is_read_and_the_minute_is_waited_out() {
        // a Tuesday
        let now = "2026-11-24T21:00:00+00:00[UTC]";
        for (text, wanted) in [
            ("You've hit your 5-hour limit · resets 10:52pm (UTC)", "2026-11-24T22:53:00Z"),
            ("You've hit your weekly limit · resets Nov 27, 8:52pm (UTC)", "2026-11-27T20:53:00Z"),
            ("You've hit your weekly limit · resets Oct 9, 10am", "2026-11-24T21:00:00Z"),
            ("You've hit your weekly limit · resets Mon 12:00am", "2026-11-30T00:01:00Z"),
            ("resets Wed 9am", "2026-11-25T09:01:00Z"),
            ("resets Tue 8am", "2026-12-01T08:01:00Z"),
            ("5-hour limit reached ∙ resets 3am", "2026-11-25T03:01:00Z"),
            ("Your limit will reset at 3pm (America/Santiago).", "2026-11-25T18:01:00Z"),
            ("Claude AI usage limit reached|1796000400", "2026-11-30T01:00:00Z"),
            ("spend limit reached (daily; resets 2026-12-09 00:00 UTC)", "2026-12-09T00:01:00Z"),
            ("Continuing automatically at 10:52pm · Esc to cancel", "2026-11-24T22:53:00Z"),
            ("resets Jan 3, 1pm (UTC)", "2027-01-03T13:01:00Z"),
        ] {
            assert_eq!(at(now, text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn a_reset_just_past_means_now_and_never_tomorrow() {
        let now = "2026-11-24T22:55:30+00:00[UTC]";
        assert_eq!(at(now, "resets 10:52pm (UTC)").as_deref(), Some("2026-11-24T22:55:30Z"));
        let midnight = "2026-11-25T00:02:00+00:00[UTC]";
        assert_eq!(at(midnight, "resets 11:59pm (UTC)").as_deref(), Some("2026-11-25T00:02:00Z"));
        let later = "2026-11-24T23:30:00+00:00[UTC]";
        assert_eq!(at(later, "resets 10:52pm (UTC)").as_deref(), Some("2026-11-25T22:53:00Z"));
    }

    #[test]
    fn what_is_no_time_is_not_guessed() {
        let now = "2026-11-24T21:00:00+00:00[UTC]";
        for text in ["resets soon", "resets 25:00", "resets 3pm (Nowhere/Land)", "resets 5", ""] {
            assert_eq!(at(now, text), None, "{text}");
        }
    }
}
