use super::super::value::duration;
use super::*;

#[test]
fn no_span_of_time_makes_a_wait_that_is_none_or_one_that_clocks_cannot_count() {
    let now = std::time::Instant::now();
    for key in KEYS {
        let Kind::Duration(least) = key.kind else { continue };
        for text in [
            "0s",
            "1ns",
            "1ms",
            "99ms",
            "4s",
            "100ms",
            "5s",
            "1s",
            "90d",
            "3650d",
            "3651d",
            "99999999999d",
            "1000000h",
            "-1s",
            "106751991167d",
        ] {
            if key.kind.check(text).is_err() {
                continue;
            }
            let span = duration(text).expect("checked");
            // Waits are doubled, and looked at by quarters.
            assert!(now.checked_add(span * 2).is_some(), "{} = {text}", key.name);
            let enough = match least {
                Least::Zero => true,
                Least::Of(least) => span.as_millis() >= u128::from(least),
                Least::OffOr(least) => span.is_zero() || span.as_millis() >= u128::from(least),
            };
            assert!(enough, "{} = {text}", key.name);
        }
        assert!(key.kind.check("3651d").is_err(), "{}", key.name);
    }
    let key = |name| find(name).expect("a key");
    assert_eq!(key("watch.hang_after").kind.check("0s"), Ok(()));
    let told = key("retry.first_wait").kind.check("0s");
    assert_eq!(told, Err("`0s` is less than `100ms`".to_owned()));
    let told = key("watch.hang_after").kind.check("1s");
    assert_eq!(told, Err("`1s` is less than `5s`, and not `0s` (never)".to_owned()));
}
