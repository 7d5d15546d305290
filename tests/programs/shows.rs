//! Two programs of 20 lines, unchanged but for the path: what they print on a good day, they print
//! through half a minute without a sign-in service, and with a claude that is killed.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::*;

fn hello(desk: &Desk, name: &str, claude: &Path) -> Command {
    let sdks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/sdks");
    let program =
        if name == "hello.py" { sdks.join("venv/bin/python") } else { PathBuf::from("node") };
    let mut command = desk.sandbox.command(program);
    command.arg(sdks.join(name)).arg(claude);
    command
}

#[test]
fn twenty_lines_print_through_an_outage_what_they_print_on_a_good_day() {
    std::thread::scope(|scope| {
        for name in ["hello.py", "hello.mjs"] {
            scope.spawn(move || {
                let desk = Desk::new(SignIn::Valid);
                let plain = hello(&desk, name, &real_claude(desk::VERSION));
                let good = desk::text(desk.sandbox.run(plain, SOON));
                assert_eq!(good, "Hello to you.\nHello to you.\n");

                let desk = Desk::new(SignIn::Expired);
                let outage = Duration::from_secs(30);
                desk.service.set_oauth(Script::down_for(outage, Behaviour::error(500)));
                let command = hello(&desk, name, Path::new(SAFE));
                assert_eq!(desk::text(desk.sandbox.run(command, SOON)), good, "{name}");

                let desk = Desk::new(SignIn::Valid);
                let hang = Script::first(1, Behaviour::Hang);
                desk.service.set_api(Script::After(1, Box::new(hang)));
                let command = hello(&desk, name, Path::new(SAFE));
                let seen = desk.while_running(command, || {
                    desk.wait_for_turns(2);
                    desk.kill_claude();
                });
                assert_eq!(seen, good, "{name}");
            });
        }
    });
}
