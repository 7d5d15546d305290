use std::time::Duration;

use super::*;

fn from(text: &str, profile: Profile<'_>) -> (Config, Vec<String>) {
    let mut config = Config { file: "config.toml".into(), ..Config::default() };
    let problems = config.lay(text, profile);
    (config, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn every_default_is_a_value_its_key_takes() {
    for key in KEYS {
        assert_eq!(key.kind.check(key.default), Ok(()), "{}", key.name);
    }
}

#[test]
fn a_mistake_names_file_line_key_and_cure_and_leaves_the_default() {
    let (config, problems) =
        from("[retry]\nfirst_wiat = \"3s\"\nmax_wait = \"soon\"\n", Profile::Base);
    assert_eq!(
        problems,
        [
            "config.toml:2: there is no key `retry.first_wiat`; did you mean `retry.first_wait`?",
            "config.toml:3: `retry.max_wait`: `soon` is not a span of time such as `90s`, `10m` or `2h 30m`",
        ]
    );
    assert_eq!(config.values.retry.max_wait, Duration::from_secs(40));
}

#[test]
fn a_profile_lies_over_the_file_and_an_unknown_one_is_named() {
    let text = "[retry]\nmax_wait = \"10s\"\n[profile.night.retry]\nmax_wait = \"5m\"\n";
    assert_eq!(from(text, Profile::Base).0.values.retry.max_wait, Duration::from_secs(10));
    let (config, problems) = from(text, Profile::Named("night"));
    assert_eq!(
        config.shown(keys::find("retry.max_wait").expect("a key")),
        ("5m", &Origin::Profile("night".into(), 4))
    );
    assert!(problems.is_empty());
    assert_eq!(
        from(text, Profile::Named("nigth")).1,
        ["config.toml: there is no profile `nigth`; did you mean `night`?"]
    );
}

#[test]
fn the_profile_called_unattended_is_for_runs_without_a_terminal() {
    let text = "retry.max_wait = \"10s\"\n[profile.unattended]\nretry.max_wait = \"5m\"\n";
    let waits = |profile| from(text, profile).0.values.retry.max_wait.as_secs();
    assert_eq!(waits(Profile::of(None, true)), 300);
    assert_eq!(waits(Profile::of(None, false)), 10);
    assert_eq!(from("", Profile::Unattended).1, [""; 0]);
    assert_eq!(Profile::of(Some("night"), true), Profile::Named("night"));
}

#[test]
fn a_variable_chooses_a_profile_unless_an_option_does() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "[profile.a.rungs]\ntries = 7\n[profile.b.rungs]\ntries = 8\n")
        .expect("written");
    let tries = |profile, value: &str| {
        let environment = [(PROFILE_VARIABLE.to_owned(), value.to_owned())].into_iter();
        load(&file, profile, environment).0.values.rungs.tries
    };
    assert_eq!(tries(Profile::Unattended, "a"), 7);
    assert_eq!(tries(Profile::Named("b"), "a"), 8);
    assert_eq!(tries(Profile::Base, ""), 3);
}

#[test]
fn a_file_that_is_not_toml_is_reported_with_its_line_and_defaults_stand() {
    let (config, problems) = from("[retry]\nmax_wait = = 3\n", Profile::Base);
    assert!(problems[0].starts_with("config.toml:2: "), "{problems:?}");
    assert_eq!(config.values.retry.max_wait, Duration::from_secs(40));
}
